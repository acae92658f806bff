"""Several hosts at once: how many, in which order they are told, and how an interrupt ends them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

import pytest

from remote_prof.errors import (
    ExitCode,
    InterruptedRunError,
    LoginError,
    RemoteProfError,
    UnreachableError,
)
from remote_prof.fleet import places, shift
from remote_prof.fleet.invocation import RETRY, Outcome, resume_jobs, run_jobs, unfinished
from remote_prof.fleet.policy import Policy, batch_size, ordered
from remote_prof.host.gather import FactsQuery
from remote_prof.records import Host
from remote_prof.run.interrupt import Interrupt, Stop, TimeLimit
from remote_prof.run.manifest import Manifest, RequestRecord, Status
from remote_prof.run.prepare import HostJob
from remote_prof.run.record import first_record
from remote_prof.run.result import HostResult, Watch
from remote_prof.transport import Lines, SshOptions

Work = Callable[[str, Stop], Status]
_ERRORS: dict[Status, RemoteProfError] = {
    Status.INTERRUPTED: InterruptedRunError("interrupted"),
    Status.UNREACHABLE: UnreachableError("it does not answer"),
}


class Run(Protocol):
    def __call__(
        self, number: int, work: Work, forks: int, changes: Mapping[str, Any] = {}, **policy: Any
    ) -> Outcome: ...


REQUEST = RequestRecord(
    (), "api", "container", "bpftrace", 1.0, 99, "both", "img", False, "auto", ("folded",)
)


def jobs(number: int) -> list[HostJob]:
    names = tuple(f"web-{each:02}" for each in range(number))
    request = replace(REQUEST, hosts=names)
    return [
        HostJob("20260101-a", Host(name, name), None, request, FactsQuery("img"), SshOptions())
        for name in names
    ]


def parts(job: HostJob) -> tuple[HostJob, ...]:
    """Two targets of the first host, and one more of each that follows."""
    targets = 2 + int(job.host.name[-2:])
    return tuple(
        replace(job, several=False, part=f"api-{n}", targets=targets, sidecars=1)
        for n in range(targets)
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run so many jobs, each of which does the work, so many at a time."""

    def runs(
        number: int, work: Work, forks: int, changes: Mapping[str, Any] = {}, **policy: Any
    ) -> Outcome:
        def run_job(
            job: HostJob, manifest: Manifest, stop: Stop, watch: Watch, lines: Lines
        ) -> HostResult:
            del manifest, watch, lines
            if job.several:
                return HostResult(first_record(job), parts=parts(job))
            status = work(job.name, stop)
            record = replace(first_record(job), status=status)
            return HostResult(record, error=_ERRORS.get(status))

        monkeypatch.setattr(places, "run_job", run_job)
        return run_jobs(
            [replace(job, **changes) for job in jobs(number)],
            results=tmp_path / token_hex(4),
            watch=lambda *_: None,
            command=("remote-prof", "run"),
            policy=Policy(forks, **policy),
        )

    return runs


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

    def work(name: str, interrupt: Stop) -> Status:
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
    def work(name: str, interrupt: Stop) -> Status:
        del interrupt
        return {"web-01": Status.FAILED, "web-02": Status.UNREACHABLE}.get(name, Status.OK)

    outcome = run(5, work, 5)
    statuses = [record.status for record in outcome.manifest.hosts]
    assert statuses == ["ok", "failed", "unreachable", "ok", "ok"]
    assert outcome.exit_code is ExitCode.SOME_FAILED


def test_an_interrupt_ends_what_is_at_work_and_lets_none_begin(run: Run) -> None:
    begun = []

    def work(name: str, interrupt: Stop) -> Status:
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
    def work(name: str, interrupt: Stop) -> Status:
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

    def work(name: str, interrupt: Stop) -> Status:
        del name, interrupt
        released.wait(30)
        return Status.INTERRUPTED

    thread = after(0.2, *[signal.SIGINT] * 3)
    with pytest.raises(KeyboardInterrupt):
        run(2, work, 2)
    released.set()
    thread.join()


def test_a_fault_of_our_own_is_no_host_s_failure(run: Run) -> None:
    def work(name: str, interrupt: Stop) -> Status:
        del interrupt
        if name == "web-01":
            raise AssertionError("a fault")
        return Status.OK

    with pytest.raises(AssertionError, match="a fault"):
        run(3, work, 3)


def begun(run: Run, number: int, statuses: dict[str, Status], **policy: Any) -> list[str]:
    """Run so many jobs one after the other, and tell which began."""
    names: list[str] = []

    def work(name: str, interrupt: Stop) -> Status:
        del interrupt
        names.append(name)
        return statuses.get(name, Status.OK)

    outcome = run(number, work, 1, **policy)
    assert bool(outcome.not_begun) == (len(names) < number) == bool(outcome.stopped)
    if outcome.not_begun:
        assert outcome.exit_code is not ExitCode.OK
    return names


def test_batches_are_cut_as_ansible_cuts_them() -> None:
    def sizes(whole: int, *serial: str) -> list[int]:
        return [len(batch) for batch in Policy(serial=serial).batches(range(whole))]

    assert sizes(5) == [5]
    assert sizes(0) == []
    assert sizes(7, "3") == [3, 3, 1]
    assert sizes(10, "1", "5", "10") == [1, 5, 4]
    assert sizes(10, "1", "2") == [1, 2, 2, 2, 2, 1]
    assert sizes(10, "33%") == [3, 3, 3, 1]
    assert sizes(3, "10%") == [1, 1, 1]
    assert sizes(4, "1", "0") == [1, 3]


@pytest.mark.parametrize("whole", [1, 3, 7, 100])
@pytest.mark.parametrize("serial", [["1"], ["30%"], ["1", "5", "50%"], ["1%"], ["0"], ["100%"]])
def test_ansible_itself_cuts_them_so(whole: int, serial: list[str]) -> None:
    from ansible.executor.playbook_executor import PlaybookExecutor

    class Play:
        hosts = "all"
        order = None

    class Inventory:
        def get_hosts(self, *_: object, **__: object) -> list[int]:
            return list(range(whole))

    Play.serial = serial  # type: ignore[attr-defined]
    executor = PlaybookExecutor.__new__(PlaybookExecutor)
    executor._inventory = Inventory()
    theirs = executor._get_serialized_batches(Play())
    assert [list(batch) for batch in Policy(serial=tuple(serial)).batches(range(whole))] == theirs


def test_a_batch_is_over_before_the_next_begins(run: Run) -> None:
    at_work: set[str] = set()
    together: set[frozenset[str]] = set()
    lock = threading.Lock()

    def work(name: str, interrupt: Stop) -> Status:
        del interrupt
        with lock:
            at_work.add(name)
            together.add(frozenset(at_work))
        time.sleep(0.05 if name == "web-01" else 0.02)
        with lock:
            at_work.remove(name)
        return Status.OK

    run(6, work, 6, serial=("2",))
    pairs = [{"web-00", "web-01"}, {"web-02", "web-03"}, {"web-04", "web-05"}]
    assert all(any(names <= pair for pair in pairs) for names in together)


def test_too_many_failures_let_no_more_begin(run: Run) -> None:
    failed = {"web-01": Status.FAILED, "web-02": Status.UNREACHABLE}
    assert len(begun(run, 10, failed, max_fail_percentage=19.9)) == 3
    # It has to be exceeded, not equalled.
    assert len(begun(run, 10, failed, max_fail_percentage=20.0)) == 10
    # Each batch is judged by itself, and the whole of it has its turn where it does not exceed.
    assert len(begun(run, 10, failed, max_fail_percentage=49.0, serial=("4",))) == 3
    assert len(begun(run, 10, failed, max_fail_percentage=50.0, serial=("4",))) == 10
    assert len(begun(run, 10, {"web-00": Status.NO_SAMPLES}, max_fail_percentage=0.0)) == 10


def test_any_error_can_be_the_last_one(run: Run) -> None:
    assert begun(run, 5, {"web-01": Status.FAILED}, any_errors_fatal=True) == ["web-00", "web-01"]
    assert len(begun(run, 5, {"web-01": Status.SKIPPED}, any_errors_fatal=True)) == 5


def test_what_cannot_be_reached_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "retry_pause_s", lambda tries: 0.01 * tries)
    tries: Counter[str] = Counter()

    def work(name: str, interrupt: Stop) -> Status:
        del interrupt
        tries[name] += 1
        lost = name == "web-01" or (name == "web-02" and tries[name] < 3)
        return Status.UNREACHABLE if lost else Status.OK

    outcome = run(4, work, 4, retries=2)
    assert tries == {"web-00": 1, "web-01": 3, "web-02": 3, "web-03": 1}
    records = {record.name: record for record in outcome.manifest.hosts}
    assert (records["web-01"].status, records["web-01"].tries) == (Status.UNREACHABLE, 3)
    assert (records["web-02"].status, records["web-02"].tries) == (Status.OK, 3)
    assert outcome.exit_code is ExitCode.UNREACHABLE
    # A host that refuses a login would refuse it again, and may lock the account.
    monkeypatch.setitem(_ERRORS, Status.UNREACHABLE, LoginError("it refuses the login"))
    tries.clear()
    run(4, work, 4, retries=2)
    assert tries["web-01"] == 1


def test_hosts_begin_no_faster_than_they_may(run: Run) -> None:
    times = []

    def work(name: str, interrupt: Stop) -> Status:
        del name, interrupt
        times.append(time.monotonic())
        return Status.OK

    run(5, work, 5, connect_rate=20.0)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    # Threads begin a little late: what is bounded is how many begin in a while.
    assert times[-1] - times[0] > 0.15, gaps


def test_the_deadline_ends_what_is_at_work_and_lets_none_begin(run: Run) -> None:
    def work(name: str, interrupt: Stop) -> Status:
        del name, interrupt
        time.sleep(0.3)
        return Status.OK

    outcome = run(10, work, 2, deadline_s=0.5)
    assert 2 <= len(outcome.manifest.hosts) <= 4
    assert "--deadline" in outcome.stopped
    assert outcome.exit_code is ExitCode.SOME_FAILED
    assert (outcome.directory.path / RETRY).read_text().split() == list(outcome.not_begun)


def test_a_job_has_the_time_that_is_left_and_no_more() -> None:
    interrupt = Interrupt()
    limit = TimeLimit(interrupt, 0.05)
    before = limit.requested
    time.sleep(0.06)
    assert (before, limit.requested) == (False, True)
    assert not limit.leaving
    limit.check()
    by_itself = limit.is_over
    # Where the user wants it to end, too, it is the user who ends it.
    interrupt.requested = True
    assert (by_itself, limit.is_over) == (True, False)
    assert not TimeLimit(Interrupt(), None).requested


def test_what_failed_is_named_for_another_try_and_can_be_gone_on_with(run: Run) -> None:
    bad = {"web-01": Status.FAILED, "web-03": Status.UNREACHABLE, "web-04": Status.SKIPPED}

    def work(name: str, interrupt: Stop) -> Status:
        del interrupt
        return bad.get(name, Status.OK)

    outcome = run(5, work, 5)
    retry = outcome.directory.path / RETRY
    assert retry.read_text() == "web-01\nweb-03\n"
    left = unfinished(jobs(5), outcome.directory)
    assert [job.host.name for job in left] == ["web-01", "web-03"]
    bad.clear()
    again = resume_jobs(left, outcome.directory, lambda *_: None)
    assert again.exit_code is ExitCode.OK
    assert [record.name for record in again.manifest.hosts] == [f"web-0{n}" for n in range(5)]
    assert not retry.exists()


class Meter:
    """Work that notes how much of it is done on a host at the same time."""

    def __init__(self, **statuses: Status) -> None:
        self.statuses = statuses
        self.done: list[str] = []
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, name: str, interrupt: Stop) -> Status:
        del interrupt
        host, _, part = name.partition("/")
        with self._lock:
            self._now[host] += 1
            self.most[host] = max(self.most[host], self._now[host])
        time.sleep(0.05)
        with self._lock:
            self._now[host] -= 1
            self.done.append(name)
        return self.statuses.get(part.replace("-", "_"), Status.OK)


@pytest.mark.parametrize(("forks", "limit", "most"), [(25, 2, 2), (25, 1, 1), (2, 4, 2)])
def test_a_host_has_so_many_sidecars_at_once_and_no_more(
    run: Run, forks: int, limit: int, most: int
) -> None:
    work = Meter()
    outcome = run(3, work, forks, {"several": True, "max_sidecars": limit})
    expected = [f"web-0{n}/api-{m}" for n in range(3) for m in range(n + 2)]
    assert sorted(work.done) == expected
    assert [record.name for record in outcome.manifest.hosts] == expected
    assert max(work.most.values()) == most
    assert outcome.not_begun == ()
    assert outcome.exit_code is ExitCode.OK
    first = outcome.manifest.hosts[0]
    assert (first.host_name, first.targets) == ("web-00", 2)


@pytest.mark.parametrize(("engine", "most"), [("auto", 1), ("bpftrace", 2)])
def test_two_names_of_one_machine_count_together(run: Run, engine: str, most: int) -> None:
    # How many sidecars ``auto`` takes is not known before a host has been read.
    request = replace(REQUEST, hosts=("web-00", "web-01"), engine=engine)
    work = Meter()
    run(2, work, 25, {"host": Host("web-00", "same"), "request": request})
    assert work.most["web-00"] == most


def test_one_host_of_several_targets_is_told_as_a_fleet_is(run: Run) -> None:
    outcome = run(1, Meter(api_1=Status.FAILED), 1, {"several": True})
    assert [(r.name, r.status) for r in outcome.manifest.hosts] == [
        ("web-00/api-0", "ok"),
        ("web-00/api-1", "failed"),
    ]
    assert outcome.exit_code is ExitCode.SOME_FAILED
    assert outcome.fleet is not None


def test_failures_are_counted_by_hosts(run: Run) -> None:
    bad = {"api_0": Status.FAILED, "api_1": Status.FAILED}
    outcome = run(3, Meter(**bad), 1, {"several": True}, max_fail_percentage=50)
    # Two hosts of three are more than half; four targets of one would have been, too.
    assert outcome.stopped == "2 of 3 have failed: more than --max-fail-percentage 50"
    assert outcome.not_begun == ("web-02", "2 of 3 targets of web-01")


def test_targets_that_failed_are_gone_on_with_and_no_others(run: Run) -> None:
    work = Meter(api_1=Status.FAILED)
    outcome = run(2, work, 4, {"several": True})
    retry = outcome.directory.path / RETRY
    assert retry.read_text() == "web-00\nweb-01\n"
    left = unfinished([replace(job, several=True) for job in jobs(2)], outcome.directory)
    assert [job.name for job in left] == ["web-00", "web-01"]
    work.statuses.clear()
    work.done.clear()
    again = resume_jobs(left, outcome.directory, lambda *_: None)
    assert sorted(work.done) == ["web-00/api-1", "web-01/api-1"]
    expected = [f"web-0{n}/api-{m}" for n in range(2) for m in range(n + 2)]
    assert [record.name for record in again.manifest.hosts] == expected
    assert {record.status for record in again.manifest.hosts} == {Status.OK}
    assert not retry.exists()
    assert unfinished(jobs(2), outcome.directory) == []


def test_where_every_host_was_skipped_there_is_nothing_to_show(run: Run) -> None:
    def work(name: str, interrupt: Stop) -> Status:
        del interrupt
        return Status.OK if name == "web-02" else Status.SKIPPED

    assert run(3, work, 3).exit_code is ExitCode.OK
    assert run(2, work, 2).exit_code is ExitCode.NO_SAMPLES


def test_orders_are_ansible_s() -> None:
    hosts = [Host(name, name) for name in ("b", "c", "a")]

    def names(order: str) -> str:
        return "".join(host.name for host in ordered(hosts, order))

    assert names("inventory") == "bca"
    assert names("reverse_inventory") == "acb"
    assert names("sorted") == "abc"
    assert names("reverse_sorted") == "cba"
    assert sorted(names("shuffle")) == ["a", "b", "c"]


def test_a_percentage_is_of_all_and_at_least_one() -> None:
    assert batch_size("30%", 10) == 3
    assert batch_size("1%", 10) == 1
    assert batch_size("7", 3) == 7
