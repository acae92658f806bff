"""What async-profiler writes as collapsed stacks."""

from __future__ import annotations

from remote_prof.errors import ParseError
from remote_prof.parse.async_profiler import parse_async_profiler
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses how."""
    try:
        profile = parse_async_profiler(data[1:], keep_offsets=data[:1] > b"\x7f")
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "async_profiler",
    one_input,
    (
        *(b"\0" + seed for seed in read_seeds(RECORDINGS / "async-profiler", "*.txt")),
        b"\x80[a b tid=7];A$$Lambda/0x1f.f_[0];[stale_jmethodID]_[j];/lib/x.so;f_[k];[tid=1] 3\n",
    ),
)
