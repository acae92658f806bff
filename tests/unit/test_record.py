"""What run.json says of a host: how each of several sidecars ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import KNOWN, ProfileRequest
from remote_prof.host.facts import parse_facts
from remote_prof.host.target import TargetSpec, resolve
from remote_prof.run.follow import Observed
from remote_prof.run.manifest import HostRecord, SidecarRecord, Status
from remote_prof.run.plan import LaunchPlan, Service, make_plan
from remote_prof.run.record import filter_text, with_exit_codes

STATE = parse_facts((Path(__file__).parent / "data/facts/docker-26-hybrid.txt").read_bytes())
REQUEST = ProfileRequest(10.0, 99, "both", "img")
RECORD = HostRecord(
    "prod-3",
    "10.0.0.3",
    Status.OK,
    sidecars=tuple(
        SidecarRecord(name, "img", "", (), "", (), "engine", None, "")
        for name in ("bpftrace", "pyspy")
    ),
)


def plan(*names: str, alone: bool) -> LaunchPlan:
    target = resolve(TargetSpec("api"), STATE)
    target = replace(target, processes=tuple(replace(p, name="python3") for p in target.processes))
    services = tuple(
        Service(name, KNOWN.named(name)[0].plan(REQUEST, STATE.facts, target)[0], alone=alone)
        for name in names
    )
    return make_plan(
        run_id="20260131-235959-1a2b3c",
        request=REQUEST,
        runner="engine",
        facts=STATE.facts,
        target=target,
        services=services,
        become=False,
    )


@pytest.mark.parametrize(
    ("names", "seen", "codes"),
    [
        (["bpftrace", "pyspy"], {"exit_codes": {"bpftrace": 0, "pyspy": 3}}, [0, 3]),
        # One that takes the place of a refused one is alone in its launcher.
        (["bpftrace"], {"exit_code": 4}, [4, None]),
        (["bpftrace", "pyspy"], {"exit_code": 4}, [None, None]),
    ],
)
def test_each_sidecar_has_its_exit_code(
    names: list[str], seen: dict[str, object], codes: list[int | None]
) -> None:
    observed = Observed()
    for name, value in seen.items():
        setattr(observed, name, value)
    record = with_exit_codes(RECORD, plan(*names, alone=False), observed)
    assert [sidecar.exit_code for sidecar in record.sidecars] == codes


def test_files_and_containers_of_several_have_the_names_of_their_engines() -> None:
    both = plan("bpftrace", "pyspy", alone=False)
    assert [service.profile for service in both.services] == [
        "profile-bpftrace.txt",
        "profile-pyspy.txt",
    ]
    assert "  bpftrace:" in both.files["compose.yml"]
    assert '"$name-pyspy"' in both.files["launcher.sh"]
    assert filter_text(both).startswith("bpftrace: by control group")
    alone = plan("bpftrace", alone=True)
    assert [service.profile for service in alone.services] == ["profile.txt"]
    assert filter_text(alone).startswith("by control group")
