"""What py-spy writes in its raw format."""

from __future__ import annotations

from remote_prof.errors import ParseError
from remote_prof.parse.pyspy import parse_pyspy
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses how."""
    try:
        profile = parse_pyspy(data[1:], keep_offsets=data[:1] > b"\x7f")
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "pyspy",
    one_input,
    (
        *(b"\0" + seed for seed in read_seeds(RECORDINGS / "py-spy", "*.txt")),
        b'\x80process 7:"sh -c a;b";thread (8): x;<module> (a.py:1);0x7f (?);f (x.so) 3\n',
    ),
)
