"""speedscope's own importer reads what ``speedscope``, ``pprof`` and ``folded`` write."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import FrameKind, is_kernel
from remote_prof.render import RENDERERS, Report

from .conftest import Npm

SCRIPT = Path(__file__).with_name("import_speedscope.js")
UNITS = {"samples": "none", "us": "microseconds"}


@pytest.fixture
def imported(npm: Npm, report: Report, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    renderer = RENDERERS[request.param]
    path = tmp_path / renderer.filename
    path.write_bytes(renderer.render(report))
    group = json.loads(npm.node(str(SCRIPT), str(npm.modules), str(path)))
    (profile,) = group["profiles"]
    return profile


def stacks(profile: Any) -> Counter[tuple[str, ...]]:
    """Return what was imported: the weights of stacks by names."""
    read: Counter[tuple[str, ...]] = Counter()
    for names, weight in profile["stacks"]:
        read[tuple(names)] += weight
    return read


@pytest.mark.parametrize("imported", ["speedscope"], indirect=True)
def test_every_stack_and_its_weight_is_read(imported: Any, report: Report) -> None:
    expected: Counter[tuple[str, ...]] = Counter()
    for stack, weight in report.profile.stacks.items():
        expected[tuple(frame.name for frame in stack)] += weight
    assert len(expected) > 2
    assert stacks(imported) == expected
    assert imported["total"] == report.profile.total
    assert imported["unit"] == UNITS[report.profile.unit]
    assert imported["name"] == report.title


@pytest.mark.parametrize("imported", ["speedscope"], indirect=True)
def test_functions_have_their_figures_and_modules(imported: Any, report: Report) -> None:
    own: Counter[tuple[str, str | None]] = Counter()
    total: Counter[tuple[str, str | None]] = Counter()
    for stack, weight in report.profile.stacks.items():
        functions = [(f.name, "[kernel]" if is_kernel(f) else f.module) for f in stack]
        own[functions[-1]] += weight
        total.update(dict.fromkeys(functions, weight))
    read = {(name, file): (self, total) for name, file, self, total in imported["functions"]}
    assert read == {each: (own[each], total[each]) for each in total}


@pytest.mark.parametrize("imported", ["folded"], indirect=True)
def test_folded_stacks_are_read(imported: Any, report: Report) -> None:
    expected: Counter[tuple[str, ...]] = Counter()
    for stack, weight in report.profile.stacks.items():
        expected[tuple(format_frame(frame.name, frame.kind) for frame in stack)] += weight
    assert stacks(imported) == expected


@pytest.mark.parametrize("imported", ["pprof"], indirect=True)
def test_pprof_is_read(imported: Any, report: Report) -> None:
    profile = report.profile
    period = round(1e9 / profile.frequency_hz) if profile.frequency_hz else 1
    expected: Counter[tuple[str, ...]] = Counter()
    for stack, weight in profile.stacks.items():
        is_process = len(stack) > 1 and stack[0].kind is FrameKind.PROCESS
        # speedscope leaves the inlined functions of a location out.
        names = [f.name for f in stack[is_process:] if f.kind is not FrameKind.INLINED]
        expected[tuple(names)] += weight * period
    assert stacks(imported) == expected
    assert imported["unit"] == {"samples": "nanoseconds", "us": "microseconds"}[profile.unit]
