"""The way to the host"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.lab import processes
from tests.lab.faults.bench import Bench
from tests.lab.faults.rows import AFTER_CLEAN, AFTER_FETCH, NOTHING, PROFILE, Row, fault
from tests.lab.model import Process
from tests.lab.proxy import RECEIVED, SENT
from tests.lab.tool import Done

_CUT = "the link is cut"
_SESSIONS = "sshd ends all its sessions"
_GONE = "the link is cut and does not come back"
_SILENT = "the link is silent for 2 s"
_DEAD = "the link falls silent for good, and nothing is closed"
_SLOW = "the link carries no more than 8 kB/s from then on"
_FAR = "the host is 500 ms away from then on"


@fault(
    Row(_CUT, "facts", "reconnecting", 0, PROFILE),
    Row(_CUT, "deploy", "reconnecting", 0, PROFILE),
    Row(_CUT, "start", "reconnecting", 0, PROFILE),
    Row(_CUT, "sampling", "reconnecting", 0, PROFILE),
    Row(_CUT, "fetch", "reconnecting", 0, PROFILE),
    Row(_CUT, "clean", "reconnecting", 0, PROFILE),
)
def test_the_link_is_cut(bench: Bench) -> Done:
    proxy = bench.proxy()
    running = bench.start()
    bench.reach(running)
    proxy.drop()
    return running.end()


@fault(Row(_CUT, "stop", "reconnecting", 130, PROFILE))
def test_the_link_is_cut_while_it_stops(bench: Bench) -> Done:
    proxy = bench.proxy()
    running = bench.start("-d", 20)
    bench.reach(running)
    proxy.drop()
    return running.end()


@fault(
    Row(
        "the connection is closed before a banner",
        "connect",
        "error: …hangs up before its first word",
        4,
        NOTHING,
    ),
)
def test_no_banner(bench: Bench) -> Done:
    bench.proxy().drop(refuse=True)
    return bench.start().end()


@fault(
    Row("nothing comes back", "connect", "error: …does not answer within 2 s", 4, NOTHING),
)
def test_nothing_comes_back(bench: Bench) -> Done:
    bench.proxy().stall()
    return bench.start("--connect-timeout", 2).end()


@fault(
    Row(
        "the link is cut in the middle of the key exchange",
        "connect",
        "error: no SSH session with",
        4,
        NOTHING,
    ),
)
def test_the_link_is_cut_in_the_key_exchange(bench: Bench) -> Done:
    bench.proxy().cut_after(RECEIVED, 600)
    return bench.start().end()


@fault(
    Row("the link is cut in the middle of the files", "deploy", "reconnecting", 0, PROFILE),
)
def test_the_link_is_cut_within_the_files(bench: Bench) -> Done:
    proxy = bench.proxy()
    running = bench.start()
    bench.reach(running)
    proxy.cut_after(SENT, 4000)
    return running.end()


@fault(
    Row("the link is cut in the middle of the profile", "fetch", "reconnecting", 0, PROFILE),
)
def test_the_link_is_cut_within_the_profile(bench: Bench) -> Done:
    proxy = bench.proxy()
    running = bench.start("-F", 4999)
    bench.reach(running)
    proxy.cut_after(RECEIVED, 500)
    return running.end()


@fault(
    Row(_GONE, "facts", "error: …did not come back", 4, NOTHING, slow=True),
    Row(_GONE, "deploy", "error: …did not come back", 4, NOTHING, slow=True),
    Row(_GONE, "start", "error: …did not come back", 4, AFTER_FETCH, slow=True),
    Row(_GONE, "sampling", "error: …did not come back", 4, AFTER_FETCH, slow=True),
    Row(_GONE, "fetch", "error: …did not come back", 4, AFTER_FETCH, slow=True),
    Row(
        _GONE,
        "clean",
        "it is not known whether the host is clean",
        0,
        PROFILE,
        AFTER_CLEAN,
        slow=True,
    ),
)
def test_the_link_does_not_come_back(bench: Bench) -> Done:
    proxy = bench.proxy()
    running = bench.start()
    bench.reach(running)
    proxy.drop(refuse=True)
    return running.end()


@fault(
    Row(_SILENT, "connect", "cleaning the host", 0, PROFILE),
    Row(_SILENT, "facts", "cleaning the host", 0, PROFILE),
    Row(_SILENT, "deploy", "cleaning the host", 0, PROFILE),
    Row(_SILENT, "start", "cleaning the host", 0, PROFILE),
    Row(_SILENT, "sampling", "cleaning the host", 0, PROFILE),
    Row(_SILENT, "stop", "cleaning the host", 130, PROFILE),
    Row(_SILENT, "fetch", "cleaning the host", 0, PROFILE),
    Row(_SILENT, "clean", "cleaning the host", 0, PROFILE),
)
def test_the_link_is_silent_for_a_while(bench: Bench) -> Done:
    proxy = bench.proxy()
    running = bench.start()
    bench.reach(running)
    proxy.stall()
    time.sleep(2)
    proxy.resume()
    return running.end()


@fault(
    Row(_DEAD, "facts", "error: …did not come back", 4, NOTHING, slow=True),
    Row(_DEAD, "deploy", "error: …did not come back", 4, NOTHING, slow=True),
    Row(_DEAD, "start", "error: …did not come back", 4, AFTER_FETCH, slow=True),
    Row(_DEAD, "sampling", "error: …did not come back", 4, AFTER_FETCH, slow=True),
    Row(_DEAD, "stop", "error: …did not come back", 130, AFTER_FETCH, slow=True),
    Row(_DEAD, "fetch", "error: …did not come back", 4, AFTER_FETCH, slow=True),
    Row(
        _DEAD,
        "clean",
        "it is not known whether the host is clean",
        0,
        PROFILE,
        AFTER_CLEAN,
        slow=True,
    ),
)
def test_the_link_is_silent_for_good(bench: Bench) -> Done:
    proxy = bench.proxy()
    running = bench.start()
    bench.reach(running)
    proxy.stall()
    return running.end(400)


@fault(
    Row(_SLOW, "connect", "cleaning the host", 0, PROFILE),
    Row(_SLOW, "facts", "cleaning the host", 0, PROFILE),
    Row(_SLOW, "deploy", "cleaning the host", 0, PROFILE),
    Row(_SLOW, "start", "cleaning the host", 0, PROFILE),
    Row(_SLOW, "sampling", "cleaning the host", 0, PROFILE),
    Row(_SLOW, "stop", "cleaning the host", 130, PROFILE),
    Row(_SLOW, "fetch", "cleaning the host", 0, PROFILE),
    Row(_SLOW, "clean", "cleaning the host", 0, PROFILE),
)
def test_a_slow_link(bench: Bench) -> Done:
    return _from_then_on(bench, bytes_per_s=8000)


@fault(
    Row(_FAR, "connect", "cleaning the host", 0, PROFILE),
    Row(_FAR, "facts", "cleaning the host", 0, PROFILE),
    Row(_FAR, "deploy", "cleaning the host", 0, PROFILE),
    Row(_FAR, "start", "cleaning the host", 0, PROFILE),
    Row(_FAR, "sampling", "cleaning the host", 0, PROFILE),
    Row(_FAR, "stop", "cleaning the host", 130, PROFILE),
    Row(_FAR, "fetch", "cleaning the host", 0, PROFILE),
    Row(_FAR, "clean", "cleaning the host", 0, PROFILE),
)
def test_a_far_host(bench: Bench) -> Done:
    return _from_then_on(bench, delay_s=0.25)


def _from_then_on(bench: Bench, *, delay_s: float = 0.0, bytes_per_s: float | None = None) -> Done:
    """Make the link slow when the row's stage is reached; at connect, before it."""
    proxy = bench.proxy()
    if bench.when == "connect":
        proxy.delay_s, proxy.bytes_per_s = delay_s, bytes_per_s
    running = bench.start()
    bench.reach(running)
    proxy.delay_s, proxy.bytes_per_s = delay_s, bytes_per_s
    return running.end()


@fault(
    Row(_SESSIONS, "facts", "reconnecting", 0, PROFILE),
    Row(_SESSIONS, "deploy", "reconnecting", 0, PROFILE),
    Row(_SESSIONS, "start", "reconnecting", 0, PROFILE),
    Row(_SESSIONS, "sampling", "reconnecting", 0, PROFILE),
    Row(_SESSIONS, "stop", "reconnecting", 130, PROFILE),
    Row(_SESSIONS, "fetch", "reconnecting", 0, PROFILE),
    Row(_SESSIONS, "clean", "reconnecting", 0, PROFILE),
)
def test_sshd_ends_its_sessions(bench: Bench) -> Done:
    bench.proxy()
    running = bench.start("-d", 2)
    bench.reach(running)
    for process in _sessions(bench):
        processes.send(process, signal.SIGTERM)
    return running.end()


def _sessions(bench: Bench) -> list[Process]:
    namespace = processes.namespace(bench.host.anchor.pid)
    assert namespace is not None
    members = processes.in_namespaces({namespace})
    return [process for process in members if _name(process).startswith("sshd")]


def _name(process: Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/comm").read_text()
    except OSError:
        return ""  # it has ended
