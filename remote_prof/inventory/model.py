"""A loaded inventory: hosts, groups, and the selection of hosts by patterns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from remote_prof.errors import InventoryError
from remote_prof.inventory.frozen import FrozenDict
from remote_prof.inventory.patterns import Names, match_pattern, match_pieces, split_pattern
from remote_prof.records import Become, Host, Problem

if TYPE_CHECKING:
    from remote_prof.inventory.source import Variable

IMPLICIT_LOCALHOST = Host("localhost", "localhost", connection="local", become=Become())


@dataclass(frozen=True, slots=True)
class GroupTree:
    """What a group holds itself: names of groups, and of hosts, in the order of the sources."""

    children: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hosts and groups of an inventory, read-only and picklable.

    ``hosts`` are in the order of the file. ``groups`` maps every group (``all`` and ``ungrouped``
    included) to the names of all its hosts, those of child groups included. ``problems`` are
    warnings. ``blocked`` says of some hosts what has to be mended before they can be used.
    ``looked_in`` names the files that were looked for where there is no inventory at all. ``tree``
    has what each group holds itself, and ``variables`` those of each host as they were written.
    """

    hosts: tuple[Host, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = FrozenDict({"all": (), "ungrouped": ()})
    problems: tuple[Problem, ...] = ()
    sources: tuple[str, ...] = ()
    blocked: Mapping[str, tuple[Problem, ...]] = FrozenDict()
    looked_in: tuple[str, ...] = ()
    implicit_localhost: Host = IMPLICIT_LOCALHOST
    tree: Mapping[str, GroupTree] = FrozenDict(
        {"all": GroupTree(("ungrouped",)), "ungrouped": GroupTree()}
    )
    variables: Mapping[str, Mapping[str, Variable]] = FrozenDict()

    def select(self, pattern: str, limit: str | None = None) -> list[Host]:
        """List the hosts that a pattern selects, in Ansible's order, each once.

        ``limit`` is a second pattern that they have to match too; ``@file`` in it stands for the
        lines of that file. Raises InventoryError for a pattern that selects nothing or names
        something unknown, for a limit that does so, and for a host that cannot be used.
        """
        selected = self.match(pattern, limit)
        by_name = {host.name: host for host in self.hosts}
        hosts = [by_name.get(name) or self._local(name) for name in selected]
        self._refuse_blocked(hosts)
        return hosts

    def match(self, pattern: str, limit: str | None = None) -> list[str]:
        """List the names that ``select`` selects, also of hosts that cannot be used."""
        names = Names(tuple(host.name for host in self.hosts), self.groups)
        try:
            selected = match_pattern(pattern, names)
            if limit is not None:
                allowed = frozenset(_match_limit(limit, names))
                selected = [name for name in selected if name in allowed]
        except InventoryError:
            if self.sources or self.hosts:
                raise
            raise self._nothing_found() from None
        if not selected:
            raise self._nothing_selected(pattern, limit)
        return selected

    def _local(self, name: str) -> Host:
        return replace(self.implicit_localhost, name=name, address=name)

    def _refuse_blocked(self, hosts: Iterable[Host]) -> None:
        known = frozenset(self.groups["all"])
        implicit = self.implicit_localhost.name
        problems = [
            problem
            for host in hosts
            for problem in self.blocked.get(host.name if host.name in known else implicit, ())
        ]
        if problems:
            more = f"and {len(problems) - 1} more of this kind" if len(problems) > 1 else ""
            raise InventoryError(problems[0].what, evidence=more, hint=problems[0].fix)

    def _nothing_found(self) -> InventoryError:
        looked = f"looked for {', '.join(self.looked_in)}" if self.looked_in else ""
        return InventoryError(
            "there is no inventory, so only 'localhost' can be profiled",
            evidence=looked,
            hint="give one with -i FILE (or hosts with -i host1,host2,), in REMOTE_PROF_INVENTORY, "
            "or as `inventory` in remote-prof.toml",
        )

    def _nothing_selected(self, pattern: str, limit: str | None) -> InventoryError:
        if not self.sources and not self.hosts:
            return self._nothing_found()
        if not self.hosts:
            return InventoryError(
                f"the inventory {', '.join(self.sources)} has no hosts",
                hint="hosts are listed under `hosts:` of a group",
            )
        within = f" within the limit {limit!r}" if limit is not None else ""
        return InventoryError(
            f"the host pattern {pattern!r} selects none of {len(self.hosts)} hosts{within}",
            hint="`remote-prof hosts` lists hosts and groups",
        )


def _match_limit(limit: str, names: Names) -> list[str]:
    if "@" not in limit:
        return match_pattern(limit, names)
    pieces: list[str] = []
    for piece in split_pattern(limit):
        pieces += _limit_file(Path(piece[1:])) if piece.startswith("@") else [piece]
    if not pieces:
        raise InventoryError(f"the limit {limit!r} names no host")
    return match_pieces(pieces, names)


def _limit_file(path: Path) -> list[str]:
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, RuntimeError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise InventoryError(
            f"the limit file {path} cannot be read: {said}",
            hint="a limit that begins with @ is the path of a file with one pattern a line",
        ) from None
    return [line.strip() for line in lines if line.strip()]
