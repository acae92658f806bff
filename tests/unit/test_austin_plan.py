"""What austin is asked for which processes, and what is made of what it writes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.austin import Austin
from remote_prof.errors import ParseError
from remote_prof.host.facts import parse_facts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.parse.mojo import parse_mojo
from remote_prof.records import Severity

HERE = Path(__file__).parent
STATE = parse_facts((HERE / "data/facts/docker-26-hybrid.txt").read_bytes())
REQUEST = ProfileRequest(10.0, 99, "both", "img")
RECORDING = HERE.parent / "recorded/data/mojo/austin-4.0-cpu.mojo"
FAKE = """#!/bin/sh
[ "$1" != --version ] || { echo SAID; exit VERSION; }
echo "$*" >>ASKED
echo "[1m _ _  [0m" >&2
while [ "$1" != --output ]; do shift; done
[ "${2%.mojo}" != 9 ] || { echo "no permission" >&2; exit 37; }
cat RECORDING >"$2"
trap 'kill $child; exit 254' INT
sleep 60 & child=$!
wait $child
"""


def process(inside: int, parent: int, name: str = "python3") -> Process:
    return Process(100 + inside, "c" * 64, inside, 100 + parent, name)


def target(*processes: Process, scope: str = "container") -> Target:
    return replace(resolve(TargetSpec("api"), STATE), processes=processes, scope=scope)


def script(found: Target, **asked: object) -> str:
    (sidecar,) = Austin().plan(replace(REQUEST, **asked), STATE.facts, found)  # type: ignore[arg-type]
    return sidecar.script


def start(place: Path, found: Target, version: int = 0, **asked: object) -> subprocess.Popen[bytes]:
    (place / "shm").mkdir()
    fake = FAKE.replace("ASKED", f"{place}/asked").replace("RECORDING", str(RECORDING))
    fake = fake.replace("SAID", "austin 4.0.0").replace("VERSION", str(version))
    (place / "austin").write_text(fake)
    (place / "austin").chmod(0o755)
    text = script(found, **{"duration_s": 0.5, **asked}).replace("/dev/shm", f"{place}/shm")
    return subprocess.Popen(
        ["env", "--default-signal=INT", "sh", "-c", text],
        env={"PATH": f"{place}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what was read of a line is not to be more
    )


def run(place: Path, found: Target, version: int = 0) -> tuple[int, bytes, bytes]:
    with start(place, found, version) as running:
        out, errors = running.communicate(timeout=60)
    return running.returncode, out, errors


def test_it_needs_one_right_in_the_target_s_own_namespace() -> None:
    found = target(process(1, 0), process(8, 1), process(20, 0, "nginx"))
    (sidecar,) = Austin().plan(REQUEST, STATE.facts, found)
    assert (sidecar.capabilities, sidecar.rung) == (("SYS_PTRACE",), "SYS_PTRACE")
    assert sidecar.pid_namespace == f"container:{found.container.container_id}"
    assert (sidecar.network, sidecar.mounts) == ("none", ())
    assert sidecar.filter_text == "the interpreter 1, by pid inside"


@pytest.mark.parametrize(
    ("asked", "scope", "words"),
    [
        ({}, "container", "--interval 10101us --cpu --children --output"),
        ({"event": "wall"}, "container", "--interval 10101us --children --output"),
        ({"event": "memory"}, "process", "--interval 10101us --memory --output"),
        ({"frequency_hz": 1000}, "process", "--interval 1000us --cpu --output"),
    ],
)
def test_a_request_is_options(
    tmp_path: Path, asked: dict[str, object], scope: str, words: str
) -> None:
    found = target(process(7, 0), scope=scope)
    with start(tmp_path, found, **asked) as running:  # type: ignore[arg-type]
        running.communicate(timeout=60)
    (line,) = (tmp_path / "asked").read_text().splitlines()
    assert line == f"--pid 7 {words} 7.mojo"


def test_where_no_python_runs_that_is_told() -> None:
    (problem,) = Austin().problems(REQUEST, STATE.facts, target(process(1, 0, "nginx")))
    assert (problem.severity, problem.what) == (Severity.ERROR, "no Python runs in api")
    assert problem.fix
    assert Austin().problems(REQUEST, STATE.facts, target(process(1, 0))) == []


def test_each_interpreters_file_is_part_of_one_profile(tmp_path: Path) -> None:
    code, out, errors = run(tmp_path, target(process(7, 0), process(8, 0)))
    assert (code, errors, out.splitlines()[-1]) == (0, b"", b"@@ end 0")
    profile = Austin().parse(out, REQUEST)
    alone = parse_mojo(RECORDING.read_bytes())
    assert profile.total == 2 * alone.total
    assert (profile.unit, profile.tool, profile.notes) == ("us", "austin 4.0.0", ())
    cut = Austin().parse(out.partition(b"@@ end")[0], REQUEST)
    assert cut.notes == ("the output ends before the end of the run",)
    assert Austin().parse(out, replace(REQUEST, event="memory")).unit == "bytes"


def test_one_that_is_refused_costs_no_other_and_says_why(tmp_path: Path) -> None:
    code, out, errors = run(tmp_path, target(process(7, 0), process(9, 0)))
    assert (code, errors) == (1, b"no permission\n")
    assert Austin().denied(errors.decode())
    assert Austin().parse(out, REQUEST).total == parse_mojo(RECORDING.read_bytes()).total


def test_where_all_are_refused_nothing_has_begun(tmp_path: Path) -> None:
    code, out, errors = run(tmp_path, target(process(9, 0)))
    assert (code, out, errors) == (1, b"@@ end 1\n", b"no permission\n")
    with pytest.raises(ParseError, match="are missing"):
        Austin().parse(out, REQUEST)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_early_with_what_there_is(tmp_path: Path, number: int) -> None:
    begun = time.monotonic()
    with start(tmp_path, target(process(7, 0)), duration_s=50.0) as running:
        assert running.stdout is not None
        head = running.stdout.readline()
        assert head == b"@@ sampling\n"
        os.kill(running.pid, number)
        out, _ = running.communicate(timeout=40)
    assert time.monotonic() - begun < 40
    assert Austin().parse(head + out, REQUEST).total == parse_mojo(RECORDING.read_bytes()).total


def test_an_image_in_which_it_does_not_run_says_so(tmp_path: Path) -> None:
    code, out, errors = run(tmp_path, target(process(7, 0)), version=1)
    assert (code, out) == (126, b"")
    assert errors == b"austin does not run in this image: austin 4.0.0\n"
    done = subprocess.run(
        ["/bin/sh", "-c", script(target(process(7, 0)))],
        env={"PATH": str(tmp_path / "shm")},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (127, b"no austin in this image\n")
