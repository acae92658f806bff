"""The page as a file: what stands in it, and that nothing in it can be more than it is."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.records import Problem, Severity
from remote_prof.render import Report
from remote_prof.render.html import SCRIPTS, render_html
from remote_prof.render.svg import colour
from remote_prof.templates import data_path

ANY_TEXT = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(
    ["</script>", "<!--", "</style></title>", "]]>", '" onload="', "$script", "&lt;"]
)
FRAMES = st.builds(
    Frame,
    ANY_TEXT,
    st.sampled_from(FrameKind),
    st.none() | ANY_TEXT,
    st.none() | st.integers(0, 2**40),
    st.none() | st.integers(0, 2**22),
)
STACKS = st.dictionaries(st.lists(FRAMES, max_size=6).map(tuple), st.integers(1, 2**70), max_size=8)


class _Page(HTMLParser):
    """The elements of a page with their attributes, and the text of those that hold no markup."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._within = ""
        self.feed(data.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = str(dict(attrs).get("id", tag))

    def handle_data(self, data: str) -> None:
        if self._within in ("profile", "script", "style"):
            self.texts[self._within] = self.texts.get(self._within, "") + data

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._within = ""


def page_of(stacks: dict[Stack, int], text: str = "t", **more: Any) -> _Page:
    profile = Profile.of(stacks)
    report = Report(profile, measure_quality(profile), text, text, {text: text}, **more)
    return _Page(render_html(report))


def document_of(page: _Page) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(page.texts["profile"])
    return document


def stacks_in(document: dict[str, Any]) -> dict[Stack, int]:
    """Read the stacks back, as the page's script does."""
    frames = list(frames_in(document))
    numbers = numbers_in(b64decode(document["stacks"]))
    path: list[int] = []
    stacks: dict[Stack, int] = {}
    for shared in numbers:
        more = next(numbers)
        path = path[:shared] + [next(numbers) for _ in range(more)]
        stacks[tuple(frames[number] for number in path)] = next(numbers)
    return stacks


def frames_in(document: dict[str, Any]) -> Iterator[Frame]:
    functions, columns = document["functions"], document["frames"]
    for index, function in enumerate(columns["function"]):
        module, offset, pid = (
            columns[name][index] if name in columns else -1 for name in ("module", "offset", "pid")
        )
        yield Frame(
            functions["name"][function],
            FrameKind(document["kinds"][functions["kind"][function]]),
            None if module < 0 else document["modules"][module],
            None if offset < 0 else offset,
            None if pid < 0 else pid,
        )


def numbers_in(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


@given(STACKS)
def test_the_page_holds_the_whole_profile(stacks: dict[Stack, int]) -> None:
    assert stacks_in(document_of(page_of(stacks))) == stacks


@given(STACKS, ANY_TEXT)
def test_no_name_makes_an_element(stacks: dict[Stack, int], text: str) -> None:
    problem = Problem(Severity.WARNING, text, text, text)
    page = page_of(stacks, text, problems=(problem,))
    plain = page_of({(Frame("a"),): 1})
    rows = ("tr", "td")
    found = [each for each in page.elements if each[0] not in rows]
    assert found == [each for each in plain.elements if each[0] not in rows]
    assert page.texts["script"] == plain.texts["script"]


def test_only_the_page_s_own_script_and_style_may_run() -> None:
    page = page_of({(Frame("a"),): 1})
    (policy,) = (
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )

    def digest(name: str) -> str:
        return b64encode(sha256(page.texts[name].encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest('script')}'; "
        f"style-src 'sha256-{digest('style')}'; base-uri 'none'; form-action 'none'"
    )
    handlers = [name for _, given in page.elements for name in given if name.startswith("on")]
    assert handlers == []
    assert not [tag for tag, given in page.elements if {"src", "href", "style"} & set(given)]


def test_every_script_of_the_page_is_in_it() -> None:
    files = {
        f"{part}/{path.stem}"
        for part in ("page", "report")
        for path in data_path(f"templates/{part}").glob("*.js")
    }
    assert files == set(SCRIPTS)


def test_functions_have_the_colours_of_the_svg() -> None:
    document = document_of(page_of({(Frame("a"), Frame("a", FrameKind.KERNEL), Frame("b")): 1}))
    functions = document["functions"]
    kinds = [FrameKind(document["kinds"][kind]) for kind in functions["kind"]]
    expected = [colour(*each) for each in zip(functions["name"], kinds, strict=True)]
    found = functions["colour"]
    assert [f"#{found[at : at + 6]}" for at in range(0, len(found), 6)] == expected


def test_what_no_frame_has_takes_no_room() -> None:
    document = document_of(page_of({(Frame("a"),): 1}))
    assert set(document["frames"]) == {"function", "kernel"}


@pytest.mark.parametrize(
    ("weight", "lost", "grade", "reason", "remedy"),
    [
        (1000, 0, "sound", "nothing in the figures speaks against", ""),
        (1000, 500, "poor", "33 % of the samples were lost", "profile for a shorter time"),
        (50, 0, "rough", "only 50 samples", "profile for longer"),
        (0, 0, "poor", "there are no samples", ""),
    ],
)
def test_the_verdict_says_how_far_to_trust(
    weight: int, lost: int, grade: str, reason: str, remedy: str
) -> None:
    stack = tuple(Frame(name) for name in ("main", "a", "b"))
    profile = Profile.of({stack: weight} if weight else {}, lost=lost)
    page = _Page(render_html(Report(profile, measure_quality(profile), "t")))
    document = document_of(page)
    assert document["grade"] == grade
    assert reason in document["reason"]
    assert document["remedy"].startswith(remedy)


def test_a_problem_that_both_have_is_told_once() -> None:
    profile = Profile.of({(Frame("a"), Frame("b"), Frame("c")): 4})
    quality = measure_quality(profile)
    clock = Problem(Severity.NOTE, "the clock is off")
    few = document_of(_Page(render_html(Report(profile, quality, "t"))))["problems"]
    assert [problem[0] for problem in few] == ["warning"]
    hint = Problem(Severity.WARNING, *few[0][1:])
    report = Report(profile, quality, "t", problems=(clock, hint))
    assert document_of(_Page(render_html(report)))["problems"] == [
        few[0],
        ["note", "the clock is off", "", ""],
    ]
