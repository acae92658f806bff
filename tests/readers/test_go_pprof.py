"""``go tool pprof`` reads what ``pprof`` writes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from remote_prof.profile.model import FrameKind, Profile
from remote_prof.render import RENDERERS, Report

from .conftest import Go

_LINE = re.compile(r"(?:0x0 )?(?:M=\d+ )?(.*) :0(?::0)? s=0(?:\(\))?")


@pytest.fixture
def file(report: Report, tmp_path: Path) -> str:
    path = tmp_path / RENDERERS["pprof"].filename
    path.write_bytes(RENDERERS["pprof"].render(report))
    return str(path)


def called(profile: Profile) -> Counter[tuple[str, ...]]:
    """Return the weights of stacks by names, without processes: those are labels there."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for stack, weight in profile.stacks.items():
        is_process = len(stack) > 1 and stack[0].kind is FrameKind.PROCESS
        stacks[tuple(frame.name for frame in stack[is_process:])] += weight
    return stacks


def test_every_stack_is_read(go: Go, report: Report, file: str) -> None:
    text = go.pprof("-raw", file)
    sampled, _, text = text.partition("Samples:\n")[2].partition("Locations\n")
    names: dict[str, list[str]] = {}
    for line in text.partition("Mappings\n")[0].splitlines():
        number, address, rest = line.strip().partition(": 0x0 ")
        if address:
            current = names[number] = []
        found = _LINE.fullmatch(rest or line.strip())
        assert found, line
        current.append(found[1])
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in sampled.splitlines():
        values, colon, numbers = line.partition(": ")
        if colon:
            stack = [name for number in numbers.split() for name in names[number]]
            stacks[tuple(reversed(stack))] += int(values.split()[0])
    assert len(stacks) > 2
    assert stacks == called(report.profile)


def table(text: str) -> dict[str, tuple[str, str]]:
    """Return flat and cum by function of what ``-top`` prints."""
    rows = {}
    for line in text.partition("flat%")[2].splitlines()[1:]:
        flat, _, _, cum, _, name = line.split(maxsplit=5)
        rows[name.removesuffix(" (inline)").removesuffix(" (partial-inline)")] = (flat, cum)
    return rows


def test_functions_have_their_figures(go: Go, report: Report, file: str) -> None:
    value = {"samples": "samples", "us": "time"}[report.profile.unit]
    options = ("-nodecount=0", "-nodefraction=0", f"-sample_index={value}", "-unit=us")
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for stack, weight in called(report.profile).items():
        own[stack[-1]] += weight
        total.update(dict.fromkeys(stack, weight))
    expected = {name: (own[name], total[name]) for name in total}
    read = table(go.pprof("-top", *options, file))
    assert len(expected) > 2
    assert {
        name: tuple(int(figure.removesuffix("us")) for figure in figures)
        for name, figures in read.items()
    } == expected


def test_what_the_run_was_is_shown(go: Go, report: Report, file: str) -> None:
    assert go.pprof("-comments", file).splitlines() == [report.title, "host: prod-3"]


def test_cpu_time_is_what_is_shown_first(go: Go, tmp_path: Path) -> None:
    from .conftest import made_up

    profile = made_up()
    path = tmp_path / "profile.pb.gz"
    path.write_bytes(RENDERERS["pprof"].render(make(profile)))
    text = go.pprof("-top", "-unit=ns", str(path))
    assert "Type: cpu" in text
    assert "File: api" in text
    assert f"of {68 * 10_101_010}ns total" in text
    assert table(text)["handle"] == (f"{21 * 10_101_010}ns", f"{21 * 10_101_010}ns")
    assert table(go.pprof("-top", "-sample_index=samples", "-tagfocus=pid=13:13", str(path)))[
        "vfs_write"
    ] == ("18", "18")


def make(profile: Profile) -> Report:
    from remote_prof.profile.quality import measure_quality

    return Report(profile, measure_quality(profile), "title")
