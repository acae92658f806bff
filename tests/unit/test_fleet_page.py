"""The fleet's page as a file: what stands in it, and that no name can be more than it is."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.profile.diff import Function
from remote_prof.profile.hottest import Hot
from remote_prof.profile.model import Frame, FrameKind, Profile
from remote_prof.profile.outliers import Difference
from remote_prof.profile.quality import measure_quality
from remote_prof.render.fleet_page import (
    MOST_HOT,
    SCRIPTS,
    Bar,
    FleetPage,
    GroupRow,
    HostRow,
    render_fleet_page,
)
from remote_prof.render.html import SCRIPTS as REPORT_SCRIPTS
from remote_prof.render.report import Report
from remote_prof.render.svg import colour
from remote_prof.templates import data_path

ANY_TEXT = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(
    ["</script>", "<!--", "</noscript><img src=x>", '" onload="', "$script", "\u202egnp", "\ud800"]
)

REST = "1 failed, 1 could not be reached, 1 without samples, 1 interrupted, 1 skipped"


class _Page(HTMLParser):
    """The elements of a page, the rows where scripts are off, and the texts of some elements."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self._within = ""
        self._is_off = False
        self.feed(data.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._is_off = self._is_off or tag == "noscript"
        if tag == "tr" and self._is_off:
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        if tag != "a":
            self._within = str(dict(attrs).get("id", tag))

    def handle_data(self, data: str) -> None:
        if self._within == "td" and self._is_off:
            self.rows[-1][-1] += data
        self.texts[self._within] = self.texts.get(self._within, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._is_off = self._is_off and tag != "noscript"
        if tag != "a":
            self._within = ""

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.texts["fleet"])
        return document

    @property
    def links(self) -> list[str | None]:
        return [attributes["href"] for tag, attributes in self.elements if tag == "a"]


def host(name: str = "web-1", **more: Any) -> HostRow:
    given: dict[str, Any] = {
        "groups": ("web", "eu"),
        "weight": 1500,
        "grade": "rough",
        "reason": "few samples",
        "cpu_time_s": 12.34,
        "bars": (Bar("parse", FrameKind.USER, 0.4), Bar("parse", FrameKind.KERNEL, 0.3)),
        "distance": 0.02,
        "noise": 0.05,
        "differences": (Difference(Function("parse", FrameKind.USER), 0.4, 0.38),),
        "report": f"{name}/flamegraph.html",
    }
    return HostRow(name, "ok", **(given | more))


def fleet(*hosts: HostRow, **more: Any) -> FleetPage:
    given: dict[str, Any] = {"unit": "samples", "facts": {"run": "1a2b3c"}, "hottest": ()}
    return FleetPage("api", "on-CPU", hosts=hosts, **(given | more))


def page_of(*hosts: HostRow, **more: Any) -> _Page:
    return _Page(render_fleet_page(fleet(*hosts, **more)))


def merged(name: str = "main") -> Report:
    profile = Profile.of({(Frame(name),): 3})
    return Report(profile, measure_quality(profile), name)


def nasty(text: str) -> FleetPage:
    function = Function(text, FrameKind.USER)
    differences = (Difference(function, 0.5, 0.1),)
    row = host(
        text,
        groups=(text,),
        grade=text,
        reason=text,
        bars=(Bar(*function, 0.5),),
        differences=differences,
        report=text,
        facts={text: text},
        problems=(text,),
        is_outlier=True,
    )
    return FleetPage(
        text,
        text,
        "samples",
        {text: text},
        (row, HostRow(text, text, error=text)),
        (Hot(text, FrameKind.JIT, 0.5, 0.5, 1, 0.5, 0.5, 0.5),),
        (GroupRow(text, (text,), 1, 0.5, None, True, differences),),
        merged(text),
        {text: text},
    )


@given(ANY_TEXT)
def test_no_name_makes_an_element(text: str) -> None:
    page, plain = _Page(render_fleet_page(nasty(text))), _Page(render_fleet_page(nasty("a")))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.texts["script"] == plain.texts["script"]
    assert page.document["hosts"][0].get("name", "") == text


@given(ANY_TEXT)
def test_whatever_a_path_is_it_is_below_the_page(path: str) -> None:
    page = page_of(host(report=path), links={"more": path})
    links = [*page.links, page.document["hosts"][0]["report"]]
    assert len(links) == 3
    assert len(set(links)) == 1
    assert str(links[0]).startswith("./")
    assert not set(str(links[0])) & set(":?#\\\"'<> \u202e")


def test_a_path_with_blanks_and_colons_is_quoted() -> None:
    page = page_of(host(report="javascript:alert(1)/é b"))
    assert page.links == ["./javascript%3Aalert%281%29/%C3%A9%20b"]


def test_nothing_is_asked_for_and_only_the_page_s_own_script_and_style_may_run() -> None:
    page = page_of(host(), merged=merged())

    def digest(name: str) -> str:
        return b64encode(sha256(page.texts[name].encode()).digest()).decode()

    (policy,) = (given["content"] for _, given in page.elements if "http-equiv" in given)
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest('script')}'; "
        f"style-src 'sha256-{digest('style')}'; base-uri 'none'; form-action 'none'"
    )
    names = {name for _, given in page.elements for name in given}
    assert not [name for name in names if name.startswith("on")]
    assert not {"src", "style", "srcdoc", "action"} & names
    assert {tag for tag, given in page.elements if "href" in given} == {"a"}


def test_equal_pages_make_equal_bytes() -> None:
    one, other = nasty("b"), nasty("b")
    assert one is not other
    assert render_fleet_page(one) == render_fleet_page(other)


def test_where_scripts_are_off_all_hosts_are_there_with_their_facts() -> None:
    hosts = [host(f"web-{number}") for number in range(400)]
    hosts += [
        host("odd", distance=0.571, noise=0.067, is_outlier=True),
        host("bytes", noise=None, distance=0.5),
        HostRow("down", "unreachable", error="no route <to> host"),
    ]
    page = page_of(*hosts)
    _, *rows = page.rows
    assert len(rows) == len(hosts)
    figures = ["1,500", "rough: few samples", "12.3 s", "40.0% parse"]
    assert rows[0] == ["odd", "web, eu", "ok", "57.1% (chance alone: 6.7%), differs", *figures]
    assert rows[1] == ["down", "", "unreachable: no route <to> host", "", "", "", "", ""]
    assert rows[2][3] == "50.0%"
    assert {row[0] for row in rows} == {each.name for each in hosts}
    assert page.texts["answer"] == "1 of 403 hosts differs; 1 could not be reached."
    assert len(page.links) == 402
    assert page.texts["dd"] == "1a2b3c"


def test_what_differs_comes_first_then_what_failed() -> None:
    page = page_of(
        host("b", distance=0.1),
        host("a", distance=0.1),
        HostRow("skipped", "skipped"),
        HostRow("failed", "failed", error="full"),
        host("near", is_outlier=True, distance=0.2),
        host("far", is_outlier=True, distance=0.3),
        host("c", distance=0.15),
    )
    order = [each["name"] for each in page.document["hosts"]]
    assert order == ["far", "near", "failed", "c", "a", "b", "skipped"]


@pytest.mark.parametrize(
    ("hosts", "answer"),
    [
        ([], "There are no hosts."),
        ([host()], "None of 1 host differs."),
        ([host(distance=None)], "1 host, not compared."),
        ([HostRow("a", "failed", error="e")] * 1200, "1,200 hosts, not compared; 1,200 failed."),
        ([host(), HostRow("a", "not begun")], "None of 2 hosts differs; 1 not begun."),
        ([host(), host(is_outlier=True)], "1 of 2 hosts differs."),
        (
            [
                *[host(is_outlier=True)] * 2,
                HostRow("a", "no-samples"),
                HostRow("b", "skipped"),
                HostRow("c", "interrupted"),
                HostRow("d", "unreachable"),
                HostRow("e", "failed"),
            ],
            f"2 of 7 hosts differ; {REST}.",
        ),
    ],
)
def test_the_answer_is_one_sentence(hosts: list[HostRow], answer: str) -> None:
    assert page_of(*hosts).texts["answer"] == answer


def test_an_empty_fleet_has_no_rows_and_nothing_merged() -> None:
    page = page_of()
    assert page.document["hosts"] == page.document["groups"] == page.document["hottest"] == []
    assert page.document["merged"] is None
    assert page.rows == [[]]


def test_a_function_stands_in_the_page_once_with_the_colour_of_the_flame_graphs() -> None:
    hot = Hot("parse", FrameKind.KERNEL, 0.25, 1 / 3, 2, 0, 0.2, 0.5)
    document = page_of(host(), host("web-2"), hottest=(hot,)).document
    functions = document["functions"]
    assert functions["name"] == ["parse", "parse"]
    assert functions["colour"] == (
        colour("parse", FrameKind.USER)[1:] + colour("parse", FrameKind.KERNEL)[1:]
    )
    kinds = [document["kinds"][kind] for kind in functions["kind"]]
    assert kinds == ["user", "kernel"]
    assert document["hosts"][1]["bars"] == [[0, 0.4], [1, 0.3]]
    assert document["hosts"][1]["differences"] == [[0, 0.4, 0.38]]
    assert document["hottest"] == [[1, 0.25, 0.33333, 2, 0, 0.2, 0.5]]


def test_of_many_functions_the_hottest_are_in_the_page() -> None:
    hot = [Hot(f"f{number}", FrameKind.USER, 0, 0, 1, 0, 0, 0) for number in range(MOST_HOT + 7)]
    document = page_of(hottest=tuple(hot)).document
    assert len(document["hottest"]) == len(document["functions"]["name"]) == MOST_HOT
    assert document["functions_in_all"] == MOST_HOT + 7


def test_the_merged_profile_stands_in_the_page_as_in_a_report() -> None:
    report = merged("deep")
    document = page_of(merged=report).document["merged"]
    assert document["functions"]["name"] == ["deep"]
    assert document["nodes"] == 1
    without = render_fleet_page(fleet(host(), merged=report))
    assert without != render_fleet_page(replace(fleet(host()), merged=None))


def test_every_script_of_the_page_is_in_it() -> None:
    files = {f"fleet/{path.stem}" for path in data_path("templates/fleet").glob("*.js")}
    assert files == {script for script in SCRIPTS if script.startswith("fleet/")}
    assert {script for script in SCRIPTS if not script.startswith("fleet/")} <= {*REPORT_SCRIPTS}
