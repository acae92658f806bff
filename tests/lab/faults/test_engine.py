"""The container engine"""

from __future__ import annotations

import signal
import time

from tests.lab.faults.bench import Bench
from tests.lab.faults.rows import NOTHING, PROFILE, Row, fault
from tests.lab.tool import Done, Running

_DOWN = "the engine is stopped until the run has ended"
_FROZEN = "the engine freezes for 4 s"
_FOR_GOOD = "the engine freezes for good"
_RESTARTED = "the engine is restarted"
_KILLED = "the engine is killed and started again"


@fault(
    Row(_DOWN, "facts", "error: docker does not answer", 1, NOTHING),
    Row(_DOWN, "deploy", "the sidecar ended before it sampled", 1, NOTHING),
    Row(_DOWN, "start", "the sidecar ended before it sampled", 1, NOTHING),
    Row(_DOWN, "sampling", "the host goes on trying", 0, PROFILE),
    Row(_DOWN, "stop", "the host goes on trying", 130, PROFILE),
    Row(_DOWN, "fetch", "cleaning the host", 0, PROFILE),
    Row(_DOWN, "clean", "cleaning the host", 0, PROFILE),
)
def test_the_engine_is_down(bench: Bench) -> Done:
    running = _reached(bench)
    with bench.engine.stopped():
        return running.end()


@fault(
    Row(_RESTARTED, "facts", "error: docker does not answer", 1, NOTHING),
    Row(_RESTARTED, "deploy", "the sidecar ended before it sampled", 1, NOTHING),
    Row(_RESTARTED, "start", "the sidecar ended before it sampled", 1, NOTHING),
    Row(_RESTARTED, "sampling", "cleaning the host", 0, PROFILE),
    Row(_RESTARTED, "stop", "cleaning the host", 130, PROFILE),
    Row(_RESTARTED, "fetch", "cleaning the host", 0, PROFILE),
    Row(_RESTARTED, "clean", "cleaning the host", 0, PROFILE),
)
def test_the_engine_is_restarted(bench: Bench) -> Done:
    running = _reached(bench)
    with bench.engine.stopped():
        time.sleep(4)  # a launcher that was on its way has come to it by then
    return running.end()


@fault(
    Row(_KILLED, "sampling", "cleaning the host", 0, PROFILE),
)
def test_the_engine_is_killed(bench: Bench) -> Done:
    running = _reached(bench)
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
    running = _reached(bench)
    with bench.engine.frozen():
        time.sleep(4)
    return running.end()


_HUNG = "error: …the engine does not answer: what was sampled cannot be had"


@fault(
    Row(_FOR_GOOD, "facts", "error: …the engine does not answer", 1, NOTHING, slow=True),
    Row(_FOR_GOOD, "deploy", _HUNG, 1, NOTHING, slow=True),
    Row(_FOR_GOOD, "start", _HUNG, 1, NOTHING, slow=True),
    Row(_FOR_GOOD, "sampling", _HUNG, 1, NOTHING, slow=True),
    Row(_FOR_GOOD, "stop", _HUNG, 130, NOTHING, slow=True),
    Row(_FOR_GOOD, "fetch", "cleaning the host", 0, PROFILE, slow=True),
    Row(_FOR_GOOD, "clean", "cleaning the host", 0, PROFILE, slow=True),
)
def test_the_engine_freezes_for_good(bench: Bench) -> Done:
    running = _reached(bench)
    with bench.engine.frozen():
        return running.end(400)


def _reached(bench: Bench) -> Running:
    """Start a run, and wait until it is in the row's stage, and something can be kept."""
    bench.proxy()
    running = bench.start("-d", 20 if bench.when == "stop" else 3)
    bench.reach(running)
    if bench.when == "sampling":
        # Names are printed after a second.
        time.sleep(1.5)
    return running
