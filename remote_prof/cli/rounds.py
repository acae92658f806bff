"""``run --every``: round after round, each a run of its own, and a summary over time."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from remote_prof.fleet.invocation import Outcome
    from remote_prof.fleet.rounds import Rounds
    from remote_prof.profile.functions import Functions
    from remote_prof.run.manifest import Manifest

# The first of these that a round ended with is what a shell is told.
_WORST = (
    ExitCode.INTERRUPTED,
    ExitCode.ERROR,
    ExitCode.SOME_FAILED,
    ExitCode.UNREACHABLE,
    ExitCode.NO_SAMPLES,
)


def read_rounds(every: str | None, times: int | None, until: str | None) -> Rounds | None:
    """Return what options say of rounds; None where there is one alone. Raises UsageError."""
    from remote_prof.durations import parse_duration
    from remote_prof.fleet.rounds import Rounds, seconds_until

    if every is None:
        if times is not None or until is not None:
            raise UsageError(
                "--times and --until are of rounds", hint="say how often, too: --every 5m"
            )
        return None
    if times is None and until is None:
        raise UsageError(
            "--every has no end", hint="say how many rounds, or until when: --times 12"
        )
    now = dt.datetime.now().astimezone()
    until_s = seconds_until(until, now) if until is not None else None
    return Rounds(parse_duration(every), times, until_s)


@dataclass(frozen=True, slots=True)
class _Round:
    """What is kept of a round: there may be many."""

    began: dt.datetime
    place: Path
    manifest: Manifest
    exit_code: ExitCode
    functions: Functions | None


def work_off(rounds: Rounds, run: Callable[[], Outcome], *, as_json: bool) -> int:
    """Run round after round, and return the exit code; Ctrl-C ends the round and all of them."""
    from remote_prof.run.interrupt import Interrupt

    done: list[_Round] = []
    begun = time.monotonic()
    interrupted = False
    while (at_s := rounds.next_at_s(len(done), time.monotonic() - begun)) is not None:
        try:
            with Interrupt().heard():
                _wait(begun + at_s, len(done) + 1)
        except KeyboardInterrupt:
            interrupted = True
            break
        began = dt.datetime.now().astimezone()
        outcome = run()
        _show_problems(outcome)
        path, code = outcome.directory.path, outcome.exit_code
        done.append(_Round(began, path, outcome.manifest, code, _functions(outcome)))
        if not as_json:
            console.line(_line(len(done), rounds.times, done[-1]))
        interrupted = outcome.exit_code is ExitCode.INTERRUPTED
        if interrupted:
            break
    if as_json:
        manifests = [dataclasses.asdict(each.manifest) for each in done]
        console.write(json.dumps({"rounds": manifests}, indent=2) + "\n")
    else:
        _show(done)
    codes = [each.exit_code for each in done] + [ExitCode.INTERRUPTED] * interrupted
    return next((code for code in _WORST if code in codes), ExitCode.OK)


def _show_problems(outcome: Outcome) -> None:
    from remote_prof.cli import fleet_summary, summary

    if outcome.fleet is not None:
        fleet_summary.show_problems(outcome.results, verbose=0)
        return
    for result in outcome.results:
        summary.show_problems(result, verbose=0)


def _wait(until: float, number: int) -> None:
    wait_s = until - time.monotonic()
    if wait_s > 0:
        console.note(f"round {number} begins in {wait_s:.0f} s")
        time.sleep(wait_s)


def _functions(outcome: Outcome) -> Functions | None:
    from remote_prof.fleet.rounds import together
    from remote_prof.profile.functions import functions_of

    if outcome.fleet is not None:
        return together([*outcome.fleet.functions.values()])
    shown = {
        result.record.name: result.analysis.profile
        for result in outcome.results
        if result.analysis is not None
    }
    return together([*functions_of(shown).values()])


def _line(number: int, times: int | None, each: _Round) -> str:
    of = f" of {times}" if times is not None else ""
    records = each.manifest.hosts
    well = sum(record.status == "ok" for record in records)
    amount = f"{each.functions.weight} {each.functions.unit}" if each.functions else "no samples"
    names = each.manifest.request.hosts
    hosts = f", {well} of {len(names)} hosts" if len(names) > 1 else ""
    return f"round {number}{of}, {each.began:%H:%M:%S}{hosts}, {amount}: {each.place}"


def _show(done: list[_Round]) -> None:
    """Print what the rounds say one after the other."""
    from remote_prof.fleet.rounds import shares_over_time
    from remote_prof.profile.quality import tenths

    over_time = shares_over_time([each.functions for each in done])
    if not over_time:
        return
    header = ("began", "samples", *(name for name, _ in over_time))
    rows = [
        (
            f"{each.began:%H:%M:%S}",
            str(each.functions.weight if each.functions else ""),
            *(
                "" if shares[number] is None else tenths(shares[number] or 0.0)
                for _, shares in over_time
            ),
        )
        for number, each in enumerate(done)
    ]
    console.line("")
    console.table(header, rows, right=range(1, len(header)))
