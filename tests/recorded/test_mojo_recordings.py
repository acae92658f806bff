"""Real files of austin 4, and bytes that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ParseError
from remote_prof.parse import read_profile
from remote_prof.parse.mojo import parse_mojo
from remote_prof.profile.quality import measure_quality
from remote_prof.render import Report
from remote_prof.render.folded import render_folded

DATA = Path(__file__).parent / "data" / "mojo"
FILES = sorted(DATA.glob("*.mojo"))
CPU = (DATA / "austin-4.0-cpu.mojo").read_bytes()
HEAD = b"MOJ\x03\x01austin\x004.0.0\x00\x01mode\x00wall\x00"
# Process 1, interpreter 0, thread 1f; app.py's leaf at line 3.
SAMPLE = b"\x02\x01\x001f\0\x0b\x02app.py\0\x0b\x03leaf\0\x03\x05\x02\x03\x03\x03\x01\x02"
TIME = b"\x05\x05\x09\x0a"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_says_what_austins_own_converter_makes_of_it(path: Path) -> None:
    # The folded stacks are those of the text that mojo2austin 2.4 makes of the same file.
    profile = read_profile(path.name, path.read_bytes())
    folded = render_folded(Report(profile, measure_quality(profile), "recording"))
    assert folded == path.with_suffix(".folded").read_bytes()
    assert (profile.unit, profile.tool, profile.notes) == ("us", "austin 4.0.0", ())


@pytest.mark.parametrize("share", [0.3, 0.8, 0.97])
def test_one_that_is_cut_off_keeps_its_complete_samples(share: float) -> None:
    whole = parse_mojo(CPU)
    cut = parse_mojo(CPU[: int(len(CPU) * share)])
    assert abs(cut.total - share * whole.total) < 0.2 * whole.total
    assert set(cut.frames) <= set(whole.frames)


def test_a_cut_is_told() -> None:
    assert parse_mojo(HEAD + SAMPLE + TIME[:-1]).notes == (
        "the file ends in the middle of a sample: that one is left out",
    )
    whole = parse_mojo(HEAD + SAMPLE + TIME)
    assert (whole.total, whole.notes) == (10, ())
    (stack,) = whole.stacks
    assert [frame.name for frame in stack] == ["process 1", "thread 31", "leaf"]


def test_what_was_given_back_is_left_out() -> None:
    head = HEAD.replace(b"wall", b"memory")
    data = head + SAMPLE + b"\x05\x05\x0a\x8a\x01" + b"\x02\x01\x00" + b"1f\0" + b"\x05\x05\x0a\x41"
    profile = parse_mojo(data)
    assert (profile.total, profile.unit) == (74, "bytes")
    assert profile.notes == ("1 samples with a weight below zero are left out",)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"nothing", "this is no MOJO file"),
        (b"MOJ\x09", "MOJO files of version 9 are not known"),
        (HEAD + b"\x3f", "the MOJO file has an event 63, which is not known"),
        (HEAD + b"\x09" + b"\xff" * 40, "a number of the MOJO file is too long"),
        (HEAD + SAMPLE + b"\x07" * 20_000 + TIME, "there are more than 10000 frames in one stack"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(data: bytes, what: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_mojo(data)
    assert what in caught.value.what


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_parsed_or_refused(data: bytes, whole: bool) -> None:
    try:
        profile = parse_mojo((HEAD + SAMPLE if whole else b"MOJ\x03") + data)
    except ParseError:
        return
    assert profile.total >= 0
