"""The table of functions, as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.render.report import Report
from remote_prof.render.top import render_top, render_top_json

API = Frame("api", FrameKind.PROCESS, pid=12)
MAIN = Frame("main", module="/srv/api")
STACKS: dict[Stack, int] = {
    (API, MAIN, Frame("work", module="/srv/api")): 60,
    (API, MAIN, Frame("work", module="/lib/b.so"), Frame("write", FrameKind.KERNEL)): 30,
    (API, MAIN): 10,
}


def report(stacks: dict[Stack, int], **more: Any) -> Report:
    profile = Profile.of(stacks, **more)
    return Report(profile, measure_quality(profile, 110), "title", "10 s", {"host": "prod-3"})


def test_the_table_is_aligned_and_has_the_quality_above_it() -> None:
    assert render_top(report(STACKS)).decode() == (
        "title\n"
        "10 s\n"
        "host: prod-3\n"
        "quality: poor: 100 of 110 expected samples, 0 lost, 0.0 % unresolved, 0.0 % truncated, "
        "100.0 % shallow, 3 distinct stacks\n"
        "\n"
        " self           total           kind         function\n"
        "   60   60.0 %     90   90.0 %  user         work (/lib/b.so, /srv/api)\n"
        "   30   30.0 %     30   30.0 %  kernel       write\n"
        "   10   10.0 %    100  100.0 %  user         main (/srv/api)\n"
    )


def test_large_weights_stay_aligned() -> None:
    lines = render_top(report({(MAIN,): 1_234_567, (Frame("f"),): 1}, unit="us")).decode()
    assert "quality: poor: 1234568 of 110 expected us, 0 lost" in lines
    assert lines.splitlines()[-3:] == [
        "   self             total           kind         function",
        "1234567  100.0 %  1234567  100.0 %  user         main (/srv/api)",
        "      1    0.0 %        1    0.0 %  user         f",
    ]


def test_names_stay_in_their_line() -> None:
    text = render_top(report({(Frame("a\nb\x1b[31m\u202e", module="c\rd"),): 1})).decode()
    assert text.splitlines()[-1].endswith("a?b?[31m? (c?d)")


def test_json_has_the_same_and_exact_shares() -> None:
    document = json.loads(render_top_json(report(STACKS)))
    assert document["functions"][0] == {
        "name": "work",
        "kind": "user",
        "modules": ["/lib/b.so", "/srv/api"],
        "self": 60,
        "self_share": 0.6,
        "total": 90,
        "total_share": 0.9,
    }
    assert [entry["name"] for entry in document["functions"]] == ["work", "write", "main"]
    assert (document["unit"], document["total"]) == ("samples", 100)
    assert document["facts"] == {"host": "prod-3"}
    assert document["quality"]["expected"] == 110


@given(
    st.dictionaries(
        st.lists(
            st.builds(Frame, st.text(), st.sampled_from(FrameKind), st.none() | st.text()),
            max_size=4,
        ).map(tuple),
        st.integers(1, 2**70),
        max_size=4,
    )
)
def test_any_names_make_one_line_each(stacks: dict[Stack, int]) -> None:
    made = report(stacks)
    functions = json.loads(render_top_json(made))["functions"]
    lines = render_top(made).decode().split("\n")
    assert len(lines) == len(functions) + 7
    assert [int(line.split()[0]) for line in lines[6:-1]] == [f["self"] for f in functions]


def test_a_module_with_a_line_break_makes_no_line() -> None:
    nameless = Frame("", FrameKind.UNRESOLVED, module="lib\nself 100 forged")
    lines = render_top(report({(nameless,): 1})).decode().split("\n")
    assert len(lines) == 8
    assert "lib?self 100 forged 100.0 %" in lines[3]
