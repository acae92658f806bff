"""Names: of a stripped program from its debug file, of code made at run time from its map."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from .build import CSRC
from .model import LANGUAGES_IMAGE, LabHost
from .targets import API_SHARES
from .tool import Stock, Tool, share

_INSIDE = "/tmp/svc-stripped"


@dataclass(frozen=True)
class Stripped:
    """A program without symbols, where its debug file is, and its build id."""

    program: Path
    debug: Path
    build_id: str


@pytest.fixture(scope="module", params=["-static", "-static-pie"])
def stripped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stripped:
    """Build one that lies where it was linked for, and one that is moved to anywhere."""
    made = tmp_path_factory.mktemp("stripped")
    program, debug = made / "svc", made / "debug" / "usr" / "svc.debug"
    debug.parent.mkdir(parents=True)
    options = ("-O0", "-g", "-fno-omit-frame-pointer", "-Wl,--build-id", request.param)
    for argv in (
        ("gcc", *options, "-o", program, CSRC / "svc.c"),
        ("objcopy", "--only-keep-debug", program, debug),
        ("strip", "--strip-all", program),
    ):
        subprocess.run(list(map(str, argv)), check=True, capture_output=True)
    notes = subprocess.run(["readelf", "-n", program], check=True, capture_output=True, text=True)
    (build_id,) = [line.split()[-1] for line in notes.stdout.splitlines() if "Build ID" in line]
    return Stripped(program, made / "debug", build_id)


@contextmanager
def at_work(host: LabHost, program: Path) -> Iterator[None]:
    """Have it run in a container that else is idle."""
    host.exec(
        ["docker", "exec", "-i", "idle", "sh", "-c", f"cat > {_INSIDE}; chmod 755 {_INSIDE}"],
        input=program.read_bytes(),
    )
    host.docker("exec", "-d", "idle", _INSIDE, "serve", "300")
    try:
        yield
    finally:
        names = host.docker("top", "idle", "-eo", "pid,args").splitlines()
        for pid in (line.split()[0] for line in names if _INSIDE in line):
            host.exec(["kill", "-KILL", pid])
        host.docker("exec", "idle", "rm", "-f", _INSIDE)


@pytest.mark.parametrize("engine", ["bpftrace", "perf"])
def test_a_stripped_program_is_named_afterwards(
    engine: str, stripped: Stripped, host: LabHost, tool: Tool, stock: Stock, tmp_path: Path
) -> None:
    with at_work(host, stripped.program):
        done = tool("run", "-C", "idle", "-H", host.name, "-d", 4, "--engine", engine)
    assert done.code == 0, done.err
    assert stock.left(host) == []
    nameless = done.run.stacks()
    assert share(nameless, "[svc-stripped]") > 0.9
    assert not any("hot_leaf" in stack for stack in nameless)
    assert done.run.record["quality"]["build_ids"] == {"svc-stripped": stripped.build_id}
    (found,) = [part for part in done.parts("warning") if "without a name" in part[0]]
    assert f"(build id {stripped.build_id})" in found[1]
    assert "--debug-dir" in found[2]
    raw = (done.run.target / "profile.txt").read_bytes()

    # Another build of the same program gives it no name.
    other = tmp_path / "other"
    other.mkdir()
    argv = ["gcc", "-O1", "-g", "-static", "-o", f"{other}/svc", str(CSRC / "svc.c")]
    subprocess.run(argv, check=True, capture_output=True)
    refused = tool("report", "last", "--debug-dir", other)
    assert refused.code == 0, refused.err
    (said,) = [part for part in refused.parts("warning") if "no debug file" in part[0]]
    assert f"{_INSIDE} (build id {stripped.build_id})" in said[1]
    assert done.run.stacks() == nameless

    named = tool("report", "last", "--debug-dir", stripped.debug)
    assert named.code == 0, named.err
    stacks = done.run.stacks()
    for name, known in API_SHARES.items():
        assert share(stacks, name) == pytest.approx(known, abs=0.2), name
    assert share(stacks, "main") > 0.9
    assert done.run.record["quality"]["unresolved_share"] < 0.1
    # The raw profile is what came, and can be named in other hands, too.
    assert (done.run.target / "profile.txt").read_bytes() == raw
    handed = tool(
        *("convert", done.run.target / "profile.txt", "--debug-dir", stripped.debug),
        *("--to", "top"),
    )
    assert "hot_leaf" in handed.out


@pytest.mark.parametrize("engine", ["bpftrace", "perf"])
def test_the_map_in_the_target_s_own_tmp_names_what_was_made_at_run_time(
    engine: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    # Its pid is 1 there: the host's /tmp/perf-1.map, and that of any other container, are not its.
    command = ("node", "--perf-basic-prof", "--interpreted-frames-native-stack", "/opt/app/app.js")
    host.docker("run", "-d", "--name", "mapped", "--network", "none", LANGUAGES_IMAGE, *command)
    try:
        _wait_for_work(host, "mapped")
        done = tool("run", "-C", "mapped", "-H", host.name, "-d", 4, "--engine", engine)
    finally:
        host.docker("rm", "-f", "mapped")
    assert done.code == 0, done.err
    assert stock.left(host) == []
    stacks = done.run.stacks()
    named = {
        stack: count
        for stack, count in stacks.items()
        if any(name.startswith("JS:") and "Reply" in name for name in stack)
    }
    assert sum(named.values()) > 0.5 * sum(stacks.values()), stacks


def _wait_for_work(host: LabHost, container: str) -> None:
    """Wait until a Node program has been at its work for so long that V8 has made code of it."""
    argv = ("exec", container, "grep", "-c", "JS:^renderReply", "/tmp/perf-1.map")
    for _ in range(60):
        with suppress(subprocess.CalledProcessError):
            host.docker(*argv)
            return
        time.sleep(0.5)
    raise AssertionError(f"{container} has not come to its work")
