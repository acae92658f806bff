"""Python by austin: known functions, and who takes memory."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from .model import LANGUAGES_IMAGE, LabHost
from .tool import SAMPLING, Stock, Tool, share

GROWS = """
import time
def grow():
    kept.append(bytearray(1 << 20))
    time.sleep(0.02)
def rest():
    time.sleep(0.02)
kept = []
while True:
    grow()
    rest()
    if len(kept) > 300: kept.clear()
"""


@pytest.fixture(scope="module")
def at_work(debian13: LabHost) -> Iterator[LabHost]:
    """Have the target run for these tests alone: it takes CPU time from others."""
    debian13.docker("start", "python")
    time.sleep(1)
    yield debian13
    debian13.docker("kill", "python")


def test_the_known_functions_have_about_their_known_shares(
    at_work: LabHost, tool: Tool, stock: Stock
) -> None:
    done = tool("run", "-C", "python", "--engine", "austin", "-H", at_work.name, "-d", 4)
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(at_work) == []
    stacks = done.run.stacks()
    served = Counter({s: n for s, n in stacks.items() if "hot_leaf" in s and "handle_request" in s})
    assert share(served, "render_reply") == pytest.approx(0.75, abs=0.2)
    assert share(served, "parse_request") == pytest.approx(0.25, abs=0.2)
    # A process that the interpreter has started.
    assert len({stack[0] for stack in stacks if "hot_leaf" in stack}) == 2
    assert done.run.record["sidecars"][0]["tool"] == "austin 4.0.0"
    (kept,) = done.run.target.glob("austin-*.mojo")
    again = tool("convert", kept, "--to", "folded")
    assert "hot_leaf" in again.out


def test_memory_is_whose_who_takes_it(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    name = "growing"
    alone = ("--network", "none", "--name", name)
    debian13.docker("run", "-d", *alone, LANGUAGES_IMAGE, "python3", "-c", GROWS)
    try:
        # No other engine measures it: which one it is nobody has to know.
        done = tool("run", "-C", name, "-e", "memory", "-H", debian13.name, "-d", 4)
    finally:
        debian13.docker("rm", "-f", name)
    assert done.code == 0, done.err
    stacks = done.run.stacks()
    assert stacks.total() > 20 << 20
    assert sum(n for stack, n in stacks.items() if "grow" in stack) > 0.8 * stacks.total()
    stock.take(debian13)
    assert stock.left(debian13) == []


def test_an_interrupt_keeps_what_was_sampled(at_work: LabHost, tool: Tool, stock: Stock) -> None:
    argv = ("run", "-C", "python", "--engine", "austin", "-e", "wall", "-H", at_work.name)
    running = tool.start(*argv, "-d", 60)
    running.wait_for(SAMPLING)
    time.sleep(2)
    running.process.send_signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert done.run.stacks().total() > 1_000_000
    assert done.run.record["timings_s"]["sample"] < 30
    assert stock.left(at_work) == []


def test_an_image_that_it_does_not_run_in_is_told(
    debian12: LabHost, tool: Tool, stock: Stock
) -> None:
    debian12.docker("start", "python")
    try:
        done = tool("run", "-C", "python", "--engine", "austin", "-H", debian12.name, "-d", 2)
    finally:
        debian12.docker("kill", "python")
    assert done.code == 1
    assert "austin does not run in this image" in done.err
    assert "GLIBC_2.38" in done.err
    assert stock.left(debian12) == []
