"""Recordings of JDK Flight Recorder: from a host, or given to ``convert`` from anywhere."""

from __future__ import annotations

import gzip

from remote_prof.errors import ParseError
from remote_prof.parse.jfr import parse_jfr
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Parse it as each event, and draw what came out; the first byte chooses how."""
    event = {0: None, 1: "cpu", 2: "alloc", 3: "lock"}[data[0] % 4 if data else 0]
    try:
        profile = parse_jfr(data[1:], event=event, keep_offsets=data[:1] > b"\x7f")
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "jfr",
    one_input,
    tuple(
        b"\0" + gzip.decompress(seed) for seed in read_seeds(RECORDINGS / "jfr", "*.jfr.gz", None)
    ),
)
