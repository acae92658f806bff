"""Every renderer against files that were looked at. ``pytest --bless`` rewrites them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.parse.pprof import parse_pprof
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.records import Problem, Severity
from remote_prof.render import RENDERERS, Drawing, Renderer, Report, renderers
from remote_prof.render.lettering import fit
from remote_prof.render.picture import printable
from remote_prof.render.svg import colour

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


_OF_EVERY_PAGE = re.compile(
    rb"(<style>|<script>).*?(</style>|</script>)|(?<=')sha256-[^']*(?=')", re.DOTALL
)

REPORTS = {"mixed": mixed, "off-cpu": off_cpu}
EACH_RENDERER = pytest.mark.parametrize("renderer", RENDERERS.values(), ids=RENDERERS)


@pytest.mark.parametrize("name", REPORTS)
@EACH_RENDERER
def test_output_is_as_expected(renderer: Renderer, name: str, bless: bool) -> None:
    expected = DATA / name / renderer.filename
    data = renderer.render(REPORTS[name]())
    if bless:
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_bytes(plain(data) if renderer.name == "html" else data)
    assert expected.exists(), f"{name}/{expected.name} is missing: look at it, then pytest --bless"
    assert plain(data) == plain(expected.read_bytes())


def plain(data: bytes) -> bytes:
    """Return what a renderer has made of a report.

    What is compressed is as it was before, as other builds of zlib make other bytes of it. Of a
    page it is not what each page has: its style sheet, its script, and their digests.
    """
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    return _OF_EVERY_PAGE.sub(rb"\1...\2", data) if data.startswith(b"<!DOCTYPE html>") else data


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
    assert b"f2999" in plain(renderer.render(make_report({stack: 1})))


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
    assert parse_pprof(documents["pprof"]).total == profile.total
    threads = json.loads(documents["gecko"])["threads"]
    assert sum(sum(thread["samples"]["weight"]) for thread in threads) == profile.total
    assert json.loads(documents["top-json"])["total"] == profile.total
    assert documents["top"].decode().count("\n") >= 3


def boxes(data: bytes) -> dict[str, tuple[float, float, float, str]]:
    """Read x, y, width and shown text by tooltip."""
    found = {}
    for group in ET.fromstring(data).iterfind(f"{SVG}g/{SVG}g"):
        title, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert rect is not None
        x, y, width = (float(rect.get(name) or "nan") for name in ("x", "y", "width"))
        found[title.text or ""] = (x, y, width, group.findtext(f"{SVG}text", ""))
    return found


def test_rectangles_are_where_flamegraph_pl_puts_them() -> None:
    # 1180 px for 4 samples: 295 px each. Two levels and the root: 3 * 16 + 36 + 34 px high, and
    # a row of 18 px for the legend.
    stacks: dict[Stack, int] = {
        (Frame("a"),): 1,
        (Frame("a"), Frame("b")): 2,
        (Frame("c"),): 1,
    }
    data = RENDERERS["svg"].render(make_report(stacks))
    assert ET.fromstring(data).get("height") == "136"
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


def test_an_icicle_stands_on_its_head() -> None:
    stacks: dict[Stack, int] = {(Frame("a"), Frame("b")): 3, (Frame("c"),): 1}
    upright = boxes(RENDERERS["svg"].render(make_report(stacks)))
    turned = boxes(renderers(Drawing(inverted=True))["svg"].render(make_report(stacks)))
    assert {name: (x, width, text) for name, (x, _, width, text) in upright.items()} == {
        name: (x, width, text) for name, (x, _, width, text) in turned.items()
    }
    assert [y for _, y, _, _ in turned.values()] == [36, 52, 68, 52]
    assert [y for _, y, _, _ in upright.values()] == [69, 53, 37, 53]


@pytest.mark.parametrize(("width", "expected"), [(300, 280.0), (400, 380.0), (2400, 2380.0)])
def test_the_width_is_as_asked(width: int, expected: float) -> None:
    data = renderers(Drawing(width_px=width))["svg"].render(mixed())
    root = ET.fromstring(data)
    assert root.get("width") == str(width)
    assert root.get("viewBox") == f"0 0 {width} {root.get('height')}"
    assert boxes(data)["all (101 samples, 100%)"][2] == expected
    for x, y, _ in texts(root):
        assert 0 <= x <= width
        assert 0 < y < float(root.get("height") or "nan")


def texts(root: ET.Element) -> list[tuple[float, float, str]]:
    return [
        (float(text.get("x") or "nan"), float(text.get("y") or "nan"), text.text or "")
        for text in root.iter(f"{SVG}text")
    ]


def test_narrower_frames_than_asked_are_left_out() -> None:
    stacks: dict[Stack, int] = {(Frame("wide"),): 98, (Frame("narrow"),): 2}
    report = make_report(stacks)  # 11.8 px a sample
    assert len(boxes(renderers(Drawing(minwidth_px=23.6))["svg"].render(report))) == 3
    assert len(boxes(renderers(Drawing(minwidth_px=23.7))["svg"].render(report))) == 2
    assert list(boxes(renderers(Drawing(minwidth_px=float("inf")))["svg"].render(report))) == [
        "all (100 samples, 100%)"
    ]


def test_the_legend_has_the_kinds_that_occur() -> None:
    words = [text for _, _, text in texts(ET.fromstring(RENDERERS["svg"].render(mixed())))]
    assert words[2:10] == [
        *("process", "user", "kernel", "JIT", "interpreted", "inlined", "unresolved"),
        "callers cut off",
    ]
    alone = RENDERERS["svg"].render(make_report({(Frame("f", FrameKind.KERNEL),): 1}))
    assert [text for _, _, text in texts(ET.fromstring(alone))] == [
        *("title", "kernel", "all", "f", "")
    ]


def test_what_the_script_reads_is_exact() -> None:
    stacks: dict[Stack, int] = {(Frame("a"),): 1, (Frame("a"), Frame("b")): 2, (Frame("c"),): 4}
    frames = ET.fromstring(RENDERERS["svg"].render(make_report(stacks))).find(
        f"{SVG}g[@id='frames']"
    )
    assert frames is not None
    # For each frame: how far it starts behind the one before, total, self.
    assert frames.get("data-weights") == "0 7 0 0 3 1 1 2 2 2 4 4"


def test_numbers_have_thousands_separators_and_their_unit() -> None:
    stacks: dict[Stack, int] = {(Frame("f"),): 1_234_567, (Frame("g"),): 1}
    assert "f (1,234,567 us, 100.00%)" in boxes(RENDERERS["svg"].render(make_report(stacks, "us")))


def test_a_file_that_needs_no_network() -> None:
    text = RENDERERS["svg"].render(mixed()).decode()
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xhtml",
    }
    assert "<script><![CDATA[" in text
    assert text.count("]]>") == 2, "only the style's and the script's own ends"


@pytest.mark.parametrize(
    ("width", "shown"),
    [(96, "handle_request"), (95, "handle_reque.."), (16, "h.."), (15, ""), (0, ""), (-9, "")],
)
def test_text_is_cut_to_its_room(width: float, shown: str) -> None:
    assert fit("handle_request", width) == shown
    assert fit("handle_request", 2 * width, font_px=24) == shown


def test_wide_letters_take_more_room() -> None:
    assert fit("iiiiiiii", 40) == "iiiiiiii"
    assert fit("WWWWWWWW", 40) == "WW.."
    assert fit("\u65e5\u672c\u8a9e\u65e5\u672c", 40) == "\u65e5\u672c.."
    assert fit("\U0001f600\U0001f600\U0001f600", 40) == "\U0001f600\U0001f600.."
    assert fit("", 40) == ""


def test_names_cannot_forge_what_is_around_them() -> None:
    assert printable("a\tb\x1b[31m\u202ec\ud800\uffff") == "a\ufffdb\ufffd[31m\ufffdc\ufffd\ufffd"


def test_colours_depend_on_name_and_kind_alone() -> None:
    assert colour("f", FrameKind.USER) == colour("f", FrameKind.USER)
    assert len({colour("f", kind) for kind in FrameKind}) == len(FrameKind)
    assert len({colour(f"f{number}", FrameKind.USER) for number in range(50)}) > 40
