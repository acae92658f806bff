"""pprof files: what ``convert`` may be given, from anywhere."""

from __future__ import annotations

import gzip

from remote_prof.errors import ParseError
from remote_prof.parse.pprof import parse_pprof
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Parse it, and draw what came out."""
    try:
        profile = parse_pprof(data)
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "pprof",
    one_input,
    (
        *(gzip.decompress(seed) for seed in read_seeds(RECORDINGS / "pprof", "*.pb.gz", None)),
        *read_seeds(RECORDINGS / "pprof", "*-mutex.pb.gz"),
    ),
)
