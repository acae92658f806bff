"""From variables to a host: whose value wins, what it is once it is evaluated, what it means.

From the weakest to the strongest: variables of ``all`` in the sources, those of other groups, files
in ``group_vars/`` for ``all``, files for other groups, a host's own in the sources, files in
``host_vars/``. Of groups, the nearer one wins. So it is in Ansible.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from remote_prof.errors import InventoryError
from remote_prof.inventory.evaluate import (
    OMIT,
    AllHostVariables,
    EvaluationError,
    HostVariables,
    Scope,
)
from remote_prof.inventory.frozen import FrozenDict, freeze
from remote_prof.inventory.source import RawGroup, Source, Variable, Variables
from remote_prof.inventory.ssh_arguments import SshArguments, parse_ssh_arguments
from remote_prof.inventory.variables import (
    BECOME_METHODS,
    CONNECTIONS,
    FIELDS,
    SECRET_FIELDS,
    HostVars,
    anchored,
    complaint,
    expand_home,
    is_secret,
    is_set,
    unevaluated,
)
from remote_prof.inventory.vault import Vault
from remote_prof.records import Become, Host, Problem, Severity
from remote_prof.settings import SECRET_VARIABLES

_FOR_SSH = frozenset(
    {"address", "port", "user", "identity_file", "known_hosts", "password", "key_passphrase"}
    | {"ssh_arguments", "ssh_common_arguments", "ssh_extra_arguments"}
)
_FOR_BECOME = frozenset({"become_method", "become_user", "become_password"})


class HostBuilder:
    """Merges variables and makes hosts of them; gathers what stands in the way of using one.

    ``ranked`` are all groups, the weakest first; ``member_of`` names the groups of a host, near and
    far, and ``members`` the hosts of a group.
    """

    def __init__(
        self,
        source: Source,
        ranked: Sequence[RawGroup],
        member_of: Mapping[str, frozenset[str]],
        members: Mapping[str, Sequence[str]],
        vault: Vault,
    ) -> None:
        self._source = source
        self._groups = {group.name: group for group in ranked}
        self._rank = {group.name: rank for rank, group in enumerate(ranked)}
        self._member_of = member_of
        self._members = {group: list(hosts) for group, hosts in members.items()}
        self._vault = vault
        self._merged: dict[str, Variables] = {}
        self._scopes: dict[str, Scope] = {}
        self.problems: dict[Problem, None] = {}
        self.blocked: dict[str, tuple[Problem, ...]] = {}

    def merged(self, name: str) -> Mapping[str, Variable]:
        """Return the variables of a host, the winners alone, as they were written."""
        if name not in self._merged:
            files = [beside.hosts.get(name, {}) for beside in self._source.files]
            own = [self._source.hosts[name], *files]
            self._merged[name] = self._merge(self._member_of[name], own)
        return self._merged[name]

    def _merge(self, groups: frozenset[str], own: Sequence[Variables]) -> Variables:
        nearer = sorted(groups - {"all"}, key=self._rank.__getitem__)
        files = [beside.groups for beside in self._source.files]
        layers = [
            *(self._groups[group].variables for group in ("all", *nearer)),
            *(beside.get("all", {}) for beside in files),
            *(beside.get(group, {}) for beside in files for group in nearer),
            *own,
        ]
        merged: Variables = {}
        for layer in layers:
            merged |= layer
        return merged

    def build(self, name: str) -> Host:
        """Make a host of the inventory."""
        groups = tuple(sorted(self._member_of[name] - {"all"}))
        return self._build(name, self.merged(name), groups)

    def build_implicit(self, name: str, own: Variables) -> Host:
        """Make a host that no source names; it has the variables of all hosts."""
        return self._build(name, self._merge(frozenset(), [own]), ())

    def _build(self, name: str, merged: Mapping[str, Variable], groups: tuple[str, ...]) -> Host:
        settings, evaluated = self._settings(name, merged)
        way = self._way(settings, merged)
        key = settings.identity_file or way.identity_file
        shown = {
            key: item.value
            for key, item in merged.items()
            if not is_secret(key) and not (item.secret and key not in FIELDS)
        }
        return Host(
            name=name,
            address=settings.address or name,
            port=settings.port or (int(way.port) if way.port else None),
            user=settings.user or way.user,
            connection="local" if settings.connection == "local" else "ssh",
            identity_files=(expand_home(key),) if key else (),
            known_hosts_files=settings.known_hosts,
            jump=way.jump,
            password=settings.password,
            key_passphrase=settings.key_passphrase,
            become=_become(settings),
            groups=groups,
            vars=FrozenDict(shown | evaluated),
        )

    def _scope(self, name: str, merged: Mapping[str, Variable]) -> Scope:
        if name not in self._scopes:
            groups = self._member_of.get(name, frozenset()) - {"all"}
            magic: dict[str, Any] = {
                "inventory_hostname": name,
                "inventory_hostname_short": name.split(".", maxsplit=1)[0],
                "group_names": sorted(groups),
                "groups": self._members,
                "hostvars": AllHostVariables(self._variables_of, self._source.hosts),
            }
            self._scopes[name] = Scope(merged, magic, self._open)
        return self._scopes[name]

    def _variables_of(self, name: str) -> Mapping[str, Any]:
        if name not in self._source.hosts:
            raise KeyError(name)
        merged = self.merged(name)
        return HostVariables(self._scope(name, merged), lambda: list(merged))

    def _open(self, envelope: str, where: str) -> str:
        try:
            return self._vault.decrypt(envelope, where).decode()
        except UnicodeDecodeError:
            raise InventoryError(f"{where}: what was encrypted is not UTF-8 text") from None

    def _way(self, settings: HostVars, merged: Mapping[str, Variable]) -> SshArguments:
        """Return what the arguments of ssh say, the first of them first."""
        found = SshArguments()
        for name, arguments in (
            ("ansible_ssh_args", settings.ssh_arguments),
            ("ansible_ssh_common_args", settings.ssh_common_arguments),
            ("ansible_ssh_extra_args", settings.ssh_extra_arguments),
        ):
            said = parse_ssh_arguments(arguments or "")
            if said.rest and settings.connection != "local":
                problem = Problem(
                    Severity.WARNING,
                    f"{name}: not all of it is read by remote-prof",
                    evidence=f"{merged[name].where}: not read: {' '.join(said.rest)}",
                    fix="put that into ~/.ssh/config",
                )
                self.problems[problem] = None
            found = SshArguments(
                found.jump or said.jump,
                found.user or said.user,
                found.port or said.port,
                found.identity_file or said.identity_file,
            )
        return found

    def _settings(
        self, host: str, merged: Mapping[str, Variable]
    ) -> tuple[HostVars, dict[str, Any]]:
        """Return what the variables mean, and those that had to be evaluated, but for secrets."""
        winners = _winners(merged)
        known: dict[str, Any] = {}
        evaluated: dict[str, Any] = {}
        unknown: dict[str, Problem] = {}
        for field, variable in winners.items():
            if not unevaluated(variable.value):
                known[field] = variable.value
                continue
            try:
                value = self._evaluated(host, merged, variable)
            except _NotKnownError as error:
                unknown[field] = error.problem
                continue
            if is_set(variable.name, value):
                known[field] = value
            if field not in SECRET_FIELDS:
                evaluated[variable.name] = value
        settings = HostVars.model_validate(known)
        needed = [
            problem for field, problem in unknown.items() if _is_needed(field, settings, winners)
        ]
        self.problems |= dict.fromkeys(p for p in needed if p.severity is Severity.WARNING)
        blocked = [problem for problem in needed if problem.severity is Severity.ERROR]
        blocked += _refused(host, settings, winners)
        if blocked:
            self.blocked[host] = tuple(blocked)
        return settings, evaluated

    def _evaluated(self, host: str, merged: Mapping[str, Variable], variable: Variable) -> Any:
        """Return the value of a template or a vault. Raises _NotKnownError."""
        scope, kind = self._scope(host, merged), SECRET_FIELDS.get(FIELDS[variable.name])
        try:
            value = scope.value(variable.name)
        except EvaluationError as error:
            said = str(error)
            raise _NotKnownError(
                _secret_problem(variable, kind, said)
                if kind
                else _unevaluated_problem(host, variable, said)
            ) from None
        except InventoryError as error:
            if kind and not self._vault.passwords:
                said = "it is encrypted by ansible-vault"
                raise _NotKnownError(_secret_problem(variable, kind, said)) from None
            raise _NotKnownError(
                Problem(Severity.ERROR, error.what, error.evidence, error.hint)
            ) from None
        if value is OMIT:
            return None
        value = freeze(value)
        wrong = complaint(variable.name, value, secret=scope.opened)
        if wrong:
            raise _NotKnownError(_unevaluated_problem(host, variable, f"evaluated, {wrong}"))
        return anchored(variable.name, value, variable.directory)


class _NotKnownError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


def _winners(merged: Mapping[str, Variable]) -> dict[str, Variable]:
    """Find the variable that decides each field; of several names the last one set wins."""
    winners = {}
    for name, field in FIELDS.items():
        variable = merged.get(name)
        if variable is not None and is_set(name, variable.value):
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


def _unevaluated_problem(host: str, variable: Variable, said: str) -> Problem:
    return Problem(
        Severity.ERROR,
        f"{variable.where}: {variable.name} of the host {host!r} is not known: {said}",
        fix=f"mend it, write the value itself, or leave the host out with ':!{host}'",
    )


def _secret_problem(variable: Variable, kind: str, said: str) -> Problem:
    vaulted = "ansible-vault" in said
    fix = f"give it in {SECRET_VARIABLES[kind]} where one is asked for"
    return Problem(
        Severity.WARNING,
        f"{variable.name} is not known: {said}",
        evidence=str(variable.where),
        fix=f"{fix}, or the vault's password with --vault-password-file" if vaulted else fix,
    )


def _refused(host: str, settings: HostVars, winners: Mapping[str, Variable]) -> list[Problem]:
    """Say which ways to a host, and to rights on it, are none here; other hosts have theirs."""
    if settings.connection not in {"ssh", "local"}:
        return [_connection_problem(host, winners["connection"])]
    if settings.become_method not in BECOME_METHODS and _may_become(settings):
        variable = winners["become_method"]
        return [
            Problem(
                Severity.ERROR,
                f"{variable.where}: {variable.name} of the host {host!r} should be "
                f"'sudo', 'su' or 'doas', not {settings.become_method!r}",
                fix=f"set ansible_become to false if the login may use the engine, "
                f"or leave the host out with ':!{host}'",
            )
        ]
    return []


def _connection_problem(host: str, variable: Variable) -> Problem:
    close = difflib.get_close_matches(str(variable.value), CONNECTIONS, 1, 0.5)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return Problem(
        Severity.ERROR,
        f"{variable.where}: {variable.name} of the host {host!r} is {variable.value!r}, "
        "and hosts are reached by 'ssh' or are 'local'",
        fix=f"{meant}Otherwise leave the host out with ':!{host}'",
    )
