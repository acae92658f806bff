"""From options to what the parts below understand: settings, hosts, targets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.cli.flag_sets import ConnectFlags, InventoryFlags, ViewFlags
from remote_prof.errors import UsageError
from remote_prof.records import Become, Host, Library
from remote_prof.settings import ResolvedSettings, Settings, load_settings

if TYPE_CHECKING:
    from remote_prof.host.gather import FactsQuery
    from remote_prof.host.target import TargetSpec
    from remote_prof.run.prepare import HostJob
    from remote_prof.transport import SshOptions


def resolve_settings(flags: Mapping[str, object]) -> ResolvedSettings:
    """Return the settings that hold here; what looked odd is said. Raises UsageError."""
    resolved = load_settings(Path.cwd(), os.environ, flags)
    for problem in resolved.problems:
        console.problem(problem)
    return resolved


def check_request(values: Settings, asked: Mapping[str, object]) -> None:
    """Refuse options that were given and would change nothing; None is not given.

    Raises UsageError.
    """
    from remote_prof.engines import KNOWN
    from remote_prof.run.report import find_event

    event = find_event(values.engine, values.event)
    if event.name == "script" and asked["script"] is None:
        raise UsageError(
            "--engine script needs a script",
            hint="give it by --script FILE: docs/engines.md says what it has to declare",
        )
    given = {option for option, value in asked.items() if value is not None}
    if "duration" in given and event.once:
        raise UsageError(
            f"--event {event.name} is taken once: it has no duration",
            hint="leave --duration away",
        )
    if "frequency" in given and not event.sampled:
        why = "is taken once" if event.once else "counts every event"
        raise UsageError(
            f"--event {event.name} {why}: it has no frequency", hint="leave --frequency away"
        )
    if "async_profiler" in given and event.once:
        raise UsageError(
            f"--event {event.name} is the JVM's own: it needs no --async-profiler",
            hint="leave --async-profiler away",
        )
    heeded = {"duration", "frequency", *KNOWN.options(values.engine, event.name)}
    for option in sorted(given - heeded):
        flag = f"--{option.replace('_', '-')}"
        raise UsageError(f"--engine {values.engine} has no {flag}", hint=f"leave {flag} away")


def select_hosts(pattern: str, settings: Settings, flags: InventoryFlags) -> list[Host]:
    """Return the hosts that a pattern means, with what the flags say about them.

    Asks for passwords where the flags say so; with flags that connect to nothing, it looks for
    none. Raises InventoryError, UsageError.
    """
    from remote_prof.cli.inventory import open_inventory

    local = isinstance(flags, ConnectFlags) and flags.connection == "local"
    if local and not settings.inventory and "," not in pattern and flags.limit is None:
        hosts = [Host(pattern, pattern, connection="local", become=Become())]
    else:
        hosts = open_inventory(settings, flags).select(pattern, flags.limit)
    # Nobody is asked for a password before it is clear which hosts there are.
    complete = completion(settings, flags)
    return [complete(host) for host in hosts]


def completion(settings: Settings, flags: InventoryFlags) -> Callable[[Host], Host]:
    """Return what puts the word of settings and flags, and the secrets, into a host.

    Asks for passwords where the flags say so; looks for none where nothing is connected to. Raises
    UsageError.
    """
    from remote_prof.cli.secrets import give_secrets, load_secrets, no_keyring, open_keyring

    if not isinstance(flags, ConnectFlags):
        return lambda host: _apply(host, settings, ConnectFlags())
    _check(flags)
    secrets = load_secrets(flags, os.environ)
    look_up = open_keyring() if settings.keyring else no_keyring
    return lambda host: give_secrets(_apply(host, settings, flags), secrets, look_up)


def _check(flags: ConnectFlags) -> None:
    for name, given, known in (
        ("connection", flags.connection, ("ssh", "local")),
        ("become method", flags.become_method, ("sudo", "su", "doas")),
    ):
        if given is not None and given not in known:
            raise UsageError(f"there is no {name} {given!r}", hint=f"there are {', '.join(known)}")
    for option, words in (
        ("--become-user", [flags.become_user]),
        ("--jump", flags.jump.split(",") if flags.jump is not None else []),
    ):
        for word in words:
            if word is not None and not re.fullmatch(r"[^\s-]\S*", word):
                raise UsageError(f"{option} {word!r} is no name")


def _apply(host: Host, settings: Settings, flags: ConnectFlags) -> Host:
    return replace(
        host,
        connection=flags.connection or host.connection,
        user=settings.user or host.user,
        port=settings.port or host.port,
        identity_files=(str(settings.identity),) if settings.identity else host.identity_files,
        jump=flags.jump or host.jump,
        become=_become(host.become, flags),
    )


def _become(become: Become | None, flags: ConnectFlags) -> Become | None:
    if become is None and not flags.become:
        return None
    become = become or Become()
    return replace(
        become,
        always=flags.become or become.always,
        method=flags.become_method or become.method,
        user=flags.become_user or become.user,
    )


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
    from remote_prof import __version__
    from remote_prof.host.gather import FactsQuery
    from remote_prof.image.recipe import tag
    from remote_prof.inventory import host_settings

    own = host_settings(host)
    return FactsQuery(
        image=own.image if own.image and _is_default(settings, "image") else settings.values.image,
        engine=own.engine,
        work_parent=own.tmp,
        cpu_window_s=cpu_window_s,
        sidecar=tag(__version__),
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
    shown: ViewFlags | None = None,
    script: str = "",
    library: tuple[Library, str] | None = None,
) -> list[HostJob]:
    """Return a job for each host, all of one run. Raises UsageError for an unknown format.

    ``library`` is async-profiler's, with its content, packed.
    """
    from remote_prof.render import check_formats
    from remote_prof.run.directory import new_run_id
    from remote_prof.run.manifest import RequestRecord
    from remote_prof.run.prepare import HostJob
    from remote_prof.run.report import find_event

    run_id, values = new_run_id(), settings.values
    event = find_event(values.engine, values.event)
    shown = shown or ViewFlags()
    view = shown.view()
    formats = check_formats(values.formats)
    named = not _is_default(settings, "image")
    if named and values.image_policy == "push":
        raise UsageError(
            f"the image is {values.image}, and --image-policy push means another",
            hint="leave one of them away",
        )
    jobs = []
    for host in hosts:
        chosen = runner(host, settings)
        query = replace(facts_query(host, settings), compose=chosen != "engine")
        request = RequestRecord(
            hosts=tuple(h.name for h in hosts),
            target=str(spec) if spec else "",
            scope=spec.scope if spec else values.scope,
            engine=values.engine,
            duration_s=0.0 if event.once else values.duration_s,
            frequency_hz=values.frequency_hz,
            event=event.name,
            native=values.native,
            call_graph=values.call_graph,
            script=script,
            async_profiler=library[0] if library else None,
            stacks=values.stacks,
            image=query.image,
            privileged=values.privileged,
            runner=chosen,
            formats=formats,
            offsets=shown.offsets,
            view=view,
        )
        jobs.append(
            HostJob(
                run_id,
                host,
                spec,
                request,
                query,
                ssh_options(host, settings),
                max_artifact_bytes=values.max_artifact_bytes,
                image_policy=values.image_policy,
                image_named=named,
                library=library[1] if library else "",
                max_sidecars=values.sidecars_per_host,
            )
        )
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
