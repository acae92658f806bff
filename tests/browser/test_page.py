"""What the page is: a file that needs nothing, that names cannot break, for all screens."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.records import Problem, Severity
from remote_prof.render import RENDERERS, Report

from .pages import Reports
from .samples import STACKS, report_of, sample

NASTY = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "]]><!--<b>&amp;&#0;",
    '" onload="alert(1)',
    "${alert(1)}`'",
    "\0\x01\x1b[31m\x9b",
    "\u202egnp.exe\u2066\u2028",
    "a;b\nc d 5\r\n",
    "javascript:alert(1)",
    "constructor",
    "__proto__",
    "\ud800",
    "naïve 日本 🔥",
    "x" * 100_000,
    "",
]


def nasty() -> Report:
    stacks: dict[Stack, int] = {
        (
            Frame(name, FrameKind.PROCESS, pid=number),
            Frame("main"),
            Frame(name, module=name, offset_bytes=number),
            Frame(name, FrameKind.KERNEL, module=name),
        ): 100 - number
        for number, name in enumerate(NASTY)
    }
    profile = Profile.of(stacks, tool=NASTY[0])
    problems = tuple(Problem(Severity.ERROR, name, name, name) for name in NASTY)
    facts = dict(zip(NASTY, reversed(NASTY), strict=True))
    return Report(profile, measure_quality(profile), NASTY[0], NASTY[1], facts, problems)


def download(page: Page, name: str) -> tuple[str, bytes]:
    page.locator("#downloads summary").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    path = waiting.value.path()
    return waiting.value.suggested_filename, Path(path).read_bytes()


@pytest.mark.parametrize("make", [sample, nasty])
def test_downloads_are_what_the_command_line_makes(
    reports: Reports, make: Callable[[], Report]
) -> None:
    report = make()
    # Whatever the view is, the whole profile is downloaded.
    page = reports.open(report, "#kernel=0&group=none&collapse=1")
    name, data = download(page, "Folded stacks")
    assert name == RENDERERS["folded"].filename
    assert sorted(data.split(b"\n")) == sorted(RENDERERS["folded"].render(report).split(b"\n"))
    name, data = download(page, "speedscope")
    assert name == RENDERERS["speedscope"].filename
    made, expected = json.loads(data), json.loads(RENDERERS["speedscope"].render(report))
    assert stacks_of(made) == stacks_of(expected)
    for document in (made, expected):
        del document["profiles"][0]["samples"], document["profiles"][0]["weights"]
        del document["shared"]
    if make is sample:
        assert made == expected


def stacks_of(speedscope: dict[str, Any]) -> dict[str, int]:
    frames = speedscope["shared"]["frames"]
    (profile,) = speedscope["profiles"]
    found: dict[str, int] = {}
    for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
        # A lone surrogate is written differently; nothing else is.
        text = (
            json.dumps([frames[i] for i in stack]).replace("\\ud800", "?").replace("\\ufffd", "?")
        )
        found[text] = found.get(text, 0) + weight
    return found


def test_hostile_names_are_text_and_nothing_else(reports: Reports) -> None:
    page = reports.open(nasty(), "#modules=1&offsets=1")
    plain = reports.open(sample(), "#modules=1&offsets=1")
    tags = "() => [...new Set([...document.querySelectorAll('*')].map(e => e.tagName))].sort()"
    page.keyboard.press("s")
    for each in (page, plain):
        each.locator("#tab-run").click()
    assert page.evaluate(tags) == plain.evaluate(tags)
    shown = page.locator("#run").inner_text()
    assert "<img src=x onerror=alert(1)>" in shown
    assert not set(shown) & set("\x00\x01\x1b\u202e\u2066\u2028\x9b")
    expect(page.locator("h1")).to_have_text(NASTY[0])
    page.locator("#tab-functions").click()
    for row in page.locator("#functions tbody tr[data-row]").all()[:20]:
        row.click()
    page.get_by_role("searchbox", name="Search functions").fill("<img|__proto__|constructor")
    expect(page.locator("#matched")).to_contain_text("matches, 20.")
    box = page.locator("#callees canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 30, box["y"] + 10)
    expect(page.locator("#tooltip")).to_be_visible()
    assert page.evaluate(tags) == plain.evaluate(tags)


def test_names_of_javascripts_own_are_functions_like_others(reports: Reports) -> None:
    stacks: dict[Stack, int] = {(Frame("constructor"), Frame("__proto__")): 2, (Frame("x"),): 1}
    page = reports.open(report_of(stacks), "#name=__proto__&kind=user")
    expect(page.locator("#chosen-figures")).to_contain_text("self 66.67% (2)")


def test_every_request_is_forbidden(reports: Reports) -> None:
    page = reports.open(sample())
    refused = page.evaluate(
        """async () => {
          const seen = [];
          const image = new Image();
          const failed = new Promise(done => { image.onerror = done; });
          addEventListener("securitypolicyviolation", event => seen.push(event.effectiveDirective));
          image.src = "https://example.org/x.png";
          await failed;
          await fetch("https://example.org/").catch(() => 0);
          while (seen.length < 2) await new Promise(done => setTimeout(done, 20));
          return seen.sort();
        }"""
    )
    assert refused == ["connect-src", "img-src"]
    assert any("Content Security Policy" in each for each in reports.told)
    reports.told.clear()  # what was provoked here


@pytest.mark.parametrize("stacks", [{}, {(): 3}, {(Frame("one"),): 1}], ids=["none", "root", "one"])
def test_almost_nothing_is_shown(reports: Reports, stacks: dict[Stack, int]) -> None:
    page = reports.open(report_of(stacks))
    expect(page.locator("#graph canvas")).to_be_visible()
    expect(page.locator(".empty")).to_have_count(0 if stacks else 1)
    for key in "s1232g0+-":
        page.keyboard.press(key)
    page.get_by_role("searchbox", name="Search functions").fill("one")
    expect(page.locator("#matched")).to_contain_text(
        "100.00%" if (Frame("one"),) in stacks else "0"
    )


def test_stacks_of_thousands_of_frames(reports: Reports) -> None:
    stack = tuple(Frame(f"f{depth}") for depth in range(5000))
    page = reports.open(report_of({stack: 1}))
    page.locator("#graph canvas").focus()
    page.keyboard.press("PageUp")
    page.locator("#functions tbody tr[data-row]").first.click()
    expect(page.locator("#chosen-name")).to_have_text("f4999")


def test_a_profile_of_200_000_frames(reports: Reports) -> None:
    paths = [[f"f{zlib.crc32(b'%d %d' % (n, d)) % 400}" for d in range(40)] for n in range(5200)]
    report = report_of({tuple(map(Frame, path)): n + 1 for n, path in enumerate(paths)})
    page = reports.open(report)
    box = page.locator("#graph canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 27)
    expect(page.get_by_role("button", name="Reset zoom")).to_be_enabled()
    page.get_by_role("searchbox", name="Search functions").fill("^f1.$")
    weight = sum(
        n + 1
        for n, path in enumerate(paths)
        if any(len(name) == 3 and name.startswith("f1") for name in path)
    )
    share = f"{100 * weight / report.profile.total:.2f}%"
    expect(page.locator("#matched")).to_have_text(f"10 matches, {share}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(reports: Reports, scheme: str, tmp_path: Path) -> None:
    page = reports.open(sample(), color_scheme=scheme)
    back = "() => getComputedStyle(document.body).backgroundColor"
    colours = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
    assert page.evaluate(back) == colours[scheme]
    assert page.screenshot(path=tmp_path / f"{scheme}.png")
    page.keyboard.press("t")
    other = "dark" if scheme == "light" else "light"
    assert page.evaluate(back) == colours[other]
    # A young context of a busy Chromium may lose what a page kept, so that it is handed on here.
    kept = page.evaluate("() => ({...localStorage})")
    page.context.add_init_script(f"Object.assign(localStorage, {json.dumps(kept)})")
    page.reload()
    assert page.evaluate(back) == colours[other], "what was chosen is kept"


def test_a_small_screen(reports: Reports, tmp_path: Path) -> None:
    page = reports.open(
        sample(), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.screenshot(path=tmp_path / "small.png", full_page=True)
    canvas = page.locator("#graph canvas")
    box = canvas.bounding_box()
    assert box is not None
    assert box["width"] == 390
    canvas.tap(position={"x": 100, "y": box["height"] - 27})
    expect(page.get_by_role("button", name="Reset zoom")).to_be_enabled()
    for target in page.locator("button:visible").all():
        size = target.bounding_box()
        assert size is not None
        assert size["height"] >= 26
        assert size["x"] + size["width"] <= 390


def test_on_paper_the_page_is_light_and_whole(reports: Reports) -> None:
    page = reports.open(sample(), color_scheme="dark")
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="print")
    expect(page.locator("#toolbar")).to_be_hidden()
    expect(page.locator("#run")).to_be_visible()
    page.emulate_media(media="screen")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_without_scripts_there_is_a_table(reports: Reports) -> None:
    page = reports.open(nasty(), java_script_enabled=False)
    rows = page.locator("noscript tbody tr")
    expect(rows).to_have_count(30)
    expect(rows.first).to_be_visible()
    expect(page.locator("noscript tbody")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#toolbar")).to_be_hidden()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(reports: Reports) -> None:
    page = reports.open(sample(), "#name=main&kind=user&zoom=1-20")
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const at = document.activeElement;
              const name = at.id || at.dataset.value || at.dataset.column || at.tagName;
              return [name, getComputedStyle(at).outlineStyle];
            }"""
        )
        if name in ("BODY", *reached[:1]):
            break
        assert outline == "solid", name
        reached.append(name)
    wanted = {"theme", "help", "quality", "graph", "sandwich", "search", "kernel", "modules"}
    wanted |= {"group", "reset", "CANVAS", "copy", "open", "tab-functions", "filter", "self", "TR"}
    assert wanted <= set(reached)


def test_everything_has_a_name_for_those_who_do_not_see_it(reports: Reports) -> None:
    page = reports.open(sample())
    nameless = page.locator("button, input, select, canvas, section, aside table").evaluate_all(
        """all => all.filter(each => !(each.ariaLabel || each.textContent.trim()
          || each.labels?.length || each.getAttribute("aria-labelledby")))
          .map(each => each.outerHTML)"""
    )
    assert nameless == []
    expect(page.locator("p.unseen").first).to_contain_text("140 samples in 9 distinct stacks")
    assert len(STACKS) == 9
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
