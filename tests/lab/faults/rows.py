"""A row of the matrix: the declaration, and the proof that a run ended as it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from tests.lab.tool import Done

from .bench import STAGES, Bench

NOTHING = "nothing"
PROFILE = "profile"
AFTER_FETCH = "profile, after fetch"
KEPT = (NOTHING, PROFILE, AFTER_FETCH)
AFTER_CLEAN = "nothing, after clean"
LEFT = (NOTHING, AFTER_CLEAN)

Scenario = Callable[[Bench], Done]


@dataclass(frozen=True)
class Row:
    """What was done and when; what the operator saw, the exit code, what was kept, what was left.

    ``sees`` is found in what was printed on stderr; ``…`` stands for any text in one line.
    ``exit_code`` is what a shell is told, 128 and the signal for what was killed. ``kept`` is one
    of ``KEPT``, ``left`` one of ``LEFT``. ``slow`` rows take more than some 20 s and run in ``make
    soak`` alone.
    """

    fault: str
    when: str
    sees: str
    exit_code: int
    kept: str
    left: str = NOTHING
    slow: bool = False

    def __post_init__(self) -> None:
        if self.when not in STAGES or self.kept not in KEPT or self.left not in LEFT:
            raise ValueError(f"a row says what no test can see: {self}")


def fault(*rows: Row) -> Callable[[Scenario], Callable[[Row, Bench], None]]:
    """Make a test of a scenario: it makes the fault at ``bench.when``, and gives the ended run."""
    marks = {True: [pytest.mark.soak], False: []}
    cases = [
        pytest.param(row, id=f"{row.when}: {row.fault}", marks=marks[row.slow]) for row in rows
    ]

    def made(scenario: Scenario) -> Callable[[Row, Bench], None]:
        @pytest.mark.parametrize("row", cases)
        def test(row: Row, bench: Bench) -> None:
            bench.when = row.when
            verify(row, bench, scenario(bench))

        test.__name__ = scenario.__name__
        test.__doc__ = scenario.__doc__
        return test

    return made


def rows_of(module: ModuleType) -> Iterator[Row]:
    """Give the rows that a module of tests declares, in their order."""
    for value in vars(module).values():
        marks: list[Any] = getattr(value, "pytestmark", [])
        for mark in marks:
            if mark.name == "parametrize" and mark.args[0] == "row":
                yield from (case.values[0] for case in mark.args[1])


def verify(row: Row, bench: Bench, done: Done) -> None:
    """See that a run ended as its row says, in every column."""
    told = f"\n--- stdout\n{done.out}\n--- stderr\n{done.err}"
    code = done.code if done.code >= 0 else 128 - done.code
    assert code == row.exit_code, f"exit code {code}, not {row.exit_code}{told}"
    assert seen(row.sees, done.err), f"not seen: {row.sees!r}{told}"
    assert STAGES[row.when] in done.err, f"it did not come to: {row.when}{told}"
    assert row.when != "before" or STAGES["connect"] not in done.err, f"it connected{told}"
    if code in (1, 3, 4, 5):
        whole = [what for what, evidence, hint in done.parts() if evidence or hint]
        assert len(whole) == len(done.parts()) == 1, f"not one error of three parts{told}"
    _see_what_was_kept(row.kept, bench, done, told)
    if row.left == AFTER_CLEAN:
        bench.reopen()
        cleaned = bench.tool("clean", done.run.path.name)
        assert cleaned.code == 0, f"{cleaned.err}{told}"
        assert "removed" in cleaned.out, f"{cleaned.out}{told}"
    bench.tidy()
    # What a launcher could not remove it tries again every 10 s.
    left = bench.stock.left(bench.host, 15)
    assert left == [], f"left on the host: {left}{told}"


def seen(text: str, printed: str) -> bool:
    """Say whether a text, in which ``…`` stands for anything in one line, was printed."""
    pattern = "[^\n]*".join(re.escape(part) for part in text.split("…"))
    return re.search(pattern, printed) is not None


def _see_what_was_kept(kept: str, bench: Bench, done: Done, told: str) -> None:
    if kept != PROFILE:
        drawn = list(done.results.rglob("flamegraph.svg")) if done.results.exists() else []
        assert drawn == [], f"a profile was kept{told}"
    if kept == NOTHING:
        return
    if kept == AFTER_FETCH:
        bench.reopen()
        fetched = bench.tool("fetch", done.run.path.name)
        assert fetched.code == 0, f"{fetched.err}{told}"
    _see_profile(done)


def _see_profile(done: Done) -> None:
    run = done.run
    assert run.differences() == [], run.differences()
    assert run.record["quality"]["got"] > 0, run.record
    assert (run.target / "flamegraph.svg").is_file(), run.path
    assert sum(run.stacks().values()) > 0, run.path
