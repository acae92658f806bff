"""What happens when a run is cut short: by its user, by the link, by its target, by a kill."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

import pytest

from .model import TARGET_IMAGE, LabHost
from .proxy import Proxy
from .tool import SAMPLING, Done, Running, Stock, Tool, our_containers, share, until

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_or_hang_up_keeps_it_as_well(
    number: signal.Signals, debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    done = early(tool.start(*LONG, "-H", debian13.name), number)
    assert done.code == 130, done.err
    kept(done)
    assert stock.left(debian13) == []


def test_ctrl_c_while_the_sidecar_starts(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    running = tool.start(*LONG, "-H", debian13.name)
    running.wait_for("starting the sidecar")
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert done.run.record["status"] in ("interrupted", "no-samples")
    assert done.run.differences() == []
    assert stock.left(debian13) == []


def launchers(host: LabHost) -> list[int]:
    """Give the pids of the launchers on a host."""
    script = "cat /tmp/remote-prof-*/launcher.pid"
    return [int(pid) for pid in host.exec(["sh", "-c", script], check=False).stdout.split()]


def let_go(host: LabHost) -> None:
    """Tell the launchers that nobody comes for the profile: else they keep it for a while."""
    for pid in launchers(host):
        host.exec(["kill", "-USR1", str(pid)])


def test_ctrl_c_twice_leaves_at_once(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    # Not for long: the second can come before the host was told to stop.
    running = tool.start("run", "-H", debian13.name, "-C", "api", "-d", 6)
    running.wait_for(SAMPLING)
    running.process.send_signal(signal.SIGINT)
    running.wait_for("stopping early")
    running.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    done = running.end()
    assert time.monotonic() - began < 3
    assert done.code == 130, done.err
    record = done.run.record
    assert record["status"] == "interrupted"
    assert done.run.differences() == []
    assert "remote-prof.run=" in done.err
    until("the sidecar is gone", lambda: not our_containers(debian13), 30)
    until("the profile waits", lambda: profile_is_whole(debian13), 30)
    let_go(debian13)
    assert stock.left(debian13) == []


def profile_is_whole(host: LabHost) -> bool:
    script = "grep -q '^done' /tmp/remote-prof-*/progress"
    return host.exec(["sh", "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_before_there_is_a_connection(
    number: signal.Signals, debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    with Proxy((debian13.address, debian13.port)) as proxy:
        proxy.stall()
        path = tool.inventory(debian13, ansible_host=proxy.address, ansible_port=proxy.port)
        running = tool.start(*LONG, "-H", debian13.name, "-i", path, "--connect-timeout", 30)
        running.wait_for("connecting")
        until("connected to the proxy", lambda: proxy.accepted > 0, 10)
        began = time.monotonic()
        running.process.send_signal(number)
        done = running.end()
        assert time.monotonic() - began < 10
    assert done.code == 130, done.err
    assert "interrupted" in done.err
    assert done.run.record["status"] == "interrupted"
    assert done.run.record["artifacts"] == []
    assert stock.left(debian13) == []


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


def test_a_link_that_is_cut_after_the_sampling(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    with Proxy((debian13.address, debian13.port)) as proxy:
        path = tool.through(proxy, debian13)
        running = tool.start("run", "-H", debian13.name, "-i", path, "-C", "api", "-d", 1)
        running.wait_for(SAMPLING)
        proxy.drop(refuse=True)
        until("it has ended on the host", lambda: profile_is_whole(debian13), 30)
        proxy.resume()
        done = running.end()
    assert done.code == 0, done.err
    assert done.run.record["quality"]["got"] > 0
    assert done.run.differences() == []
    assert stock.left(debian13) == []


def test_a_link_that_does_not_come_back(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    with Proxy((debian13.address, debian13.port)) as proxy:
        path = tool.through(proxy, debian13)
        running = tool.start("run", "-H", debian13.name, "-i", path, "-C", "api", "-d", 1)
        running.wait_for(SAMPLING)
        proxy.drop(refuse=True)
        done = running.end()
    assert done.code == 4, done.err
    ((what, _, next_step),) = done.parts()
    assert "did not come back" in what
    assert "/tmp/remote-prof-" in next_step
    assert done.run.record["status"] == "unreachable"
    until("the sidecar is gone", lambda: not our_containers(debian13), 30)
    until("the profile waits", lambda: profile_is_whole(debian13), 30)
    let_go(debian13)
    assert stock.left(debian13) == []


def test_a_killed_controller_leaves_a_host_that_ends_by_itself(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start("run", "-H", host.name, "-C", "api", "-d", 2)
    running.wait_for(SAMPLING)
    running.process.kill()
    assert running.end().code == -signal.SIGKILL
    assert len(our_containers(host)) == 1
    # Two seconds of sampling, and the time to print.
    until("the sidecar is gone", lambda: not our_containers(host), 30)
    until("the profile waits", lambda: profile_is_whole(host), 30)
    let_go(host)
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
