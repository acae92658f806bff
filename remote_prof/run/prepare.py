"""Read a host and plan a run on it: the part that changes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from remote_prof.engines import ENGINES, KNOWN, Choice, ProfileRequest
from remote_prof.engines.perf_map import perf_map_sidecar
from remote_prof.errors import (
    MissingTargetError,
    PreflightError,
    RemoteProfError,
    TargetError,
)
from remote_prof.host.checks import check_clock, check_host, check_target
from remote_prof.host.containers import Container
from remote_prof.host.facts import HostFacts, HostState
from remote_prof.host.gather import FactsQuery, gather_state
from remote_prof.host.target import Target, TargetSpec, find_several, resolve
from remote_prof.image.store import LocalImage, load_images
from remote_prof.records import Host, Problem, Severity
from remote_prof.run.manifest import RequestRecord
from remote_prof.run.plan import (
    DEFAULT_MAX_ARTIFACT_BYTES,
    LaunchPlan,
    Service,
    launch_name,
    make_plan,
)
from remote_prof.run.report import profile_request
from remote_prof.run.supply import supply
from remote_prof.settings import Settings
from remote_prof.transport import Connection, SshOptions, connect


@dataclass(frozen=True, slots=True)
class HostJob:
    """Everything that is needed to profile one target on one host. Pickles.

    ``directory`` is that of the run, None only plans. ``max_artifact_bytes`` bounds each file that
    comes from the host. ``image_policy`` and ``image_named`` are as ``supply`` takes them.
    ``tries`` tells the how manyth try it is, ``time_limit_s`` its time (None is no limit).
    ``missing_ok``: a host without such a container is skipped. ``several``: it becomes a job for
    each container that the target means, where these are several. Then ``part`` names the one
    that a job is for, of so many ``targets`` of its host; it will start so many ``sidecars``, None
    is not known yet. There are never more than ``max_sidecars`` on a host.
    """

    run_id: str
    host: Host
    target: TargetSpec | None  # None looks at the host alone
    request: RequestRecord
    query: FactsQuery
    ssh: SshOptions
    directory: Path | None = None
    max_artifact_bytes: int = DEFAULT_MAX_ARTIFACT_BYTES
    image_policy: str = "never"
    image_named: bool = False
    library: str = field(default="", repr=False)
    tries: int = 1
    time_limit_s: float | None = None
    missing_ok: bool = False
    several: bool = False
    part: str = ""
    targets: int = 1
    sidecars: int | None = None
    max_sidecars: int = Settings().sidecars_per_host

    @property
    def name(self) -> str:
        """What it is called by: its host, and where that has several, its target."""
        return f"{self.host.name}/{self.part}" if self.part else self.host.name


@dataclass(frozen=True, slots=True)
class Prepared:
    """A host that was read, and the plans for it: nothing has been changed yet.

    ``plans`` differ in their rights, the narrowest first; the next is for when the kernel refuses.
    There are none where an error speaks against the run. ``push`` is the image that has to get
    there first; ``state`` tells the image as it is then. ``missing``: there is no such container.
    ``parts`` are the jobs that a job for several targets becomes: they are what is planned.
    """

    state: HostState
    target: Target | None
    plans: tuple[LaunchPlan, ...]
    problems: tuple[Problem, ...]
    push: LocalImage | None = None
    missing: bool = False
    parts: tuple[HostJob, ...] = ()

    @property
    def plan(self) -> LaunchPlan | None:
        """The plan that is tried first."""
        return self.plans[0] if self.plans else None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that forbid a run."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)


def open_and_prepare(job: HostJob) -> list[tuple[HostJob, Prepared]]:
    """Prepare over a connection of its own: the job, or each of the parts that it has.

    Raises UnreachableError, HostError.
    """
    connection = connect(job.host, job.ssh)
    try:
        connection.open()
        whole = prepare(job, connection)
    finally:
        connection.close()
    if not whole.parts:
        return [(job, whole)]
    images = _images(job)
    return [(part, judge(part, whole.state, images)) for part in whole.parts]


def prepare(job: HostJob, connection: Connection) -> Prepared:
    """Read a host and plan the run: facts, target, problems, plan. Changes nothing.

    Everything that speaks against the run is in ``problems``, at once; then there is no plan.
    Raises HostError, LinkLostError.
    """
    return judge(job, gather_state(connection, job.query), _images(job))


def _images(job: HostJob) -> list[LocalImage]:
    return load_images() if job.image_policy != "never" else []


def judge(job: HostJob, state: HostState, images: Sequence[LocalImage] = ()) -> Prepared:
    """Plan a run on a host as it was read. Pure, but for the time of this machine's clock.

    ``images`` were built here, the newest first.
    """
    supplied = supply(
        job.image_policy,
        job.request.image,
        state.facts,
        images,
        tag=job.query.sidecar,
        named=job.image_named,
    )
    as_read, facts = state, supplied.facts
    state = replace(state, facts=facts)
    problems = [
        *supplied.problems,
        *check_host(facts, supplied.image),
        *check_clock(facts, time.time()),
    ]
    target, missing = None, False
    if job.target is not None and facts.engine and facts.engine.answers:
        containers = find_several(job.target, state) if job.several else []
        if containers:
            parts = () if any(p.severity is Severity.ERROR for p in problems) else containers
            made = tuple(_part(job, each, as_read, len(containers), images) for each in parts)
            return Prepared(as_read, None, (), tuple(problems), supplied.push, parts=made)
        try:
            target = resolve(job.target, state)
        except TargetError as error:
            # It goes first: it is what the user got wrong.
            problems.insert(0, Problem(Severity.ERROR, error.what, error.evidence, error.hint))
            missing = isinstance(error, MissingTargetError)
    asked = replace(job.request, image=supplied.image)
    request = replace(profile_request(asked), library=job.library)
    choice = KNOWN.choose(job.request.engine, request, facts, target)
    problems += choice.problems
    if target is None:
        return Prepared(state, None, (), tuple(problems), missing=missing)
    problems += check_target(target)
    maps = perf_map_sidecar([engine for engine, _ in choice.engines], request, facts, target)
    problems += [maps[1]] if maps else []
    prepared = Prepared(state, target, (), tuple(problems))
    if prepared.errors:
        return prepared
    plans = tuple(
        make_plan(
            run_id=job.run_id,
            request=request,
            runner=job.request.runner,
            facts=facts,
            target=target,
            services=services,
            maps=maps[0] if maps else None,
            become=state.become,
            max_artifact_bytes=job.max_artifact_bytes,
            name=launch_name(job.run_id, job.name) if _has_company(job) else "",
        )
        for services in _attempts(choice, request, facts)
    )
    if too_many := _too_many(job, target, plans):
        return replace(prepared, problems=(*problems, too_many))
    return Prepared(state, target, plans, tuple(problems), supplied.push)


def _too_many(job: HostJob, target: Target, plans: Sequence[LaunchPlan]) -> Problem | None:
    most = max(plans, key=lambda plan: plan.sidecars)
    if most.sidecars <= job.max_sidecars:
        return None
    return Problem(
        Severity.ERROR,
        f"{most.sidecars} sidecars are needed, and --sidecars-per-host allows {job.max_sidecars}",
        f"container {target.name} needs {', '.join(each.engine for each in most.services)}",
        "allow more, or choose one with --engine",
    )


def _part(
    job: HostJob,
    container: Container,
    state: HostState,
    targets: int,
    images: Sequence[LocalImage],
) -> HostJob:
    """Return the job for one of several targets, with how many sidecars it will take."""
    assert job.target is not None
    part = replace(
        job,
        target=job.target.only(container),
        several=False,
        part=container.name,
        targets=targets,
    )
    plans = judge(part, state, images).plans
    return replace(part, sidecars=max((plan.sidecars for plan in plans), default=1))


def _has_company(job: HostJob) -> bool:
    """Say whether there may be another launch of the run on the same machine."""
    return job.part != "" or len(job.request.hosts) > 1


def _attempts(
    choice: Choice, request: ProfileRequest, facts: HostFacts
) -> list[tuple[Service, ...]]:
    """Return the sidecars that are started first, and those that take the place of refused ones."""
    alone = len(choice.engines) == 1
    ladders = {
        engine.name: engine.plan(request, facts, target) for engine, target in choice.engines
    }
    return [
        tuple(
            Service(name, ladder[height], alone=alone)
            for name, ladder in ladders.items()
            if height < len(ladder)
        )
        for height in range(max(map(len, ladders.values())))
    ]


def examine_engines(job: HostJob) -> list[Prepared]:
    """Read a host once, and plan with each engine in turn, for what it measures usually.

    Raises UnreachableError, HostError, LinkLostError.
    """
    connection = connect(job.host, job.ssh)
    try:
        connection.open()
        state = gather_state(connection, job.query)
    finally:
        connection.close()
    requests = (
        replace(job.request, engine=engine.name, event=next(iter(engine.events)))
        for engine in ENGINES
    )
    images = _images(job)
    return [judge(replace(job, request=request), state, images) for request in requests]


def refusal(prepared: Prepared) -> RemoteProfError:
    """Return the error that stands for the problems which forbid a run: the first of them."""
    first = prepared.errors[0]
    kind = MissingTargetError if prepared.missing else PreflightError
    return kind(first.what, evidence=first.evidence, hint=first.fix)
