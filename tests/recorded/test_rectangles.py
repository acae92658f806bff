"""Same stacks, same rectangles as flamegraph.pl. Where its are from: rectangles/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.profile.folded import parse_folded
from remote_prof.profile.model import Profile
from remote_prof.profile.quality import measure_quality
from remote_prof.render import RENDERERS, Report

HERE = Path(__file__).parent
SVG = "{http://www.w3.org/2000/svg}"
FRAME_PX = 16
NEAR_PX = 0.1 + 1e-9  # both sides have one decimal
RECORDINGS = sorted(path.stem for path in (HERE / "data").glob("*.folded") if path.stat().st_size)


class Rectangle(NamedTuple):
    level: int
    x: float
    width: float
    name: str


def theirs(name: str) -> list[Rectangle]:
    rectangles = []
    for line in (HERE / "rectangles" / f"{name}.tsv").read_text().splitlines():
        level, x, width, function = line.split("\t")
        rectangles.append(Rectangle(int(level), float(x), float(width), function))
    return rectangles


def ours(profile: Profile) -> list[Rectangle]:
    picture = RENDERERS["svg"].render(Report(profile, measure_quality(profile), "recording"))
    return sorted(read(picture))


def read(picture: bytes) -> Iterator[Rectangle]:
    frames = [
        (group.findtext(f"{SVG}title", ""), group.find(f"{SVG}rect"))
        for group in ET.fromstring(picture).iterfind(f"{SVG}g/{SVG}g")
    ]
    lowest = max(float(rect.get("y", "nan")) for _, rect in frames if rect is not None)
    for title, rect in frames:
        assert rect is not None
        level = (lowest - float(rect.get("y", "nan"))) / FRAME_PX
        assert level == int(level)
        x, width = float(rect.get("x", "nan")), float(rect.get("width", "nan"))
        yield Rectangle(int(level), x, width, title.partition("\n")[0].rpartition(" (")[0])


def test_each_recording_with_stacks_is_compared() -> None:
    assert {path.stem for path in (HERE / "rectangles").glob("*.tsv")} == set(RECORDINGS)
    assert len(RECORDINGS) > 30


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_same_rectangles_as_flamegraph_pl(name: str) -> None:
    profile = parse_folded((HERE / "data" / f"{name}.folded").read_bytes())
    found, expected = ours(profile), theirs(name)
    assert [(each.level, each.name) for each in found] == [
        (each.level, each.name) for each in expected
    ]
    for mine, other in zip(found, expected, strict=True):
        assert abs(mine.x - other.x) <= NEAR_PX, (mine, other)
        assert abs(mine.width - other.width) <= NEAR_PX, (mine, other)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_raw_profile_makes_the_rectangles_of_its_folded_stacks(name: str) -> None:
    raw = parse_bpftrace((HERE / "data" / f"{name}.txt").read_bytes())
    folded = parse_folded((HERE / "data" / f"{name}.folded").read_bytes())
    assert ours(raw) == ours(folded)


def test_a_function_is_one_rectangle_where_flamegraph_pl_splits_it() -> None:
    # The one known difference: its rectangles of "a" are 10 to 403.3 and 796.7 to 1190.
    found = ours(parse_folded("a 1\na!b 1\na;c 1\n"))
    assert found == [
        Rectangle(0, 10.0, 1180.0, "all"),
        Rectangle(1, 10.0, 786.7, "a"),
        Rectangle(1, 796.7, 393.3, "a!b"),
        Rectangle(2, 403.3, 393.4, "c"),
    ]
