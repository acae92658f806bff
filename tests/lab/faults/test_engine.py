"""The container engine"""

from __future__ import annotations

import signal
import time

from tests.lab.faults.bench import Bench
from tests.lab.faults.rows import NOTHING, PROFILE, Row, fault
from tests.lab.tool import Done

_FROZEN = "the engine freezes for 4 s"
_FOR_GOOD = "the engine freezes for good"
_RESTARTED = "the engine is restarted"
_KILLED = "the engine is killed and started again"


@fault(
    Row("the engine is down", "facts", "error: docker does not answer", 1, NOTHING),
)
def test_the_engine_is_down(bench: Bench) -> Done:
    with bench.engine.stopped():
        return bench.start().end()


@fault(
    Row(_RESTARTED, "start", "the sidecar ended before it sampled", 1, NOTHING),
    Row(_RESTARTED, "sampling", "cleaning the host", 0, PROFILE),
    Row(_RESTARTED, "fetch", "cleaning the host", 0, PROFILE),
    Row(_RESTARTED, "clean", "cleaning the host", 0, PROFILE),
)
def test_the_engine_is_restarted(bench: Bench) -> Done:
    running = bench.start("-d", 3)
    bench.reach(running)
    if bench.when == "sampling":
        time.sleep(1.5)
    with bench.engine.stopped():
        pass
    return running.end()


@fault(
    Row(_KILLED, "sampling", "cleaning the host", 0, PROFILE),
)
def test_the_engine_is_killed(bench: Bench) -> Done:
    running = bench.start("-d", 3)
    bench.reach(running)
    time.sleep(1.5)
    with bench.engine.stopped(signal.SIGKILL):
        pass
    return running.end()


@fault(
    Row(_FROZEN, "facts", "cleaning the host", 0, PROFILE),
    Row(_FROZEN, "deploy", "cleaning the host", 0, PROFILE),
    Row(_FROZEN, "start", "cleaning the host", 0, PROFILE),
    Row(_FROZEN, "sampling", "cleaning the host", 0, PROFILE),
    Row(_FROZEN, "stop", "cleaning the host", 130, PROFILE),
    Row(_FROZEN, "fetch", "cleaning the host", 0, PROFILE),
    Row(_FROZEN, "clean", "cleaning the host", 0, PROFILE),
)
def test_the_engine_freezes(bench: Bench) -> Done:
    bench.proxy()
    running = bench.start()
    bench.reach(running)
    with bench.engine.frozen():
        time.sleep(4)
    return running.end()


@fault(
    Row(_FOR_GOOD, "facts", "error: …the engine does not answer", 1, NOTHING, slow=True),
    Row(
        _FOR_GOOD,
        "sampling",
        "error: …the engine does not answer: what was sampled cannot be had",
        1,
        NOTHING,
        slow=True,
    ),
)
def test_the_engine_freezes_for_good(bench: Bench) -> Done:
    running = bench.start()
    bench.reach(running, "connect" if bench.when == "facts" else "")
    with bench.engine.frozen():
        return running.end(400)
