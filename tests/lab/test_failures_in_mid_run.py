"""A run that is cut short, on each generation of hosts. All other faults are in ``faults``."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

from .model import TARGET_IMAGE, LabHost
from .proxy import Proxy
from .tool import SAMPLING, Done, Running, Stock, Tool, share

LONG = ("run", "-C", "api", "-d", 60, "-F", "499")
LONG_S = 60


def early(running: Running, *signals: signal.Signals, after_s: float = 1.5) -> Done:
    """Send signals to a run that samples, a while after it has begun."""
    running.wait_for(SAMPLING)
    time.sleep(after_s)
    for number in signals:
        running.process.send_signal(number)
        time.sleep(0.5)
    return running.end()


def kept(done: Done) -> None:
    """See that what was sampled is here, whole, and that the run is marked as interrupted."""
    record = done.run.record
    assert record["status"] == "interrupted"
    assert record["timings_s"]["sample"] < LONG_S / 2
    assert record["quality"]["got"] > 10
    assert done.run.differences() == []
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    assert (done.run.target / "flamegraph.svg").is_file()
    assert "flame graph: " in done.out


def test_ctrl_c_keeps_what_was_sampled(host: LabHost, tool: Tool, stock: Stock) -> None:
    runner = "compose" if host.spec.suite == "bookworm" else "engine"
    running = tool.start(*LONG, "-H", host.name, "--runner", runner)
    done = early(running, signal.SIGINT)
    assert done.code == 130, done.err
    kept(done)
    assert "stopping early, keeping what was sampled" in done.err
    assert stock.left(host) == []


def test_a_cut_link_is_opened_again_and_nothing_is_lost(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    with Proxy((host.address, host.port)) as proxy:
        path = tool.through(proxy, host)
        running = tool.start("run", "-H", host.name, "-i", path, "-C", "api", "-d", 3, "-F", 499)
        running.wait_for(SAMPLING)
        assert proxy.drop() == 1
        done = running.end()
        assert proxy.accepted == 2
    assert done.code == 0, done.err
    assert "reconnecting" in done.err
    record = done.run.record
    assert record["status"] == "ok"
    assert record["quality"]["got"] > 0.5 * record["quality"]["expected"] > 25
    assert done.run.differences() == []
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    assert stock.left(host) == []


def test_a_target_that_exits_in_mid_run(host: LabHost, tool: Tool, stock: Stock) -> None:
    burn = ("--network", "none", "--name", "leaving", TARGET_IMAGE, "/opt/app/svc", "burn", "60")
    with ExitStack() as after:
        host.docker("run", "-d", *burn)
        after.callback(host.docker, "rm", "-f", "leaving")
        running = tool.start("run", "-H", host.name, "-C", "leaving", "-d", 20)
        running.wait_for(SAMPLING)
        time.sleep(6.5)
        host.docker("kill", "leaving")
        done = running.end()
    assert done.code == 0, done.err
    ((what, evidence, _),) = [p for p in done.parts("warning") if "target ended" in p[0]]
    assert what == "the target ended while it was sampled"
    assert "is kept" in evidence
    record = done.run.record
    assert record["status"] == "ok"
    assert any(item["what"] == what for item in record["problems"])
    assert record["timings_s"]["sample"] < 15
    # Names are looked up after 1, 3, 5 s: those of the last interval are lost with the target.
    assert share(done.run.stacks(), "handle_request") > 0.5
    assert done.run.differences() == []
    assert stock.left(host) == []
