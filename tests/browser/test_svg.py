"""The picture in a browser, alone in a window, from a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Page

from remote_prof.profile.folded import parse_folded
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.profile.tree import Placed, place
from remote_prof.render import RENDERERS, Drawing, Report, renderers

from .pages import Pages

RECORDED = Path(__file__).parents[1] / "recorded" / "data"
SVG = "{http://www.w3.org/2000/svg}"
NEAR_PX = 0.1 + 1e-9  # both sides have one decimal

API = Frame("api", FrameKind.PROCESS)
STACKS: dict[Stack, int] = {
    (API, Frame("main"), Frame("parse")): 10,
    (API, Frame("main"), Frame("parse"), Frame("read")): 20,
    (API, Frame("main"), Frame("parse"), Frame("read"), Frame("vfs_read", FrameKind.KERNEL)): 30,
    (API, Frame("main"), Frame("Reply")): 35,
    (API, Frame("idle")): 5,
}
FRAMES = 8  # with the root
# A frame: x, y, width, whether it is a caller of what is zoomed to, and its text.
Drawn = dict[str, tuple[float, float, float, bool, str]]
SHOWN = """() => Array.from(document.querySelectorAll("#frames > g"), (group) => [
    group.querySelector("title").textContent.split("\\n")[0],
    ...["x", "y", "width"].map((name) => Number(group.querySelector("rect").getAttribute(name))),
    group.classList.contains("caller"),
    group.querySelector("text")?.textContent ?? "",
])"""
MARKED = """() => Array.from(
    document.querySelectorAll("#frames > .match > title"), (title) => title.textContent
)"""


def draw(profile: Profile, **drawing: Any) -> bytes:
    report = Report(profile, measure_quality(profile), "api on prod-3", "on-CPU")
    return renderers(Drawing(**drawing))["svg"].render(report)


def drawn(picture: bytes) -> Drawn:
    """Read what is in the file."""
    found: Drawn = {}
    for group in ET.fromstring(picture).iterfind(f"{SVG}g/{SVG}g"):
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        x, y, width = (float(rect.get(name, "nan")) for name in ("x", "y", "width"))
        text = group.findtext(f"{SVG}text", "")
        found[group.findtext(f"{SVG}title", "")] = (x, y, width, False, text)
    return found


def shown(page: Page) -> Drawn:
    """Read what is in the window."""
    return {title: (x, y, w, caller, text) for title, x, y, w, caller, text in page.evaluate(SHOWN)}


def frame(page: Page, name: str) -> Any:
    """Find a frame by the start of its tooltip."""
    return page.locator("#frames > g").filter(
        has=page.locator("title", has_text=re.compile(rf"^{re.escape(name)} \("))
    )


def test_scripts_leave_a_picture_as_it_was_drawn(pages: Pages) -> None:
    picture = draw(Profile.of(STACKS))
    assert shown(pages.open_picture(picture)) == drawn(picture)


def test_click_zooms_and_reset_leads_back(pages: Pages) -> None:
    picture = draw(Profile.of(STACKS))
    page = pages.open_picture(picture)
    reset = page.get_by_role("button", name="Reset zoom")
    assert not reset.is_visible()
    frame(page, "parse").click()
    zoomed = shown(page)
    assert {name.split(" ")[0]: rest[:1] + rest[2:] for name, rest in zoomed.items()} == {
        "all": (10, 1180, True, "all"),
        "api": (10, 1180, True, "api"),
        "main": (10, 1180, True, "main"),
        "parse": (10, 1180, False, "parse"),  # 60 samples
        "read": (206.7, 983.3, False, "read"),  # behind 10 of its own, 50 wide
        "vfs_read": (600, 590, False, "vfs_read"),
    }
    assert {name: rest[1] for name, rest in zoomed.items()} == {
        name: rest[1] for name, rest in drawn(picture).items() if name in zoomed
    }
    reset.click()
    assert shown(page) == drawn(picture)
    frame(page, "Reply").click()
    frame(page, "main").click()  # a caller, which is there to go back
    assert len(shown(page)) == FRAMES - 1
    page.keyboard.press("Escape")
    assert shown(page) == drawn(picture)


@pytest.mark.parametrize("name", ["go-bpftrace-0.23", "java-bpftrace-0.23-fp-perfmap"])
def test_each_zoom_is_as_wide_as_the_layout_says(pages: Pages, name: str) -> None:
    profile = parse_folded((RECORDED / f"{name}.folded").read_bytes())
    placed = list(place(profile))
    page = pages.open_picture(draw(profile))
    frames = page.locator("#frames > g")
    for number in range(1, len(placed), max(1, len(placed) // 8)):
        chosen = placed[number]
        frames.nth(number).dispatch_event("click")
        expected = [edges(each, chosen) for each in placed if is_seen(each, chosen)]
        found = page.evaluate(SHOWN)
        assert len(found) == len(expected)
        for (_, x, _, width, _, _), (left, right) in zip(found, expected, strict=True):
            assert abs(x - left) <= NEAR_PX
            assert abs(x + width - right) <= NEAR_PX
        page.keyboard.press("Escape")


def is_seen(each: Placed, chosen: Placed) -> bool:
    overlap = each.start < chosen.start + chosen.total and chosen.start < each.start + each.total
    return overlap and (each.depth > chosen.depth or each.total >= chosen.total)


def edges(each: Placed, chosen: Placed) -> tuple[float, float]:
    scale = 1180 / chosen.total
    left = 10 + (each.start - chosen.start) * scale
    return max(left, 10), min(left + each.total * scale, 1190)


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("go-bpftrace-0.23", "sha256"),
        ("go-bpftrace-0.23", r"^runtime\.(m|g)"),
        ("java-bpftrace-0.23-fp-perfmap", r"\[\]|[Aa]lloc"),
        ("bpftrace-0.23-kstack_ustack-syslog", "sys"),
    ],
)
def test_the_matched_share_is_that_of_the_profile(pages: Pages, name: str, term: str) -> None:
    profile = parse_folded((RECORDED / f"{name}.folded").read_bytes())
    page = pages.open_picture(draw(profile))
    page.get_by_role("searchbox").fill(term)
    pattern = re.compile(term)
    weight = sum(
        weight
        for stack, weight in profile.stacks.items()
        if any(pattern.search(frame.name) for frame in stack)
    )
    assert weight > 0
    assert (
        page.get_by_role("status").inner_text() == f"Matched: {100 * weight / profile.total:.1f}%"
    )
    marked = page.evaluate(MARKED)
    assert len(marked) == sum(bool(pattern.search(each.name)) for each in place(profile))


def test_search_minds_case_unless_told_and_says_what_it_cannot_read(pages: Pages) -> None:
    page = pages.open_picture(draw(Profile.of(STACKS)))
    matched = page.get_by_role("status")
    page.keyboard.press("Control+f")
    page.keyboard.type("^re")
    assert page.evaluate(MARKED) == ["read (50 samples, 50.00%)"]
    assert matched.inner_text() == "Matched: 50.0%"
    page.get_by_role("checkbox", name="ignore case").check()
    assert matched.inner_text() == "Matched: 85.0%"
    page.get_by_role("searchbox").fill("^all|re(")
    assert matched.inner_text() == "not a regex"
    assert "nterminated" in str(matched.get_attribute("title"))
    assert page.evaluate(MARKED) == []
    page.get_by_role("searchbox").fill("^all|idle")  # the root is no function
    assert matched.inner_text() == "Matched: 5.0%"
    page.keyboard.press("Escape")
    assert page.get_by_role("searchbox").evaluate("(field) => field.value") == ""
    assert matched.inner_text() == ""
    assert page.evaluate(MARKED) == []


def test_what_matches_stays_marked_when_it_was_out_of_sight(pages: Pages) -> None:
    page = pages.open_picture(draw(Profile.of(STACKS)))
    frame(page, "Reply").click()
    page.get_by_role("searchbox").fill("parse")
    assert page.get_by_role("status").inner_text() == "Matched: 60.0%"
    page.get_by_role("button", name="Reset zoom").click()
    assert page.evaluate(MARKED) == ["parse (60 samples, 60.00%)"]


def test_a_tooltip_tells_all_shares(pages: Pages) -> None:
    page = pages.open_picture(draw(Profile.of(STACKS)))
    frame(page, "parse").hover()
    assert page.locator("#details").inner_html() == (
        "parse (60 samples, 60.00%); 63.16% of its caller main; self 10 samples, 10.00%"
    )
    assert frame(page, "parse").locator("title").inner_html() == (
        "parse (60 samples, 60.00%)\n63.16% of its caller main; self 10 samples, 10.00%"
    )
    frame(page, "vfs_read").hover()
    assert "kernel; 60.00% of its caller read" in page.locator("#details").inner_html()
    page.mouse.move(600, 790)
    assert page.locator("#details").inner_html() == ""


def focused(page: Page) -> str:
    """Return the start of the tooltip of the frame that has the focus."""
    script = "() => document.activeElement?.querySelector?.('title')?.textContent ?? ''"
    return str(page.evaluate(script)).partition(" (")[0]


def test_the_keyboard_reaches_everything(pages: Pages) -> None:
    picture = draw(Profile.of(STACKS))
    page = pages.open_picture(picture)
    assert page.locator("#frames [tabindex='0']").count() == 1
    page.keyboard.press("Tab")
    assert focused(page) == "all"
    steps = [
        *(("ArrowUp", "api"), ("ArrowUp", "main"), ("ArrowUp", "parse"), ("ArrowLeft", "Reply")),
        *(("ArrowLeft", "Reply"), ("ArrowRight", "parse"), ("ArrowDown", "main")),
        *(("ArrowLeft", "idle"), ("Home", "all"), ("ArrowDown", "all"), ("ArrowUp", "api")),
    ]
    for key, name in steps:
        page.keyboard.press(key)
        assert focused(page) == name, key
    assert page.locator("#frames [tabindex]").count() == 1
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert len(shown(page)) == 6
    assert focused(page) == "parse"
    page.keyboard.press("ArrowLeft")  # its neighbour is not shown
    assert focused(page) == "parse"
    page.keyboard.press("Escape")
    assert (shown(page), focused(page)) == (drawn(picture), "parse")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Flame").is_visible()


def test_screen_readers_are_told_what_is_there(pages: Pages) -> None:
    page = pages.open_picture(draw(Profile.of(STACKS)))
    assert page.title() == "api on prod-3"
    tree = page.get_by_role("tree", name="Frames")
    assert tree.get_by_role("treeitem").count() == FRAMES
    assert tree.get_by_role("treeitem", name="read (50 samples, 50.00%)", exact=True).count() == 1
    assert frame(page, "read").get_attribute("aria-level") == "5"
    assert page.get_by_role("searchbox", name="Mark functions").is_visible()


def test_the_switch_draws_the_other_way_up(pages: Pages) -> None:
    upright, turned = draw(Profile.of(STACKS)), draw(Profile.of(STACKS), inverted=True)
    page = pages.open_picture(upright)
    page.get_by_role("button", name="Icicle").click()
    assert shown(page) == drawn(turned)
    page.get_by_role("button", name="Flame").click()
    assert shown(page) == drawn(upright)
    page = pages.open_picture(turned)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "api"
    page.get_by_role("button", name="Flame").click()
    assert shown(page) == drawn(upright)


def test_without_scripts_it_is_a_whole_picture(pages: Pages) -> None:
    picture = draw(Profile.of(STACKS))
    page = pages.open_picture(picture, java_script_enabled=False)
    rectangles = page.locator("#frames rect")
    assert rectangles.count() == len(drawn(picture)) == FRAMES
    for rectangle, (x, y, width, _, _) in zip(
        rectangles.all(), drawn(picture).values(), strict=True
    ):
        assert rectangle.is_visible()
        assert rectangle.bounding_box() == pytest.approx(
            {"x": x, "y": y, "width": width, "height": 15}, abs=0.05
        )
    assert page.locator("foreignObject").count() == 0


@pytest.mark.parametrize("width", [700, 1500, 4000])
def test_alone_it_takes_the_width_of_the_window(pages: Pages, width: int) -> None:
    page = pages.open_picture(draw(Profile.of(STACKS)), viewport={"width": width, "height": 600})
    box = page.locator("#background").bounding_box()
    assert box is not None
    # Not smaller than three quarters, where letters have 9 px, nor larger than one and a half.
    assert box["width"] == pytest.approx(min(max(width, 900), 1800), abs=1)
    assert box["x"] == pytest.approx(max(0, (width - 1800) / 2), abs=1)


def luminance(colour: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


@pytest.mark.parametrize(
    ("media", "scheme", "dark"),
    [
        ("screen", "light", False),
        ("screen", "dark", True),
        ("print", "light", False),
        ("print", "dark", False),
    ],
)
def test_texts_stand_out(pages: Pages, media: Any, scheme: Any, dark: bool) -> None:
    page = pages.open_picture(draw(Profile.of(STACKS)))
    page.emulate_media(media=media, color_scheme=scheme)
    fill = "(element) => getComputedStyle(element).fill"
    behind = luminance(page.locator("#background").evaluate(fill))
    assert (behind < 0.2) is dark
    for selector in ("#title", "#subtitle", "#legend text >> nth=0"):
        assert abs(luminance(page.locator(selector).evaluate(fill)) - behind) > 0.5, selector
    for text in page.locator("#frames text").all():
        assert luminance(text.evaluate(fill)) < 0.1
        rect = text.locator("xpath=../*[local-name()='rect']")
        assert luminance(rect.evaluate(fill)) > 0.5
    assert page.get_by_role("searchbox").is_visible() is (media == "screen")


def test_names_are_text_and_nothing_else(pages: Pages) -> None:
    names = [
        "</title><script>alert(1)</script>",
        "]]><script>alert(2)</script>",
        "\" onclick=alert(3) x='",
        "<image href='https://example.com/x.png'/>",
        "a (1 samples, 2%)",
        "\u202e\x00\x1b[2J",
        "W" * 3000,
        "\u65e5\u672c\u8a9e" * 100,
        "${alert(4)}",
    ]
    profile = Profile.of({(Frame(name), Frame("f")): 1 for name in names})
    report = Report(profile, measure_quality(profile), names[0], names[1], {names[0]: names[1]})
    page = pages.open_picture(RENDERERS["svg"].render(report))
    assert page.locator("#frames > g").count() == 2 * len(names) + 1
    assert page.locator("script, image").count() == 1
    for number in range(1, 2 * len(names), 2):
        page.locator("#frames > g").nth(number).click()
        assert page.locator("#frames > g").count() == 3
        page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill(r"^a \(1 samples, 2%\)$")
    assert page.get_by_role("status").inner_text() == f"Matched: {100 / len(names):.1f}%"


def test_letters_stay_inside_their_frames(pages: Pages) -> None:
    names = ["W" * 40, "i" * 90, "HANDLE_REQUEST_" * 4, "std::map<int, a&b>::at(int) const" * 2]
    profile = Profile.of({(Frame(name),): 1 for name in names})
    widths = """() => Array.from(document.querySelectorAll("#frames text"), (text) => [
        text.getComputedTextLength(), Number(text.parentNode.children[1].getAttribute("width"))
    ])"""
    for scripts in (True, False):
        page = pages.open_picture(draw(profile, width_px=900), java_script_enabled=scripts)
        for text, room in page.evaluate(widths):
            assert 0.6 * room < text < room or room == 880


def test_an_empty_profile_says_so(pages: Pages) -> None:
    page = pages.open_picture(draw(Profile.of({})))
    assert "no samples" in page.locator("svg").inner_html()
    assert page.locator("foreignObject").count() == 0
