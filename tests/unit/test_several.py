"""What several profilers gave, when not all of them gave something good."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.errors import ParseError, UsageError
from remote_prof.profile.view import View
from remote_prof.run.manifest import HostRecord, SidecarRecord, Status, TargetRecord
from remote_prof.run.report import analyse

REQUEST = ProfileRequest(10.0, 99, "both", "img")
PIDS, INSIDE = (4001, 4009), (1, 9)
TARGET = TargetRecord(
    "mixed", "c" * 64, "img", "i", "container", "", PIDS, INSIDE, "", ("python3", "svc")
)
HOST = HostRecord("prod-3", "10.0.0.3", Status.OK, target=TARGET)
BPFTRACE = b"""# bpftrace v0.23.2
@@ sampling

@samples: 40
@stacks_a[4001, python3, 
    vfs_read+1
, 
    _PyEval+2
    _start+3
]: 10
@stacks_a[4009, svc, 
, 
    main+2
    _start+3
]: 30

@@ end 0
"""  # noqa: W291  bpftrace ends these lines in a blank
PYSPY = b"""# py-spy 0.4.3
@@ sampling
process 1:"python3 app.py";MainThread;serve (app.py:3) 20
@@ end 0
"""


def sidecars(*names: str) -> HostRecord:
    made = (
        SidecarRecord(name, "img", "", (), "", (), "engine", 0, "", profile=f"profile-{name}.txt")
        for name in names
    )
    return replace(HOST, sidecars=tuple(made))


def weights(raws: dict[str, bytes], **more: object) -> dict[str, int]:
    analysis = analyse(raws, REQUEST, cpu_time_s=0.4, host=sidecars(*raws), **more)  # type: ignore[arg-type]
    found: dict[str, int] = {}
    for stack, weight in analysis.profile.stacks.items():
        found[stack[0].name] = found.get(stack[0].name, 0) + weight
    return found


def test_the_kernel_says_how_much_each_process_is() -> None:
    assert weights({"bpftrace": BPFTRACE, "pyspy": PYSPY}) == {"python3": 10, "svc": 30}


def test_one_that_was_killed_before_it_printed_says_nothing_of_the_others() -> None:
    killed = BPFTRACE[: BPFTRACE.index(b"@samples")]
    assert weights({"bpftrace": killed, "pyspy": PYSPY}) == {"python3": 20}
    # One that went to its end, and saw nothing, does.
    idle = killed + b"@@ end 0\n"
    assert weights({"bpftrace": idle, "pyspy": PYSPY}) == {}


def test_one_that_cannot_be_read_is_told_and_left_out() -> None:
    damaged = b"# jattach 2.2\n@@ sampling\n@@ file recording-9.jfr 9 java\nabcde\n"
    raws = {"bpftrace": BPFTRACE, "java": damaged}
    analysis = analyse(raws, REQUEST, cpu_time_s=None, host=sidecars(*raws))
    assert analysis.profile.total == 40
    assert analysis.hints[0].what.startswith("java: recording-9.jfr is damaged")
    with pytest.raises(ParseError, match="damaged"):
        analyse({"java": damaged}, REQUEST, cpu_time_s=None, host=sidecars("java"))


def test_what_is_shown_by_nobody_is_told() -> None:
    old = BPFTRACE.replace(b"# bpftrace v0.23.2", b"# bpftrace v0.17.0\n# without: 4007")
    nothing = b"# jattach 2.2\n@@ sampling\n@@ end 0\n"
    raws = {"bpftrace": old, "java": nothing}
    analysis = analyse(raws, REQUEST, cpu_time_s=0.4, host=sidecars(*raws))
    assert [hint.what for hint in analysis.hints[:2]] == [
        "java took no sample",
        "process 4007 is missing: it was left to a profiler that took nothing of it",
    ]
    assert analysis.quality.expected is None


def test_what_is_compared_is_grouped_as_that_asks() -> None:
    raws = {"bpftrace": BPFTRACE, "pyspy": PYSPY}
    plain = analyse(raws, REQUEST, cpu_time_s=None, host=sidecars(*raws), grouped=False)
    assert {stack[0].pid for stack in plain.profile.stacks} == set(PIDS)
    by_pid = weights(raws, view=View(group_by="pid"))
    assert by_pid == {"python3 (4001)": 10, "svc (4009)": 30}


def test_an_event_that_an_engine_has_not_is_told() -> None:
    with pytest.raises(UsageError, match="bpftrace has no event 'alloc'"):
        analyse({"bpftrace": BPFTRACE}, replace(REQUEST, event="alloc"), cpu_time_s=None)


def test_the_target_cannot_enclose_a_file() -> None:
    encoded = base64.b64encode(b"x").decode()
    planted = BPFTRACE.replace(b"main+2", f"x\n@@ file a-1.jfr 1 z\n{encoded}\n@@".encode())
    assert weights({"bpftrace": planted}).get("python3") == 10
