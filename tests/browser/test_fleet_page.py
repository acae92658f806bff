"""The fleet's page in a browser: three hundred hosts, four of which differ."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from remote_prof.profile.diff import Function
from remote_prof.profile.hottest import Hot
from remote_prof.profile.model import FrameKind
from remote_prof.profile.outliers import Difference
from remote_prof.render.fleet_page import Bar, FleetPage, HostRow, render_fleet_page
from remote_prof.render.svg import colour

from .fleets import DIFFERENT, FAILURES, fleet, name_of
from .pages import Pages

OUTLIERS = {name_of(number) for number in DIFFERENT}
FAILED = {name_of(number) for number in FAILURES}
BY_NAME = {host.name: host for host in fleet().hosts}


def open_fleet(
    pages: Pages, page: FleetPage | None = None, fragment: str = "", **options: Any
) -> Page:
    options.setdefault("viewport", {"width": 1400, "height": 900})
    address = pages.write("fleet.html", render_fleet_page(page or fleet()))
    return pages.open(address + fragment, **options)


def names(page: Page) -> list[str]:
    """Return the hosts in the order of their rows."""
    found: list[str] = page.locator("#hosts tbody .name").evaluate_all(
        "names => names.map(each => each.textContent)"
    )
    return found


def row_of(page: Page, name: str) -> Any:
    # The name alone: its own detail is a row, too.
    return page.locator("#hosts tbody > tr:not(.detail)").filter(
        has=page.locator(".name", has_text=re.compile(f"^{re.escape(name)}$"))
    )


def sort_by(page: Page, head: str) -> None:
    page.locator("#hosts").get_by_role("button", name=head, exact=True).click()


def settle(page: Page) -> None:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def test_those_that_differ_come_first_and_are_marked_by_a_word(pages: Pages) -> None:
    page = open_fleet(pages)
    shown = names(page)
    assert len(shown) == 300
    assert set(shown[:4]) == OUTLIERS
    assert set(shown[4:9]) == {name for name in FAILED if BY_NAME[name].status != "skipped"}
    marked = page.locator("#hosts tbody tr", has=page.locator(".mark", has_text="differs"))
    expect(marked).to_have_count(4)
    expect(page.locator("#answer")).to_have_text(
        "4 of 300 hosts differ; 2 failed, 2 could not be reached, 1 without samples, 1 skipped."
    )
    expect(page.locator("#hosts .failure")).to_have_count(len(FAILED))
    expect(row_of(page, name_of(55)).locator(".failure")).to_have_text(BY_NAME[name_of(55)].error)
    told = page.locator("#outliers article h3").all_text_contents()
    assert told == shown[:4]


def key_of(column: str, host: HostRow) -> float | None:
    return {
        "Distance": host.distance,
        "Samples": host.weight,
        "CPU time": host.cpu_time_s,
        "Self": host.bars[0].share if host.bars else None,
    }[column]


@pytest.mark.parametrize("column", ["Distance", "Samples", "CPU time", "Self"])
def test_figures_are_sorted_the_largest_first_and_what_has_none_last(
    pages: Pages, column: str
) -> None:
    page = open_fleet(pages)
    for direction, sign in (("descending", -1), ("ascending", 1)):
        sort_by(page, column)
        head = page.locator("#hosts th", has=page.get_by_role("button", name=column, exact=True))
        expect(head).to_have_attribute("aria-sort", direction)
        values = [key_of(column, BY_NAME[name]) for name in names(page)]
        figures = [round(value, 5) for value in values if value is not None]
        assert figures == sorted(figures, key=lambda value: sign * value)
        assert values[len(figures) :] == [None] * len(FAILED)
    assert (
        page.locator("#hosts th[aria-sort=ascending], #hosts th[aria-sort=descending]").count() == 1
    )


def test_texts_are_sorted_as_people_count(pages: Pages) -> None:
    page = open_fleet(pages)
    sort_by(page, "Host")
    assert names(page) == [name_of(number) for number in range(300)]
    sort_by(page, "Host")
    assert names(page) == [name_of(number) for number in reversed(range(300))]
    sort_by(page, "Status")
    statuses = [BY_NAME[name].status for name in names(page)]
    assert statuses == sorted(statuses)
    sort_by(page, "Quality")
    grades = [BY_NAME[name].grade for name in names(page)]
    order = ["poor", "rough", "sound", ""]
    assert grades == sorted(grades, key=order.index)
    assert {"rough", "sound"} <= set(grades)
    sort_by(page, "Top function")
    tops = [BY_NAME[name].bars[0].name for name in names(page) if BY_NAME[name].bars]
    assert tops == sorted(tops)
    sort_by(page, "Groups")
    groups = [BY_NAME[name].groups for name in names(page)]
    assert groups == sorted(groups)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop-14", {name_of(number) for number in (14, *range(140, 150))}),
        ("REGEX_compile", {name_of(3), name_of(140)}),
        ("zone-b", {name_of(number) for number in range(1, 300, 3)}),
        ("no route to host", {name_of(56)}),
        ("nothing like it", set()),
    ],
    ids=["host", "function", "group", "error", "none"],
)
def test_hosts_are_filtered_by_whatever_is_told_of_them(
    pages: Pages, text: str, expected: set[str]
) -> None:
    page = open_fleet(pages)
    page.keyboard.press("/")
    page.keyboard.type(text)
    # What differs here is in its functions there, too: all that show it are found.
    if text == "REGEX_compile":
        expected = {
            host.name
            for host in BY_NAME.values()
            if "regex_compile"
            in [bar.name for bar in host.bars[:8]] + [d.function.name for d in host.differences]
        }
    expect(page.locator("#count")).to_have_text(f"{len(expected)} of 300")
    assert set(names(page)) == expected
    page.keyboard.press("Escape")
    expect(page.locator("#count")).to_have_text("300 hosts")
    assert len(names(page)) == 300


def test_hosts_are_filtered_by_status_and_by_what_differs(pages: Pages) -> None:
    page = open_fleet(pages)
    page.get_by_label("Status").select_option("unreachable")
    assert set(names(page)) == {name_of(55), name_of(56)}
    assert "unreachable (2)" in page.get_by_label("Status").inner_text()
    page.get_by_label("Status").select_option("")
    page.get_by_label("Differs only").check()
    assert set(names(page)) == OUTLIERS
    expect(page).to_have_url(re.compile("differs=1"))


def test_a_row_opens_what_makes_its_difference(pages: Pages) -> None:
    page = open_fleet(pages)
    row, detail = row_of(page, name_of(3)), page.locator("#hosts tr.detail")
    row.locator("td").nth(3).click()
    expect(detail).to_have_count(1)
    assert row.evaluate("row => row.nextElementSibling.className") == "detail"
    expect(row.locator(".opener")).to_have_attribute("aria-expanded", "true")
    told = detail.locator(".differences tr").evaluate_all(
        "rows => rows.slice(1).map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert told == [
        [f"{100 * each.here:.1f} %", "", f"{100 * each.rest:.1f} %", each.function.name]
        for each in BY_NAME[name_of(3)].differences
    ]
    here, rest = detail.locator(".both").nth(1).locator("span").all()
    boxes = [side.bounding_box() for side in (here, rest)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    second = BY_NAME[name_of(3)].differences[1]
    ratio = boxes[0]["width"] / boxes[1]["width"]
    assert ratio == pytest.approx(second.here / second.rest, rel=0.05)
    assert boxes[0]["x"] + boxes[0]["width"] == pytest.approx(boxes[1]["x"], abs=1)
    for text in ("6.1.1", "bpftrace v0.23.2", "api:2.4.1", "the clock is off by 3 s"):
        expect(detail.get_by_text(text)).to_be_visible()
    row_of(page, name_of(55)).locator(".failure").click()
    expect(detail).to_have_count(1)
    expect(detail).to_contain_text("timed out after 10 s")
    row_of(page, name_of(55)).locator(".opener").click()
    expect(detail).to_have_count(0)


def test_a_detail_stays_with_its_row_in_another_order(pages: Pages) -> None:
    page = open_fleet(pages)
    row_of(page, name_of(3)).locator(".opener").click()
    sort_by(page, "Samples")
    row = row_of(page, name_of(3))
    assert row.evaluate("row => row.nextElementSibling.className") == "detail"
    page.get_by_label("Filter hosts").fill("shop-10.")
    expect(page.locator("#hosts tr.detail")).to_have_count(0)
    page.get_by_label("Filter hosts").fill("")
    expect(page.locator("#hosts tr.detail")).to_have_count(1)


def test_a_host_s_name_leads_to_its_own_report(pages: Pages) -> None:
    page = open_fleet(pages)
    link = row_of(page, name_of(3)).locator("a")
    assert link.get_attribute("href") == f"./{name_of(3)}/flamegraph.html"
    assert row_of(page, name_of(55)).locator("a").count() == 0
    # A click on it is no click on the row.
    link.evaluate("link => link.addEventListener('click', event => event.preventDefault())")
    link.click()
    expect(page.locator("#hosts tr.detail")).to_have_count(0)
    assert (
        page.get_by_role("link", name="folded stacks").get_attribute("href") == "./profile.folded"
    )


def test_a_bar_has_the_colours_of_the_graph_and_says_what_is_in_it(pages: Pages) -> None:
    page = open_fleet(pages)
    bars = BY_NAME[name_of(3)].bars[:8]
    stacked = row_of(page, name_of(3)).locator(".stacked")
    lines = [f"{100 * bar.share:.1f} % {bar.name}" for bar in bars]
    assert stacked.get_attribute("title") == "\n".join(lines)
    # A screen reader has the same.
    expect(stacked).to_have_accessible_name(" ".join(lines))
    picture = stacked.evaluate("each => getComputedStyle(each).backgroundImage")
    shades = [
        tuple(round(float(part) * 255) for part in shade.split())
        for shade in re.findall(r"color\(srgb ([\d. ]+)\)", picture)
    ]
    # Each begins and ends.
    assert shades[::2] == [tuple(bytes.fromhex(colour(*bar[:2])[1:])) for bar in bars]
    first = re.search(r"([\d.]+)%", picture)
    assert first is not None
    assert float(first[1]) == pytest.approx(100 * bars[0].share, abs=0.01)


def test_the_address_holds_the_view(pages: Pages) -> None:
    page = open_fleet(pages)
    sort_by(page, "CPU time")
    sort_by(page, "CPU time")
    page.get_by_label("Filter hosts").fill("zone-a")
    row_of(page, name_of(3)).locator(".opener").click()
    page.get_by_label("Filter functions").fill("json")
    expect(page).to_have_url(re.compile("functions=json"))
    seen = names(page)
    assert len(seen) == 100
    again = pages.open(page.url, viewport={"width": 1400, "height": 900})
    assert names(again) == seen
    expect(again.locator("#hosts th[aria-sort=ascending]")).to_have_text("CPU time")
    expect(again.locator("#hosts tr.detail")).to_contain_text("regex_compile")
    expect(again.locator("#hottest tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.locator("#hosts tr.detail")).to_have_count(0)


@pytest.mark.parametrize("fragment", ["#sort=constructor&open=__proto__&status=x", "#zoom=9-1&%"])
def test_an_address_of_anybody_s_does_no_harm(pages: Pages, fragment: str) -> None:
    page = open_fleet(pages, fragment=fragment)
    assert len(names(page)) == 300


def test_all_can_be_done_with_the_keyboard(pages: Pages) -> None:
    page = open_fleet(pages)
    shown = names(page)
    page.get_by_label("Filter hosts").focus()
    focused = "() => document.activeElement.querySelector('.name')?.textContent"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(focused):
            break
    assert page.evaluate(focused) == shown[0]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == shown[2]
    page.keyboard.press("Enter")
    expect(page.locator("#hosts tr.detail")).to_have_count(1)
    assert page.evaluate(focused) == shown[2]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == shown[2], "its link"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#hosts tr.detail")).to_have_count(0)
    page.keyboard.press("End")
    assert page.evaluate(focused) == shown[-1]
    page.keyboard.press("Home")
    assert page.evaluate(focused) == shown[0]
    page.locator("#hosts").get_by_role("button", name="Distance").focus()
    page.keyboard.press("Enter")
    assert names(page)[:4] == shown[:4]


def test_the_merged_graph_zooms_and_is_searched(pages: Pages) -> None:
    page = open_fleet(pages)
    canvas = page.locator("#merged canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    reset = page.get_by_role("button", name="Reset zoom")
    expect(reset).to_be_disabled()
    # From the root on: all, api, main, handle.
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] - 18 * 3.5})
    expect(reset).to_be_enabled()
    expect(page).to_have_url(re.compile("zoom="))
    expect(page.locator("#said")).to_contain_text("handle(request&)")
    again = pages.open(page.url)
    expect(again.get_by_role("button", name="Reset zoom")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(reset).to_be_disabled()
    page.get_by_label("regular expression").fill("^parse_json$")
    whole = fleet().merged
    assert whole is not None
    stacks = whole.profile.stacks
    weight = sum(n for stack, n in stacks.items() if any(f.name == "parse_json" for f in stack))
    share = f"{100 * weight / whole.profile.total:.2f}%"
    expect(page.locator("#matched")).to_have_text(f"1 match, {share}")


def test_the_wheel_scrolls_the_page_until_the_graph_is_chosen(pages: Pages) -> None:
    page = open_fleet(pages)
    canvas = page.locator("#merged canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + box["height"] - 5)
    reset = page.get_by_role("button", name="Reset zoom")
    page.mouse.wheel(0, -100)
    settle(page)
    expect(reset).to_be_disabled()
    canvas.focus()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + box["height"] - 5)
    page.mouse.wheel(0, -100)
    expect(reset).to_be_enabled()


def test_the_hottest_functions_are_sorted_and_filtered(pages: Pages) -> None:
    kinds = list(FrameKind)
    hot = tuple(
        Hot(f"f{number}", kinds[number % 3 + 1], 0.5 / (number + 1), 0.6, number, 0, 0.1, 0.5)
        for number in range(700)
    )
    page = open_fleet(pages, replace(fleet(), hottest=hot))
    rows = page.locator("#hottest tbody tr")
    expect(rows).to_have_count(50)
    expect(page.locator("#functions-count")).to_have_text("50 of 500; 700 in all")
    page.locator("#hottest").get_by_role("button", name="Hosts").click()
    expect(rows.first).to_contain_text("f499")
    page.get_by_label("Filter functions").fill("F12")
    expect(rows).to_have_count(11)
    expect(rows.first).to_contain_text("f129")


def test_groups_are_compared(pages: Pages) -> None:
    page = open_fleet(pages)
    rows = page.locator("#groups tbody > tr")
    assert rows.locator("th").all_text_contents() == ["zone-a", "zone-b", "zone-c differs"]
    page.locator("#groups").get_by_role("button", name="Distance").click()
    expect(rows.first).to_contain_text("zone-c")
    rows.first.click()
    expect(page.locator("#groups tr.detail")).to_contain_text("regex_compile")


def test_names_can_be_anything(pages: Pages) -> None:
    texts = [
        "</script><script>alert(1)</script>",
        '<img src=x onerror=alert(1)>"',
        "\0\x01\x1b[31m",
        "\u202egnp.exe\u2066\u2028",
        "__proto__",
        "\ud800",
        "x" * 5000,
        "",
    ]
    hosts = tuple(
        HostRow(
            text or "no name",
            "ok",
            groups=(text,),
            weight=5,
            grade="sound",
            reason=text,
            bars=(Bar(text, FrameKind.USER, 0.5),),
            distance=0.5,
            is_outlier=True,
            differences=(Difference(Function(text, FrameKind.USER), 0.5, 0.1),),
            report=text,
            facts={text: text},
            problems=(text,),
        )
        for text in texts
    )
    page = open_fleet(pages, replace(fleet(), title=texts[0], subtitle=texts[3], hosts=hosts))
    for number in range(len(hosts)):
        page.locator("#hosts tbody .opener").nth(number).click()
        expect(page.locator("#hosts tr.detail")).to_have_count(1)
    shown = "".join(names(page)) + page.locator("h1").inner_text()
    assert not set(shown) & set("\0\x01\x1b\u202e\u2066\u2028")
    assert texts[0] in shown
    assert page.locator("img, script:not(:last-child)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(pages: Pages, scheme: str) -> None:
    page = open_fleet(pages, color_scheme=scheme)
    back = "() => getComputedStyle(document.body).backgroundColor"
    colours = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
    assert page.evaluate(back) == colours[scheme]
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(back) == colours["dark" if scheme == "light" else "light"]


def test_a_small_screen_scrolls_down_alone(pages: Pages) -> None:
    page = open_fleet(pages, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    row_of(page, name_of(3)).locator(".opener").tap()
    expect(page.locator("#hosts tr.detail")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    table = page.locator("#hosts .rows")
    assert table.evaluate("box => box.scrollWidth - box.clientWidth") == 0
    expect(row_of(page, name_of(3)).locator(".distance")).to_be_visible()


def test_where_scripts_are_off_the_hosts_are_a_plain_table(pages: Pages) -> None:
    page = open_fleet(pages, java_script_enabled=False)
    rows = page.locator("noscript tbody tr")
    assert rows.count() == 300
    expect(rows.first).to_be_visible()
    expect(rows.first).to_contain_text("differs")
    assert page.get_by_role("button", name="Dark").count() == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_fleet_of_few(pages: Pages, count: int) -> None:
    few = tuple(BY_NAME[name_of(number)] for number in (1, 2)[:count])
    page = open_fleet(pages, replace(fleet(), hosts=few, hottest=(), groups=(), merged=None))
    assert len(names(page)) == count
    for hidden in ("#outliers", "#groups", "#merged", "#hottest"):
        expect(page.locator(hidden)).to_be_hidden()


def test_on_paper_the_page_is_light_and_has_all_hosts(pages: Pages) -> None:
    page = open_fleet(pages, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    back = "() => getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(back) == "rgb(255, 255, 255)"
    rows = page.locator("#hosts .rows")
    assert rows.evaluate("box => box.scrollHeight - box.clientHeight") == 0
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(back) == "rgb(20, 23, 28)"
