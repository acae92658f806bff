"""From what was read to hosts: who is in which group, and whose variable wins.

Precedence as in Ansible: groups from far to near (the longest way from ``all`` counts), at the same
distance by ``ansible_group_priority`` and then by name, and the host's own variables last.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from remote_prof.errors import InventoryError
from remote_prof.inventory.document import Where
from remote_prof.inventory.frozen import FrozenDict
from remote_prof.inventory.model import IMPLICIT_LOCALHOST, Inventory
from remote_prof.inventory.names import LOCALHOSTS
from remote_prof.inventory.source import RawGroup, Source, Variable
from remote_prof.inventory.variables import (
    CONNECTIONS,
    FIELDS,
    SECRET_FIELDS,
    SECRETS,
    HostVars,
    expand_home,
    parse_ssh_arguments,
    unevaluated,
)
from remote_prof.records import Become, Host, Problem, Severity
from remote_prof.settings import SECRET_VARIABLES

_FOR_SSH = frozenset(
    {"address", "port", "user", "identity_file", "known_hosts", "ssh_arguments"}
    | {"password", "key_passphrase"}
)
_FOR_BECOME = frozenset({"become_method", "become_user", "become_password"})
_LOCAL = {"ansible_connection": Variable("ansible_connection", "local", Where("", 0))}

_Edges: TypeAlias = Mapping[str, Sequence[str]]


def assemble(source: Source, paths: Iterable[str]) -> Inventory:
    """Make the inventory of a source. Raises InventoryError where groups contain themselves."""
    groups = source.groups
    _adopt_orphans(groups)
    depths = _depths(groups)
    _settle_ungrouped(source)
    builder = _HostBuilder(
        sorted(groups.values(), key=lambda group: (depths[group.name], group.priority, group.name))
    )
    member_of: dict[str, frozenset[str]] = dict.fromkeys(source.hosts, frozenset())
    for group, holders in _memberships(groups).items():
        for host in groups[group].hosts:
            member_of[host] |= holders
    hosts = tuple(builder.build(name, own, member_of[name]) for name, own in source.hosts.items())
    implicit = IMPLICIT_LOCALHOST
    if source.hosts.keys().isdisjoint(LOCALHOSTS):
        implicit = builder.build(implicit.name, _LOCAL, frozenset())
    _warn_of_shared_names(source)
    below = {group.name: tuple(group.children) for group in groups.values()}
    return Inventory(
        hosts=hosts,
        groups=FrozenDict({name: _hosts_of(name, groups, below) for name in groups}),
        problems=(*source.problems, *builder.problems),
        sources=tuple(paths),
        blocked=FrozenDict(builder.blocked),
        implicit_localhost=implicit,
    )


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


class _HostBuilder:
    """Merges variables and makes hosts of them; gathers what stands in the way of using one."""

    def __init__(self, ranked: Sequence[RawGroup]) -> None:
        self._groups = {group.name: group for group in ranked}
        self._rank = {group.name: rank for rank, group in enumerate(ranked)}
        self.problems: dict[Problem, None] = {}
        self.blocked: dict[str, tuple[Problem, ...]] = {}

    def build(self, name: str, own: Mapping[str, Variable], member_of: frozenset[str]) -> Host:
        merged: dict[str, Variable] = {}
        for group in sorted(member_of | {"all"}, key=self._rank.__getitem__):
            merged |= self._groups[group].variables
        merged |= own
        settings = self._settings(name, merged)
        groups = tuple(sorted(member_of - {"all"}))
        return Host(
            name=name,
            address=settings.address or name,
            port=settings.port,
            user=settings.user,
            connection="local" if settings.connection == "local" else "ssh",
            identity_files=(expand_home(settings.identity_file),) if settings.identity_file else (),
            known_hosts_files=settings.known_hosts,
            jump=self._jump(settings, merged),
            password=settings.password,
            key_passphrase=settings.key_passphrase,
            become=_become(settings),
            groups=groups,
            vars=FrozenDict(
                {key: item.value for key, item in merged.items() if key not in SECRETS}
            ),
        )

    def _jump(self, settings: HostVars, merged: Mapping[str, Variable]) -> str | None:
        jump, rest = parse_ssh_arguments(settings.ssh_arguments or "")
        if rest and settings.connection != "local":
            variable = merged["ansible_ssh_common_args"]
            problem = Problem(
                Severity.WARNING,
                f"{variable.name} is not read by remote-prof, but for jump hosts",
                evidence=f"{variable.where}: {' '.join(rest)}",
                fix="put its other options into ~/.ssh/config",
            )
            self.problems[problem] = None
        return jump

    def _settings(self, host: str, merged: Mapping[str, Variable]) -> HostVars:
        winners = _winners(merged)
        known = {
            field: variable.value
            for field, variable in winners.items()
            if not unevaluated(variable.value)
        }
        settings = HostVars.model_validate(known)
        blocked = []
        for field, variable in winners.items():
            if field in known or not _is_needed(field, settings, winners):
                continue
            if field in SECRET_FIELDS:
                self.problems[_secret_problem(variable, SECRET_FIELDS[field])] = None
            else:
                blocked.append(_unevaluated_problem(host, variable))
        if settings.connection not in {"ssh", "local"}:
            blocked.append(_connection_problem(host, winners["connection"]))
        if blocked:
            self.blocked[host] = tuple(blocked)
        return settings


def _winners(merged: Mapping[str, Variable]) -> dict[str, Variable]:
    """Find the variable that decides each field; of several names the last one set wins."""
    winners = {}
    for name, field in FIELDS.items():
        variable = merged.get(name)
        if variable is not None and variable.value is not None:
            winners[field] = variable
    return winners


def _is_needed(field: str, settings: HostVars, winners: Mapping[str, Variable]) -> bool:
    if field in _FOR_SSH:
        return settings.connection != "local"
    if field in _FOR_BECOME:
        # A `become` that is not known may turn out to be true.
        return _may_become(settings) or (settings.become is None and "become" in winners)
    return True


def _may_become(settings: HostVars) -> bool:
    # Our own variable is about the engine alone, so it wins over the one about every task.
    if settings.engine_sudo == "auto":
        return settings.become is not False
    return settings.engine_sudo == "always"


def _become(settings: HostVars) -> Become | None:
    if not _may_become(settings):
        return None
    return Become(
        always=settings.engine_sudo == "always" or bool(settings.become),
        method=settings.become_method,
        user=settings.become_user,
        password=settings.become_password,
    )


def _unevaluated_problem(host: str, variable: Variable) -> Problem:
    return Problem(
        Severity.ERROR,
        f"{variable.where}: {variable.name} of the host {host!r} is not evaluated by remote-prof: "
        f"{unevaluated(variable.value)}",
        fix=f"write the value itself, or leave the host out with ':!{host}'",
    )


def _secret_problem(variable: Variable, kind: str) -> Problem:
    return Problem(
        Severity.WARNING,
        f"{variable.name} is not known: {unevaluated(variable.value)}",
        evidence=str(variable.where),
        fix=f"give it in {SECRET_VARIABLES[kind]} where one is asked for",
    )


def _connection_problem(host: str, variable: Variable) -> Problem:
    close = difflib.get_close_matches(str(variable.value), CONNECTIONS, 1, 0.5)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return Problem(
        Severity.ERROR,
        f"{variable.where}: {variable.name} of the host {host!r} is {variable.value!r}, "
        "and hosts are reached by 'ssh' or are 'local'",
        fix=f"{meant}Otherwise leave the host out with ':!{host}'",
    )
