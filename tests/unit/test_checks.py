"""Preflight: each check from facts alone, with cause, evidence and next step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_prof.host.checks import check_clock, check_host, check_target
from remote_prof.host.facts import HostFacts, HostState, Image, parse_facts
from remote_prof.host.target import TargetSpec, resolve
from remote_prof.records import Severity

DATA = Path(__file__).parent / "data" / "facts"


def recorded(name: str) -> HostState:
    return parse_facts((DATA / f"{name}.txt").read_bytes())


STATE = recorded("docker-26-hybrid")
FACTS = STATE.facts


def with_engine(**changes: Any) -> HostFacts:
    assert FACTS.engine is not None
    return replace(FACTS, engine=replace(FACTS.engine, **changes))


@pytest.mark.parametrize("name", ["docker-26-hybrid", "docker-26-sudo", "docker-20.10-root"])
def test_a_good_host_has_no_problems(name: str) -> None:
    assert check_host(recorded(name).facts, "img") == []


@pytest.mark.parametrize(
    ("facts", "what", "fix"),
    [
        (recorded("no-engine").facts, "there is no container engine", "remote_prof_engine"),
        (
            recorded("docker-26-sudo-password").facts,
            "guest may not use docker, and sudo wants a password or refuses",
            "--ask-become-pass",
        ),
        (recorded("docker-26-denied").facts, "guest may not use docker", "docker group"),
        (
            with_engine(access="denied", error="Cannot connect to the Docker daemon"),
            "docker does not answer",
            "is its daemon running? try on the host: docker ps",
        ),
        (
            with_engine(security_options=("name=rootless",)),
            "the engine is rootless",
            "own profiler",
        ),
        (replace(FACTS, image=None), "the image img is not on the host", "docker save img"),
        (
            replace(FACTS, image=Image("sha256:1", (), "arm64")),
            "the image img is for another processor",
            "load the amd64 image",
        ),
        (replace(FACTS, work_parents={}), "no directory on the host", "remote_prof_tmp"),
        (
            replace(FACTS, work_parents={"/tmp": 5 << 20, "/home/ops": 31 << 20}),
            "every directory on the host that can hold the run's files is full",
            "make room",
        ),
        (
            with_engine(access="doas-password", error="permission denied"),
            "ops may not use docker, and doas wants a password or refuses",
            "--ask-become-pass",
        ),
    ],
)
def test_what_forbids_a_run(facts: HostFacts, what: str, fix: str) -> None:
    (found,) = check_host(facts, "img")
    assert found.severity is Severity.ERROR
    assert found.what.startswith(what)
    assert found.evidence
    assert fix in found.fix


def test_a_directory_with_room_is_taken_before_one_without() -> None:
    facts = replace(FACTS, work_parents={"/tmp": 31 << 20, "/var/tmp": 32 << 20, "/": 1 << 40})
    assert facts.work_parent == "/var/tmp"
    assert check_host(facts, "img") == []


def test_everything_is_told_at_once() -> None:
    facts = replace(FACTS, image=None, work_parents={}, sysctls={"kptr_restrict": 2})
    assert [p.severity for p in check_host(facts, "img")] == ["error", "error", "warning"]


@pytest.mark.parametrize(("value", "count"), [(0, 0), (1, 0), (2, 1)])
def test_names_of_the_kernel_may_be_hidden(value: int, count: int) -> None:
    assert len(check_host(replace(FACTS, sysctls={"kptr_restrict": value}), "img")) == count


@pytest.mark.parametrize("architecture", ["aarch64", "x86_64", "s390x"])
def test_processors_have_two_names(architecture: str) -> None:
    image = Image("1", (), {"aarch64": "arm64", "x86_64": "amd64"}.get(architecture, "s390x"))
    assert check_host(replace(FACTS, architecture=architecture, image=image), "img") == []


@pytest.mark.parametrize(
    ("skew", "what"), [(0, ""), (119, ""), (-119, ""), (121, "121 s ahead"), (-500, "500 s behind")]
)
def test_a_clock_that_differs_is_noted(skew: int, what: str) -> None:
    found = check_clock(FACTS, float(FACTS.clock_s - skew))
    assert [p.what for p in found] == ([f"the host's clock is {what}"] if what else [])


def test_a_clock_that_is_not_known_is_not_noted() -> None:
    assert check_clock(replace(FACTS, clock_s=0), 1e9) == []


@pytest.mark.parametrize(
    ("runtime", "product"), [("runsc", "gVisor"), ("io.containerd.kata.v2", "Kata")]
)
def test_a_sandbox_cannot_be_seen_into(runtime: str, product: str) -> None:
    target = resolve(TargetSpec("api"), STATE)
    (found,) = check_target(replace(target, container=replace(target.container, runtime=runtime)))
    assert (found.severity, product in found.what) == (Severity.ERROR, True)
    assert check_target(target) == []


def test_processes_that_are_hidden_forbid_a_run() -> None:
    target = replace(resolve(TargetSpec("api"), STATE), processes=())
    (found,) = check_target(target)
    assert found.what == "no process of api is visible to the login"
    assert "hidepid" in found.fix


@pytest.mark.parametrize("access", ["denied", "sudo-password"])
def test_an_engine_that_is_down_is_told_from_rights_that_lack(access: str) -> None:
    assert FACTS.engine is not None
    said = "Cannot connect to the Docker daemon at unix:///run/docker.sock. Is it running?"
    facts = replace(FACTS, engine=replace(FACTS.engine, access=access, error=said))
    (found,) = check_host(facts, "img")
    assert (found.what, found.evidence) == ("docker does not answer", said)
