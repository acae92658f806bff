"""From what was read to hosts: who is in which group, and whose variable wins.

Precedence as in Ansible: groups from far to near (the longest way from ``all`` counts), at the same
distance by ``ansible_group_priority`` and then by name, and the host's own variables last.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from remote_prof.errors import InventoryError
from remote_prof.inventory.files import Where
from remote_prof.inventory.frozen import FrozenDict
from remote_prof.inventory.hosts import HostBuilder
from remote_prof.inventory.model import IMPLICIT_LOCALHOST, GroupTree, Inventory
from remote_prof.inventory.names import LOCALHOSTS
from remote_prof.inventory.source import RawGroup, Source, Variable
from remote_prof.inventory.vault import Vault

_LOCAL = {"ansible_connection": Variable("ansible_connection", "local", Where("", 0))}

_Edges: TypeAlias = Mapping[str, Sequence[str]]


def assemble(source: Source, paths: Iterable[str], vault: Vault | None = None) -> Inventory:
    """Make the inventory of a source. Raises InventoryError where groups contain themselves."""
    groups = source.groups
    _adopt_orphans(groups)
    depths = _depths(groups)
    _settle_ungrouped(source)
    member_of: dict[str, frozenset[str]] = dict.fromkeys(source.hosts, frozenset())
    for group, holders in _memberships(groups).items():
        for host in groups[group].hosts:
            member_of[host] |= holders
    below = {group.name: tuple(group.children) for group in groups.values()}
    members = FrozenDict({name: _hosts_of(name, groups, below) for name in groups})
    ranked = sorted(groups.values(), key=lambda group: (depths[group.name], *_rank(group)))
    builder = HostBuilder(source, ranked, member_of, members, vault or Vault())
    hosts = tuple(builder.build(name) for name in source.hosts)
    implicit = IMPLICIT_LOCALHOST
    if source.hosts.keys().isdisjoint(LOCALHOSTS):
        implicit = builder.build_implicit(implicit.name, _LOCAL)
    _warn_of_shared_names(source)
    return Inventory(
        hosts=hosts,
        groups=members,
        problems=(*source.problems, *builder.problems),
        sources=tuple(paths),
        blocked=FrozenDict(builder.blocked),
        implicit_localhost=implicit,
        tree=FrozenDict(
            {
                group.name: GroupTree(tuple(group.children), tuple(group.hosts))
                for group in groups.values()
            }
        ),
        variables=FrozenDict({name: builder.merged(name) for name in source.hosts}),
    )


def _rank(group: RawGroup) -> tuple[int, str]:
    return group.priority, group.name


def _warn_of_shared_names(source: Source) -> None:
    for name in source.hosts:
        if name in source.groups:
            source.warn(
                f"{name!r} is the name of a host and of a group",
                evidence="a pattern with this name selects the host",
                fix="rename one of them",
            )


def _adopt_orphans(groups: Mapping[str, RawGroup]) -> None:
    """Put groups that no group holds below ``all``."""
    held = {child for group in groups.values() for child in group.children}
    everything = groups["all"]
    for name in groups:
        if name != "all" and name not in held:
            everything.children.setdefault(name, everything.children["ungrouped"])


def _depths(groups: dict[str, RawGroup]) -> dict[str, int]:
    """Measure the longest way from ``all`` to each group; refuse rings."""
    order: list[str] = []
    open_: list[str] = []
    done: set[str] = set()
    # An explicit stack: a chain of groups may be longer than Python's recursion goes.
    stack = [(name, False) for name in reversed(groups)]
    while stack:
        name, leaving = stack.pop()
        if leaving:
            open_.pop()
            done.add(name)
            order.append(name)
        elif name not in done:
            if name in open_:
                raise _ring(open_[open_.index(name) :], groups)
            open_.append(name)
            stack.append((name, True))
            stack += [
                (child, False) for child in reversed(groups[name].children) if child not in done
            ]
    depths = dict.fromkeys(groups, 0)
    for name in reversed(order):
        for child in groups[name].children:
            depths[child] = max(depths[child], depths[name] + 1)
    return depths


def _ring(members: list[str], groups: Mapping[str, RawGroup]) -> InventoryError:
    where = groups[members[-1]].children[members[0]]
    others = [
        f"{child!r} below {parent!r} at {groups[parent].children[child]}"
        for parent, child in itertools.pairwise(members)
    ]
    return InventoryError(
        f"{where}: the group {members[0]!r} contains itself: {' > '.join([*members, members[0]])}",
        evidence=", ".join(others),
        hint="remove it from one of these `children:`",
    )


def _settle_ungrouped(source: Source) -> None:
    """Keep in ``ungrouped`` the hosts that no group but ``all`` names, and only those."""
    grouped = {
        host
        for group in source.groups.values()
        if group.name not in {"all", "ungrouped"}
        for host in group.hosts
    }
    ungrouped = source.groups["ungrouped"].hosts
    for host in source.hosts:
        if host in grouped:
            ungrouped.pop(host, None)
        else:
            ungrouped[host] = None


def _memberships(groups: Mapping[str, RawGroup]) -> dict[str, frozenset[str]]:
    """Name, for each group, itself and all groups that hold it, directly or not."""
    parents: dict[str, list[str]] = {name: [] for name in groups}
    for group in groups.values():
        for child in group.children:
            parents[child].append(group.name)
    return {name: frozenset(_reach(name, parents)) for name in groups}


def _hosts_of(name: str, groups: Mapping[str, RawGroup], below: _Edges) -> tuple[str, ...]:
    """List the hosts of a group and of those below it, level by level."""
    reached = _reach(name, below)
    return tuple(dict.fromkeys(host for group in reached for host in groups[group].hosts))


def _reach(start: str, edges: _Edges) -> list[str]:
    """List what can be reached along the edges, the nearest first, beginning with the start."""
    reached = {start: None}
    level = [start]
    while level:
        level = list(
            dict.fromkeys(after for name in level for after in edges[name] if after not in reached)
        )
        reached |= dict.fromkeys(level)
    return list(reached)
