"""What an inventory file says, read into groups and hosts whose variables know their place.

Reading is cut in two, so that ``group_vars/`` and ``host_vars/`` can add to the same ``Source``
between the file and ``hosts.assemble``: this module only collects.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from remote_prof.errors import InventoryError
from remote_prof.inventory.document import Document, Entry, Where
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

_GROUP_KEYS = ("hosts", "vars", "children")
_PRIORITY = "ansible_group_priority"


@dataclass(frozen=True, slots=True)
class Variable:
    """The value that one place gives to a variable."""

    name: str
    value: Any
    where: Where


@dataclass(slots=True)
class RawGroup:
    """A group while it is read; ``children`` and ``hosts`` keep the order of the file."""

    name: str
    priority: int = 1
    variables: dict[str, Variable] = field(default_factory=dict)
    children: dict[str, Where] = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Source:
    """Everything that was read so far. ``all`` and ``ungrouped`` are always there."""

    groups: dict[str, RawGroup] = field(default_factory=dict)
    hosts: dict[str, dict[str, Variable]] = field(default_factory=dict)
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


def read_file(path: Path, source: Source) -> None:
    """Add an inventory file in Ansible's YAML form. Raises InventoryError."""
    _Reader(Document(path), source, path.parent.absolute()).read()


class _Reader:
    """Walks the nodes of one file; every refusal says file, line and key."""

    def __init__(self, document: Document, source: Source, directory: Path) -> None:
        self._document = document
        self._source = source
        self._directory = directory

    def read(self) -> None:
        root = self._document.root
        path = self._document.path
        shape = "it begins with a group: `all:`, and below it `  hosts:` with one host a line"
        if root is None or _is_null(root):
            raise InventoryError(f"{path} is empty", hint=shape)
        if not isinstance(root, yaml.MappingNode):
            raise self._document.ini_error() or InventoryError(
                f"{self._document.where(root)}: an inventory is a mapping of groups, "
                f"and this is {_kind(root)}",
                hint=shape,
            )
        entries = self._document.entries(root)
        if any(entry.key == "plugin" for entry in entries):
            raise InventoryError(
                f"{path} configures an inventory plugin of Ansible, and plugins are not run",
                hint=f"save what it says: ansible-inventory -i {path} --list --yaml > hosts.yml",
            )
        for entry in entries:
            if entry.key in _GROUP_KEYS:
                raise InventoryError(
                    f"{entry.where}: the key {entry.key!r} belongs into a group",
                    hint=f"write `all:` above and indent `{entry.key}:` below it",
                )
            self._group(entry)

    def _group(self, entry: Entry) -> str:
        name = self._name(entry, "group")
        group = self._source.group(name)
        for part in self._group_entries(entry):
            if part.key not in _GROUP_KEYS:
                raise self._unknown_key(part, name)
            if _is_null(part.node):
                continue
            if part.key == "vars":
                self._group_variables(group, part)
            elif part.key == "children":
                for child in self._members(part, name):
                    group.children.setdefault(self._group(child), child.where)
            else:
                for member in self._members(part, name):
                    self._hosts(group, member)
        return name

    def _group_entries(self, entry: Entry) -> list[Entry]:
        if _is_null(entry.node):
            return []
        if not isinstance(entry.node, yaml.MappingNode):
            raise InventoryError(
                f"{entry.where}: the group {entry.key!r} is {_kind(entry.node)} "
                f"where a mapping is needed",
                hint="a group holds `hosts:`, `vars:` and `children:`",
            )
        return self._document.entries(entry.node)

    def _unknown_key(self, part: Entry, group: str) -> InventoryError:
        hint = f"it may hold {', '.join(_GROUP_KEYS)}"
        close = difflib.get_close_matches(str(part.key), _GROUP_KEYS, 1, 0.5)
        if close:
            hint = f"did you mean {close[0]!r}?"
        elif isinstance(part.node, yaml.MappingNode) or _is_null(part.node):
            hint += "; a host belongs under `hosts:`, a group under `children:`"
        elif part.key in FIELDS:
            hint += "; a variable belongs under `vars:`"
        return InventoryError(
            f"{part.where}: the group {group!r} has the unknown key {part.key!r}", hint=hint
        )

    def _members(self, part: Entry, group: str) -> list[Entry]:
        node = part.node
        if isinstance(node, yaml.MappingNode):
            return self._document.entries(node)
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":str"):
            # `hosts: web1` is what Ansible takes for `hosts: {web1: }`.
            nothing = yaml.ScalarNode("tag:yaml.org,2002:null", "", node.start_mark, node.end_mark)
            return [Entry(node.value, self._document.where(node), nothing)]
        raise InventoryError(
            f"{part.where}: {part.key!r} of the group {group!r} is {_kind(node)} "
            "where a mapping is needed",
            hint="write each name in its own line with a colon after it: `web1:`",
        )

    def _hosts(self, group: RawGroup, entry: Entry) -> None:
        name, port = split_port(self._name(entry, "host"))
        if "/" in name or name in {".", ".."} or not name.isprintable():
            # Directories of results are called after hosts.
            raise InventoryError(f"{entry.where}: {name!r} cannot be the name of a host")
        try:
            names = expand_ranges(name)
        except ValueError as error:
            raise InventoryError(f"{entry.where}: {error}") from None
        variables = self._host_variables(entry, name)
        for host in names:
            known = self._source.hosts.get(host)
            if known is None:
                known = self._source.hosts[host] = {}
                if port is not None:
                    known["ansible_port"] = self._checked("ansible_port", port, entry.where)
            known.update(variables)
            group.hosts[host] = None

    def _host_variables(self, entry: Entry, host: str) -> dict[str, Variable]:
        if _is_null(entry.node):
            return {}
        if not isinstance(entry.node, yaml.MappingNode):
            raise InventoryError(
                f"{entry.where}: the host {host!r} is {_kind(entry.node)} "
                "where its variables are needed",
                hint=f"did you mean `{host}: {{ansible_host: ...}}`?",
            )
        return self._variables(entry.node, f"the host {host!r}")

    def _group_variables(self, group: RawGroup, part: Entry) -> None:
        if not isinstance(part.node, yaml.MappingNode):
            raise InventoryError(
                f"{part.where}: 'vars' of the group {group.name!r} is {_kind(part.node)} "
                "where a mapping is needed",
                hint="write one variable a line: `name: value`",
            )
        variables = self._variables(part.node, f"the group {group.name!r}")
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

    def _variables(self, node: yaml.MappingNode, owner: str) -> dict[str, Variable]:
        variables = {}
        for entry in self._document.entries(node):
            if not isinstance(entry.key, str):
                self._source.warn(
                    f"a variable of {owner} is called {entry.key!r}, which is not text",
                    evidence=f"{entry.where}: it is ignored",
                    fix="put the name in quotes",
                )
                continue
            value = self._document.value(entry.node)
            self._check_name(entry, owner)
            variables[entry.key] = self._checked(entry.key, value, entry.where)
        return variables

    def _check_name(self, entry: Entry, owner: str) -> None:
        name = entry.key
        near = near_variable(name)
        if name.startswith(PREFIX) and name not in OWN_VARIABLES:
            hint = f"did you mean {near}?" if near else f"there are {', '.join(OWN_VARIABLES)}"
            raise InventoryError(
                f"{entry.where}: {name} is not a variable of remote-prof",
                evidence=f"among the variables of {owner}",
                hint=hint,
            )
        if near:
            self._source.warn(
                f"{name} means nothing to Ansible and remote-prof",
                evidence=f"{entry.where}: among the variables of {owner}",
                fix=f"did you mean {near}?",
            )
        elif name in NOT_READ:
            self._source.warn(
                f"{name} is not read by remote-prof",
                evidence=f"{entry.where}: among the variables of {owner}",
                fix=NOT_READ[name],
            )
        elif name in _GROUP_KEYS:
            self._source.warn(
                f"{name!r} is taken for a variable of {owner}",
                evidence=str(entry.where),
                fix="write the variables of a host directly below it, "
                "and those of a group below its `vars:`",
            )

    def _checked(self, name: str, value: Any, where: Where) -> Variable:
        if name not in FIELDS:
            return Variable(name, value, where)
        wrong = complaint(name, value)
        if wrong:
            raise InventoryError(f"{where}: {wrong}")
        return Variable(name, anchored(name, value, self._directory), where)

    def _name(self, entry: Entry, kind: str) -> str:
        if isinstance(entry.key, str) and entry.key:
            return entry.key
        raise InventoryError(
            f"{entry.where}: the name of a {kind} is {entry.key!r} in YAML, where text is needed",
            hint="put the name in quotes",
        )


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "empty" if _is_null(node) else "a single value"
