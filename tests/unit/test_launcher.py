"""The launcher, for real: a shell, and an engine that imitates one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.bpftrace import Bpftrace
from remote_prof.host.facts import parse_facts
from remote_prof.host.target import TargetSpec, resolve
from remote_prof.run.plan import Service, make_plan
from tests.unit.conftest import HEAD, LOOP, STACKS

if TYPE_CHECKING:
    from tests.unit.conftest import FakeEngine

DATA = Path(__file__).parent / "data"
STATE = parse_facts((DATA / "facts" / "docker-26-hybrid.txt").read_bytes())
LONG_S = 60.0  # guards against hanging; nothing is measured
RUN = "20260131-235959-1a2b3c"


@pytest.fixture
def target(nothing_left: None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is "profiled"; it ends with the test."""
    del nothing_left
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def directory(tmp_path: Path, engine: FakeEngine, target: subprocess.Popen[bytes]) -> Path:
    """A directory with the rendered files."""
    return rendered(tmp_path, engine, target, "bpftrace")


@pytest.fixture
def several(tmp_path: Path, engine: FakeEngine, target: subprocess.Popen[bytes]) -> Path:
    """One whose launcher starts two sidecars."""
    return rendered(tmp_path, engine, target, "bpftrace", "pyspy")


def rendered(
    tmp_path: Path, engine: FakeEngine, target: subprocess.Popen[bytes], *names: str
) -> Path:
    found = resolve(TargetSpec("api"), STATE)
    process = replace(found.processes[0], pid=target.pid, cgroup="/", cpuacct="")
    found = replace(found, processes=(process,), scope="process")
    assert STATE.facts.engine is not None
    facts = replace(
        STATE.facts, engine=replace(STATE.facts.engine, path=str(engine.path)), compose=""
    )
    request = ProfileRequest(0.3, 99, "both", "img")
    plan = make_plan(
        run_id=RUN,
        request=request,
        runner="auto",
        facts=facts,
        target=found,
        services=tuple(
            Service(name, Bpftrace().plan(request, facts, found)[0], alone=len(names) == 1)
            for name in names
        ),
        become=False,
    )
    where = tmp_path / "remote-prof"
    where.mkdir()
    for name, text in plan.files.items():
        (where / name).write_text(text)
    return where


def start(directory: Path, *mode: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", str(directory / "launcher.sh"), *mode])


def progress(directory: Path) -> list[str]:
    path = directory / "progress"
    return path.read_text().splitlines() if path.exists() else []


def wait_for(directory: Path, stage: str) -> None:
    guard = time.monotonic() + LONG_S
    while not any(line.startswith(stage) for line in progress(directory)):
        assert time.monotonic() < guard, f"no {stage}: {progress(directory)}"
        time.sleep(0.02)


def stages(directory: Path) -> list[str]:
    return [line.split(" ")[0] for line in progress(directory)]


def test_by_hand_a_profile_is_left(directory: Path, engine: FakeEngine) -> None:
    assert start(directory).wait(LONG_S) == 0
    assert stages(directory) == ["starting", "sampling", "sampled", "done"]
    assert progress(directory)[-1] == "done 0"
    profile = (directory / "profile.txt").read_text()
    assert "@@ sampling" in profile
    assert profile.endswith("@@ end 0\n")
    assert engine.calls[0] == "run"
    assert "kill" not in engine.calls
    assert not engine.running
    assert (directory / "profile.txt").stat().st_mode & 0o077 == 0


def test_by_hand_it_can_be_done_again(directory: Path) -> None:
    assert [start(directory).wait(LONG_S) for _ in range(2)] == [0, 0]
    assert stages(directory) == ["starting", "sampling", "sampled", "done"]


def test_cpu_time_is_read_with_its_time(directory: Path) -> None:
    assert start(directory).wait(LONG_S) == 0
    readings = [line.split()[1:] for line in progress(directory) if line[:7] == "samplin"]
    (now, cpu_us, at) = map(int, readings[0])
    assert cpu_us % 10_000 == 0  # ticks of 10 ms
    assert 0 < at <= now


def test_several_sidecars_sample_beside_each_other(several: Path, engine: FakeEngine) -> None:
    engine.samples()
    engine.behave(f"{HEAD}; sleep 1; {STACKS}; exit 3", of="pyspy")
    assert start(several).wait(LONG_S) == 0  # what the sidecar printed says how it ended
    assert stages(several) == ["starting", "sampling", "sampled", "exit", "exit", "done"]
    assert progress(several)[-3:] == ["exit bpftrace 0", "exit pyspy 0", "done 0"]
    for name in ("profile-bpftrace.txt", "profile-pyspy.txt"):
        assert (several / name).read_text().endswith("@@ end 0\n")
    assert not engine.running


def test_one_that_fails_takes_the_others_not_along(several: Path, engine: FakeEngine) -> None:
    engine.samples()
    engine.behave("echo no py-spy >&2; exit 127", of="pyspy")
    assert start(several).wait(LONG_S) == 127
    assert stages(several) == ["starting", "sampling", "sampled", "exit", "exit", "done"]
    assert progress(several)[-3:] == ["exit bpftrace 0", "exit pyspy 127", "done 127"]
    assert (several / "profile-bpftrace.txt").read_text().endswith("@@ end 0\n")
    assert (several / "sidecar-pyspy.err").read_text() == "no py-spy\n"


def test_where_all_fail_nothing_is_sampled(several: Path, engine: FakeEngine) -> None:
    engine.behave("exit 1")
    assert start(several).wait(LONG_S) == 1
    assert stages(several) == ["starting", "exit", "exit", "ended", "done"]


def test_a_stop_reaches_all_of_them(several: Path, engine: FakeEngine) -> None:
    engine.samples_until_asked()
    launcher = start(several)
    wait_for(several, "sampling")
    (several / "stop").touch()
    assert launcher.wait(LONG_S) == 0
    for name in ("profile-bpftrace.txt", "profile-pyspy.txt"):
        assert "@stacks_a" in (several / name).read_text()
    assert engine.calls.count("kill") == 2
    assert not engine.running


def test_a_stop_ends_the_sampling_and_keeps_it(directory: Path, engine: FakeEngine) -> None:
    engine.samples_until_asked()
    launcher = start(directory)
    wait_for(directory, "sampling")
    (directory / "stop").touch()
    assert launcher.wait(LONG_S) == 0
    assert "@stacks_a" in (directory / "profile.txt").read_text()
    assert engine.calls.count("kill") == 1
    assert "kill --signal INT remote-prof-" + RUN in (engine.state / "calls").read_text()


def test_an_interrupt_is_a_stop(directory: Path, engine: FakeEngine) -> None:
    engine.samples_until_asked()
    launcher = start(directory)
    wait_for(directory, "sampling")
    launcher.terminate()
    assert launcher.wait(LONG_S) == 0
    assert "@stacks_a" in (directory / "profile.txt").read_text()


def test_a_hang_up_is_not(directory: Path, engine: FakeEngine) -> None:
    engine.samples(1.0)
    launcher = start(directory)
    wait_for(directory, "sampling")
    launcher.send_signal(1)
    assert launcher.wait(LONG_S) == 0
    assert "kill" not in engine.calls


def test_the_deadline_ends_what_does_not_end_itself(directory: Path, engine: FakeEngine) -> None:
    engine.samples_until_asked()
    shorten(directory, deadline=1)
    assert start(directory).wait(LONG_S) == 0
    assert "late" in stages(directory)
    assert "@stacks_a" in (directory / "profile.txt").read_text()


def test_what_ignores_signals_is_removed(directory: Path, engine: FakeEngine) -> None:
    engine.hangs()
    shorten(directory, deadline=1, print_s=1, further_s=1)
    assert start(directory).wait(LONG_S) != 0
    signals = [
        line.split()[2]
        for line in (engine.state / "calls").read_text().splitlines()
        if line.startswith("kill")
    ]
    assert signals == ["INT", "TERM", "KILL"]
    assert not engine.running
    assert stages(directory) == ["starting", "late", "ended", "done"]


def shorten(directory: Path, *, deadline: int = 75, **times: float) -> None:
    """Give the launcher less time than the plan does."""
    path = directory / "launcher.sh"
    text = path.read_text()
    own = {"print_s": 45, "further_s": 10, "keep_s": 3600, "pause_s": 10, "give_up_s": 60} | times
    for old, new in (
        ("deadline=$(( 75 * 100 ))", f"deadline=$(( {deadline} * 100 ))"),
        ("try=INT grace=45", f"try=INT grace={own['print_s']}"),
        ("grace=10", f"grace={own['further_s']}"),
        ("3600 * 100", f"{own['keep_s']} * 100"),
        ("sleep 10 &", f"sleep {own['pause_s']} &"),
        ("60 * 100", f"{own['give_up_s']} * 100"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_a_target_that_ends_ends_the_sampling(
    directory: Path, engine: FakeEngine, target: subprocess.Popen[bytes]
) -> None:
    engine.samples_until_asked()
    launcher = start(directory)
    wait_for(directory, "sampling")
    target.kill()
    target.wait()
    assert launcher.wait(LONG_S) == 0
    assert stages(directory) == ["starting", "sampling", "gone", "sampled", "done"]
    assert "@stacks_a" in (directory / "profile.txt").read_text()


def test_an_engine_that_refuses_is_told(directory: Path, engine: FakeEngine) -> None:
    engine.refuses("docker: Error response from daemon: No such image: img.")
    assert start(directory).wait(LONG_S) == 125
    assert stages(directory) == ["starting", "ended", "done"]
    assert progress(directory)[-1] == "done 125"
    assert "No such image" in (directory / "sidecar.err").read_text()
    assert (directory / "profile.txt").read_bytes() == b""


def test_an_engine_that_is_missing_is_told(directory: Path, engine: FakeEngine) -> None:
    engine.path.unlink()
    assert start(directory).wait(LONG_S) == 127
    assert progress(directory)[-1] == "done 127"


def test_what_the_sidecar_says_at_its_end_is_told(directory: Path, engine: FakeEngine) -> None:
    engine.behave("echo 'ERROR: no BTF' >&2; exit 1")
    assert start(directory).wait(LONG_S) == 1
    assert (directory / "sidecar.err").read_text() == "ERROR: no BTF\n"


def test_a_container_that_outlives_its_client_is_removed(
    directory: Path, engine: FakeEngine
) -> None:
    engine.behave("trap - EXIT; exit 0")
    (engine.state / "running").touch()
    assert start(directory).wait(LONG_S) == 0
    assert "rm" in engine.calls
    assert not engine.running
    assert "left" not in stages(directory)


def test_what_cannot_be_removed_is_told(directory: Path, engine: FakeEngine) -> None:
    engine.behave("trap - EXIT; exit 0")
    (engine.state / "sticky").touch()
    assert start(directory).wait(LONG_S) == 0
    assert "left container 1a2b3c4d5e6f" in progress(directory)


def test_detached_it_goes_on_trying_to_remove(directory: Path, engine: FakeEngine) -> None:
    engine.behave("trap - EXIT; exit 0")
    (engine.state / "sticky").touch()
    shorten(directory, pause_s=0.2)
    launcher = start(directory, "detached")
    wait_for(directory, "done")
    launcher.send_signal(10)
    time.sleep(0.5)
    assert launcher.poll() is None
    assert "left container 1a2b3c4d5e6f" in progress(directory)
    (engine.state / "sticky").unlink()
    assert launcher.wait(LONG_S) == 0
    assert not engine.running
    assert not directory.exists()


def test_an_engine_that_hangs_does_not_hang_the_launcher(
    directory: Path, engine: FakeEngine
) -> None:
    # It neither starts the container nor passes a signal on, as when it is frozen.
    shorten(directory, deadline=1, give_up_s=1)
    path = directory / "launcher.sh"
    path.write_text(path.read_text().replace("timeout -s KILL 20", "timeout -s KILL 0.3"))
    engine.path.write_text('#!/bin/sh\n: "$@"\nexec sleep 1000\n')
    assert start(directory).wait(LONG_S) != 0
    assert stages(directory) == ["starting", "late", "deaf", "ended", "left", "done"]
    assert "left container unknown" in progress(directory)


def test_an_engine_that_hangs_when_all_is_printed_costs_nothing(
    directory: Path, engine: FakeEngine
) -> None:
    engine.behave(f"{HEAD}; {STACKS}; {LOOP}")
    path = directory / "launcher.sh"
    path.write_text(
        path.read_text().replace("over=$((elapsed + 20 * 100))", "over=$((elapsed + 50))")
    )
    assert start(directory).wait(LONG_S) == 0
    assert stages(directory) == ["starting", "sampling", "sampled", "done"]
    assert progress(directory)[-1] == "done 0"
    assert "kill" not in engine.calls
    assert not engine.running


def test_a_file_that_grows_too_large_is_cut(directory: Path, engine: FakeEngine) -> None:
    path = directory / "launcher.sh"
    blocks = (256 << 20) // 512
    assert str(blocks) in path.read_text()
    path.write_text(path.read_text().replace(str(blocks), "20"))
    engine.behave("echo '@@ sampling'; head -c 1000000 /dev/zero | tr '\\0' x; echo '@@ end 0'")
    start(directory).wait(LONG_S)
    assert "cut" in stages(directory)
    assert (directory / "profile.txt").stat().st_size == 20 * 512


def test_detached_it_waits_until_everything_is_fetched(directory: Path) -> None:
    launcher = start(directory, "detached")
    wait_for(directory, "done")
    assert launcher.poll() is None
    assert (directory / "profile.txt").exists()
    launcher.send_signal(10)  # USR1, as the follower says it
    assert launcher.wait(LONG_S) == 0
    assert not directory.exists()


def test_detached_it_does_not_wait_for_ever(directory: Path) -> None:
    shorten(directory, keep_s=1, pause_s=0.2)
    assert start(directory, "detached").wait(LONG_S) == 0
    assert not directory.exists()


def test_nobody_has_to_stay(directory: Path, engine: FakeEngine) -> None:
    """The terminal that started it may go away: it ends, and removes its directory."""
    shorten(directory, keep_s=1, pause_s=0.2)
    path = directory / "launcher.sh"
    subprocess.run(
        ["sh", "-c", f"setsid sh {path} detached </dev/null >/dev/null 2>&1 &"], check=True
    )
    guard = time.monotonic() + LONG_S
    while directory.exists() and time.monotonic() < guard:
        time.sleep(0.05)
    assert not directory.exists()
    assert not engine.running
