"""Jobs, worked off: so many at a time, and batch by batch.

A job is handed over only when there is room for it: no host begins whose turn has not come.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace

from remote_prof.errors import LoginError, UnreachableError
from remote_prof.fleet.places import Place
from remote_prof.fleet.policy import Policy, retry_pause_s
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.manifest import Status
from remote_prof.run.prepare import HostJob
from remote_prof.run.result import HostResult, Watch

_LOOK_S = 0.2
_FAILURES = (Status.FAILED, Status.UNREACHABLE)

Take = Callable[[HostResult], Sequence[HostJob]]


@dataclass(slots=True)
class _Turn:
    """A job, how often it was begun, when it may be next, and what came of it before."""

    job: HostJob
    tries: int = 0
    not_before: float = 0.0
    result: HostResult | None = None


def _machine(job: HostJob) -> Hashable:
    """Return what two names of one machine have in common, where that can be seen."""
    return job.host.address, job.host.port, job.host.jump


def _sidecars(job: HostJob) -> int:
    """Return how many sidecars a job may have at the same time."""
    if job.sidecars is not None:
        return min(job.sidecars, job.max_sidecars)
    # What is chosen on the host may be more than one.
    return job.max_sidecars if job.request.engine == "auto" else 1


class Shift:
    """Works jobs off, and hands each result to ``take`` in the thread that ``run`` is called in.

    What ``take`` returns is worked off next: the parts that a job turned out to have.
    """

    def __init__(
        self, policy: Policy, place: Place, interrupt: Interrupt, take: Take, watch: Watch
    ) -> None:
        self._policy = policy
        self._place = place
        self._interrupt = interrupt
        self._take = take
        self._watch = watch
        self._at_work: dict[Future[HostResult], _Turn] = {}
        self._waiting: list[_Turn] = []
        self._next_at = 0.0
        self._ends_at: float | None = None
        self._why = ""

    def run(self, jobs: Sequence[HostJob]) -> str:
        """Work jobs off; return why some were not begun, "" where none or the user's wish is it."""
        if self._policy.deadline_s is not None:
            self._ends_at = time.monotonic() + self._policy.deadline_s
        for batch in self._policy.batches(jobs):
            self._batch(batch)
            if self._why or self._interrupt.requested:
                break
        return self._why

    def _batch(self, batch: Sequence[HostJob]) -> None:
        self._waiting = [_Turn(job) for job in batch]
        failed = set()
        while self._waiting or self._at_work:
            pause_s = self._begin()
            for turn, result in self._over(pause_s):
                error = result.error
                # What a host that answers says now it would say again.
                again = isinstance(error, UnreachableError) and not isinstance(error, LoginError)
                if again and turn.tries <= self._policy.retries:
                    turn.not_before = time.monotonic() + retry_pause_s(turn.tries)
                    turn.result = result
                    self._waiting.append(turn)
                    self._watch(turn.job.name, "cannot be reached: it is tried again")
                    continue
                parts = self._take(result)
                # As it was given: a worker gets its jobs without what is secret.
                own = [_Turn(replace(part, host=turn.job.host)) for part in parts]
                self._waiting[:0] = own
                if not result.parts and result.record.status in _FAILURES:
                    failed.add(turn.job.host.name)
                self._why = self._why or self._policy.stop_reason(len(failed), len(batch))

    def _begin(self) -> float:
        """Begin what may begin; return how long nothing more can."""
        if self._ends_at is not None and time.monotonic() >= self._ends_at and self._waiting:
            self._why = self._why or "the time for all is over (--deadline)"
        if self._why or self._interrupt.requested:
            for turn in self._waiting:
                if turn.result is not None:
                    self._take(turn.result)
            self._waiting.clear()
        while self._waiting and len(self._at_work) < self._policy.forks:
            now = time.monotonic()
            fitting = self._fitting()
            if not fitting:
                break
            turn = min(fitting, key=lambda each: each.not_before)
            wait_s = max(turn.not_before, self._next_at) - now
            if wait_s > 0:
                return min(wait_s, _LOOK_S)
            if self._policy.connect_rate is not None:
                self._next_at = max(now, self._next_at) + 1 / self._policy.connect_rate
            self._waiting.remove(turn)
            turn.tries += 1
            job = replace(turn.job, tries=turn.tries, time_limit_s=self._time_limit_s(now))
            self._at_work[self._place.submit(job)] = turn
            if self._interrupt.requested:
                break
        return _LOOK_S

    def _fitting(self) -> list[_Turn]:
        """Return those whose sidecars have room on their hosts beside what is there."""
        there: Counter[Hashable] = Counter()
        for turn in self._at_work.values():
            there[_machine(turn.job)] += _sidecars(turn.job)
        return [
            turn
            for turn in self._waiting
            if not (used := there[_machine(turn.job)])
            or used + _sidecars(turn.job) <= turn.job.max_sidecars
        ]

    def _time_limit_s(self, now: float) -> float | None:
        limits = [self._policy.timeout_s] if self._policy.timeout_s is not None else []
        limits += [self._ends_at - now] if self._ends_at is not None else []
        return min(limits, default=None)

    def _over(self, pause_s: float) -> list[tuple[_Turn, HostResult]]:
        """Wait for jobs to end, for so long at most, and return those that have."""
        if not self._at_work:
            time.sleep(pause_s)
            return []
        done, _ = wait(self._at_work, pause_s, FIRST_COMPLETED)
        return [(self._at_work.pop(future), future.result()) for future in done]
