"""A speedscope file."""

from __future__ import annotations

from remote_prof.errors import ParseError
from remote_prof.parse.speedscope import parse_speedscope
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import TESTS, Harness, read_seeds

_MADE = (
    b'{"shared":{"frames":[{"name":"a","file":"[kernel]"},{"name":"b","file":"b.py","line":3}]},'
    b'"profiles":[{"type":"evented","name":"x","unit":"seconds","endValue":9,"events":['
    b'{"type":"O","frame":0,"at":0},{"type":"O","frame":1,"at":1.5},'
    b'{"type":"C","frame":1,"at":2},{"type":"C","frame":0,"at":3}]},'
    b'{"type":"sampled","unit":"none","samples":[[0,1],[1]],"weights":[2,3e9]}]}'
)


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses how."""
    try:
        profile = parse_speedscope(data[1:], keep_offsets=data[:1] > b"\x7f")
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "speedscope",
    one_input,
    (
        *(
            b"\0" + seed
            for seed in read_seeds(TESTS / "golden" / "data", "*/speedscope.json", None)
        ),
        b"\x80" + _MADE,
    ),
)
