"""What a host says of itself, its containers and processes, up to the plan that is made of it."""

from __future__ import annotations

import dataclasses
import json

from remote_prof.errors import RemoteProfError
from remote_prof.host.containers import parse_containers
from remote_prof.host.facts import parse_facts
from remote_prof.host.gather import FactsQuery
from remote_prof.host.target import TargetSpec
from remote_prof.run.manifest import RequestRecord
from remote_prof.run.prepare import HostJob, prepare
from remote_prof.transport import SshOptions
from tests.fuzz.harness import FACTS, Answering, Harness, read_seeds

REQUEST = RequestRecord(
    hosts=("prod-3",),
    target="api",
    scope="container",
    engine="bpftrace",
    duration_s=10,
    frequency_hz=99,
    stacks="both",
    image="quay.io/iovisor/bpftrace:v0.23.2",
    privileged=False,
    runner="auto",
    formats=("folded",),
)
_MOST_TARGETS = 3


def job_for(output: bytes, target: TargetSpec) -> HostJob:
    """Return a job for a host that says this."""
    host = Answering(output).host
    query = FactsQuery(REQUEST.image)
    return HostJob("20260131-235959-1a2b3c", host, target, REQUEST, query, SshOptions())


def one_input(data: bytes) -> None:
    """Parse facts, resolve each container, plan a run on it."""
    state = parse_facts(data)
    json.dumps(dataclasses.asdict(state.facts), default=sorted).encode()
    parse_containers(data.decode("utf-8", "replace").split("\n"))
    specs = [TargetSpec(container.container_id) for container in state.containers]
    specs += [TargetSpec(pid=process.pid, scope="process") for process in state.processes]
    for spec in [*specs[:_MOST_TARGETS], TargetSpec("api"), TargetSpec("shop/web")]:
        try:
            prepared = prepare(job_for(data, spec), Answering(data))
        except RemoteProfError:
            continue
        if prepared.plan is not None:
            json.dumps(dataclasses.asdict(prepared.plan))
            prepared.plan.deploy_command(()).input(None)


HARNESS = Harness("facts", one_input, read_seeds(FACTS, "*.txt", None))
