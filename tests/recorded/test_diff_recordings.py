"""Recordings compared, and what difffolded.pl printed for the same folded stacks.

``diff/<before>--<after>.txt`` is its sorted output for the two ``.folded`` files, ``.scaled.txt``
the same with ``-n``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.profile.diff import Comparison, Side, compare, count_samples
from remote_prof.profile.quality import measure_quality
from remote_prof.render.comparison import render_diff_folded

DATA = Path(__file__).parent / "data"
PRINTED = Path(__file__).parent / "difffolded"
PAIRS = sorted(path.stem for path in PRINTED.glob("*.txt") if ".scaled" not in path.name)


def side(name: str) -> Side:
    profile = parse_bpftrace((DATA / f"{name}.txt").read_bytes())
    return Side(name, profile, measure_quality(profile), count_samples(profile))


def compared(before: str, after: str, *, counts: bool = False) -> Comparison:
    return compare(side(before), side(after), counts=counts)


def changed(comparison: Comparison) -> set[str]:
    return {m.name for m in comparison.movers if not (m.self.is_noise and m.total.is_noise)}


def test_there_are_outputs_to_compare_with() -> None:
    assert len(PAIRS) >= 4


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("counts", [False, True])
def test_folded_output_is_that_of_difffolded(pair: str, counts: bool) -> None:
    before, _, after = pair.partition("--")
    expected = (PRINTED / f"{pair}{'' if counts else '.scaled'}.txt").read_text()
    found = render_diff_folded(compared(before, after, counts=counts)).decode()
    assert sorted(found.splitlines()) == sorted(expected.splitlines())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("bpftrace-0.17-ustack", "bpftrace-0.23-ustack"),
        ("bpftrace-0.17-kstack_ustack", "bpftrace-0.23-kstack_ustack"),
        ("bpftrace-0.23-kstack_ustack", "bpftrace-0.23-kstack_ustack-syslog"),
        ("bpftrace-0.17-eng-svc-str", "bpftrace-0.23-eng-svc-str"),
        ("go-bpftrace-0.17", "go-bpftrace-0.23"),
    ],
)
def test_two_recordings_of_one_program_differ_by_noise(before: str, after: str) -> None:
    comparison = compared(before, after)
    assert comparison.comparisons is not None
    # Kernel stacks end in other names where the kernel's are hidden.
    assert changed(comparison) <= {"[kernel]"}


def test_a_program_that_lost_its_names_is_no_noise() -> None:
    comparison = compared("go-bpftrace-0.23", "go-bpftrace-0.23-stripped")
    movers = {mover.name: mover for mover in comparison.movers}
    assert movers["[unknown]"].self.trend == "new"
    assert movers["[unknown]"].self.is_noise is False
    assert movers["main.handleRequest"].total.trend == "vanished"
    assert movers["main.handleRequest"].total.is_noise is False
