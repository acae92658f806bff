"""V8's CPU profile, made stacks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_prof.errors import ParseError
from remote_prof.parse import read_profile
from remote_prof.parse.cpuprofile import parse_cpuprofile
from remote_prof.profile.model import Frame, FrameKind


def node(number: int, name: str, url: str = "", line: int = -1, *children: int) -> dict[str, Any]:
    call = {"functionName": name, "url": url, "lineNumber": line}
    return {"id": number, "callFrame": call, "hitCount": number, "children": list(children)}


NODES = [
    node(1, "(root)", "", -1, 2, 4, 5),
    node(2, "serve", "file:///opt/app/app.js", 4, 3),
    node(3, "", "file:///opt/app/app.js", 6),
    node(4, "(idle)"),
    node(5, "(program)"),
]
SERVE = Frame("serve", FrameKind.JIT, "file:///opt/app/app.js")
NAMELESS = Frame("(anonymous) (app.js:7)", FrameKind.JIT, "file:///opt/app/app.js")
PROGRAM = Frame("(program)")


def written(**document: Any) -> bytes:
    return json.dumps({"nodes": NODES, **document}).encode()


def test_samples_count_and_idle_ones_do_not() -> None:
    profile = parse_cpuprofile(written(samples=[2, 3, 3, 4, 4, 5]))
    assert profile.stacks == {(SERVE,): 1, (SERVE, NAMELESS): 2, (PROGRAM,): 1}
    assert (profile.unit, profile.notes) == ("samples", ())


def test_without_a_list_of_samples_each_node_has_its_own() -> None:
    assert parse_cpuprofile(written()).total == 1 + 2 + 3 + 5


def test_the_line_where_a_function_begins_is_kept_on_request() -> None:
    profile = parse_cpuprofile(written(samples=[2]), keep_offsets=True)
    ((frame,),) = profile.stacks
    assert frame.name == "serve (app.js:5)"


def test_what_cannot_be_read_is_told() -> None:
    profile = parse_cpuprofile(written(samples=[2, 99, None]))
    assert profile.total == 1
    assert profile.notes == ("2 nodes or samples could not be read: sample 1; sample 2",)


def test_a_circle_of_callers_has_an_end() -> None:
    nodes = [node(1, "a", "", -1, 2), node(2, "b", "", -1, 1)]
    with pytest.raises(ParseError, match="more than 10000 frames in one stack"):
        parse_cpuprofile(json.dumps({"nodes": nodes, "samples": [1]}).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"[" * 100_000, b'{"nodes": 5}'])
def test_other_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_cpuprofile(data)


def test_the_content_tells_the_format() -> None:
    assert read_profile("x.cpuprofile", written(samples=[2])).total == 1
