"""What is planned for Go, and what is made of what its sidecar prints."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import KNOWN, ProfileRequest
from remote_prof.engines.gopprof import GoPprof
from remote_prof.errors import ParseError
from remote_prof.host.facts import parse_facts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.records import Severity

HERE = Path(__file__).parent
STATE = parse_facts((HERE / "data/facts/docker-26-hybrid.txt").read_bytes())
REQUEST = ProfileRequest(10.0, 99, "both", "img")
PPROF = HERE.parent / "recorded/data/pprof"


def process(inside: int, name: str = "svc", uid: int | None = 1000) -> Process:
    """A process whose pid on the host is 100 more than inside."""
    return Process(100 + inside, "c" * 64, inside, 1, name, uid=uid, gid=uid)


def target(*processes: Process, scope: str = "container") -> Target:
    return replace(resolve(TargetSpec("api"), STATE), processes=processes, scope=scope)


def rungs(*processes: Process) -> list[tuple[str, tuple[str, ...]]]:
    sidecars = GoPprof().plan(REQUEST, STATE.facts, target(*processes))
    return [(sidecar.user, sidecar.capabilities) for sidecar in sidecars]


def test_it_is_in_the_target_s_network_and_asks_for_nothing() -> None:
    found = target(process(1), process(7), process(8, "python3"))
    sidecar = GoPprof().plan(REQUEST, STATE.facts, found)[0]
    container = f"container:{found.container.container_id}"
    assert (sidecar.pid_namespace, sidecar.network) == (container, container)
    assert (sidecar.capabilities, sidecar.user, sidecar.mounts) == ((), "1000:1000", ())
    # What is known to be of another language is not asked.
    assert "timeout -s INT -k 40 130 python3 -I - cpu 10 1 7 <<" in sidecar.script
    assert len(sidecar.script) < 64 << 10


def test_root_may_look_only_where_the_user_may_not() -> None:
    # A program that has rights by its file (setcap) is not shown to its own user.
    assert rungs(process(1)) == [("1000:1000", ()), ("0:0", ("SYS_PTRACE",))]
    assert rungs(process(1, uid=0)) == [("0:0", ("SYS_PTRACE",))]
    both = [("0:0", ("SYS_PTRACE", "DAC_READ_SEARCH"))]
    assert rungs(process(1, uid=0), process(2)) == both
    assert rungs(process(1, uid=None)) == both
    # Who is no candidate makes no difference.
    assert rungs(process(1, "node", uid=0), process(2))[0] == ("1000:1000", ())


@pytest.mark.parametrize(
    ("errors", "denied"),
    [
        ("process 1: Permission denied to see what it runs and which ports are its own\n", True),
        ("no Go program is among the processes [1]\n", False),
        ("process 1: it answers 403: Permission denied to see what it runs\n", False),
    ],
)
def test_a_refusal_is_the_kernel_s_and_no_server_s(errors: str, denied: bool) -> None:
    assert GoPprof().denied(errors) is denied


def test_what_cannot_work_is_told_beforehand() -> None:
    found = target(process(1, "python3"))
    (problem,) = GoPprof().problems(REQUEST, STATE.facts, found)
    assert (problem.severity, problem.what) == (Severity.ERROR, "no Go program runs in api")
    # Who names a process knows better than its name does.
    named = target(process(1, "python3"), scope="process")
    assert GoPprof().problems(REQUEST, STATE.facts, named) == []


def test_auto_leaves_cpu_time_to_the_kernel_and_asks_go_for_what_it_alone_knows() -> None:
    found = target(process(1), process(2, "app-go"))
    chosen = KNOWN.choose("auto", REQUEST, STATE.facts, found)
    assert [engine.name for engine, _ in chosen.engines] == ["bpftrace"]
    for event in set(GoPprof.events) - {"cpu"}:
        request = replace(REQUEST, event=event)
        ((engine, _),) = KNOWN.choose("auto", request, STATE.facts, found).engines
        assert engine.name == "gopprof"
    # No other engine's event is hidden.
    for event in ("alloc", "lock", "malloc"):
        assert event not in GoPprof.events


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("cpu", "10 s at 100 Hz, Go's own"),
        ("mutex", "10 s"),
        ("heap", "taken once"),
        ("goroutine", "taken once"),
    ],
)
def test_what_is_asked_for_is_told(event: str, said: str) -> None:
    # Whatever the frequency: Go has its own.
    assert GoPprof().describe(replace(REQUEST, event=event, frequency_hz=999)) == said


def enclosed(name: str, data: bytes) -> bytes:
    head = f"@@ file {name}.pb.gz 7 app-go\n".encode()
    return head + base64.encodebytes(data)


def parse(event: str, *files: bytes, end: bytes = b"@@ end 0\n") -> tuple[int, str, int | None]:
    raw = b"# net/http/pprof go1.19.8\n@@ sampling\n" + b"".join(files) + end
    profile = GoPprof().parse(raw, replace(REQUEST, event=event))
    assert {(stack[0].name, stack[0].pid) for stack in profile.stacks} <= {("app-go", 7)}
    assert profile.tool == "net/http/pprof go1.19.8"
    assert bool(profile.notes) is not bool(end)
    return profile.total, profile.unit, profile.frequency_hz


def read(kind: str) -> bytes:
    return (PPROF / f"go-pprof-{kind}.pb.gz").read_bytes()


def test_the_parts_of_a_cpu_profile_add_up() -> None:
    data = read("cpu")
    parts = enclosed("cpu-7-1", data), enclosed("cpu-7-2", data)
    assert parse("cpu", *parts) == (470, "samples", 100)
    assert parse("cpu", parts[0], end=b"") == (235, "samples", 100)


def test_what_was_counted_before_is_taken_off() -> None:
    data = read("allocs")
    assert parse("allocs", enclosed("allocs-7", data)) == (1_921_421_167, "bytes", None)
    assert parse("allocs", enclosed("before-7", data), enclosed("allocs-7", data))[0] == 0
    # What could not be fetched again leaves nothing, and nothing less than that.
    assert parse("allocs", enclosed("before-7", data))[0] == 0


@pytest.mark.parametrize(("event", "total_us"), [("mutex", 25_011_068), ("block", 31_279_322)])
def test_times_become_microseconds(event: str, total_us: int) -> None:
    total, unit, _ = parse(event, enclosed(f"{event}-7", read(event)))
    assert unit == "us"
    assert total == pytest.approx(total_us, abs=10)


@pytest.mark.parametrize("event", sorted(GoPprof.events))
def test_a_profile_of_something_else_is_refused(event: str) -> None:
    other = "heap" if event in ("goroutine", "mutex", "block", "cpu") else "mutex"
    with pytest.raises(ParseError, match=f"it is no profile of {event}"):
        parse(event, enclosed(f"{event}-7", read(other)))


@pytest.mark.parametrize("event", sorted(GoPprof.events))
@pytest.mark.parametrize("data", [b"", b"x", b"\x1f\x8b\x08" + bytes(20), b"@@ end 0\n"])
def test_any_bytes_are_a_profile_or_a_sentence(event: str, data: bytes) -> None:
    with pytest.raises(ParseError):
        parse(event, enclosed(f"{event}-7", data))


FAKE = """#!PYTHON
import signal, sys, time

told = []
signal.signal(signal.SIGINT, lambda *_: told.append(1))
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
open("PLACE/asked", "w").write(" ".join(sys.argv[1:]))
open("PLACE/program", "w").write(sys.stdin.read())
print("@@ sampling", flush=True)
while not told:
    time.sleep(0.05)
print("@@ file heap-7.pb.gz 7 x\\nAAAA")
sys.exit(3)
"""


@pytest.mark.parametrize("shell", [["sh"], ["busybox", "sh"]])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_script_passes_a_signal_on_and_ends_with_what_there_is(
    tmp_path: Path, shell: list[str], sign: signal.Signals
) -> None:
    fake = FAKE.replace("PLACE", str(tmp_path)).replace("PYTHON", sys.executable)
    (tmp_path / "python3").write_text(fake)
    (tmp_path / "python3").chmod(0o755)
    request = replace(REQUEST, event="mutex")
    script = GoPprof().plan(request, STATE.facts, target(process(7)))[0].script
    sidecar = subprocess.Popen(
        [*shell, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert sidecar.stdout
    assert sidecar.stdout.readline() == "@@ sampling\n"
    sidecar.send_signal(sign)
    out, _ = sidecar.communicate(timeout=10)
    assert out.splitlines() == ["@@ file heap-7.pb.gz 7 x", "AAAA", "@@ end 3"]
    assert sidecar.returncode == 3
    assert (tmp_path / "asked").read_text() == "-I - mutex 10 7"
    assert "net/http/pprof" in (tmp_path / "program").read_text()


def test_an_image_without_python_is_told(tmp_path: Path) -> None:
    script = GoPprof().plan(REQUEST, STATE.facts, target(process(7)))[0].script
    argv = ["/bin/sh", "-c", script]
    done = subprocess.run(argv, capture_output=True, env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (127, b"")
    assert done.stderr == b"no python3 in this image\n"
