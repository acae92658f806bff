"""What perf is asked, for whom, and that its samples are counted and not lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.perf import Perf
from remote_prof.host.facts import parse_facts
from remote_prof.host.target import TargetSpec, resolve
from remote_prof.parse.perf import parse_perf
from remote_prof.profile.model import Frame, Profile
from remote_prof.records import Severity

HERE = Path(__file__).parent
STATE = parse_facts((HERE / "data/facts/docker-26-hybrid.txt").read_bytes())
TARGET = resolve(TargetSpec("api"), STATE)
# Processes that are there wherever the script runs.
ALIVE = replace(TARGET, processes=(replace(TARGET.processes[0], pid=1),))
REQUEST = ProfileRequest(10.0, 99, "both", "img")
RECORDINGS = HERE.parent / "recorded/data/perf"
FP = RECORDINGS / "perf-6.12-dwarf-on-nofp.txt"

FAKE = """#!/bin/sh
case $1 in
  --version) echo "perf version 6.9" ;;
  stat) echo "STAT" ;;
  record)
    echo "$*" >>ASKED
    [ "$(wc -l <ASKED)" -gt REFUSALS ] || { echo "maps: No such process" >&2; exit 244; }
    while [ "$1" != "--" ]; do shift; done; shift
    # As perf does: what it runs ends with it, and it with what it runs.
    "$@" >/dev/null & child=$!
    trap 'kill $child; echo data; trap - INT; kill -INT $$' INT
    wait $child
    echo data
    echo "[ perf record: Woken up 1 times to write data ]" >&2
    exit CODE ;;
  script) cat >/dev/null; cat RECORDING; exit SCRIPT ;;
esac
"""


def script(**asked: object) -> str:
    request = replace(REQUEST, **asked)  # type: ignore[arg-type]
    (sidecar,) = Perf().plan(request, STATE.facts, ALIVE)
    return sidecar.script


def start(
    place: Path,
    recording: Path = FP,
    *,
    stat: str = "<not supported>,,cycles",
    refusals: int = 0,
    codes: tuple[int, int] = (0, 0),
    awk: str = "mawk",
    text: str = "",
    **asked: object,
) -> subprocess.Popen[bytes]:
    (place / "shm").mkdir()
    (place / "asked").touch()
    fake = FAKE.replace("ASKED", f"{place}/asked").replace("RECORDING", str(recording))
    fake = fake.replace("STAT", stat).replace("REFUSALS", str(refusals))
    fake = fake.replace("CODE", str(codes[0])).replace("SCRIPT", str(codes[1]))
    (place / "perf").write_text(fake)
    (place / "perf").chmod(0o755)
    found = shutil.which(awk.split(maxsplit=1)[0])
    assert found, f"there is no {awk} here"
    (place / "awk").write_text(f'#!/bin/sh\nexec {found} {" ".join(awk.split()[1:])} "$@"\n')
    (place / "awk").chmod(0o755)
    text = (text or script(**{"duration_s": 0.1, **asked})).replace("/dev/shm", f"{place}/shm")
    return subprocess.Popen(
        ["env", "--default-signal=INT", "sh", "-c", text],
        env={"PATH": f"{place}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what was read of a line is not to be more
    )


def run(place: Path, recording: Path = FP, **how: object) -> tuple[int, bytes, bytes]:
    with start(place, recording, **how) as running:  # type: ignore[arg-type]
        out, errors = running.communicate(timeout=60)
    return running.returncode, out, errors


def shown(profile: Profile) -> dict[tuple[Frame, ...], int]:
    return dict(profile.stacks)


def test_the_rights_are_those_without_which_names_are_wrong() -> None:
    (sidecar,) = Perf().plan(REQUEST, STATE.facts, TARGET)
    assert sidecar.capabilities == ("SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "SYSLOG")
    assert (sidecar.pid_namespace, sidecar.network, sidecar.mounts) == ("host", "none", ())
    pids = [process.pid for process in TARGET.processes]
    assert sidecar.filter_text == (
        f"by the pids of now, and what they start: {', '.join(map(str, pids))}"
    )
    (user,) = Perf().plan(replace(REQUEST, stacks="user"), STATE.facts, TARGET)
    assert user.capabilities == ("SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "-F 99 --no-buffering --call-graph fp --no-buildid"),
        ({"call_graph": "dwarf"}, "-F 99 --no-buffering --call-graph dwarf,8192 "),
        ({"call_graph": "lbr", "frequency_hz": 49}, "-F 49 --no-buffering --call-graph lbr "),
        ({"stacks": "user"}, "--call-graph fp --user-callchains "),
        ({"stacks": "kernel"}, "--call-graph fp --kernel-callchains "),
        ({"event": "cache-misses"}, "--event cache-misses -F 99 "),
        ({"event": "page-faults"}, "--event page-faults -c 1 "),
        ({"duration_s": 2.5}, "exec sleep 2.5 "),
    ],
)
def test_a_request_is_options(tmp_path: Path, asked: dict[str, object], words: str) -> None:
    run(tmp_path, **asked)  # type: ignore[arg-type]
    assert words in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    ("asked", "facts", "what"),
    [
        ({}, {"lockdown": "confidentiality"}, "the kernel is locked down"),
        ({"event": "cycles"}, {}, "the host has no hardware counters, which --event cycles needs"),
        ({"call_graph": "lbr"}, {"counters": True}, "the host's CPU shows no last branch records"),
    ],
)
def test_what_speaks_against_it_is_told_beforehand(
    asked: dict[str, object], facts: dict[str, object], what: str
) -> None:
    request = replace(REQUEST, **asked)  # type: ignore[arg-type]
    host = replace(STATE.facts, **facts)  # type: ignore[arg-type]
    (problem,) = Perf().problems(request, host, TARGET)
    assert problem.what.startswith(what)
    assert problem.severity is Severity.ERROR
    assert problem.evidence
    assert problem.fix
    able = replace(host, lockdown="none", counters=True, branch_records=True)
    assert Perf().problems(request, able, TARGET) == []


def test_a_cpu_counts_where_one_of_its_kind_is_listed() -> None:
    devices = "/sys/bus/event_source/devices"

    def facts(*paths: str) -> tuple[bool, bool]:
        text = "@@counters\n" + "".join(f"{devices}/{path}\n" for path in paths)
        found = parse_facts(text.encode()).facts
        return found.counters, found.branch_records

    assert facts("software", "tracepoint", "msr", "uprobe") == (False, False)
    assert facts("cpu/caps/branches", "cpu", "software") == (True, True)
    assert facts("cpu_core", "cpu_atom") == (True, False)
    assert facts("armv8_pmuv3_0") == (True, False)


@pytest.mark.parametrize("awk", ["mawk", "busybox awk"])
@pytest.mark.parametrize(
    "name",
    [
        *("perf-6.12-fp", "perf-6.12-dwarf-on-nofp", "perf-6.12-node-perfmap-excerpt"),
        *("perf-6.1-no-callchain", "perf-6.1-other-records"),
    ],
)
def test_what_is_put_together_is_what_perf_had_printed(tmp_path: Path, name: str, awk: str) -> None:
    recording = RECORDINGS / f"{name}.txt"
    code, out, errors = run(tmp_path, recording, awk=awk)
    assert (code, errors) == (0, b"")
    found, alone = Perf().parse(out, REQUEST), parse_perf(recording.read_bytes())
    assert shown(found) == shown(alone)
    assert found.total == alone.total > 0
    assert (found.tool, found.frequency_hz, found.unit) == ("perf 6.9", 99, "samples")
    assert out.count(b"\n\n") <= alone.total
    assert out.endswith(b"\n@@ end 0\n")


def test_equal_stacks_become_one(tmp_path: Path) -> None:
    sample = "api 7/7 1.5:   10101010 cpu-clock:ppp: \n\t 4011 leaf+0x1 (/app)\n\n"
    other = "api 7/7 1.7:   10101010 cpu-clock:ppp: \n\t 4012 leaf+0x2 (/app)\n\n"
    recording = tmp_path / "recording"
    recording.write_text(sample * 6000 + other * 3)
    _, out, _ = run(tmp_path, recording)
    assert out.count(b"leaf+0x1") == 2, "what is held back is bounded"
    assert Perf().parse(out, REQUEST).total == 6003
    # Of what the hardware counts a period says how many events a sample stands for.
    (tmp_path / "shm").rename(tmp_path / "earlier")
    _, out, _ = run(tmp_path, recording, event="cache-misses")
    misses = Perf().parse(out, replace(REQUEST, event="cache-misses"))
    assert (misses.total, misses.unit) == (6003 * 10101010, "misses")
    assert misses.frequency_hz is None


def test_a_process_may_be_called_anything(tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    recording.write_text(
        "a 1.2: 9 x: 7/7 1.5: 101 cpu-clock: \n\t 4011 leaf (/app)\n\n"
        "PERF_RECORD_ 7/7 1.5: 101 cpu-clock: \n\t 4011 leaf (/app)\n\n"
        "api 7/7 1.6: PERF_RECORD_LOST lost 5\n"
        "api 7/7 1.7: 101 cpu-clock: \n\t 4011 leaf (/app)\n\n"
    )
    _, out, _ = run(tmp_path, recording)
    profile = Perf().parse(out, REQUEST)
    assert profile.lost == 5
    assert [stack[-1].name for stack in profile.stacks] == ["leaf"] * len(profile.stacks)
    assert {stack[0].name for stack in profile.stacks} >= {"a 1.2: 9 x:", "api"}


@pytest.mark.parametrize(
    ("stat", "event"),
    [("12345,,cycles,1,100.00,,", "cycles"), ("<not supported>,,cycles,0", "cpu-clock")],
)
def test_the_clock_stands_in_for_cycles(tmp_path: Path, stat: str, event: str) -> None:
    _, out, _ = run(tmp_path, stat=stat)
    assert f"# event: {event}\n".encode() in out
    assert f"--event {event} -F" in (tmp_path / "asked").read_text()


def test_a_process_that_ends_at_that_moment_is_left_out(tmp_path: Path) -> None:
    code, out, errors = run(tmp_path, refusals=2)
    assert (code, errors) == (0, b"")
    assert len((tmp_path / "asked").read_text().splitlines()) == 3
    assert Perf().parse(out, REQUEST).total > 0


def test_where_all_have_ended_that_is_said(tmp_path: Path) -> None:
    text = script().replace("for pid in 1 ", "for pid in 4194305 ")
    code, out, errors = run(tmp_path, RECORDINGS.parent / "README.md", text=text)
    assert code == 1
    assert b"the target's processes have ended" in errors
    assert b"@@ sampling" not in out


@pytest.mark.parametrize(
    ("codes", "code"), [((255, 0), 255), ((0, 3), 3), ((143, 0), 0), ((124, 0), 0)]
)
def test_its_exit_code_is_that_of_what_failed(
    tmp_path: Path, codes: tuple[int, int], code: int
) -> None:
    found, out, _ = run(tmp_path, codes=codes)
    assert (found, out.splitlines()[-1]) == (code, f"@@ end {code}".encode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_early_with_what_there_is(tmp_path: Path, number: int) -> None:
    begun = time.monotonic()
    with start(tmp_path, duration_s=50.0) as running:
        assert running.stdout is not None
        head = []
        while b"@@ sampling\n" not in head:
            head.append(running.stdout.readline())
        os.kill(running.pid, number)
        out, _ = running.communicate(timeout=40)
    assert time.monotonic() - begun < 40
    assert running.returncode == 0
    assert Perf().parse(b"".join(head) + out, REQUEST).total == parse_perf(FP.read_bytes()).total


def test_what_was_cut_off_is_told(tmp_path: Path) -> None:
    _, out, _ = run(tmp_path)
    cut = Perf().parse(out.partition(b"@@ end")[0], REQUEST)
    assert cut.notes == ("the output ends before the end of the run",)


@pytest.mark.parametrize("missing", ["perf", "awk"])
def test_an_image_without_it_says_so(tmp_path: Path, missing: str) -> None:
    if missing == "awk":
        (tmp_path / "perf").write_text("#!/bin/sh\necho perf version 6.9\n")
        (tmp_path / "perf").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", script()], env={"PATH": str(tmp_path)}, capture_output=True
    )
    assert (done.returncode, done.stderr) == (127, f"no {missing} in this image\n".encode())
