"""Pictures of a comparison as files: both sides are in them, and what changed is told twice."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remote_prof.profile.diff import Comparison, Side, compare, count_samples, without_small
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.render.comparison import COMPARISON_RENDERERS
from remote_prof.render.comparison_svg import GREW, UNCHANGED

SVG = "{http://www.w3.org/2000/svg}"
API = Frame("api", FrameKind.PROCESS)
MAIN, PARSE, WRITE, OLD, FRESH = map(Frame, ("main", "parse", "write", "old", "fresh"))
COPY = Frame("copy", FrameKind.KERNEL)
BEFORE: dict[Stack, int] = {
    (API, MAIN, PARSE): 500,
    (API, MAIN, WRITE, COPY): 400,
    (API, OLD): 100,
}
AFTER: dict[Stack, int] = {
    (API, MAIN, PARSE): 1010,
    (API, MAIN, WRITE, COPY): 590,
    (API, FRESH): 400,
}
ANY_NAME = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(
    ["</script>", "]]>", " (before 1", "&lt;", '" onload="']
)
FRAMES = st.builds(Frame, ANY_NAME, st.sampled_from(FrameKind))
STACKS = st.dictionaries(
    st.lists(FRAMES, max_size=5).map(tuple), st.integers(1, 2**40), min_size=1, max_size=6
)


def side(stacks: dict[Stack, int], name: str = "it", unit: str = "samples") -> Side:
    profile = Profile.of(stacks, unit=unit)
    return Side(name, profile, measure_quality(profile), count_samples(profile))


def both(**more: Any) -> Comparison:
    return compare(side(BEFORE, "monday"), side(AFTER, "tuesday"), **more)


class Drawn(NamedTuple):
    """A frame of the picture."""

    mark: str
    told: str
    width_px: float
    fill: str
    label: str


def picture_of(comparison: Comparison) -> ET.Element:
    return ET.fromstring(COMPARISON_RENDERERS["svg"](comparison))


def drawn(picture: ET.Element) -> dict[str, Drawn]:
    found = {}
    for group in picture.iterfind(f"{SVG}g[@id='frames']/{SVG}g"):
        name, _, told = group.findtext(f"{SVG}title", "").rpartition(" (")
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        found[name] = Drawn(
            group.get("class", ""),
            told.removesuffix(")"),
            float(rect.get("width", "nan")),
            rect.get("fill", ""),
            group.findtext(f"{SVG}text", ""),
        )
    return found


def test_growth_and_shrinkage_are_told_by_colour_and_by_mark() -> None:
    frames = drawn(picture_of(both()))
    assert frames["fresh"][0::2] == ("new", 118.0, "++ fresh")
    assert frames["old"][0::2] == ("gone", 59.0, "\u2212\u2212 old")
    assert frames["copy"][0::2] == ("shrank", 410.0, "\u2212 copy")
    assert (frames["fresh"].fill, frames["old"].fill) == (GREW[3], "url(#shrank3)")
    assert frames["copy"].fill == "url(#shrank2)"  # 40 % to 29.5 %: by 1.36
    # 50 % to 50.5 %: chance does that.
    assert frames["parse"][0::2] == ("", 593.0, "parse")
    assert frames["parse"].fill == UNCHANGED


def test_what_a_frame_s_tooltip_says() -> None:
    frames = drawn(picture_of(both()))
    assert frames["copy"].told == (
        "before 40.00 %, after 29.50 %; 400 and 590 samples; -10.50 points; x0.74; "
        "itself 40.00 % and 29.50 %; kernel"
    )
    noise = re.fullmatch(r".*; noise, which reaches \+(\d\.\d\d); itself .*", frames["parse"].told)
    assert noise
    assert 0.5 < float(noise[1]) < 10
    assert frames["all"].told.endswith("points; the same")


def test_raw_counts() -> None:
    frames = drawn(picture_of(both(counts=True)))
    assert frames["parse"][:2] == (
        "grew",
        "before 500, after 1,010; +510 samples; x2.02; itself 500 and 1,010",
    )
    assert frames["parse"].fill == GREW[3]
    assert frames["all"].mark == "grew"
    # 3,000 samples of both sides are the whole width.
    assert frames["old"].width_px == pytest.approx(1180 * 100 / 3000, abs=0.1)


def test_which_side_is_which_and_how_good_is_on_the_picture() -> None:
    texts = [text.text for text in picture_of(both()).iterfind(f"{SVG}text")]
    assert "before: monday (1,000 samples, poor)" in texts
    assert "after: tuesday (2,000 samples, poor)" in texts


def test_the_legend_tells_every_colour() -> None:
    picture = picture_of(both())
    legend = [rect.get("fill") for rect in picture.iterfind(f"{SVG}g[@id='legend']/{SVG}rect")]
    assert len(set(legend)) == 9
    hatches = {f"url(#{each.get('id')})" for each in picture.iterfind(f"{SVG}defs/{SVG}pattern")}
    assert hatches == {fill for fill in legend if fill and fill.startswith("url")}
    assert {frame.fill for frame in drawn(picture).values()} <= set(legend)


def test_where_there_is_no_bound_every_change_is_coloured() -> None:
    stacks: list[dict[Stack, int]] = [{(MAIN,): 1000, (PARSE,): 1000 + n} for n in (0, 1)]
    before, after = (side(each, unit="us") for each in stacks)
    frames = drawn(picture_of(compare(before, after)))
    assert (frames["parse"].mark, frames["main"].mark) == ("grew", "shrank")
    assert frames["parse"].fill == GREW[0]


def test_what_is_small_on_both_sides_is_left_out() -> None:
    frames = drawn(picture_of(without_small(both(), 0.15)))
    assert set(frames) == {"all", "api", "main", "parse", "write", "copy", "fresh"}
    assert frames["all"].width_px == 1180


def test_stacks_of_thousands_of_frames() -> None:
    stack: Stack = tuple(Frame(f"f{depth}") for depth in range(3000))
    deep = side({stack: 3})
    for render in COMPARISON_RENDERERS.values():
        assert b"f2999" in render(compare(deep, deep))


@settings(max_examples=30)
@given(STACKS, STACKS, st.booleans())
def test_any_names_and_weights(one: dict[Stack, int], two: dict[Stack, int], counts: bool) -> None:
    comparison = compare(side(one), side(two), counts=counts)
    picture = picture_of(comparison)
    frames = drawn(picture)
    assert frames["all"].width_px == 1180
    list_of = picture.find(f"{SVG}g[@id='frames']")
    assert list_of is not None
    groups = len(list(list_of))
    assert len(list_of.get("data-weights", "").split()) == 3 * groups
    assert len(list_of.get("data-sides", "").split()) == 2 * groups
    assert stacks_in(COMPARISON_RENDERERS["html"](comparison)) == {
        tuple(comparison.functions[number] for number in stack): weights
        for stack, weights in comparison.stacks.items()
    }


def stacks_in(page: bytes) -> dict[tuple[tuple[str, FrameKind], ...], tuple[int, int]]:
    """Read both sides back out of a page."""
    (text,) = re.findall(rb'<script type="application/json" id="profile">(.*?)</script>', page)
    document = json.loads(text)
    functions = [
        (name, FrameKind(document["kinds"][kind]))
        for name, kind in zip(
            document["functions"]["name"], document["functions"]["kind"], strict=True
        )
    ]
    frames = [functions[number] for number in document["frames"]["function"]]
    numbers = iter(varints(b64decode(document["stacks"])))
    found = {}
    path: list[int] = []
    for shared in numbers:
        more = next(numbers)
        path = path[:shared] + [next(numbers) for _ in range(more)]
        found[tuple(frames[number] for number in path)] = (next(numbers), next(numbers))
    return found


def varints(data: bytes) -> list[int]:
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(value)
            value = shift = 0
    return found
