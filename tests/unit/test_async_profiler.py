"""async-profiler: the library that is given, what a JVM is told, and what is made of its words."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import signal
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import KNOWN, ProfileRequest
from remote_prof.engines.async_profiler import LARGEST_BYTES, read_library
from remote_prof.engines.java import Java
from remote_prof.errors import UsageError
from remote_prof.host.target import Target
from remote_prof.parse import READERS
from remote_prof.parse.async_profiler import parse_async_profiler, recognises_async_profiler
from remote_prof.profile.model import FrameKind
from remote_prof.records import Severity
from remote_prof.run.plan import Service, make_plan
from tests.unit.test_java_plan import STATE, process, target

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, 62) + b"code" * 10_000
LIBRARY, PACKED = read_library(ELF, "/opt/ap/lib/libasyncProfiler.so")
REQUEST = replace(ProfileRequest(10.0, 99, "both", "img"), async_profiler=LIBRARY, library=PACKED)
STACKS = (
    "[server tid=13];App.main_[0];App.handleRequest_[j];App.hotLeaf_[i] 3000\n"
    "[server tid=13];App.main_[0];java/lang/Thread.sleep_[1];/usr/lib/libc.so.6;f_[k] 1000\n"
)


def test_a_library_is_told_by_what_is_in_it_and_travels_whole() -> None:
    assert (LIBRARY.size_bytes, LIBRARY.architecture) == (len(ELF), "x86_64")
    assert LIBRARY.sha256 == hashlib.sha256(ELF).hexdigest()
    assert gzip.decompress(base64.b64decode(PACKED)) == ELF
    assert read_library(ELF, LIBRARY.path) == (LIBRARY, PACKED)
    assert max(map(len, PACKED.splitlines())) < 100
    assert PACKED not in repr(REQUEST)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is no library for Linux"),
        (b"#!/bin/sh\n", "is no library for Linux"),
        (b"\x7fELF\x01\x01" + bytes(30), "is no library for Linux"),
        (ELF[:18] + b"\x99\x99" + ELF[20:], "is no library for Linux"),
        (bytes(LARGEST_BYTES + 1), "is too large"),
    ],
)
def test_what_no_jvm_could_load_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        read_library(data, "lib.so")


def test_the_plan_has_it_beside_the_script_and_only_once() -> None:
    found = target(process(7))
    (sidecar,) = Java().plan(REQUEST, STATE.facts, found)
    assert (sidecar.user, sidecar.capabilities, sidecar.mounts) == ("1000:1000", (), ())
    assert PACKED[:60] not in sidecar.script
    plan = make_plan(
        run_id="20260131-235959-1a2b3c",
        request=REQUEST,
        runner="engine",
        facts=STATE.facts,
        target=found,
        services=(Service("java", sidecar),),
        become=False,
    )
    assert plan.files["library"] == PACKED
    mount = (f"{plan.directory}/library", "/mnt/library")
    assert plan.services[0].sidecar.mounts == (mount,)
    for name in ("launcher.sh", "compose.yml"):
        assert mount[0] in plan.files[name]
    assert "chmod 644 library\n" in plan.files["launcher.sh"].replace("library \n", "library\n")
    assert PACKED in plan.deploy_command().script


@pytest.mark.parametrize(
    ("asked", "names", "start", "stop"),
    [
        (
            {},
            "cpu-clock ctimer itimer",
            "start,event=$event,interval=10101010,threads,timeout=70",
            "collapsed,ann,threads,samples",
        ),
        ({"event": "wall", "frequency_hz": 20}, "wall", "interval=50000000,threads", "samples"),
        ({"event": "alloc"}, "alloc", "start,event=$event,threads,timeout=70", "threads,total"),
        ({"event": "lock", "duration_s": 1.5}, "lock", ",threads,timeout=62", "threads,total"),
    ],
)
def test_events_are_words(asked: dict[str, object], names: str, start: str, stop: str) -> None:
    (sidecar,) = Java().plan(replace(REQUEST, **asked), STATE.facts, target(process(1)))  # type: ignore[arg-type]
    assert f"for event in {names} ; do" in sidecar.script
    assert start in sidecar.script
    assert stop in sidecar.script
    assert "JFR" not in sidecar.script


def test_it_has_to_be_for_the_host_and_wall_needs_it() -> None:
    (found,) = Java().problems(
        replace(REQUEST, async_profiler=replace(LIBRARY, architecture="aarch64")), STATE.facts, None
    )
    assert (found.severity, found.what) == (
        Severity.ERROR,
        "async-profiler's library is for aarch64",
    )
    assert "x86_64" in found.evidence
    (found,) = Java().problems(
        replace(REQUEST, async_profiler=None, event="wall"), STATE.facts, target(process(1))
    )
    assert found.fix == "give it: --async-profiler DIR"
    assert Java().describe(REQUEST) == "10 s at 99 Hz, by async-profiler"
    assert Java().describe(replace(REQUEST, event="alloc")) == "10 s of async-profiler"


@pytest.mark.parametrize("event", ["alloc", "lock", "wall"])
def test_who_gives_it_means_java_though_others_measure_it_too(event: str) -> None:
    choice = KNOWN.choose("auto", replace(REQUEST, event=event), STATE.facts, target(process(7)))
    assert [engine.name for engine, _ in choice.engines] == ["java"]


def test_where_no_jvm_runs_it_is_said_that_it_is_for_nothing() -> None:
    choice = KNOWN.choose("auto", REQUEST, STATE.facts, target(process(7, "svc")))
    assert [engine.name for engine, _ in choice.engines] == ["bpftrace"]
    assert "no JVM is sampled by async-profiler" in [p.what for p in choice.problems]
    choice = KNOWN.choose("auto", REQUEST, STATE.facts, target(process(7)))
    assert [engine.name for engine, _ in choice.engines] == ["bpftrace", "java"]
    assert "no JVM is sampled by async-profiler" not in [p.what for p in choice.problems]


FAKE = """#!/bin/sh
if [ $# = 0 ]; then echo "jattach 2.2 built on some day"; exit 1; fi
pid=$1 verb=$2; shift 2
echo "$pid $verb $*" >> ASKED
if [ $verb = jcmd ]; then echo "OpenJDK 64-Bit Server VM"; echo "JDK 21.0.9"; exit; fi
path=PROC/$pid/root$1 options=$3
log=${options#*log=}; log=PROC/$pid/root${log%%,*}
file=${options#*file=}; file=PROC/$pid/root${file%%,*}
echo "Connected to remote JVM"; echo "JVM response code = 0"
[ $pid != 8 ] || { echo "$1 was not loaded."; echo "$1: cannot open shared object file"; exit; }
cmp -s "$path" LIBRARY || { echo "it is another one"; exit; }
code=0
case $options in
  *,version,*) printf 4.5 > "$file" ;;
  *event=cpu-clock*) echo "[WARN] perf_event_open failed" > "$log"
    echo "[ERROR] Perf events unavailable" >> "$log"; code=200 ;;
  *,start,*) [ $pid != 6 ] || { echo "[ERROR] Profiler already started" > "$log"; code=200; } ;;
  *,stop,file*) if [ $pid != 5 ]; then cat STACKS > "$file"
    else echo "[ERROR] No" > "$log"; code=200; fi ;;
esac
echo "return code: $code"; echo
"""


def start_sidecar(place: Path, found: Target, **asked: object) -> subprocess.Popen[bytes]:
    """Run the script with files in place of /proc, and of JVMs."""
    (place / "shm").mkdir()
    (place / "elf").write_bytes(ELF)
    (place / "packed").write_text(PACKED)
    (place / "stacks").write_text(STACKS)
    for each in found.processes:
        pid = each.container_pid
        (place / f"proc/{pid}/root/tmp").mkdir(parents=True, exist_ok=True)
        (place / f"proc/{pid}/comm").write_text("java\n")
        (place / f"proc/{pid}/status").write_text("SigCgt:\t2000000181005ccf\n")
        maps = "7f00-7f01 r-xp 0 08:01 1 /opt/java/lib/server/libjvm.so\n"
        maps += "7f02-7f03 r-xp 0 08:01 1 /tmp/remote-prof-1/libasyncProfiler.so (deleted)\n"
        if pid == 4:
            maps += "7f04-7f05 r-xp 0 08:01 1 /opt/agent/libasyncProfiler.so\n"
        (place / f"proc/{pid}/maps").write_text(maps)
        options = "rw,nosuid,noexec" if pid == 3 else "rw,nosuid"
        (place / f"proc/{pid}/mounts").write_text(f"tmpfs /tmp tmpfs {options} 0 0\n")
    fake = FAKE.replace("PROC", f"{place}/proc").replace("ASKED", f"{place}/asked")
    fake = fake.replace("LIBRARY", f"{place}/elf").replace("STACKS", f"{place}/stacks")
    (place / "jattach").write_text(fake)
    (place / "jattach").chmod(0o755)
    request = replace(REQUEST, **asked)  # type: ignore[arg-type]
    (sidecar,) = Java().plan(request, STATE.facts, found)
    text = sidecar.script.replace("/dev/shm", f"{place}/shm").replace("/proc/sys", "/PROC/sys")
    text = text.replace("/proc/", f"{place}/proc/").replace("/PROC/sys", "/proc/sys")
    return subprocess.Popen(
        [
            "env",
            "--default-signal=INT",
            "sh",
            "-c",
            text.replace("/mnt/library", f"{place}/packed"),
        ],
        env={"PATH": f"{place}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_sidecar(place: Path, found: Target, **asked: object) -> tuple[int, bytes, str]:
    running = start_sidecar(place, found, **{"duration_s": 1.0, **asked})
    out, err = running.communicate(timeout=60)
    return running.returncode, out, err.decode()


def words(place: Path, pid: int) -> list[str]:
    """Return what a JVM was told, but for where to."""
    lines = (place / "asked").read_text().splitlines()
    told = [line.split(" ")[4] for line in lines if line.startswith(f"{pid} load ")]
    return [options.partition(",")[2] for options in told]


def test_what_the_script_prints_is_a_profile_and_nothing_is_left(tmp_path: Path) -> None:
    code, out, err = run_sidecar(tmp_path, target(process(7), process(9)))
    assert (code, out.splitlines()[-1], err) == (0, b"@@ end 0", "")
    profile = Java().parse(out, REQUEST)
    assert profile.total == 8000
    assert {stack[0].pid for stack in profile.stacks} == {7, 9}
    assert profile.tool == "async-profiler 4.5 (ctimer), jattach 2.2, JDK 21.0.9"
    assert (profile.frequency_hz, profile.unit, profile.notes) == (99, "samples", ())
    # Timers of CPU time go off no more often than the kernel ticks, and the host has not said.
    assert Java().parse(out, replace(REQUEST, frequency_hz=499)).frequency_hz is None
    assert list(tmp_path.glob("proc/*/root/tmp/*")) == []
    version, refused, begun, ended, last = words(tmp_path, 7)
    assert version.startswith("version,file=/tmp/remote-prof-")
    assert refused.startswith("start,event=cpu-clock,")
    assert begun == "start,event=ctimer,interval=10101010,threads,timeout=61"
    assert ended.endswith("/stacks,collapsed,ann,threads,samples")
    # It lets go of its log, which is gone.
    assert last.endswith(",log=stdout")
    cut = Java().parse(out.partition(b"@@ end")[0], REQUEST)
    assert cut.notes == ("the output ends before the end of the run",)


def test_waits_are_microseconds_and_threads_that_wait_have_no_names_to_miss(
    tmp_path: Path,
) -> None:
    _, out, _ = run_sidecar(tmp_path, target(process(7)), event="lock")
    lock = Java().parse(out, replace(REQUEST, event="lock"))
    assert (lock.total, lock.unit, lock.frequency_hz) == (4, "us", None)
    wall = Java().parse(out, replace(REQUEST, event="wall"))
    assert (wall.total, wall.unit, wall.frequency_hz) == (4000, "samples", 99)
    kinds = {frame.name: frame.kind for frame in wall.frames}
    assert kinds["[libc.so.6]"] is FrameKind.USER


@pytest.mark.parametrize(
    ("pid", "why"),
    [
        (3, "pid 3: the target's /tmp lets no library be loaded: mount it without noexec"),
        (4, "pid 4: it has an async-profiler loaded that is not ours, which may be at work: /opt/"),
        (6, "pid 6: async-profiler does not start: [ERROR] Profiler already started"),
        (5, "pid 5: it does not give what it has sampled: [ERROR] No"),
        (8, "was not loaded. /tmp/remote-prof-"),
    ],
)
def test_one_that_fails_says_why_and_costs_no_other(tmp_path: Path, pid: int, why: str) -> None:
    code, out, err = run_sidecar(tmp_path, target(process(pid), process(9)))
    assert (code, out.splitlines()[-1]) == (1, b"@@ end 1")
    assert why in err
    assert Java().parse(out, REQUEST).total == 4000
    left = [path.name for path in tmp_path.glob("proc/*/root/tmp/*")]
    # What another run is at work with stays.
    assert left == ([f"remote-prof-{LIBRARY.sha256[:16]}"] if pid == 6 else [])


def test_what_a_killed_sidecar_left_is_taken_over_and_what_is_another_s_is_not(
    tmp_path: Path,
) -> None:
    shelf = f"remote-prof-{LIBRARY.sha256[:16]}"
    # One is left by us, one is a link to somewhere.
    (tmp_path / f"proc/7/root/tmp/{shelf}").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "proc/9/root/tmp").mkdir(parents=True)
    (tmp_path / f"proc/9/root/tmp/{shelf}").symlink_to(tmp_path / "elsewhere")
    _, _, err = run_sidecar(tmp_path, target(process(7), process(9)))
    assert f"what is in the target's /tmp/{shelf} is not ours" in err
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert list(tmp_path.glob("proc/7/root/tmp/*")) == []


def test_an_interrupt_ends_it_early_with_what_there_is(tmp_path: Path) -> None:
    with start_sidecar(tmp_path, target(process(9)), duration_s=50.0) as running:
        assert running.stdout is not None
        head = [running.stdout.readline() for _ in range(2)]
        assert head[1] == b"@@ sampling\n"
        os.kill(running.pid, signal.SIGTERM)
        out, _ = running.communicate(timeout=40)
    assert running.returncode == 0
    assert Java().parse(b"".join(head) + out, REQUEST).total == 4000


def test_a_library_that_has_not_arrived_whole_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "gzip").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "gzip").chmod(0o755)
    code, out, err = run_sidecar(tmp_path, target(process(9)))
    assert (code, out) == (127, b"")
    assert "the library cannot be unpacked" in err


def test_frames_have_the_kind_and_the_name_that_we_give_them() -> None:
    text = (
        b"[C2 CompilerThre tid=24];[libc.so.6];Foo::bar(int) 1\n"
        b"[tid=5];java/lang/Thread.run_[0];A$$Lambda.0x00007f40c4001220.get_[i];stub;f_[k] 2\n"
        b"[a;b tid=5];App.f_[j];[unknown_Java];[stale_jmethodID]_[j];/usr/bin/java 3\n"
    )
    assert recognises_async_profiler(text)
    frames = {(frame.name, frame.kind) for frame in parse_async_profiler(text).frames}
    assert {
        ("C2 CompilerThre", FrameKind.PROCESS),
        ("thread 5", FrameKind.PROCESS),
        ("java.lang.Thread.run", FrameKind.INTERPRETED),
        ("A$$Lambda.get", FrameKind.INLINED),
        ("Foo::bar(int)", FrameKind.USER),
        ("f", FrameKind.KERNEL),
        ("App.f", FrameKind.JIT),
        ("[unknown_Java]", FrameKind.UNRESOLVED),
        ("[stale_jmethodID]", FrameKind.UNRESOLVED),
        ("[java]", FrameKind.UNRESOLVED),
    } <= frames
    assert parse_async_profiler(text).whole_stacks


@pytest.mark.parametrize(
    "text",
    [b"main;f_[j];g_[i] 3\n", b"main;f 3\nmain;g_[k] 4\n", b"a [x tid=3];b 1\n", b"x_[0]\n", b""],
)
def test_what_may_be_anybody_s_is_read_as_folded_stacks(text: bytes) -> None:
    assert not recognises_async_profiler(text)
    assert list(READERS).index("async-profiler") < list(READERS).index("folded")
