"""A CPU profile of V8."""

from __future__ import annotations

from remote_prof.errors import ParseError
from remote_prof.parse.cpuprofile import parse_cpuprofile
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds

_MADE = (
    b'{"nodes":[{"id":1,"callFrame":{"functionName":"(root)"},"children":[2,3]},'
    b'{"id":2,"callFrame":{"functionName":"","url":"file:///a.js","lineNumber":6},"hitCount":2},'
    b'{"id":3,"callFrame":{"functionName":"(idle)"},"parent":1}],"samples":[2,3,1,2]}'
)


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses how."""
    try:
        profile = parse_cpuprofile(data[1:], keep_offsets=data[:1] > b"\x7f")
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "cpuprofile",
    one_input,
    (
        *(b"\0" + seed for seed in read_seeds(RECORDINGS / "cpuprofile", "*.txt", None)),
        b"\x80" + _MADE,
    ),
)
