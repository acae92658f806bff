"""What comes from hosts and from others: odd types, sizes without end, names that are paths."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remote_prof.errors import ParseError, UsageError
from remote_prof.host.containers import parse_containers, parse_json
from remote_prof.host.facts import parse_facts
from remote_prof.inventory import load_inventory
from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.profile import limits
from remote_prof.profile.folded import format_frame, parse_folded
from remote_prof.profile.model import Frame, FrameKind, Profile
from remote_prof.profile.quality import measure_quality
from remote_prof.render import RENDERERS, Report
from remote_prof.render.svg import render_svg
from remote_prof.run.directory import RunDirectory, safe_name
from tests.fuzz.fuzz_bpftrace import check_everything_drawn, check_svg

ID = "a" * 64
NASTY = [
    "</script><script>alert(1)</script>",
    ']]><script xlink:href="//x"/>',
    '" onload="alert(1)',
    "&lt;&amp;&#0;&entity;<!--<?pi?><![CDATA[",
    "\0\x01\x0b\x1f\x7f\x85\x9b\ufffe\uffff\ud800",
    "\u202e\u2066\u200f\u061c\u2028",
    "a;b\nc d 5\r\n",
    "javascript:alert(1)",
    "x" * 1_000_000,
    "",
]


def profile_of(*names: str) -> Profile:
    frames = tuple(Frame(name, module=name) for name in names)
    return Profile.of({(Frame(names[0], FrameKind.PROCESS), *frames): 7, frames[:1]: 3})


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_a_nasty_name_is_text_and_nothing_else(name: str) -> None:
    check_everything_drawn(profile_of(name, "main", name))


ANY_TEXT = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(NASTY[:-2])


@settings(deadline=None)
@given(st.lists(ANY_TEXT, min_size=1, max_size=5), ANY_TEXT)
def test_any_name_anywhere_makes_sound_files(names: list[str], other: str) -> None:
    profile = profile_of(*names)
    report = Report(profile, measure_quality(profile), other, other, {other: other})
    check_svg(render_svg(report))
    json.loads(RENDERERS["speedscope"].render(report))
    folded = RENDERERS["folded"].render(report).decode()
    assert folded.count("\n") == len(folded.splitlines()) <= 2
    assert parse_folded(folded).total == 10


@given(ANY_TEXT)
def test_a_folded_name_has_neither_the_separator_nor_a_line_break(name: str) -> None:
    written = format_frame(name, FrameKind.USER)
    assert written
    assert ";" not in written
    assert len(written.splitlines()) == 1


def test_a_picture_stays_of_a_size_that_can_be_looked_at() -> None:
    stacks = {tuple(Frame(f"f{n}-{depth}") for depth in range(40)): 1 for n in range(3000)}
    picture = render_svg(Report(Profile.of(stacks), measure_quality(Profile.of(stacks)), "wide"))
    assert len(picture) < 40_000_000
    long = profile_of(*("y" * 500_000 for _ in range(20)))
    assert len(render_svg(Report(long, measure_quality(long), "z" * 10**6))) < 200_000
    deep = Profile.of({tuple(Frame("f") for _ in range(200_000)): 1})
    elements = ET.fromstring(render_svg(Report(deep, measure_quality(deep), "deep"))).iter()
    titles = sum(element.tag.endswith("title") for element in elements)
    assert titles == 1 + 100_000, "its own and the frames'"


def test_limits_are_told_with_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = b" f\n" * (limits.LONGEST_STACK + 1)
    with pytest.raises(ParseError, match="more than 10000 frames in one stack"):
        parse_bpftrace(b"Attaching 1 probe...\n@[\n" + deep + b"]: 1\n")
    with pytest.raises(ParseError, match="more than 10000 frames") as raised:
        parse_folded("a 1\n" + "f;" * limits.LONGEST_STACK + "f 1\n")
    assert raised.value.evidence == "line 2"
    monkeypatch.setattr(limits, "MOST_STACKS", 2)
    with pytest.raises(ParseError, match="more than 2 different stacks") as raised:
        parse_folded("a 1\nb 1\nb 1\nc 1\n")
    assert raised.value.evidence == "line 4"
    assert "kept" in raised.value.hint
    with pytest.raises(ParseError, match="more than 2 different stacks") as raised:
        parse_bpftrace(b"".join(b"@stacks[1, a, \n f%d\n]: 1\n" % n for n in range(3)))
    assert raised.value.evidence == "map @stacks"
    monkeypatch.setattr(limits, "MOST_FRAMES", 3)
    with pytest.raises(ParseError, match="more than 3 frames in all stacks"):
        parse_folded("a;b 1\nb;c 1\n")


def test_distinct_names_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.parse.bpftrace_keys.MOST_NAMES", 2)
    monkeypatch.setattr("remote_prof.profile.folder.MOST_NAMES", 2)
    with pytest.raises(ParseError, match="more than 2 different names"):
        parse_bpftrace(b"@stacks[1, a, \n f\n g\n h\n]: 1\n")
    with pytest.raises(ParseError, match="more than 2 different names"):
        parse_folded("a;b;c 1\n")


def test_more_entries_than_anybody_prints_end_at_once() -> None:
    with pytest.raises(ParseError, match="more than 20000000 entries"):
        parse_bpftrace(b"@\n" * (limits.MOST_LINES + 2))
    with pytest.raises(ParseError, match="more than 20000000 lines"):
        parse_folded(b"\n" * (limits.MOST_LINES + 1))


@pytest.mark.parametrize("digits", [21, 5000, 1_000_000])
def test_numbers_without_end_are_no_weights(digits: int) -> None:
    number = b"9" * digits
    with pytest.raises(ParseError):
        parse_folded(b"a;b " + number + b"\n")
    found = parse_bpftrace(
        b"@@ sampling\n@samples: %b\n@stacks[%b, a, \n f+%b\n]: 1\n@stacks[1, a, \n f\n]: %b\n"
        % (number, number, number, number)
    )
    assert found.total == 1


@pytest.mark.parametrize(
    "output",
    [
        b"@stacks[1, a, \n" + b"x" * 5_000_000,
        b"@x[" * 200_000,
        b"WARNING: " + b"y" * 5_000_000 + b"\nAttaching 1 probe...\n",
        b"# bpftrace " + b"z" * 5_000_000 + b"\n@@ sampling\n",
        b"\xff" * 1_000_000,
    ],
)
def test_what_is_said_about_garbage_is_short(output: bytes) -> None:
    assert len(what_is_said(output)) < 2000


def what_is_said(output: bytes) -> str:
    try:
        found = parse_bpftrace(output)
    except ParseError as error:
        return error.what + error.evidence + error.hint
    return "".join(found.notes) + found.tool


def row(**changes: object) -> str:
    fields: dict[str, object] = {
        "id": ID,
        "name": "/api",
        "image": "sha256:1",
        "image_name": "demo",
        "status": "running",
        "pid": 4242,
        "exit_code": 0,
        "runtime": "runc",
        "pid_mode": "",
        "labels": {"a": "b"},
    }
    return json.dumps(list((fields | changes).values()))


WRONG: list[object] = [
    None,
    True,
    5,
    -1,
    1e300,
    "5",
    "x",
    [],
    ["a"],
    {},
    {"a": {"b": []}},
    10**4000,
]


@pytest.mark.parametrize("value", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize(
    "field", ["name", "image", "image_name", "status", "pid", "exit_code", "runtime", "labels"]
)
def test_wrong_types_make_empty_fields(field: str, value: object) -> None:
    (found,) = parse_containers([row(**{field: value})])
    assert isinstance(found.name, str)
    assert isinstance(found.image_name, str)
    assert found.name != "None"
    assert type(found.pid) is type(found.exit_code) is int
    assert 0 <= found.pid < 1 << 31
    assert all(isinstance(text, str) for pair in found.labels.items() for text in pair)


@pytest.mark.parametrize("value", [*WRONG, "", "A" * 64, "../" * 20, ID + "\n", ID + "a"])
def test_what_has_no_id_is_no_container(value: object) -> None:
    assert parse_containers([row(id=value)]) == ()


def test_of_two_with_one_id_the_first_counts() -> None:
    (found,) = parse_containers([row(name="/first"), row(name="/second")])
    assert found.name == "first"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "", "nul", "[1,]", '"\x00"']
)
def test_json_that_is_none_is_none(text: str) -> None:
    assert parse_json(text) is None


def test_lone_surrogates_do_not_get_in() -> None:
    (found,) = parse_containers([row(name="/a\ud800\udfff\udc00b")])
    found.name.encode()
    assert found.name.startswith("a")


def test_sections_without_end_take_no_time() -> None:
    assert parse_facts(b"@@containers\n@@stat\n" * 200_000).containers == ()


def test_many_hosts_are_selected_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text("all: {hosts: {'web-[1:20000]': {}}}")
    assert len(load_inventory(path).select("all")) == 20_000


@given(st.text(), st.text())
def test_names_of_directories_differ_also_where_capitals_do_not_count(one: str, other: str) -> None:
    assert (safe_name(one).lower() == safe_name(other).lower()) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"), [("API", "api"), ("a b", safe_name("a b")), ("x" * 101, "x" * 102)]
)
def test_names_that_would_collide(one: str, other: str) -> None:
    assert safe_name(one).lower() != safe_name(other).lower()


@pytest.mark.parametrize(
    "name", ["..", ".", "/", "../..", "a/../b", "\0", "-rf", "~", "x" * 10_000, "\udcff", "CON\n"]
)
def test_a_name_is_one_component_and_not_hidden(name: str) -> None:
    made = safe_name(name)
    assert Path(made).name == made
    assert not made.startswith(".")
    assert len(made) <= 120
    assert made.isascii()
    assert made.isprintable()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    place = tmp_path / "run" / "hosts" / "prod-3"
    place.mkdir(parents=True)
    (place / "profile.txt").write_text("mine")
    (tmp_path / "secret").write_text("not yours")
    (place / "link").symlink_to(tmp_path / "secret")
    (place / "loop").symlink_to(place / "loop")
    (tmp_path / "run" / "out").symlink_to(tmp_path)
    return RunDirectory(tmp_path / "run")


def test_files_of_a_run_are_found(run: RunDirectory) -> None:
    assert run.inside("hosts/prod-3/profile.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "path",
    [
        *("../secret", "hosts/../../secret", "/etc/passwd", "hosts/prod-3/link", "out/secret"),
        *("hosts/prod-3/loop", "hosts/prod-3", "", ".", "nosuch", "a\0b", "x" * 5000),
        "hosts/../hosts/prod-3/profile.txt",
    ],
)
def test_paths_that_lead_out_of_a_run_are_refused(run: RunDirectory, path: str) -> None:
    with pytest.raises(UsageError, match="is no file of the run run") as raised:
        run.inside(path)
    assert "run.json names it" in raised.value.evidence


def test_what_is_written_replaces_a_planted_link(run: RunDirectory, tmp_path: Path) -> None:
    place = run.path / "hosts" / "prod-3"
    for name in ("flamegraph.svg", "run.json"):
        (place / name).symlink_to(tmp_path / "secret")
        run.write(place / name, b"ours", raw=False)
        assert not (place / name).is_symlink()
    assert (tmp_path / "secret").read_text() == "not yours"
