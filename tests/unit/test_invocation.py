"""Several hosts at once: how many, in which order they are told, and how an interrupt ends them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_prof.errors import ExitCode, InterruptedRunError, RemoteProfError
from remote_prof.host.gather import FactsQuery
from remote_prof.records import Host
from remote_prof.run import invocation
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.invocation import Outcome, run_jobs
from remote_prof.run.manifest import HostRecord, Manifest, RequestRecord, Status
from remote_prof.run.prepare import HostJob
from remote_prof.run.result import HostResult, Watch
from remote_prof.transport import SshOptions

Work = Callable[[str, Interrupt], Status]


def jobs(number: int) -> list[HostJob]:
    names = tuple(f"web-{each:02}" for each in range(number))
    request = RequestRecord(
        names, "api", "container", "bpftrace", 1.0, 99, "both", "img", False, "auto", ("folded",)
    )
    return [
        HostJob("20260101-a", Host(name, name), None, request, FactsQuery("img"), SshOptions())
        for name in names
    ]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Work, int], Outcome]:
    """Run so many jobs, each of which does the work, so many at a time."""

    def runs(number: int, work: Work, forks: int) -> Outcome:
        def run_job(
            job: HostJob, manifest: Manifest, interrupt: Interrupt, watch: Watch
        ) -> HostResult:
            del manifest, watch
            status = work(job.host.name, interrupt)
            error: RemoteProfError | None = None
            if status is Status.INTERRUPTED:
                error = InterruptedRunError("interrupted")
            return HostResult(HostRecord(job.host.name, job.host.address, status), error=error)

        monkeypatch.setattr(invocation, "run_job", run_job)
        return run_jobs(
            jobs(number),
            results=tmp_path,
            watch=lambda *_: None,
            command=("remote-prof", "run"),
            forks=forks,
        )

    return runs


Run = Callable[[int, Work, int], Outcome]


def after(delay_s: float, *signals: signal.Signals) -> threading.Thread:
    def send() -> None:
        for number in signals:
            time.sleep(delay_s)
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("forks", [1, 4, 25])
def test_so_many_are_at_work_at_once_and_no_more(run: Run, forks: int) -> None:
    at_work = most = 0
    lock = threading.Lock()

    def work(name: str, interrupt: Interrupt) -> Status:
        nonlocal at_work, most
        del interrupt
        with lock:
            at_work += 1
            most = max(most, at_work)
        # The first are ready last.
        time.sleep(0.02 if name > "web-05" else 0.1)
        with lock:
            at_work -= 1
        return Status.OK

    outcome = run(12, work, forks)
    assert most == min(forks, 12)
    names = [f"web-{each:02}" for each in range(12)]
    assert [result.record.name for result in outcome.results] == names
    assert [record.name for record in outcome.manifest.hosts] == names
    assert outcome.directory.load_manifest() == outcome.manifest
    assert outcome.exit_code is ExitCode.OK


def test_one_that_fails_takes_none_with_it(run: Run) -> None:
    def work(name: str, interrupt: Interrupt) -> Status:
        del interrupt
        return {"web-01": Status.FAILED, "web-02": Status.UNREACHABLE}.get(name, Status.OK)

    outcome = run(5, work, 5)
    statuses = [record.status for record in outcome.manifest.hosts]
    assert statuses == ["ok", "failed", "unreachable", "ok", "ok"]
    assert outcome.exit_code is ExitCode.SOME_FAILED


def test_an_interrupt_ends_what_is_at_work_and_lets_none_begin(run: Run) -> None:
    begun = []

    def work(name: str, interrupt: Interrupt) -> Status:
        begun.append(name)
        while not interrupt.requested:
            time.sleep(0.01)
        assert not interrupt.leaving
        return Status.INTERRUPTED

    thread = after(0.3, signal.SIGINT)
    outcome = run(10, work, 3)
    thread.join()
    assert sorted(begun) == ["web-00", "web-01", "web-02"]
    assert [record.status for record in outcome.manifest.hosts] == ["interrupted"] * 3
    assert outcome.exit_code is ExitCode.INTERRUPTED


def test_a_second_one_is_seen_by_all_threads(run: Run) -> None:
    def work(name: str, interrupt: Interrupt) -> Status:
        del name
        with interrupt.deferred():
            try:
                while True:
                    interrupt.check()
                    time.sleep(0.01)
            except KeyboardInterrupt:
                return Status.INTERRUPTED

    thread = after(0.2, signal.SIGINT, signal.SIGINT)
    outcome = run(3, work, 3)
    thread.join()
    assert len(outcome.manifest.hosts) == 3


def test_a_third_one_waits_for_nobody(run: Run) -> None:
    released = threading.Event()

    def work(name: str, interrupt: Interrupt) -> Status:
        del name, interrupt
        released.wait(30)
        return Status.INTERRUPTED

    thread = after(0.2, *[signal.SIGINT] * 3)
    with pytest.raises(KeyboardInterrupt):
        run(2, work, 2)
    released.set()
    thread.join()


def test_a_fault_of_our_own_is_no_host_s_failure(run: Run) -> None:
    def work(name: str, interrupt: Interrupt) -> Status:
        del interrupt
        if name == "web-01":
            raise AssertionError("a fault")
        return Status.OK

    with pytest.raises(AssertionError, match="a fault"):
        run(3, work, 3)
