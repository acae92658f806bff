"""From a host as it was read to a plan, or to the jobs for each of several targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.host.facts import parse_facts
from remote_prof.host.gather import FactsQuery
from remote_prof.host.target import TargetSpec
from remote_prof.records import Host, Severity
from remote_prof.run.manifest import RequestRecord
from remote_prof.run.prepare import HostJob, Prepared, judge
from remote_prof.transport import SshOptions

FACTS = Path(__file__).parent / "data" / "facts" / "docker-26-hybrid.txt"
STATE = parse_facts(FACTS.read_bytes())
RUN = "20260131-235959-1a2b3c"
JOB = HostJob(
    RUN,
    Host("prod-3", "10.0.0.3"),
    TargetSpec("*"),
    RequestRecord(
        ("prod-3",), "*", "container", "bpftrace", 10, 99, "both", "img", False, "auto", ("folded",)
    ),
    FactsQuery("img"),
    SshOptions(),
    several=True,
)


def judged(job: HostJob) -> Prepared:
    return judge(job, STATE)


def test_a_job_becomes_one_for_each_target() -> None:
    whole = judged(JOB)
    assert (whole.plans, whole.errors) == ((), ())
    assert [part.name for part in whole.parts] == [
        f"prod-3/{name}" for name in ("api", "idle", "web-1", "web-2")
    ]
    assert {(part.targets, part.sidecars, part.several) for part in whole.parts} == {(4, 1, False)}
    assert [part.target for part in whole.parts][:2] == [TargetSpec("api"), TargetSpec("idle")]


def test_launches_of_one_run_share_nothing_on_a_host() -> None:
    plans = [judged(part).plans[0] for part in judged(JOB).parts]
    one_host = replace(JOB, target=TargetSpec("api"), several=False)
    alone = judged(one_host).plans[0]
    assert (alone.name, alone.directory) == (RUN, f"/tmp/remote-prof-{RUN}")
    both = replace(JOB.request, hosts=("prod-3", "prod-4"))
    for name in both.hosts:
        job = replace(one_host, request=both, host=replace(JOB.host, name=name))
        plans.append(judged(job).plans[0])
    assert len({plan.directory for plan in plans}) == len({plan.name for plan in plans}) == 6
    for plan in plans:
        assert plan.name.startswith(f"{RUN}-")
        text = plan.files["launcher.sh"] + plan.follow_command(0).script
        assert text.count(f"label=remote-prof.launch={plan.name}\n") == 2
        assert f'"remote-prof.run": "{RUN}"' in plan.files["compose.yml"]


def test_what_forbids_a_run_is_said_once_and_of_the_host() -> None:
    broken = replace(STATE, facts=replace(STATE.facts, image=None))
    whole = judge(JOB, broken)
    assert (whole.parts, whole.plans) == ((), ())
    assert [problem.severity for problem in whole.errors] == [Severity.ERROR]


def test_more_sidecars_than_may_be_there_are_refused() -> None:
    python = tuple(
        replace(process, name="python3") if process.pid == 19402 else process
        for process in STATE.processes
    )
    job = replace(
        JOB,
        target=TargetSpec("api"),
        several=False,
        request=replace(JOB.request, engine="auto"),
        max_sidecars=1,
    )
    state = replace(STATE, processes=python)
    assert judge(replace(job, max_sidecars=2), state).plan is not None
    refused = judge(job, state)
    assert refused.plan is None
    assert refused.errors[0].what == "2 sidecars are needed, and --sidecars-per-host allows 1"
    assert refused.errors[0].evidence == "container api needs bpftrace, pyspy"


@pytest.mark.parametrize("text", ["api", "idl*"])
def test_one_target_alone_is_no_part(text: str) -> None:
    found = judged(replace(JOB, target=TargetSpec(text)))
    assert found.parts == ()
    assert found.plan is not None
