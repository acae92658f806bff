"""From options to what the parts below understand: settings, hosts, targets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.errors import UsageError
from remote_prof.records import Become, Host, Severity
from remote_prof.settings import PASSWORD_VARIABLE, ResolvedSettings, Settings, load_settings

if TYPE_CHECKING:
    from remote_prof.host.gather import FactsQuery
    from remote_prof.host.target import TargetSpec
    from remote_prof.run.prepare import HostJob
    from remote_prof.transport import SshOptions


@dataclass(frozen=True, slots=True)
class ConnectFlags:
    """What the command line says about the way to a host; None leaves it to the inventory."""

    connection: str | None = None
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    connect_timeout: str | None = None
    host_key_checking: str | None = None
    ask_become_pass: bool = False

    def settings(self) -> dict[str, object]:
        """Return those that are settings, by name."""
        return {
            "user": self.user,
            "port": self.port,
            "identity": self.identity,
            "connect_timeout": self.connect_timeout,
            "host_key_checking": self.host_key_checking,
        }


def resolve_settings(flags: Mapping[str, object]) -> ResolvedSettings:
    """Return the settings that hold here; what looked odd is said. Raises UsageError."""
    resolved = load_settings(Path.cwd(), os.environ, flags)
    for problem in resolved.problems:
        console.problem(problem)
    return resolved


def select_hosts(pattern: str, settings: Settings, flags: ConnectFlags) -> list[Host]:
    """Return the hosts that a pattern means, with what the flags say about them.

    Raises InventoryError.
    """
    from remote_prof.inventory import resolve_inventory

    if flags.connection not in (None, "ssh", "local"):
        raise UsageError(
            f"there is no connection {flags.connection!r}", hint="connections are: ssh, local"
        )
    given = settings.inventory
    if flags.connection == "local" and given is None and "," not in pattern:
        hosts = [Host(pattern, pattern, connection="local")]
    else:
        inventory = resolve_inventory(given, Path.cwd())
        for problem in inventory.problems:
            if problem.severity is not Severity.NOTE:
                console.problem(problem)
        hosts = inventory.select(pattern)
    password = _become_password(flags)
    return [_apply(host, settings, flags, password) for host in hosts]


def _apply(host: Host, settings: Settings, flags: ConnectFlags, password: str | None) -> Host:
    if flags.connection:
        host = replace(host, connection=flags.connection)
    if settings.user:
        host = replace(host, user=settings.user)
    if settings.port:
        host = replace(host, port=settings.port)
    if settings.identity:
        host = replace(host, identity_files=(str(settings.identity),))
    if password is not None:
        host = replace(host, become=replace(host.become or Become(), password=password))
    return host


def _become_password(flags: ConnectFlags) -> str | None:
    if not flags.ask_become_pass:
        return os.environ.get(PASSWORD_VARIABLE)
    import getpass

    return getpass.getpass("sudo password: ", stream=None)


def ssh_options(host: Host, settings: ResolvedSettings) -> SshOptions:
    """Return what the inventory and the settings say about SSH to a host."""
    from remote_prof.inventory import host_settings
    from remote_prof.transport import SshOptions

    own, values = host_settings(host).connect_timeout_s, settings.values
    timeout_s = (
        own if own and _is_default(settings, "connect_timeout") else values.connect_timeout_s
    )
    return SshOptions(timeout_s, values.host_key_checking)


def facts_query(host: Host, settings: ResolvedSettings, *, cpu_window_s: float = 0.0) -> FactsQuery:
    """Return what to ask a host for: its inventory's word holds where no flag says otherwise."""
    from remote_prof.host.gather import FactsQuery
    from remote_prof.inventory import host_settings

    own = host_settings(host)
    return FactsQuery(
        image=own.image if own.image and _is_default(settings, "image") else settings.values.image,
        engine=own.engine,
        engine_sudo=own.engine_sudo,
        work_parent=own.tmp,
        cpu_window_s=cpu_window_s,
    )


def results_directory(hosts: list[Host], settings: ResolvedSettings) -> Path:
    """Return where the runs go; the inventory's word on the first host counts like its image."""
    from remote_prof.inventory import host_settings

    own = host_settings(hosts[0]).results if hosts else None
    return Path(own) if own and _is_default(settings, "results") else settings.values.results


def runner(host: Host, settings: ResolvedSettings) -> str:
    """Return which runner a host gets."""
    from remote_prof.inventory import host_settings

    own = host_settings(host).runner
    return own if own and _is_default(settings, "runner") else settings.values.runner


def make_jobs(
    hosts: list[Host],
    spec: TargetSpec | None,
    settings: ResolvedSettings,
    *,
    offsets: bool = False,
) -> list[HostJob]:
    """Return a job for each host, all of one run. Raises UsageError for an unknown format."""
    from remote_prof.run.directory import new_run_id
    from remote_prof.run.manifest import RequestRecord
    from remote_prof.run.prepare import HostJob
    from remote_prof.run.report import check_formats

    run_id, values = new_run_id(), settings.values
    formats = check_formats(values.formats)
    jobs = []
    for host in hosts:
        chosen = runner(host, settings)
        query = replace(facts_query(host, settings), compose=chosen != "engine")
        request = RequestRecord(
            hosts=tuple(h.name for h in hosts),
            target=str(spec) if spec else "",
            scope=spec.scope if spec else values.scope,
            engine="bpftrace",
            duration_s=values.duration_s,
            frequency_hz=values.frequency_hz,
            stacks=values.stacks,
            image=query.image,
            privileged=values.privileged,
            runner=chosen,
            formats=formats,
            offsets=offsets,
        )
        jobs.append(HostJob(run_id, host, spec, request, query, ssh_options(host, settings)))
    return jobs


def _is_default(settings: ResolvedSettings, name: str) -> bool:
    # What an inventory says of one host is nearer than a file's word for all, but not than a
    # flag's or the environment's of this very call.
    source = settings.setting(name).source
    return not source.startswith(("flag", "environment"))


def target_spec(
    *,
    container: str | None,
    labels: list[str] | None,
    scope: str,
    pid: int | None = None,
    container_pid: int | None = None,
    process: str | None = None,
) -> TargetSpec:
    """Return what is to be profiled. Raises UsageError where that is nothing, or two things."""
    from remote_prof.host.target import TargetSpec

    pairs = []
    for label in labels or ():
        key, equals, value = label.partition("=")
        if not key or not equals:
            raise UsageError(f"--label {label!r} is not KEY=VALUE")
        pairs.append((key, value))
    chosen = [
        name
        for name, value in (
            ("--pid", pid),
            ("--container-pid", container_pid),
            ("--process", process),
        )
        if value is not None
    ]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", hint="give one of them")
    if container is None and not pairs and pid is None:
        raise UsageError(
            "no target is given",
            hint="name a container with --container; `remote-prof ps --host HOST` lists them",
        )
    return TargetSpec(
        container=container,
        labels=tuple(pairs),
        scope="process" if chosen else scope,
        pid=pid,
        container_pid=container_pid,
        process=process,
    )
