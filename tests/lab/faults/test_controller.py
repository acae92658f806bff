"""The one who runs it"""

from __future__ import annotations

import signal
import time

from tests.lab.faults.bench import Bench
from tests.lab.faults.rows import AFTER_FETCH, NOTHING, PROFILE, Row, fault
from tests.lab.tool import Done, Running, until

_ONCE = "Ctrl-C"
_TWICE = "Ctrl-C twice"
_TERMINATED = "a termination"
_HUNG_UP = "a hang-up"
_CLOSED = "the terminal is closed"
_KILLED = "remote-prof is killed with -9"


@fault(
    Row(_ONCE, "connect", "error: …interrupted", 130, NOTHING),
    Row(_ONCE, "facts", "error: …interrupted", 130, NOTHING),
    Row(_ONCE, "deploy", "error: …interrupted", 130, NOTHING),
    Row(_ONCE, "start", "error: …interrupted before anything was sampled", 130, NOTHING),
    Row(_ONCE, "sampling", "stopping early, keeping what was sampled", 130, PROFILE),
    Row(_ONCE, "fetch", "cleaning the host", 130, PROFILE),
    Row(_ONCE, "clean", "cleaning the host", 130, PROFILE),
)
def test_an_interrupt(bench: Bench) -> Done:
    return _signalled(bench, signal.SIGINT)


@fault(
    Row(_TERMINATED, "connect", "error: …interrupted", 130, NOTHING),
    Row(_TERMINATED, "facts", "error: …interrupted", 130, NOTHING),
    Row(_TERMINATED, "deploy", "error: …interrupted", 130, NOTHING),
    Row(_TERMINATED, "start", "error: …interrupted before anything was sampled", 130, NOTHING),
    Row(_TERMINATED, "sampling", "stopping early, keeping what was sampled", 130, PROFILE),
    Row(_TERMINATED, "stop", "interrupted before the host was clean", 130, AFTER_FETCH),
    Row(_TERMINATED, "fetch", "cleaning the host", 130, PROFILE),
    Row(_TERMINATED, "clean", "cleaning the host", 130, PROFILE),
)
def test_a_termination(bench: Bench) -> Done:
    return _signalled(bench, signal.SIGTERM)


@fault(
    Row(_HUNG_UP, "connect", "error: …interrupted", 130, NOTHING),
    Row(_HUNG_UP, "facts", "error: …interrupted", 130, NOTHING),
    Row(_HUNG_UP, "deploy", "error: …interrupted", 130, NOTHING),
    Row(_HUNG_UP, "start", "error: …interrupted before anything was sampled", 130, NOTHING),
    Row(_HUNG_UP, "sampling", "stopping early, keeping what was sampled", 130, PROFILE),
    Row(_HUNG_UP, "stop", "interrupted before the host was clean", 130, AFTER_FETCH),
    Row(_HUNG_UP, "fetch", "cleaning the host", 130, PROFILE),
    Row(_HUNG_UP, "clean", "cleaning the host", 130, PROFILE),
)
def test_a_hang_up(bench: Bench) -> Done:
    return _signalled(bench, signal.SIGHUP)


def _signalled(bench: Bench, number: signal.Signals) -> Done:
    running = _reached(bench)
    running.process.send_signal(number)
    return running.end()


def _reached(bench: Bench, *, terminal: bool = False) -> Running:
    """Start a run, and wait until it is in the row's stage."""
    bench.proxy()
    # Of a busy target the first moment could be caught, and nothing is to be.
    target = "idle" if bench.when in ("deploy", "start") else "api"
    duration_s = 20 if bench.when in ("start", "sampling") else 2
    running = bench.start("-d", duration_s, "-F", 999, container=target, terminal=terminal)
    bench.reach(running)
    return running


@fault(
    Row(_CLOSED, "connect", "connecting", 130, NOTHING),
    Row(_CLOSED, "facts", "reading facts", 130, NOTHING),
    Row(_CLOSED, "deploy", "reading facts", 130, NOTHING),
    Row(_CLOSED, "start", "starting the sidecar", 130, NOTHING),
    Row(_CLOSED, "sampling", "sampling for", 130, PROFILE),
    Row(_CLOSED, "stop", "stopping early", 130, AFTER_FETCH),
    Row(_CLOSED, "fetch", "fetching", 130, PROFILE),
    Row(_CLOSED, "clean", "cleaning the host", 130, PROFILE),
)
def test_the_terminal_is_closed(bench: Bench) -> Done:
    running = _reached(bench, terminal=True)
    running.close_terminal()
    return running.end()


@fault(
    Row(_TWICE, "deploy", "error: …interrupted", 130, NOTHING),
    Row(_TWICE, "start", "interrupted before the host was clean", 130, AFTER_FETCH),
    Row(_TWICE, "stop", "interrupted before the host was clean", 130, AFTER_FETCH),
    Row(_TWICE, "fetch", "interrupted before the host was clean", 130, AFTER_FETCH),
    Row(_TWICE, "clean", "interrupted before the host was clean", 130, AFTER_FETCH),
)
def test_two_interrupts(bench: Bench) -> Done:
    proxy = bench.proxy()
    running = bench.start("-d", 3)
    bench.reach(running)
    if bench.when in ("fetch", "clean"):
        proxy.stall()
    if bench.when != "stop":
        running.process.send_signal(signal.SIGINT)
        # Two at once would count as one.
        time.sleep(0.3)
    running.process.send_signal(signal.SIGINT)
    return running.end()


@fault(
    Row(_KILLED, "connect", "connecting", 137, NOTHING),
    Row(_KILLED, "facts", "reading facts", 137, NOTHING),
    Row(_KILLED, "deploy", "reading facts", 137, NOTHING),
    Row(_KILLED, "start", "starting the sidecar", 137, AFTER_FETCH),
    Row(_KILLED, "sampling", "sampling for", 137, AFTER_FETCH),
    Row(_KILLED, "stop", "stopping early", 137, AFTER_FETCH),
    Row(_KILLED, "fetch", "fetching", 137, AFTER_FETCH),
    Row(_KILLED, "clean", "cleaning the host", 137, AFTER_FETCH),
)
def test_the_controller_is_killed(bench: Bench) -> Done:
    bench.proxy()
    running = bench.start()
    bench.reach(running)
    running.process.kill()
    return running.end()


@fault(
    Row("remote-prof is stopped for 5 s and goes on", "sampling", "cleaning the host", 0, PROFILE),
)
def test_the_controller_sleeps(bench: Bench) -> Done:
    running = bench.start()
    bench.reach(running)
    running.process.send_signal(signal.SIGSTOP)
    try:
        until("the host has sampled", lambda: _sampled(bench), 30)
    finally:
        running.process.send_signal(signal.SIGCONT)
    return running.end()


def _sampled(bench: Bench) -> bool:
    return "done" in bench.shell("cat /tmp/remote-prof-*/progress", check=False)
