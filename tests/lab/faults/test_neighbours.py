"""Neighbours and names"""

from __future__ import annotations

import json
import time
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.lab.faults.bench import Bench
from tests.lab.faults.rows import PROFILE, Row, fault
from tests.lab.model import SIDECAR_IMAGE
from tests.lab.progress import run as run_program
from tests.lab.tool import Done, Tool

_HOSTILE = "a;$(touch /tmp/pwned) <b>\x1b[2J\x07`i`"
_SOURCE = """
__attribute__((noinline)) void hostile_function_with_a_long_name_0(volatile long *sink) {
    for (long i = 0; i < 20000000; i++) *sink += i * i;
}
int main(void) { volatile long sink = 0; for (;;) hostile_function_with_a_long_name_0(&sink); }
"""


@fault(Row("two runs at once on one target", "throughout", "cleaning the host", 0, PROFILE))
def test_two_runs_at_once(bench: Bench) -> Done:
    return _two(bench, bench.tool)


@fault(
    Row(
        "two users at once, each with a home of their own",
        "throughout",
        "cleaning the host",
        0,
        PROFILE,
    )
)
def test_two_controllers(bench: Bench) -> Done:
    place = bench.tool.place / "other"
    place.mkdir()
    return _two(bench, Tool(bench.lab, place))


def _two(bench: Bench, second: Tool) -> Done:
    argv = ("run", "-H", bench.host.name, "-C", "api", "-d", 2, "-F", 499)
    runs = [tool.start(*argv) for tool in (bench.tool, second)]
    for running in runs:
        bench.after.callback(running.abandon)
    ended = [running.end() for running in runs]
    for done in ended:
        assert done.code == 0, done.err
    runs_here = {path for done in ended for path in done.results.iterdir()}
    assert len(runs_here) == 2
    for path in runs_here:
        (record,) = json.loads((path / "run.json").read_bytes())["hosts"]
        assert record["quality"]["got"] > 0.5 * record["quality"]["expected"]
    return ended[0]


@fault(Row("somebody else's bpftrace runs there", "throughout", "cleaning the host", 0, PROFILE))
def test_somebody_elses_bpftrace(bench: Bench) -> Done:
    program = "profile:hz:99 { @[kstack] = count(); }"
    # As root of the host and its names: somebody else's has nothing of ours.
    options = ("--privileged", "--pid", "host")
    other = bench.container_of(SIDECAR_IMAGE, "theirs", "bpftrace", "-e", program, options=options)
    time.sleep(1)
    done = bench.start().end()
    assert bench.host.docker("inspect", "-f", "{{.State.Running}}", other) == "true"
    return done


@fault(
    Row(
        "label, image and process have hostile names", "throughout", "cleaning the host", 0, PROFILE
    )
)
def test_hostile_names(bench: Bench) -> Done:
    script = f"cp /opt/app/svc '/tmp/{_HOSTILE.replace('/', '_')}'; exec /tmp/a* serve 500"
    labels = ("--label", f"com.example.$(id)={_HOSTILE}\n{_HOSTILE}")
    bench.container("hostile", "sh", "-c", script, options=labels)
    done = bench.start("-F", 499, container="hostile").end()
    _see_nothing_evil(bench, done)
    return done


@fault(Row("a function has a hostile name", "throughout", "cleaning the host", 0, PROFILE))
def test_a_hostile_function(bench: Bench) -> Done:
    source, program = bench.tool.place / "hostile.c", bench.tool.place / "hostile"
    source.write_text(_SOURCE)
    run_program(
        ["gcc", "-O0", "-g0", "-static", "-fno-omit-frame-pointer", "-o", str(program), str(source)]
    )
    plain = b"hostile_function_with_a_long_name_0"
    assert len(_HOSTILE) <= len(plain)
    # No compiler takes such a name, but any file can hold it.
    program.write_bytes(
        program.read_bytes().replace(plain, _HOSTILE.encode().ljust(len(plain), b"_"))
    )
    bench.container(
        "hostile", "sh", "-c", "while [ ! -x /tmp/hostile ]; do sleep 0.1; done; exec /tmp/hostile"
    )
    bench.host.exec(
        [
            "docker",
            "exec",
            "-i",
            "hostile",
            "sh",
            "-c",
            "cat > /tmp/h; chmod 755 /tmp/h; mv /tmp/h /tmp/hostile",
        ],
        input=program.read_bytes(),
    )
    time.sleep(0.5)
    done = bench.start("-F", 499, container="hostile").end()
    _see_nothing_evil(bench, done)
    assert "touch" in (done.run.target / "profile.folded").read_text()
    return done


def _see_nothing_evil(bench: Bench, done: Done) -> None:
    printed = done.out + done.err
    assert "\x1b" not in printed, repr(printed)
    assert "\x07" not in printed, repr(printed)
    assert not Path("/tmp/pwned").exists()
    assert bench.host.exec(["test", "-e", "/tmp/pwned"], check=False).returncode == 1
    ET.parse(done.run.target / "flamegraph.svg")
    json.loads((done.run.target / "speedscope.json").read_bytes())
