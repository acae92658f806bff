"""What the report shows and does, in a browser, against what Python says of the same profile."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.summary import top_functions
from remote_prof.render.svg import colour

from .pages import Reports
from .samples import (
    JIT,
    MAIN,
    STACKS,
    WALK,
    changed,
    matched,
    report_of,
    sample,
    weight_where,
    without_kernel,
)

TOTAL = sum(STACKS.values())
ROW_PX = 18


def percent(weight: float, whole: float = TOTAL) -> str:
    return f"{100 * weight / whole:.2f}%"


def table(page: Page) -> list[tuple[str, str, str]]:
    """Read the rows: self, total, name."""
    rows = page.locator("#functions tbody tr[data-row]")
    return [
        (cells[0], cells[1], cells[2])
        for cells in rows.evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
    ]


def expected_table(profile: Profile) -> list[tuple[str, str, str]]:
    whole = profile.total
    return [
        (percent(each.self, whole), percent(each.total, whole), each.name)
        for each in top_functions(profile)
    ]


def settle(page: Page) -> None:
    """Wait until what was changed is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def pixel(page: Page, chart: str, share: float, row: float) -> str:
    """Return the colour in a row of a chart, counted from below, just above its lower edge."""
    settle(page)
    found: str = page.evaluate(
        """([chart, share, row, height]) => {
          const canvas = document.querySelector(chart + " canvas");
          const ratio = canvas.width / canvas.clientWidth;
          const x = Math.floor(share * canvas.width);
          const y = Math.floor(canvas.height - (row * height + 4) * ratio);
          const data = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
          return "#" + [...data.slice(0, 3)].map(v => v.toString(16).padStart(2, "0")).join("");
        }""",
        [chart, share, row, ROW_PX],
    )
    return found


def point(page: Page, share: float, row: int) -> dict[str, float]:
    """Return where a row of the flame graph is on the page."""
    box = page.locator("#graph canvas").bounding_box()
    assert box is not None
    return {
        "x": box["x"] + share * box["width"],
        "y": box["y"] + box["height"] - (row + 0.5) * ROW_PX,
    }


def click(page: Page, share: float, row: int) -> None:
    at = point(page, share, row)
    page.mouse.click(at["x"], at["y"])
    settle(page)


def view(page: Page) -> tuple[float, float]:
    """Return the part of the whole that the address names."""
    found = re.search(r"zoom=([\d.]+)-([\d.]+)", page.url)
    return (float(found[1]), float(found[2])) if found else (0.0, float(TOTAL))


def await_zoom(page: Page, before: tuple[float, float]) -> tuple[float, float]:
    """Wait until a view that moved is in the address."""
    for _ in range(100):
        if view(page) != before:
            break
        page.wait_for_timeout(50)
    return view(page)


# The sample's first row, from the left: api (77 with that of another pid), api-pool 40, db 23.
API_SHARE, POOL_SHARE, DB_SHARE = 30 / TOTAL, 100 / TOTAL, 130 / TOTAL


def test_the_run_and_its_quality_are_told(reports: Reports) -> None:
    page = reports.open(sample())
    assert page.title() == "api on prod-3 · flame graph"
    expect(page.locator("h1")).to_have_text("api on prod-3")
    quality = page.locator("#quality")
    expect(quality).to_contain_text("poor")
    expect(quality).to_contain_text("35 % of the expected samples were taken")
    quality.click()
    expect(page.locator("#run")).to_be_visible()
    expect(page.locator("#figures")).to_contain_text("140 of 400 expected")
    expect(page.locator("#facts")).to_contain_text("prod-3 (192.0.2.3)")
    problems = page.locator("#problems li")
    expect(problems).to_have_count(2)
    expect(problems.nth(1)).to_contain_text("the clock is off")
    expect(problems.nth(1)).to_contain_text("set it")


def test_frames_are_where_they_belong_in_the_colours_of_the_svg(reports: Reports) -> None:
    page = reports.open(sample())
    assert pixel(page, "#graph", API_SHARE, 1) == colour("api", FrameKind.PROCESS)
    assert pixel(page, "#graph", POOL_SHARE, 1) == colour("api-pool", FrameKind.PROCESS)
    assert pixel(page, "#graph", POOL_SHARE, 3) == colour(JIT.name, FrameKind.JIT)
    assert pixel(page, "#graph", DB_SHARE + 0.01, 1) == colour("db", FrameKind.PROCESS)
    assert pixel(page, "#graph", POOL_SHARE, 4) == "#000000", "nothing is drawn there"


def test_icicle_has_the_root_above_and_left_heavy_the_widest_first(reports: Reports) -> None:
    page = reports.open(report_of({(Frame("a"),): 1, (Frame("z"),): 3}))

    def top_row(share: float) -> str:
        height = page.locator("#graph canvas").evaluate("canvas => canvas.clientHeight")
        # The row below the root, counted from above.
        return pixel(page, "#graph", share, (height - 2 * ROW_PX) / ROW_PX + 0.2)

    a, z = colour("a", FrameKind.USER), colour("z", FrameKind.USER)
    page.get_by_role("button", name="Icicle").click()
    assert (top_row(0.1), top_row(0.6)) == (a, z)
    page.get_by_role("button", name="Left heavy").click()
    assert (top_row(0.1), top_row(0.9)) == (z, a)
    page.keyboard.press("1")
    assert (pixel(page, "#graph", 0.1, 1), pixel(page, "#graph", 0.6, 1)) == (a, z)


def test_a_click_zooms_and_chooses(reports: Reports) -> None:
    page = reports.open(sample())
    reset = page.get_by_role("button", name="Reset zoom")
    expect(reset).to_be_disabled()
    click(page, POOL_SHARE, 3)
    assert view(page) == (77, 117)
    for share in (0.5, 0.98):
        assert pixel(page, "#graph", share, 3) == colour(JIT.name, FrameKind.JIT)
    expect(page.locator("#chosen-name")).to_have_text(JIT.name)
    row = page.locator("#functions tr[aria-selected=true]")
    expect(row).to_contain_text(JIT.name)
    reset.click()
    assert view(page) == (0, TOTAL)
    expect(reset).to_be_disabled()


def test_the_wheel_zooms_around_the_pointer(reports: Reports) -> None:
    page = reports.open(sample())
    at = point(page, 0.25, 1)
    page.mouse.move(at["x"], at["y"])
    page.mouse.wheel(0, -300)
    left, right = await_zoom(page, (0, TOTAL))
    assert right - left < TOTAL
    assert left + 0.25 * (right - left) == pytest.approx(0.25 * TOTAL, abs=0.2)
    page.mouse.wheel(0, 5000)
    assert await_zoom(page, (left, right)) == (0, TOTAL)


def test_keys_zoom_and_pan_and_go_from_frame_to_frame(reports: Reports) -> None:
    page = reports.open(sample())
    page.locator("#graph canvas").focus()
    page.keyboard.press("+")
    zoomed = await_zoom(page, (0, TOTAL))
    assert zoomed[1] - zoomed[0] == pytest.approx(TOTAL / 1.4)
    page.keyboard.press("d")
    panned = await_zoom(page, zoomed)
    assert panned[0] - zoomed[0] == pytest.approx(0.2 * TOTAL / 1.4, rel=0.5)
    page.keyboard.press("Escape")
    assert view(page) == (0, TOTAL)
    said = page.locator("#said")
    page.keyboard.press("ArrowUp")
    expect(said).to_contain_text("all, 140 samples")
    page.keyboard.press("ArrowUp")
    expect(said).to_contain_text("api, 77 samples")
    page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("api-pool, 40 samples")
    page.keyboard.press("Enter")
    assert view(page) == (77, 117)


def test_dragging_pans(reports: Reports) -> None:
    page = reports.open(sample(), "#zoom=70-110")
    at = point(page, 0.5, 1)
    box = page.locator("#graph canvas").bounding_box()
    assert box is not None
    page.mouse.move(at["x"], at["y"])
    page.mouse.down()
    page.mouse.move(at["x"] + box["width"] / 4, at["y"], steps=5)
    page.mouse.up()
    left, right = await_zoom(page, (70, 110))
    assert [left, right] == pytest.approx([60, 100], abs=0.2)


@pytest.mark.parametrize("pattern", ["^walk$", "main|vfs", "read", "a", r"\(request&\)", "nothing"])
def test_search_tells_the_share_of_stacks_that_match(reports: Reports, pattern: str) -> None:
    page = reports.open(sample())
    page.get_by_role("searchbox", name="Search functions").fill(pattern)
    functions = {frame[:2] for stack in STACKS for frame in stack}
    found = sum(re.search(pattern, name) is not None for name, _ in functions)
    noun = "match" if found == 1 else "matches"
    expect(page.locator("#matched")).to_have_text(f"{found} {noun}, {percent(matched(pattern))}")


def test_search_marks_what_it_finds_and_tells_a_bad_pattern(reports: Reports) -> None:
    page = reports.open(sample())
    page.keyboard.press("/")
    page.keyboard.type("hash")
    assert pixel(page, "#graph", POOL_SHARE, 3) == "#e04fd8"
    assert pixel(page, "#graph", POOL_SHARE, 2) == colour("main", FrameKind.USER)
    expect(page.locator("#functions tr.match")).to_have_count(1)
    page.keyboard.type("(")
    expect(page.locator("#matched")).to_contain_text("Unterminated group")
    expect(page.locator("#search")).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#matched")).to_have_text("")
    assert pixel(page, "#graph", POOL_SHARE, 3) == colour(JIT.name, FrameKind.JIT)


def test_the_table_sorts_and_filters(reports: Reports) -> None:
    page = reports.open(sample())
    rows = expected_table(sample().profile)
    assert table(page) == rows
    page.get_by_role("button", name="Total", exact=True).click()
    assert table(page)[0][2] == "main"
    by_total = [float(row[1][:-1]) for row in table(page)]
    assert by_total == sorted(by_total, reverse=True)
    page.get_by_role("button", name="Function", exact=True).click()
    assert [row[2] for row in table(page)] == sorted(row[2] for row in rows)
    page.get_by_role("button", name="Function", exact=True).click()
    assert [row[2] for row in table(page)] == sorted((row[2] for row in rows), reverse=True)
    page.get_by_role("searchbox", name="Filter").fill("WALK")
    assert [row[2] for row in table(page)] == ["walk"]
    expect(page.locator("#count")).to_have_text(f"1 of {len(rows)}")


def test_a_row_is_seen_in_the_graph(reports: Reports) -> None:
    page = reports.open(sample())
    page.locator("#functions tbody tr", has_text="vfs_read").click()
    weight = weight_where(lambda frame: frame.name == "vfs_read")
    expect(page.locator("#chosen-figures")).to_contain_text(f"total {percent(weight)} ({weight})")
    settle(page)
    outline = page.evaluate(
        """() => {
          const canvas = document.querySelector("#graph canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let found = 0;
          for (let at = 0; at < data.length; at += 4) {
            if (data[at] === 0x15 && data[at + 1] === 0x57 && data[at + 2] === 0xc0) found += 1;
          }
          return found;
        }"""
    )
    assert outline > 100
    page.keyboard.press("ArrowDown")
    expect(page.locator("#functions tr[aria-selected=true]")).not_to_contain_text("vfs_read")


def test_a_table_of_thousands_of_functions(reports: Reports) -> None:
    stacks: dict[Stack, int] = {(Frame(f"f{n:05}"),): n for n in range(1, 5001)}
    page = reports.open(report_of(stacks))
    assert len(table(page)) < 100
    assert table(page)[0][2] == "f05000"
    page.locator("#functions tbody tr[data-row='0']").focus()
    page.keyboard.press("End")
    expect(page.locator("#functions tr[aria-selected=true]")).to_contain_text("f00001")


def sandwich(page: Page, name: str) -> None:
    page.locator("#functions tbody tr", has=page.get_by_text(name, exact=True)).dblclick()
    expect(page.locator("#sandwich")).to_be_visible()
    settle(page)


def walk_chart(page: Page, chart: str, *keys: str) -> str:
    page.locator(f"{chart} canvas").focus()
    for key in keys:
        page.keyboard.press(key)
    return page.locator("#said").text_content() or ""


def test_sandwich_has_callers_above_and_callees_below(reports: Reports) -> None:
    page = reports.open(sample())
    sandwich(page, "walk")
    total = weight_where(lambda frame: frame.name == "walk")
    # Of the recursive calls the outermost counts.
    by_handle = weight_where(lambda frame: frame.name == "handle(request&)") - 28
    assert (total, by_handle) == (49, 41)
    assert walk_chart(page, "#callers", "ArrowUp").startswith(f"walk, {total} samples")
    said = walk_chart(page, "#callers", "ArrowUp")
    assert said.startswith(f"handle(request&), {by_handle} samples")
    assert f"{percent(by_handle, total)} of the function below" in said
    assert walk_chart(page, "#callers", "ArrowRight").startswith(f"{JIT.name}, 8 samples")
    assert walk_chart(page, "#callees", "ArrowDown").startswith(f"walk, {total} samples")
    said = walk_chart(page, "#callees", "ArrowDown")
    assert said.startswith("walk, 30 samples")
    assert f"self 0, {percent(0)} of all" in said
    assert walk_chart(page, "#callees", "ArrowRight").startswith("main, 8 samples")
    expect(page.locator("#chosen-figures")).to_contain_text(f"total {percent(total)} ({total})")


@pytest.mark.parametrize("name", sorted({name for _, _, name in expected_table(sample().profile)}))
def test_both_halves_of_a_sandwich_weigh_what_the_table_says(reports: Reports, name: str) -> None:
    page = reports.open(sample())
    weight = weight_where(lambda frame: frame.name == name)
    sandwich(page, name)
    assert walk_chart(page, "#callers", "ArrowUp").startswith(f"{name}, {weight} samples")
    assert walk_chart(page, "#callees", "ArrowDown").startswith(f"{name}, {weight} samples")


def test_without_kernel_frames_their_callers_have_the_weight(reports: Reports) -> None:
    page = reports.open(sample())
    page.get_by_label("Kernel").uncheck()
    assert table(page) == expected_table(changed(without_kernel))
    page.get_by_label("Kernel").check()
    assert table(page) == expected_table(sample().profile)


def test_modules_and_offsets_are_told_apart_on_request(reports: Reports) -> None:
    page = reports.open(sample())
    page.get_by_label("Modules").check()
    names = {row[2]: row[1] for row in table(page)}
    assert names["walk [/srv/libtree.so]"] == percent(38)
    assert names["walk [/srv/libcopy.so]"] == percent(11)
    page.get_by_label("Modules").uncheck()
    page.get_by_label("Offsets").check()
    names = {row[2]: row[1] for row in table(page)}
    assert names["handle(request&)+12"] == percent(58)
    assert names["handle(request&)+40"] == percent(11)


def test_what_a_profile_has_not_is_not_offered(reports: Reports) -> None:
    page = reports.open(report_of({(Frame("a"), Frame("b")): 1}))
    for label in ("Kernel", "Modules", "Offsets", "Group"):
        expect(page.get_by_label(label)).to_be_hidden()
    expect(page.get_by_label("Collapse recursion")).to_be_visible()


def test_recursion_is_folded(reports: Reports) -> None:
    page = reports.open(sample())
    page.get_by_label("Collapse recursion").check()

    def fold(stack: Stack) -> Stack:
        return tuple(
            frame for frame, above in zip(stack, (None, *stack), strict=False) if frame != above
        )

    folded = changed(fold)
    assert table(page) == expected_table(folded)
    walk = walk_chart(page, "#graph", *["ArrowUp"] * 5)
    assert walk.startswith("walk, 41 samples")
    assert f"self 41, {percent(41)} of all" in walk


ROOTS = {
    "name": ["api, 77", "api-pool, 40", "db, 23"],
    "process": ["api (12), 109", "api (13), 8", "db (40), 23"],
    "thread": ["api (12), 69", "api (13), 8", "api-pool (12), 40", "db (40), 23"],
    "none": ["main, 117", "read, 16", "vfs_read, 7"],
}


@pytest.mark.parametrize("group", ROOTS)
def test_stacks_are_grouped(reports: Reports, group: str) -> None:
    page = reports.open(sample())
    page.get_by_label("Group").select_option(group)
    keys = ["ArrowUp", "ArrowUp", *["ArrowLeft"] * 5]
    roots = [walk_chart(page, "#graph", *keys)]
    roots += [walk_chart(page, "#graph", "ArrowRight") for _ in ROOTS[group][1:]]
    assert [root.partition(" samples")[0] for root in sorted(roots)] == ROOTS[group]
    assert page.locator("#group option").evaluate_all("all => all.map(o => o.value)") == list(ROOTS)


def test_hosts_and_threads_are_groups_where_the_profile_has_them(reports: Reports) -> None:
    def root(name: str, pid: int | None = None) -> Frame:
        return Frame(name, FrameKind.PROCESS, pid=pid)

    stacks: dict[Stack, int] = {
        (root("prod-3"), root("api", 7), root("worker"), MAIN): 5,
        (root("prod-3"), root("api", 7), root("gc"), MAIN): 2,
        (root("prod-4"), root("api", 7), root("gc"), MAIN): 4,
    }
    page = reports.open(report_of(stacks), "#group=host")
    assert walk_chart(page, "#graph", "ArrowUp", "ArrowUp").startswith("prod-3, 7 samples")
    assert walk_chart(page, "#graph", "ArrowRight").startswith("prod-4, 4 samples")
    page.get_by_label("Group").select_option("process")
    assert walk_chart(page, "#graph", "ArrowUp", "ArrowUp").startswith("api (7), prod-3, 7")
    page.get_by_label("Group").select_option("thread")
    assert walk_chart(page, "#graph", "ArrowUp", "ArrowUp").startswith("worker (7), prod-3, 5")


def picture(page: Page, chart: str) -> str:
    settle(page)
    data: str = page.locator(f"{chart} canvas").evaluate("canvas => canvas.toDataURL()")
    return data


def test_the_address_brings_a_colleague_to_the_same_view(reports: Reports) -> None:
    page = reports.open(sample())
    page.get_by_role("button", name="Icicle").click()
    page.get_by_label("Kernel").uncheck()
    page.get_by_label("Group").select_option("process")
    page.get_by_role("searchbox", name="Search functions").fill("walk|hash")
    page.get_by_role("searchbox", name="Filter").fill("a")
    page.get_by_role("button", name="Total", exact=True).click()
    page.locator("#graph canvas").click(position={"x": 100, "y": 1.5 * ROW_PX})
    page.locator("#functions tbody tr", has_text="hash").click()
    other = reports.open(page.url)
    for name in ("kernel", "collapse"):
        assert other.locator(f"#{name}").is_checked() == page.locator(f"#{name}").is_checked()
    assert table(other) == table(page)
    assert other.locator("#matched").text_content() == page.locator("#matched").text_content()
    assert other.locator("#chosen-name").text_content() == JIT.name
    assert picture(other, "#graph") == picture(page, "#graph")


def test_a_sandwich_is_in_the_address_too(reports: Reports) -> None:
    page = reports.open(sample())
    sandwich(page, "walk")
    # Into the widest of its callers.
    walk_chart(page, "#callers", "ArrowUp", "ArrowUp", "Enter")
    page.locator("#callers canvas").evaluate("canvas => canvas.blur()")
    other = reports.open(page.url)
    for chart in ("#callers", "#callees"):
        assert picture(other, chart) == picture(page, chart)


def test_back_and_forward_go_through_the_steps(reports: Reports) -> None:
    page = reports.open(sample())
    click(page, POOL_SHARE, 3)
    page.get_by_role("button", name="Sandwich").first.click()
    expect(page.locator("#sandwich")).to_be_visible()
    page.go_back()
    expect(page.locator("#graph")).to_be_visible()
    assert view(page) == (77, 117)
    page.go_back()
    assert pixel(page, "#graph", API_SHARE, 1) == colour("api", FrameKind.PROCESS)
    page.go_forward()
    assert pixel(page, "#graph", 0.98, 3) == colour(JIT.name, FrameKind.JIT)


@pytest.mark.parametrize(
    "fragment",
    [
        "#zoom=9e99-1&name=x&kind=nonesuch&group=moon&order=sideways&sort=__proto__",
        "#view=sandwich&name=<img src=x onerror=alert(1)>&kind=user&label=<b>",
        "#search=(((&panel=constructor&callers=1-&zoom=-1-5&__proto__=1",
        "#%%%&&==&zoom=NaN-Infinity",
    ],
)
def test_any_address_shows_something(reports: Reports, fragment: str) -> None:
    page = reports.open(sample(), fragment)
    expect(page.locator("#functions tbody tr[data-row]").first).to_be_visible()
    assert page.locator("img, #chosen b").count() == 0


def test_a_zoom_is_followed_where_the_tree_changes(reports: Reports) -> None:
    page = reports.open(sample())
    click(page, DB_SHARE, 2)  # read, below db
    expect(page.locator("#chosen-name")).to_have_text("read")
    assert view(page) == (117, 133)
    page.get_by_label("Kernel").uncheck()
    assert view(page) == (124, 140)


def test_a_name_is_copied(reports: Reports) -> None:
    page = reports.open(sample(), permissions=["clipboard-read", "clipboard-write"])
    page.locator("#functions tbody tr", has_text="handle").click()
    page.get_by_role("button", name="Copy name").click()
    expect(page.locator("#said")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == "handle(request&)"


def test_walk_is_one_function_unless_modules_are_shown(reports: Reports) -> None:
    page = reports.open(sample(), f"#modules=1&name=walk&kind=user&label=walk [{WALK.module}]")
    expect(page.locator("#chosen-name")).to_have_text(f"walk [{WALK.module}]")
    page.get_by_label("Modules").uncheck()
    expect(page.locator("#chosen-name")).to_have_text("walk")
    assert "label" not in page.url or "walk" in page.url


def from_root(page: Page) -> float:
    """Return how much of the graph is scrolled out below, where the root is."""
    settle(page)
    settle(page)
    found: float = page.evaluate(
        """() => {
          const { scrollHeight, scrollTop, clientHeight } = document.querySelector("#graph canvas")
            .closest(".chart");
          return scrollHeight - scrollTop - clientHeight;
        }"""
    )
    return found


def test_the_root_is_seen_at_first_and_stays_where_it_was(reports: Reports) -> None:
    deep = {tuple(Frame(f"f{n}", FrameKind.USER) for n in range(120)): 9}
    page = reports.open(report_of(deep), viewport={"width": 1400, "height": 700})
    assert abs(from_root(page)) < 2
    for height in (1100, 500, 900):
        page.set_viewport_size({"width": 1400, "height": height})
        assert abs(from_root(page)) < 2
    page.locator("#graph canvas").press("PageUp")
    scrolled = from_root(page)
    assert scrolled > 50
    page.set_viewport_size({"width": 1400, "height": 1100})
    assert abs(from_root(page) - scrolled) < 2
