"""What ``convert`` is given, where the content has to tell the format; and folded stacks."""

from __future__ import annotations

import gzip

from remote_prof.errors import NoSamplesError, ParseError
from remote_prof.profile.folded import parse_folded
from remote_prof.render import RENDERERS
from remote_prof.run.convert import read_profiles, report_of
from tests.fuzz.fuzz_bpftrace import check_everything_drawn, check_svg
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds


def one_input(data: bytes) -> None:
    """Convert it, and read it as folded stacks."""
    try:
        profile = read_profiles([("a", data)])
    except (ParseError, NoSamplesError):
        pass
    else:
        check_svg(RENDERERS["svg"].render(report_of(profile, ["a"])))
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
        *read_seeds(RECORDINGS, "*/*.txt", 600)[::2],
        b"api;main;work_[k] 17\n# comment\napi;[unknown];0x7f8b;a b 3\n",
        b"\x1b[Kprofile-1  | @@ sampling\nprofile-1  | @[\nprofile-1  |  f+1\nprofile-1  | ]: 2\n",
        gzip.compress(b"api;main 17\n") + gzip.compress(b"api;main 18\n"),
    ),
)
