"""Names of Java for samplers in the kernel: who is asked, when, and what is taken away again."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ENGINES, Engine, ProfileRequest
from remote_prof.engines.base import Sidecar
from remote_prof.engines.perf_map import perf_map_sidecar
from remote_prof.host.processes import Process
from remote_prof.host.target import Target
from remote_prof.run.plan import LaunchPlan, Service, make_plan
from tests.unit.test_java_plan import STATE, process, target

REQUEST = ProfileRequest(10.0, 99, "both", "img")
BY_NAME = {engine.name: engine for engine in ENGINES}
FRAMED = "java -Xmx64m -XX:+PreserveFramePointer App"


def framed(inside: int, uid: int = 1000) -> Process:
    return replace(process(inside, uid=uid, gid=uid), arguments=FRAMED)


def asked(
    found: Target, *names: str, request: ProfileRequest = REQUEST
) -> tuple[Sidecar, str] | None:
    engines: list[Engine] = [BY_NAME[name] for name in names]
    answer = perf_map_sidecar(engines, request, STATE.facts, found)
    return (answer[0], answer[1].evidence) if answer else None


@pytest.mark.parametrize("name", ["bpftrace", "perf"])
def test_jvms_with_frame_pointers_are_asked_as_their_user(name: str) -> None:
    found = target(process(1, "sh"), process(6), framed(7), framed(8, uid=1001), framed(9))
    answer = asked(found, name)
    assert answer is not None
    sidecar, evidence = answer
    assert (sidecar.user, sidecar.capabilities) == ("1000:1000", ())
    assert sidecar.pid_namespace == f"container:{found.container.container_id}"
    assert (sidecar.network, sidecar.mounts, sidecar.files) == ("none", (), {})
    assert "all request 7 9 \n" in sidecar.script
    assert evidence == "107 java, 109 java: started with -XX:+PreserveFramePointer"
    of_root = asked(target(framed(7, uid=0)), name)
    assert of_root is not None
    assert (of_root[0].user, of_root[0].capabilities) == ("0:0", ("SYS_PTRACE",))


def test_nobody_is_asked_where_it_would_be_for_nothing() -> None:
    assert asked(target(process(7)), "bpftrace") is None
    assert asked(target(framed(7)), "java") is None
    # Java's own profiler names its functions.
    assert asked(target(framed(7)), "bpftrace", "java") is None
    kernel = replace(REQUEST, stacks="kernel")
    assert asked(target(framed(7)), "bpftrace", request=kernel) is None
    other = replace(process(7), arguments="java -XX:-PreserveFramePointer App")
    assert asked(target(other), "bpftrace") is None


FAKE = """#!/bin/sh
if [ $# = 0 ]; then echo "jattach 2.2 built on some day"; exit 1; fi
case "$1 $3" in
  *VM.version) echo "OpenJDK 64-Bit Server VM"; echo "JDK 21.0.9" ;;
  "5 "*) echo "Unknown diagnostic command" ;;
  *Compiler.perfmap) echo "7f00 10 App.main" > PROC/$1/root/tmp/perf-$1.map ;;
esac
"""


def start_sidecar(place: Path, found: Target) -> subprocess.Popen[bytes]:
    (place / "shm").mkdir()
    for each in found.processes:
        pid = each.container_pid
        (place / f"proc/{pid}/root/tmp").mkdir(parents=True, exist_ok=True)
        (place / f"proc/{pid}/status").write_text("SigCgt:\t2000000181005ccf\n")
        (place / f"proc/{pid}/maps").write_text("1-2 r-xp 0 08:01 1 /lib/server/libjvm.so\n")
    (place / "jattach").write_text(FAKE.replace("PROC", f"{place}/proc"))
    (place / "jattach").chmod(0o755)
    answer = asked(found, "bpftrace")
    assert answer is not None
    text = answer[0].script.replace("/dev/shm", f"{place}/shm")
    return subprocess.Popen(
        ["env", "--default-signal=INT", "sh", "-c", text.replace("/proc/", f"{place}/proc/")],
        env={"PATH": f"{place}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_maps_are_there_while_others_sample_and_theirs_stay(tmp_path: Path) -> None:
    theirs = tmp_path / "proc/8/root/tmp/perf-8.map"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs\n")
    link = tmp_path / "proc/9/root/tmp/perf-9.map"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "nowhere")
    ours = tmp_path / "proc/7/root/tmp/perf-7.map"
    with start_sidecar(tmp_path, target(framed(5), framed(7), framed(8), framed(9))) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"@@ asked\n"
        assert ours.exists()
        os.kill(running.pid, signal.SIGTERM)
        _, err = running.communicate(timeout=20)
    assert running.returncode == 0
    assert not ours.exists()
    assert theirs.read_text() == "theirs\n"
    assert link.is_symlink()
    assert not (tmp_path / "nowhere").exists()
    assert b"pid 5: JDK 21.0.9 writes no perf map: Unknown diagnostic command" in err
    assert b"pid 8: it has a perf map: that is used" in err


def plan(directory: Path, maps: str) -> LaunchPlan:
    """Return the plan of a run on this machine, by an engine that runs scripts where it stands."""
    engine = directory / "engine"
    engine.write_text(
        "#!/bin/sh\ncase $1 in\n"
        ' run) while [ "$1" != -c ]; do [ "$1" != --name ] || name=$2; shift; done\n'
        f'  echo "run $name" >> {directory}/told; exec sh -c "$2" ;;\n'
        f' kill) echo "$*" >> {directory}/told; kill $(cat {directory}/maps.pid) ;;\n'
        "esac\n"
    )
    engine.chmod(0o755)
    assert STATE.facts.engine is not None
    facts = replace(
        STATE.facts,
        compose="",
        engine=replace(STATE.facts.engine, path=str(engine)),
        work_parents={str(directory): 1 << 30},
    )
    sampler = Sidecar("img", "echo '@@ sampling'; sleep 1; echo '@@ end 0'\n", "all", "")
    return make_plan(
        run_id="20260131-235959-1a2b3c",
        request=replace(REQUEST, duration_s=1.0),
        runner="auto",
        facts=facts,
        # Some process that lives: a launcher whose target is gone samples no more.
        target=target(replace(framed(7), pid=os.getpid()), scope="process"),
        services=(Service("bpftrace", sampler),),
        become=False,
        maps=Sidecar("img", maps, "JVMs", ""),
    )


def launched(directory: Path, maps: str) -> tuple[list[str], str]:
    made = plan(directory, maps)
    (directory / "launcher.sh").write_text(made.files["launcher.sh"])
    done = subprocess.run(
        ["sh", "launcher.sh"], cwd=directory, timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "@@ end 0" in (directory / "profile.txt").read_text()
    told = (directory / "told").read_text().replace("remote-prof-20260131-235959-1a2b3c", "it")
    return told.splitlines(), done.stderr


def test_the_launcher_waits_for_the_maps_and_ends_their_sidecar_last(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/maps.pid; sleep 1; echo '@@ asked'; sleep 60 & wait\n"
    told, _ = launched(tmp_path, script)
    assert told == ["run it-maps", "run it", "kill --signal TERM it-maps"]


def test_maps_that_cannot_be_had_are_gone_without_and_the_log_says_why(tmp_path: Path) -> None:
    told, log = launched(
        tmp_path, f"echo 1x > {tmp_path}/maps.pid; echo no jattach >&2; exit 127\n"
    )
    assert told[:2] == ["run it-maps", "run it"]
    assert "no jattach" in log
