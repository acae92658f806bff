"""The Firefox Profiler's format: tables that fit together, and hold the same stacks."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.quality import measure_quality
from remote_prof.render.gecko import render_gecko
from remote_prof.render.report import Report

PROCESS = FrameKind.PROCESS
API = Frame("api", PROCESS, pid=12)
MAIN = Frame("main", module="/srv/api")


def render(profile: Profile, **more: Any) -> Any:
    return json.loads(render_gecko(Report(profile, measure_quality(profile), "title", **more)))


def check_tables(document: Any) -> None:
    """Every column is as long as its table, and every index is in its table."""
    shared, categories = document["shared"], document["meta"]["categories"]
    tables = [table for name, table in shared.items() if name != "stringArray"]
    tables += [thread[name] for thread in document["threads"] for name in ("samples", "markers")]
    for table in tables:
        for name, column in table.items():
            if isinstance(column, list):
                assert len(column) == table["length"], name
    strings, stacks = len(shared["stringArray"]), shared["stackTable"]
    assert len(set(shared["stringArray"])) == strings
    assert all(0 <= number < strings for number in shared["funcTable"]["name"])
    assert all(0 <= number < strings for number in shared["resourceTable"]["name"])
    resources = shared["resourceTable"]["length"]
    assert all(-1 <= number < resources for number in shared["funcTable"]["resource"])
    assert all(0 <= n < shared["funcTable"]["length"] for n in shared["frameTable"]["func"])
    assert all(0 <= n < len(categories) for n in shared["frameTable"]["category"])
    assert all(0 <= n < shared["frameTable"]["length"] for n in stacks["frame"])
    # Callers stand before what they call.
    assert all(p is None or 0 <= p < n for n, p in enumerate(stacks["prefix"]))
    for thread in document["threads"]:
        samples = thread["samples"]
        assert all(n is None or 0 <= n < stacks["length"] for n in samples["stack"])
        assert samples["time"] == sorted(samples["time"])
    mains = [thread["pid"] for thread in document["threads"] if thread["isMainThread"]]
    assert sorted(mains) == sorted({thread["pid"] for thread in document["threads"]})


Functions = tuple[tuple[str, str], ...]


def spelt_out(document: Any) -> Counter[tuple[str, str, Functions]]:
    """Return weights by the thread's name, its pid, and the stack's names and kinds."""
    shared = document["shared"]
    strings, kinds = shared["stringArray"], document["meta"]["categories"]
    frames = [
        (strings[shared["funcTable"]["name"][function]], kinds[category]["name"].lower())
        for function, category in zip(
            shared["frameTable"]["func"], shared["frameTable"]["category"], strict=True
        )
    ]
    stacks: list[Functions] = []
    columns = shared["stackTable"]
    for frame, prefix in zip(columns["frame"], columns["prefix"], strict=True):
        stacks.append((*(() if prefix is None else stacks[prefix]), frames[frame]))
    weights: Counter[tuple[str, str, Functions]] = Counter()
    for thread in document["threads"]:
        pid = "" if thread["pid"].startswith("#") else thread["pid"]
        samples = thread["samples"]
        for number, weight in zip(samples["stack"], samples["weight"], strict=True):
            weights[thread["name"], pid, stacks[number] if number is not None else ()] += weight
    return weights


STACKS = st.lists(
    st.builds(
        Frame,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
        st.sampled_from(FrameKind),
        st.sampled_from([None, "a", "b"]),
        st.none() | st.integers(0, 9),
        st.none() | st.integers(0, 3),
    ),
    max_size=5,
).map(tuple)


@given(st.dictionaries(STACKS, st.integers(1, 2**40), max_size=6))
def test_any_profile_is_spelt_out_the_same(stacks: dict[Stack, int]) -> None:
    profile = Profile.of(stacks)
    document = render(profile)
    check_tables(document)
    expected: Counter[tuple[str, str, Functions]] = Counter()
    for stack, weight in stacks.items():
        root = stack[0] if stack and stack[0].kind is PROCESS else None
        called = (stack[1:] or stack) if root else stack
        functions = tuple((f.name or "[unknown]", f.kind.value) for f in called)
        pid = f"{root.pid}" if root and root.pid is not None else ""
        expected[(root and root.name) or "[unknown]", pid, functions] += weight
    assert spelt_out(document) == expected


def test_stacks_share_what_is_below_them() -> None:
    a, b, c = Frame("a"), Frame("b"), Frame("c")
    stacks: dict[Stack, int] = {(a, b, c): 1, (a, b): 2, (a, c): 3, (a._replace(pid=1), b): 4}
    table = render(Profile.of(stacks))["shared"]["stackTable"]
    assert (table["frame"], table["prefix"]) == ([0, 1, 2, 2], [None, 0, 1, 0])


def test_threads_of_one_pid_have_one_main_thread() -> None:
    worker = Frame("worker", PROCESS, pid=12)
    stacks: dict[Stack, int] = {(worker, MAIN): 1, (API, MAIN): 2, (MAIN,): 3}
    threads = render(Profile.of(stacks))["threads"]
    assert [(t["name"], t["processName"], t["pid"], t["isMainThread"]) for t in threads] == [
        ("[unknown]", "[unknown]", "#0", True),
        ("api", "api", "12", True),
        ("worker", "api", "12", False),
    ]


@pytest.mark.parametrize(
    ("unit", "weights", "kind"),
    [
        ("samples", [1499, 1], "samples"),
        ("us", [1.499, 0.001], "tracing-ms"),
        ("ns", [0.001499, 0.000001], "tracing-ms"),
        ("bytes", [1499, 1], "bytes"),
        ("faults", [1499, 1], "samples"),
    ],
)
def test_weights_are_in_what_the_profiler_knows(unit: str, weights: list[float], kind: str) -> None:
    (thread,) = render(Profile.of({(MAIN,): 1500}, unit=unit))["threads"]
    assert (thread["samples"]["weight"], thread["samples"]["weightType"]) == (weights, kind)


def test_a_stack_begins_where_the_one_before_it_ends() -> None:
    stacks: dict[Stack, int] = {(Frame("a"),): 30, (Frame("b"),): 1, (Frame("c"),): 2}
    (thread,) = render(Profile.of(stacks, frequency_hz=100))["threads"]
    assert thread["samples"]["stack"] == [0, 0, 1, 2, 2]
    assert thread["samples"]["time"] == [0, 290, 300, 310, 320]


def test_kernel_frames_without_a_name_are_the_kernels() -> None:
    stack = (MAIN, Frame("[kernel]", FrameKind.UNRESOLVED, "[kernel]"))
    document = render(Profile.of({stack: 1}))
    ((_, _, functions),) = spelt_out(document)
    assert functions == (("main", "user"), ("[kernel]", "kernel"))
    shared = document["shared"]
    names = [shared["stringArray"][number] for number in shared["resourceTable"]["name"]]
    assert sorted(names) == ["/srv/api", "[kernel]"]


def test_facts_and_interval_are_told() -> None:
    meta = render(Profile.of({(MAIN,): 1}, frequency_hz=100), facts={"host": "prod-3"})["meta"]
    assert meta["interval"] == 10
    assert meta["product"] == "title"
    (section,) = meta["extra"]
    assert section["entries"] == [{"label": "host", "format": "string", "value": "prod-3"}]


def test_an_empty_profile_has_no_threads() -> None:
    document = render(Profile.of({}))
    check_tables(document)
    assert document["threads"] == []
