"""What ``perf script`` printed."""

from __future__ import annotations

from remote_prof.errors import ParseError
from remote_prof.parse.perf import parse_perf
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses how."""
    try:
        profile = parse_perf(data[1:], keep_offsets=data[:1] > b"\x7f")
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "perf",
    one_input,
    (
        *(b"\0" + seed for seed in read_seeds(RECORDINGS / "perf", "*.txt")),
        b"\x80svc 7/8 [1]  1.0:   10 e: \n\t12 a;b</x>+0x2 (/x (deleted))\n  a.c:3 (inlined)\n\n",
        b"\0   a b 7  1.0:  10 e: ffffffff821f39e5 k ([unknown])\nx: PERF_RECORD_LOST lost 7\n",
    ),
)
