"""Every renderer against files that were looked at. ``pytest --bless`` rewrites them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.records import Problem, Severity
from remote_prof.render import RENDERERS, Renderer, Report
from remote_prof.render.svg import colour, fit, printable

DATA = Path(__file__).parent / "data"
SVG = "{http://www.w3.org/2000/svg}"

API = Frame("api worker", FrameKind.PROCESS, pid=12)
START = Frame("[unknown]", FrameKind.UNRESOLVED)
MAIN = Frame("main", module="/srv/api")

MIXED: dict[Stack, int] = {
    (API, START, MAIN, Frame("std::map<int, a&b>::at(int) const")): 40,
    (API._replace(pid=13), START, MAIN, Frame("std::map<int, a&b>::at(int) const")): 2,
    (API, START, MAIN): 8,
    (API, START, MAIN, Frame("Ljava/lang/String;::hash", FrameKind.JIT)): 21,
    (API, START, MAIN, Frame("JS:~cold app.js:3:1", FrameKind.INTERPRETED)): 5,
    (API, START, MAIN, Frame("clamp", FrameKind.INLINED), Frame("naïve 日本")): 4,
    (API, START, MAIN, Frame("write"), Frame("vfs_write", FrameKind.KERNEL)): 18,
    (API, Frame("[truncated]", FrameKind.TRUNCATED), Frame("deep"), Frame("deep")): 2,
    (Frame('a "b" <c> & ]]>\n\x00', FrameKind.PROCESS, pid=14),): 1,
}
OFF_CPU: dict[Stack, int] = {
    (Frame("db", FrameKind.PROCESS), Frame("main"), Frame("wait")): 1_500_000,
    (Frame("db", FrameKind.PROCESS), Frame("main"), Frame("read")): 499_999,
    (Frame("db", FrameKind.PROCESS), Frame("main"), Frame("rare")): 1,
}


def make_report(stacks: dict[Stack, int], unit: str = "samples") -> Report:
    profile = Profile.of(stacks, unit=unit)
    return Report(profile, measure_quality(profile), "title")


def mixed() -> Report:
    profile = Profile.of(MIXED, frequency_hz=99, max_depth=127, lost=3, tool="bpftrace v0.23.2")
    return Report(
        profile,
        measure_quality(profile, 110),
        title="api on prod-3 <&>",
        subtitle="on-CPU, 99 Hz, 30 s",
        facts={"host": "prod-3", "kernel": "6.1"},
        problems=(Problem(Severity.WARNING, "the clock is off", "by 3 s", "set it"),),
    )


def off_cpu() -> Report:
    profile = Profile.of(OFF_CPU, unit="us")
    return Report(profile, measure_quality(profile), title="db")


REPORTS = {"mixed": mixed, "off-cpu": off_cpu}
EACH_RENDERER = pytest.mark.parametrize("renderer", RENDERERS.values(), ids=RENDERERS)


@pytest.mark.parametrize("name", REPORTS)
@EACH_RENDERER
def test_output_is_as_expected(renderer: Renderer, name: str, bless: bool) -> None:
    expected = DATA / name / renderer.filename
    data = renderer.render(REPORTS[name]())
    if bless:
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_bytes(data)
    assert expected.exists(), f"{name}/{expected.name} is missing: look at it, then pytest --bless"
    assert data == expected.read_bytes()


def test_every_expected_file_has_its_renderer() -> None:
    filenames = [renderer.filename for renderer in RENDERERS.values()]
    assert len(set(filenames)) == len(filenames)
    expected = {f"{name}/{filename}" for name in REPORTS for filename in filenames}
    assert {str(path.relative_to(DATA)) for path in DATA.glob("*/*")} == expected
    assert {name: renderer.name for name, renderer in RENDERERS.items()} == {
        name: name for name in RENDERERS
    }


@EACH_RENDERER
def test_the_order_in_the_profile_does_not_matter(renderer: Renderer) -> None:
    backwards = dict(reversed(MIXED.items()))
    assert renderer.render(make_report(backwards)) == renderer.render(make_report(MIXED))


@EACH_RENDERER
def test_an_empty_profile_is_drawn(renderer: Renderer) -> None:
    data = renderer.render(make_report({}))
    if renderer.name == "svg":
        assert b"no samples" in data


@EACH_RENDERER
def test_stacks_of_thousands_of_frames(renderer: Renderer) -> None:
    stack = tuple(Frame(f"f{depth}") for depth in range(3000))
    assert b"f2999" in renderer.render(make_report({stack: 1}))


STACKS = st.lists(
    st.tuples(st.text(), st.sampled_from(FrameKind)).map(lambda parts: Frame(*parts)), max_size=4
).map(tuple)


@given(st.dictionaries(STACKS, st.integers(1, 2**40), max_size=4), st.text(), st.text())
def test_any_names_make_valid_documents(
    stacks: dict[Stack, int], title: str, subtitle: str
) -> None:
    profile = Profile.of(stacks)
    report = Report(profile, measure_quality(profile), title, subtitle, {title: subtitle})
    documents = {name: renderer.render(report) for name, renderer in RENDERERS.items()}
    ET.fromstring(documents["svg"])
    (drawn,) = json.loads(documents["speedscope"])["profiles"]
    assert sum(drawn["weights"]) == profile.total
    lines = documents["folded"].decode().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == profile.total


def boxes(data: bytes) -> dict[str, tuple[float, float, float, str]]:
    """Read x, y, width and shown text by tooltip."""
    found = {}
    for group in ET.fromstring(data).iterfind(f"{SVG}g/{SVG}g"):
        title, rect, text = group.find(f"{SVG}title"), group.find(f"{SVG}rect"), group[2]
        assert title is not None
        assert rect is not None
        x, y, width = (float(rect.get(name) or "nan") for name in ("x", "y", "width"))
        found[title.text or ""] = (x, y, width, text.text or "")
    return found


def test_rectangles_are_where_flamegraph_pl_puts_them() -> None:
    # 1180 px for 4 samples: 295 px each. Two levels and the root: 3 * 16 + 36 + 34 px high.
    stacks: dict[Stack, int] = {
        (Frame("a"),): 1,
        (Frame("a"), Frame("b")): 2,
        (Frame("c"),): 1,
    }
    data = RENDERERS["svg"].render(make_report(stacks))
    assert ET.fromstring(data).get("height") == "118"
    assert boxes(data) == {
        "all (4 samples, 100%)": (10.0, 69.0, 1180.0, "all"),
        "a (3 samples, 75.00%)": (10.0, 53.0, 885.0, "a"),
        "b (2 samples, 50.00%)": (305.0, 37.0, 590.0, "b"),
        "c (1 samples, 25.00%)": (895.0, 53.0, 295.0, "c"),
    }


def test_frames_narrower_than_a_tenth_of_a_pixel_are_left_out() -> None:
    stacks: dict[Stack, int] = {
        (Frame("wide"),): 1_000_000,
        (Frame("narrow"),): 50,
        (Frame("enough"),): 100,
    }
    shown = {
        tooltip.split(" ")[0] for tooltip in boxes(RENDERERS["svg"].render(make_report(stacks)))
    }
    assert shown == {"all", "wide", "enough"}


def test_numbers_have_thousands_separators_and_their_unit() -> None:
    stacks: dict[Stack, int] = {(Frame("f"),): 1_234_567, (Frame("g"),): 1}
    assert "f (1,234,567 us, 100.00%)" in boxes(RENDERERS["svg"].render(make_report(stacks, "us")))


def test_a_file_that_needs_no_network() -> None:
    text = RENDERERS["svg"].render(mixed()).decode()
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "<script><![CDATA[" in text
    assert text.count("]]>") == 2, "only the style's and the script's own ends"


@pytest.mark.parametrize(
    ("width", "shown"),
    [(100, "handle_request"), (99, "handle_requ.."), (22, "h.."), (21, ""), (0, "")],
)
def test_text_is_cut_to_its_room(width: float, shown: str) -> None:
    assert fit("handle_request", width) == shown


def test_names_cannot_forge_what_is_around_them() -> None:
    assert printable("a\tb\x1b[31m\u202ec\ud800\uffff") == "a\ufffdb\ufffd[31m\ufffdc\ufffd\ufffd"


def test_colours_depend_on_name_and_kind_alone() -> None:
    assert colour("f", FrameKind.USER) == colour("f", FrameKind.USER)
    assert len({colour("f", kind) for kind in FrameKind}) == len(FrameKind)
    assert len({colour(f"f{number}", FrameKind.USER) for number in range(50)}) > 40
