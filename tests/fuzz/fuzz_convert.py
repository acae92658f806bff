"""What ``convert`` is given: folded stacks, or what bpftrace or compose printed."""

from __future__ import annotations

from remote_prof.errors import NoSamplesError, ParseError
from remote_prof.profile.folded import parse_folded
from remote_prof.run.report import convert_profiles
from tests.fuzz.fuzz_bpftrace import check_everything_drawn, check_svg
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Convert it, and read it as folded stacks."""
    try:
        svg = convert_profiles([("a", data)], "svg", title="", keep_offsets=False)
    except (ParseError, NoSamplesError):
        pass
    else:
        check_svg(svg)
    try:
        profile = parse_folded(data)
    except ParseError:
        return
    check_everything_drawn(profile)


HARNESS = Harness(
    "convert",
    one_input,
    (
        *read_seeds(RECORDINGS, "*.folded")[::3],
        b"api;main;work_[k] 17\n# comment\napi;[unknown];0x7f8b;a b 3\n",
        b"\x1b[Kprofile-1  | @@ sampling\nprofile-1  | @[\nprofile-1  |  f+1\nprofile-1  | ]: 2\n",
    ),
)
