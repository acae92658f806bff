"""What all sources of an inventory say, collected into groups and hosts.

Each form has a reader of its own (``read_yaml``, ``read_ini``, ``read_script``, ``read_vars``);
all of them add to one ``Source``, which checks names and values, and knows the place of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remote_prof.errors import InventoryError
from remote_prof.inventory.files import Where
from remote_prof.inventory.names import expand_ranges, split_port
from remote_prof.inventory.variables import (
    FIELDS,
    NOT_READ,
    OWN_VARIABLES,
    PREFIX,
    anchored,
    complaint,
    near_variable,
)
from remote_prof.records import Problem, Severity

GROUP_KEYS = ("hosts", "vars", "children")
_PRIORITY = "ansible_group_priority"


@dataclass(frozen=True, slots=True)
class Variable:
    """The value that one place gives to a variable.

    ``secret``: its file was encrypted. Relative paths in it begin at ``directory``.
    """

    name: str
    value: Any = field(repr=False)
    where: Where
    secret: bool = False
    directory: Path = Path()


Variables = dict[str, Variable]


@dataclass(slots=True)
class RawGroup:
    """A group while it is read; ``children`` and ``hosts`` keep the order of the file."""

    name: str
    priority: int = 1
    variables: Variables = field(default_factory=dict)
    children: dict[str, Where] = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VarsFiles:
    """What the files in ``group_vars/`` and ``host_vars/`` beside one source say."""

    groups: dict[str, Variables] = field(default_factory=dict)
    hosts: dict[str, Variables] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose variables are read, and out of what.

    ``name`` stands in messages (``the host 'web1'``). Relative paths in our own variables begin at
    ``directory``. ``secret``: the file was encrypted.
    """

    name: str
    directory: Path
    secret: bool = False


@dataclass(slots=True)
class Source:
    """Everything that was read so far. ``all`` and ``ungrouped`` are always there.

    ``beside`` are the directories whose ``group_vars/`` and ``host_vars/`` count, in the order of
    the sources, and ``files`` what those say.
    """

    groups: dict[str, RawGroup] = field(default_factory=dict)
    hosts: dict[str, Variables] = field(default_factory=dict)
    beside: list[Path] = field(default_factory=list)
    files: list[VarsFiles] = field(default_factory=list)
    problems: dict[Problem, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.group("all").children["ungrouped"] = Where("", 0)
        self.group("ungrouped")

    def group(self, name: str) -> RawGroup:
        """Give the group of this name, a new one if need be."""
        return self.groups.setdefault(name, RawGroup(name))

    def warn(self, what: str, *, evidence: str, fix: str) -> None:
        """Note what does not keep the inventory from being used."""
        self.problems[Problem(Severity.WARNING, what, evidence, fix)] = None

    def add_hosts(
        self, group: RawGroup, written: str, variables: Mapping[str, Variable], where: Where
    ) -> None:
        """Add the hosts that a name with ranges and a port stands for. Raises InventoryError."""
        name, port = split_port(written)
        try:
            names = expand_ranges(name)
        except ValueError as error:
            raise InventoryError(f"{where}: {error}") from None
        if "[" in names[0]:
            raise InventoryError(
                f"{where}: {name!r} has a bracket that is no range", hint="write web[01:20]"
            )
        if port is not None and not 1 <= port <= 65535:
            raise InventoryError(
                f"{where}: the port of {name!r} should be a whole number from 1 to 65535, "
                f"not {port}"
            )
        for host in names:
            self.add_host(group, host, variables, where, port)

    def add_host(
        self,
        group: RawGroup,
        name: str,
        variables: Mapping[str, Variable],
        where: Where,
        port: int | None = None,
    ) -> None:
        """Add one host, or variables to it; a port counts where the host is new."""
        if not name or "/" in name or name in {".", ".."} or not name.isprintable():
            # Directories of results are called after hosts.
            raise InventoryError(
                f"{where}: {name!r} cannot be the name of a host", hint="is this an inventory?"
            )
        known = self.hosts.get(name)
        if known is None:
            known = self.hosts[name] = {}
            if port is not None:
                known["ansible_port"] = Variable("ansible_port", port, where)
        known.update(variables)
        group.hosts[name] = None

    def add_group_variables(self, group: RawGroup, variables: Variables) -> None:
        """Give variables to a group; one of them is its priority. Raises InventoryError."""
        priority = variables.pop(_PRIORITY, None)
        if priority is not None:
            try:
                group.priority = int(priority.value)
            except (TypeError, ValueError):
                raise InventoryError(
                    f"{priority.where}: {_PRIORITY} should be a whole number, "
                    f"not {priority.value!r}"
                ) from None
        group.variables.update(variables)

    def variables(self, items: Iterable[tuple[object, Any, Where]], owner: Owner) -> Variables:
        """Check names and values, and return the variables. Raises InventoryError."""
        found = {}
        for name, value, where in items:
            if not isinstance(name, str):
                self.warn(
                    f"a variable of {owner.name} is called {name!r}, which is not text",
                    evidence=f"{where}: it is ignored",
                    fix="put the name in quotes",
                )
                continue
            self._check_name(name, where, owner)
            found[name] = self._checked(name, value, where, owner)
        return found

    def _check_name(self, name: str, where: Where, owner: Owner) -> None:
        near = near_variable(name)
        if name.startswith(PREFIX) and name not in OWN_VARIABLES:
            hint = f"did you mean {near}?" if near else f"there are {', '.join(OWN_VARIABLES)}"
            raise InventoryError(
                f"{where}: {name} is not a variable of remote-prof",
                evidence=f"among the variables of {owner.name}",
                hint=hint,
            )
        if near:
            self.warn(
                f"{name} means nothing to Ansible and remote-prof",
                evidence=f"{where}: among the variables of {owner.name}",
                fix=f"did you mean {near}?",
            )
        elif name in NOT_READ:
            self.warn(
                f"{name} is not read by remote-prof",
                evidence=f"{where}: among the variables of {owner.name}",
                fix=NOT_READ[name],
            )
        elif name in GROUP_KEYS:
            self.warn(
                f"{name!r} is taken for a variable of {owner.name}",
                evidence=str(where),
                fix="write the variables of a host directly below it, "
                "and those of a group below its `vars:`",
            )

    def _checked(self, name: str, value: Any, where: Where, owner: Owner) -> Variable:
        if name not in FIELDS:
            return Variable(name, value, where, owner.secret, owner.directory)
        wrong = complaint(name, value, secret=owner.secret)
        if wrong:
            raise InventoryError(f"{where}: {wrong}")
        value = anchored(name, value, owner.directory)
        return Variable(name, value, where, owner.secret, owner.directory)
