"""Pictures of a comparison, in a browser, against what Python says of the same two profiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from remote_prof.parse import read_profile
from remote_prof.profile.diff import Comparison, Mover, Side, Trend, compare, count_samples
from remote_prof.profile.figures import is_noise
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.render.comparison import COMPARISON_RENDERERS
from remote_prof.render.comparison_svg import GREW, UNCHANGED

from .pages import Pages

API = Frame("api", FrameKind.PROCESS)
MAIN, HANDLE, PARSE, LOOK, SEND, OLD, FRESH = map(
    Frame, ("main", "handle", "parse", "look", "send", "old_index", "check_schema")
)
COPY = Frame("copy_user", FrameKind.KERNEL)
BEFORE: dict[Stack, int] = {
    (API, MAIN, HANDLE, PARSE): 600,
    (API, MAIN, HANDLE, LOOK): 510,
    (API, MAIN, HANDLE, LOOK, OLD): 55,
    (API, MAIN, HANDLE, SEND): 300,
    (API, MAIN, HANDLE, SEND, COPY): 400,
    (API, MAIN): 34,
    (API, MAIN, Frame("once")): 1,  # gone by chance
}
AFTER: dict[Stack, int] = {
    (API, MAIN, HANDLE, PARSE): 1000,
    (API, MAIN, HANDLE, PARSE, FRESH): 70,
    (API, MAIN, HANDLE, LOOK): 500,
    (API, MAIN, HANDLE, SEND): 290,
    (API, MAIN, HANDLE, SEND, COPY): 180,
    (API, MAIN): 33,
}
ROW_PX = 18
COMPARED = pytest.mark.parametrize("counts", [False, True], ids=["shares", "counts"])


def side(stacks: dict[Stack, int], name: str) -> Side:
    profile = Profile.of(stacks, frequency_hz=99)
    return Side(name, profile, measure_quality(profile), count_samples(profile), 20.0)


def comparison(*, counts: bool = False) -> Comparison:
    return compare(side(BEFORE, "api, monday"), side(AFTER, "api, tuesday"), counts=counts)


def open_page(pages: Pages, compared: Comparison, fragment: str = "", **options: object) -> Page:
    address = pages.write("changed.html", COMPARISON_RENDERERS["html"](compared))
    options.setdefault("viewport", {"width": 1400, "height": 800})
    return pages.open(address + fragment, **options)


def table(page: Page) -> list[list[str]]:
    """Read the rows: change, before, after, factor, noise, name."""
    rows: list[list[str]] = page.locator("#functions tbody tr[data-row]").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def expected(mover: Mover, what: str, *, counts: bool) -> list[str]:
    change = getattr(mover, what)
    totals = sum(BEFORE.values()), sum(AFTER.values())

    def signed(value: float) -> str:
        number = f"{abs(value):,.0f}" if counts else f"{abs(100 * value):.2f}"
        return ("\u2212" if value < 0 else "+") + number

    weights = [
        f"{weight:,}" if counts else f"{100 * weight / total:.2f}%"
        for weight, total in zip((change.before, change.after), totals, strict=True)
    ]
    words = {Trend.NEW: "new", Trend.VANISHED: "gone"}
    bound = change.noise_low if change.change < 0 else change.noise_high
    return [
        ("~ " if is_noise(change) else "") + signed(change.change),
        *weights,
        words.get(change.trend) or f"x{change.factor:.2f}",
        signed(bound),
        mover.name,
    ]


@COMPARED
@pytest.mark.parametrize("what", ["self", "total"])
def test_the_table_is_the_one_of_the_command_line(pages: Pages, what: str, counts: bool) -> None:
    compared = comparison(counts=counts)
    page = open_page(pages, compared)
    if what == "total":
        page.get_by_role("button", name="Total", exact=True).click()
        expect(page).to_have_url(re.compile("weighing=total"))
    told = [
        (is_noise(change) or change.trend is Trend.SAME, -abs(change.change), mover)
        for mover in compared.movers
        for change in [getattr(mover, what)]
        if change.before or change.after
    ]
    told.sort(key=lambda each: (each[0], each[1], each[2].name))
    assert table(page) == [expected(mover, what, counts=counts) for _, _, mover in told]
    names = [row[-1] for row in table(page)]
    assert {"old_index", "check_schema"} <= set(names)


def test_the_table_is_sorted_by_any_column(pages: Pages) -> None:
    page = open_page(pages, comparison())
    page.get_by_role("button", name="Before").click()
    shares = [float(row[1].removesuffix("%")) for row in table(page)]
    assert shares == sorted(shares, reverse=True)
    page.get_by_role("button", name="Factor").click()
    # What is new or gone has no factor, or all of it.
    assert {row[3] for row in table(page)[:2]} == {"new", "gone"}
    page.get_by_role("button", name="Function").click()
    names = [row[-1] for row in table(page)]
    assert names == sorted(names)


def settle(page: Page) -> None:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def colours_of(page: Page, share: float, row: int) -> set[str]:
    """Return the colours in the middle of a frame, over the height of a row from below."""
    settle(page)
    found: list[str] = page.evaluate(
        """([share, row, height]) => {
          const canvas = document.querySelector("#graph canvas");
          const ratio = canvas.width / canvas.clientWidth;
          const x = Math.floor(share * canvas.width);
          const y = Math.floor(canvas.height - (row + 1) * height * ratio) + 2;
          const { data } = canvas.getContext("2d").getImageData(x, y, 6, 12);
          const all = [];
          for (let i = 0; i < data.length; i += 4)
            all.push("#" + [...data.slice(i, i + 3)]
              .map(v => v.toString(16).padStart(2, "0")).join(""));
          return all;
        }""",
        [share, row, ROW_PX],
    )
    return set(found)


def middles() -> dict[str, tuple[float, int]]:
    """Where frames are: the share of the width at a place without text, and the row."""
    before, after = sum(BEFORE.values()), sum(AFTER.values())

    def width(*stacks: Stack) -> float:
        return sum(BEFORE.get(s, 0) / before + AFTER.get(s, 0) / after for s in stacks) / 2

    handle = (API, MAIN, HANDLE)
    own = width((API, MAIN))
    look = width((*handle, LOOK), (*handle, LOOK, OLD))
    parse = width((*handle, PARSE), (*handle, PARSE, FRESH))
    send = width((*handle, SEND), (*handle, SEND, COPY))
    return {
        "main": (0.5, 2),
        "look": (own + 0.8 * look, 4),
        "parse": (own + look + 0.8 * parse, 4),
        "send": (own + look + parse + 0.8 * send, 4),
        "check_schema": (
            own + look + width((*handle, PARSE)) + 0.3 * width((*handle, PARSE, FRESH)),
            5,
        ),
    }


def place_of(page: Page, name: str) -> tuple[float, float]:
    """Return where a frame is on the page."""
    box = page.locator("#graph canvas").bounding_box()
    assert box is not None
    share, row = middles()[name]
    return box["x"] + share * box["width"], box["y"] + box["height"] - (row + 0.5) * ROW_PX


def test_frames_are_coloured_by_what_changed_and_what_shrank_is_hatched(pages: Pages) -> None:
    page = open_page(pages, comparison())
    place = middles()
    # Of the whole it is the same.
    assert colours_of(page, *place["main"]) == {UNCHANGED}
    # 31.6 % to 51.6 %.
    assert colours_of(page, *place["parse"]) == {GREW[2]}
    assert colours_of(page, *place["check_schema"]) == {GREW[3]}
    # 36.8 % to 22.7 %: more than one colour, as it is hatched.
    shrank = colours_of(page, *place["send"])
    assert len(shrank) > 1
    assert all(int(each[5:], 16) > int(each[1:3], 16) for each in shrank if each != "#ffffff")


def test_what_a_frame_and_a_function_say(pages: Pages) -> None:
    page = open_page(pages, comparison(), "#name=send&kind=user")
    told = page.locator("#chosen-figures").text_content() or ""
    assert told.startswith(
        "self 15.79% → 13.99%, \u22121.80 points, x0.89, no more than noise: \u2212"
    )
    assert "total 36.84% → 22.67%, \u221214.17 points, x0.62, noise to \u2212" in told
    box = page.locator("#graph canvas").bounding_box()
    assert box is not None
    share, row = middles()["parse"]
    page.mouse.move(
        box["x"] + share * box["width"], box["y"] + box["height"] - (row + 0.5) * ROW_PX
    )
    tip = page.locator("#tooltip")
    expect(tip).to_contain_text("parse")
    expect(tip).to_contain_text("31.58% → 51.62%, +20.04 points, x1.63, noise to +")
    expect(tip).to_contain_text("600 and 1,070 samples")
    expect(tip).to_contain_text("self 31.58% → 48.24%")


def test_which_side_is_which(pages: Pages) -> None:
    page = open_page(pages, comparison())
    expect(page.locator("#subtitle")).to_contain_text("before: api, monday (1,900 samples")
    expect(page.locator("#subtitle")).to_contain_text("after: api, tuesday (2,073 samples")
    assert page.locator("#steps li").count() == 9
    page.get_by_role("tab", name="Run and quality").click()
    expect(page.locator("#facts")).to_contain_text("api, monday")
    expect(page.locator("#figures")).to_contain_text("1,900 → 2,073")
    expect(page.locator("#facts")).to_contain_text("99 Hz")


def test_search_tells_both_shares_and_zoom_keeps_colours(pages: Pages) -> None:
    page = open_page(pages, comparison())
    page.locator("#search").fill("^(send|copy)")
    expect(page.locator("#matched")).to_have_text("2 matches, 36.84% → 22.67%")
    page.locator("#search").fill("")
    box = page.locator("#graph canvas").bounding_box()
    assert box is not None
    share, row = middles()["parse"]
    page.mouse.click(
        box["x"] + share * box["width"], box["y"] + box["height"] - (row + 0.5) * ROW_PX
    )
    expect(page.locator("#reset")).to_be_enabled()
    assert GREW[2] in colours_of(page, 0.5, 4)


def test_callers_and_callees_of_both_sides(pages: Pages) -> None:
    page = open_page(pages, comparison(), "#name=handle&kind=user&view=sandwich")
    for chart in ("#callers", "#callees"):
        expect(page.locator(f"{chart} canvas")).to_be_visible()
    page.locator("#callees canvas").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#said")).to_contain_text("parse, 31.58% → 51.62%")


@COMPARED
def test_without_the_kernel_its_weight_is_its_caller_s_on_both_sides(
    pages: Pages, counts: bool
) -> None:
    page = open_page(pages, comparison(counts=counts), "#kernel=0")
    by_name = {row[-1]: row for row in table(page)}
    assert "copy_user" not in by_name
    assert by_name["send"][1:3] == (["700", "470"] if counts else ["36.84%", "22.67%"])


def test_downloads_hold_both_sides(pages: Pages) -> None:
    page = open_page(pages, comparison())
    page.locator("#downloads summary").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Folded stacks").click()
    folded = Path(waiting.value.path()).read_bytes()
    expected_lines = COMPARISON_RENDERERS["folded"](comparison(counts=True)).splitlines()
    assert sorted(folded.splitlines()) == sorted(expected_lines)
    page.locator("#downloads summary").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="speedscope").click()
    both = read_profile("both.json", Path(waiting.value.path()).read_bytes())
    assert both.total == sum(BEFORE.values()) + sum(AFTER.values())


def test_a_view_comes_back_from_its_address(pages: Pages) -> None:
    fragment = "#weighing=total&sort=after&up=1&order=heavy&search=pa"
    page = open_page(pages, comparison(), fragment)
    after = [float(row[2].removesuffix("%")) for row in table(page)]
    assert after == sorted(after)
    assert page.locator("#weighings [aria-pressed=true]").text_content() == "Total"


def test_the_svg_searches_and_zooms_with_marks(pages: Pages) -> None:
    page = pages.open_picture(COMPARISON_RENDERERS["svg"](comparison()))
    page.locator("#search").fill("^send")
    assert page.locator("output").text_content() == "36.8% → 22.7%"
    group = page.locator("#frames > g", has=page.locator("title", has_text=re.compile("^parse ")))
    assert group.locator("text").text_content() == "+ parse"
    group.click()
    assert group.locator("text").text_content() == "+ parse"
    assert group.locator("rect").get_attribute("width") == "1180.0"
    label = page.locator("#frames text", has_text="++ ")
    assert (label.text_content() or "").startswith("++ c")
    group.hover()
    details = page.locator("#details").text_content() or ""
    assert "before 31.58 %, after 51.62 %; 600 and 1,070 samples; +20.04 points; x1.63" in details
