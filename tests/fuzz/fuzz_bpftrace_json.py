"""What ``bpftrace -f json`` printed."""

from __future__ import annotations

from remote_prof.errors import ParseError
from remote_prof.parse.bpftrace_json import parse_bpftrace_json
from tests.fuzz.fuzz_bpftrace import check_everything_drawn
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses how."""
    try:
        profile = parse_bpftrace_json(data[1:], keep_offsets=data[:1] > b"\x7f")
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "bpftrace_json",
    one_input,
    (
        *(b"\0" + seed for seed in read_seeds(RECORDINGS / "bpftrace-json", "*.txt")),
        b'\0{"type": "map", "data": {"@stacks": {"7,a;b,\n,\n    f+1\n": 3}, "@samples": 9}}\n',
        b'\x80{"type": "helper_error", "msg": "Map full"}\n{"type": "map", "data": {"@": {"": 1',
    ),
)
