"""Dumps that py-spy and a JVM write: threads, and a histogram of a heap."""

from __future__ import annotations

from remote_prof.errors import ParseError
from remote_prof.parse.java_heap import parse_java_heap
from remote_prof.parse.java_threads import parse_java_threads
from remote_prof.parse.pyspy_dump import parse_pyspy_dump
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds

PARSERS = (parse_pyspy_dump, parse_java_threads, parse_java_heap)


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses by what, and how."""
    choice = data[0] if data else 0
    try:
        profile = PARSERS[choice % 3](data[1:], keep_offsets=choice > 127)
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "dumps",
    one_input,
    (
        *(b"\0" + seed for seed in read_seeds(RECORDINGS / "py-spy-dump", "*.txt")),
        *(b"\x01" + seed for seed in read_seeds(RECORDINGS / "jstack", "*.txt")),
        *(b"\x02" + seed for seed in read_seeds(RECORDINGS / "class-histogram", "*.txt")),
        b'\x01"a"b" tid=0x1 nid=1\n   java.lang.Thread.State: NEW\n\tat A.<init>(x/y/Z.java:3)\n',
        b"\x02   1:  1  18  [[Lx.Y; (m@1)\n   2:  0  0  [[[I\n",
    ),
)
