"""What will be put on a host and run there: exact, deterministic, and made without touching it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from remote_prof.engines.base import FILES, ProfileRequest, Sidecar
from remote_prof.errors import PreflightError
from remote_prof.host.containers import LABEL
from remote_prof.host.facts import EngineFacts, HostFacts
from remote_prof.host.gather import CALL_TIMEOUT_S
from remote_prof.host.target import Target
from remote_prof.run.receive import Part
from remote_prof.settings import Settings
from remote_prof.templates import render
from remote_prof.transport import Command

# Of several launchers of one run on a host, each knows its own by this.
LAUNCH_LABEL = "remote-prof.launch"
# How long a host keeps what was sampled if nobody fetches it.
KEEP_S = 3600
# From the start of the launcher to the first signal: the start of the sidecar, the sampling, and
# time to look names up and print.
_DEADLINE_GRACE_S = 75
_PRINT_GRACE_S = 45
# How long names of Java are waited for, and then gone without.
_MAPS_WAIT_S = 15
# How long the engine is asked to stop the sidecar.
_GIVE_UP_S = 60
DEFAULT_MAX_ARTIFACT_BYTES = Settings().max_artifact_bytes


@dataclass(frozen=True, slots=True)
class Service:
    """One sidecar of a run, by its engine, and what it is called by: alone, it needs no name."""

    engine: str
    sidecar: Sidecar
    alone: bool = True

    @property
    def suffix(self) -> str:
        """What the names of its container and files end in."""
        return "" if self.alone else f"-{self.engine}"

    @property
    def name(self) -> str:
        """Its name in the compose file."""
        return "profile" if self.alone else self.engine

    @property
    def profile(self) -> str:
        """The file of its standard output: the raw profile."""
        return f"profile{self.suffix}.txt"

    @property
    def errors(self) -> str:
        """The file of its standard error."""
        return f"sidecar{self.suffix}.err"


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Files by name, where they go, and what starts them.

    ``name`` is what the launch is told by among all on its host. ``runner`` is ``compose`` or
    ``engine``. ``become``: the launcher runs with the rights of the host's ``Become``. The sidecars
    of the ``services`` sample for ``duration_s`` and are stopped ``deadline_s`` after the
    launcher's start at the latest; ``sidecars`` is how many containers are started in all.
    """

    run_id: str
    name: str
    directory: str
    engine_path: str
    files: Mapping[str, str]
    services: tuple[Service, ...]
    runner: str
    become: bool
    duration_s: float
    deadline_s: int
    sidecars: int

    def deploy_command(self, parts: Sequence[Part] = ()) -> Command:
        """Return the one exchange: put the files there, start the launcher, follow it.

        ``parts`` are here already. Sent twice, it starts nothing twice.
        """
        deploy = render(
            "launcher/deploy.sh.j2",
            directory=self.directory,
            files=self.files,
            boundary=f"END_{self.name.replace('-', '_')}",
        )
        script = deploy + self._follow_script(0, parts)
        return Command("deploy and follow", script, become=self.become)

    def follow_command(self, after_line: int, parts: Sequence[Part] = ()) -> Command:
        """Return the command that follows on after that many lines of progress."""
        return Command("follow", self._follow_script(after_line, parts), become=self.become)

    def stop_command(self) -> Command:
        """Return the command that ends the sampling early."""
        return Command(
            "stop", render("launcher/stop.sh.j2", directory=self.directory), become=self.become
        )

    def _follow_script(self, after_line: int, parts: Sequence[Part]) -> str:
        return render(
            "launcher/follow.sh.j2",
            directory=self.directory,
            after_line=after_line,
            parts=parts,
            profiles=[service.profile for service in self.services],
            errors=[service.errors for service in self.services],
            engine_path=self.engine_path,
            label=f"{LAUNCH_LABEL}={self.name}",
            call_timeout_s=CALL_TIMEOUT_S,
            empty_sha256=hashlib.sha256().hexdigest(),
            quiet_cs=max(0, round(self.duration_s * 100) - 10),
        )


def launch_name(run_id: str, job: str) -> str:
    """Return the name of one of several launches of a run: ``20260131-235959-1a2b3c-9f86d081``.

    Two names of the inventory may mean one machine, and one machine may have several targets.
    """
    return f"{run_id}-{hashlib.sha256(job.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def make_plan(
    *,
    run_id: str,
    request: ProfileRequest,
    runner: str,
    facts: HostFacts,
    target: Target,
    services: tuple[Service, ...],
    become: bool,
    maps: Sidecar | None = None,
    name: str = "",
    max_artifact_bytes: int = DEFAULT_MAX_ARTIFACT_BYTES,
) -> LaunchPlan:
    """Render the compose file and the launcher for the sidecars of one target. Pure.

    ``runner`` is ``auto``, ``compose`` or ``engine``. ``maps`` is a sidecar that has to have said
    ``@@ asked`` before the others begin, and prints no profile. ``name`` is a ``launch_name``
    where there may be other launches of the run on the host. Raises PreflightError where a
    runner was asked for that the host has not, or no directory can hold the files.
    """
    name = name or run_id
    chosen, compose = _choose_runner(runner, facts)
    directory = f"{_work_parent(facts)}/remote-prof-{name}"
    files = {name: text for s in services for name, text in s.sidecar.files.items()}
    services = tuple(_with_mounts(service, directory) for service in services)
    deadline_s = round(request.duration_s) + _DEADLINE_GRACE_S
    values: dict[str, object] = {
        "run_id": run_id,
        "services": services,
        "name": f"remote-prof-{name}",
        "labels": {LABEL: run_id, LAUNCH_LABEL: name},
        "label": f"{LAUNCH_LABEL}={name}",
        "engine_path": facts.engine.path if facts.engine else "docker",
    }
    source, file = _cpu_source(facts, target)
    launcher = render(
        "launcher/launcher.sh.j2",
        **values,
        target_comment=_comment(target.name),
        project=f"remote-prof-{name}",
        compose_command=compose,
        runner=chosen,
        deadline_s=deadline_s,
        keep_s=KEEP_S,
        print_grace_s=_PRINT_GRACE_S,
        call_timeout_s=CALL_TIMEOUT_S,
        give_up_s=_GIVE_UP_S,
        max_blocks=max_artifact_bytes // 512,
        duration_cs=round(request.duration_s * 100),
        main_pid=target.main_pid,
        container_id=_recognised_by(target),
        pids=[process.pid for process in target.processes],
        cpu_source=source,
        cpu_file=file,
        shared=list(files),
        maps=maps,
        maps_wait_s=_MAPS_WAIT_S,
        pull_never=facts.engine is not None and _knows_pull(facts.engine),
    )
    compose_file = render(
        "compose/compose.yml.j2", **values, compose_v1=facts.compose.startswith("v1")
    )
    return LaunchPlan(
        run_id=run_id,
        name=name,
        directory=directory,
        engine_path=str(values["engine_path"]),
        files={"compose.yml": compose_file, "launcher.sh": launcher, **files},
        services=services,
        runner=chosen,
        become=become,
        duration_s=request.duration_s,
        deadline_s=deadline_s,
        sidecars=len(services) + (maps is not None),
    )


def _with_mounts(service: Service, directory: str) -> Service:
    """Return a service whose sidecar sees its files, which lie in the run's directory."""
    sidecar = service.sidecar
    own = tuple((f"{directory}/{name}", f"{FILES}/{name}") for name in sidecar.files)
    # The files are the plan's from here on.
    return replace(service, sidecar=replace(sidecar, mounts=(*sidecar.mounts, *own), files={}))


def _knows_pull(engine: EngineFacts) -> bool:
    # `docker run --pull` came with 20.10. That the image is there was checked before.
    return engine.name == "podman" or engine.version_tuple >= (20, 10)


def _choose_runner(runner: str, facts: HostFacts) -> tuple[str, str]:
    flavour = facts.compose.partition(" ")[0]
    command = '"$engine" compose' if flavour == "v2" else "docker-compose"
    if runner == "engine" or (runner == "auto" and not flavour):
        return "engine", ""
    if not flavour:
        raise PreflightError(
            "there is no compose on the host",
            evidence="neither `docker compose version` nor docker-compose answers",
            hint="leave --runner away, or use --runner engine: the effect is the same",
        )
    return "compose", command


def _work_parent(facts: HostFacts) -> str:
    if facts.work_parent is None:
        raise PreflightError(
            "no directory on the host can hold the run's files",
            evidence="neither a usual temporary directory nor the home is writable, with room",
            hint="give one with remote_prof_tmp in the inventory",
        )
    return facts.work_parent.rstrip("/")


def _cpu_source(facts: HostFacts, target: Target) -> tuple[str, str]:
    """Say where the CPU time of the target can be read on its host: a kind and a path."""
    if target.scope == "process":
        return "processes", ""
    main = next((p for p in target.processes if p.pid == target.container.pid), None)
    container_id = target.container.container_id
    if main and container_id in main.cgroup and facts.cgroup_root:
        return "cgroup", f"{facts.cgroup_root}{main.cgroup}/cpu.stat"
    if main and container_id in main.cpuacct:
        return "cpuacct", f"/sys/fs/cgroup/cpuacct{main.cpuacct}/cpuacct.usage"
    return "processes", ""


def _recognised_by(target: Target) -> str:
    """Return what the control groups of the main process tell of it: the container's id, if any."""
    container_id = target.container.container_id
    main = next((p for p in target.processes if p.pid == target.main_pid), None)
    known = main is not None and (container_id in main.cgroup or container_id in main.cpuacct)
    return container_id if known else ""


def _comment(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_./" else "?" for c in text)
