"""What Go's sidecar really printed, to exact folded stacks. Where from: data/README.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.gopprof import GoPprof
from remote_prof.errors import ParseError
from remote_prof.parse import read_profile
from remote_prof.parse.enclosed import enclosed
from remote_prof.profile.model import Profile
from remote_prof.profile.quality import measure_quality
from remote_prof.render import RENDERERS, Report

DATA = Path(__file__).parent / "data" / "gopprof"
# Functions of the program that share the work three to one; of a lock there is one user.
SHARES = {
    "cpu": ("main.renderReply", "main.parseRequest"),
    "allocs": ("main.keepReply", "main.keepRequest"),
}
KNOWN = {
    "cpu": "main.handleRequest",
    "heap": "main.keepReply",
    "allocs": "main.keepReply",
    "goroutine": "main.serve",
    "mutex": "main.holdLock",
    "block": "main.holdLock",
}


def read(event: str) -> bytes:
    return (DATA / f"go-1.19-{event}.raw").read_bytes()


def parse(event: str, raw: bytes | None = None) -> Profile:
    request = ProfileRequest(10.0, 99, "both", "img", event=event)
    return GoPprof().parse(read(event) if raw is None else raw, request)


def totals(profile: Profile) -> Counter[str]:
    found: Counter[str] = Counter()
    for stack, weight in profile.stacks.items():
        for name in {frame.name for frame in stack}:
            found[name] += weight
    return found


def test_there_is_one_of_each_event() -> None:
    assert set(KNOWN) == set(GoPprof.events)


@pytest.mark.parametrize("event", KNOWN)
def test_folded_stacks_are_as_expected(event: str, bless: bool) -> None:
    profile = parse(event)
    assert profile.unit == GoPprof.events[event].unit
    assert profile.notes == ()
    # That "main.allocate;main.keepReply" is short is no fault of anybody's.
    assert measure_quality(profile).shallow_share == 0
    expected = DATA / f"go-1.19-{event}.folded"
    folded = RENDERERS["folded"].render(Report(profile, measure_quality(profile), "recording"))
    if bless:
        expected.write_bytes(folded)
    assert expected.exists(), f"{expected.name} is missing: look at it, then pytest --bless"
    assert folded == expected.read_bytes()


@pytest.mark.parametrize("event", KNOWN)
def test_the_known_function_is_there_also_without_the_run(event: str) -> None:
    mine = totals(parse(event))
    assert mine[KNOWN[event]] > 0.4 * max(mine.values()) or event == "goroutine"
    # `convert` does not know what was asked for, and keeps the unit of the file.
    plain = totals(read_profile("profile.txt", read(event)))
    scale = 1000 if GoPprof.events[event].unit == "us" else 1
    assert plain[KNOWN[event]] == pytest.approx(mine[KNOWN[event]] * scale, rel=0.01)


@pytest.mark.parametrize("event", SHARES)
def test_shares_are_those_that_the_program_is_written_for(event: str) -> None:
    more, less = (totals(parse(event))[name] for name in SHARES[event])
    assert more / (more + less) == pytest.approx(0.75, abs=0.15)


@pytest.mark.parametrize("event", KNOWN)
def test_an_output_that_is_cut_gives_what_is_whole(event: str) -> None:
    raw = read(event)
    whole = len(enclosed(raw))
    for share in (0.2, 0.5, 0.95):
        cut = raw[: int(len(raw) * share)]
        assert len(enclosed(cut)) <= whole
        try:
            profile = parse(event, cut)
        except ParseError:
            continue
        assert profile.notes
