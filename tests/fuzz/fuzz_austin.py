"""austin's text."""

from __future__ import annotations

from remote_prof.errors import ParseError
from remote_prof.parse.austin import parse_austin
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses how."""
    try:
        profile = parse_austin(data[1:], keep_offsets=data[:1] > b"\x7f")
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "austin",
    one_input,
    (
        *(b"\0" + seed for seed in read_seeds(RECORDINGS / "austin", "*.txt")),
        b"\x80# mode: full\nP7;T0:Main;a.py:<module>:1;native@7f:f:2;kernel:g:0;:GC: 10,1,-5\n",
        b"\0# mode: memory\nP7;T0x7f;::;x 10\nP7;T1 -3\n",
    ),
)
