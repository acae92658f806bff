"""What one process leaves for the next: whole, and without secrets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.bpftrace import Bpftrace
from remote_prof.errors import UsageError
from remote_prof.host.facts import parse_facts
from remote_prof.host.gather import FactsQuery
from remote_prof.host.target import TargetSpec, resolve
from remote_prof.records import Become, Host, Library, Problem, Severity
from remote_prof.run.directory import RunDirectory
from remote_prof.run.launch import (
    Launch,
    find_launch,
    forget_held,
    load_jobs,
    write_jobs,
    write_launch,
)
from remote_prof.run.manifest import HostRecord, RequestRecord, Status
from remote_prof.run.plan import Service, make_plan
from remote_prof.run.prepare import HostJob
from remote_prof.transport import SshOptions

DATA = Path(__file__).parent / "data"
STATE = parse_facts((DATA / "facts" / "docker-26-hybrid.txt").read_bytes())
RUN = "20260131-235959-1a2b3c"
SPEC = TargetSpec("api", labels=(("tier", "front"),), pid=19402, scope="process")
REQUEST = RequestRecord(
    ("prod-3",), "api", "container", "bpftrace", 10.0, 99, "both", "img", False, "auto", ("svg",)
)
HOST = Host(
    "prod-3",
    "10.0.0.3",
    2222,
    "ops",
    identity_files=("~/.ssh/id",),
    jump="bastion",
    password="pw-of-ssh",
    key_passphrase="pw-of-key",
    become=Become(True, "su", "root", "pw-of-become"),
    vars={"ansible_password": "pw-of-vars", "x": object()},
)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return RunDirectory.create(tmp_path / "results", RUN)


def job(directory: RunDirectory) -> HostJob:
    query = FactsQuery("img")
    return HostJob(RUN, HOST, SPEC, REQUEST, query, SshOptions(3.0), directory.path, 1 << 20)


def launch(directory: RunDirectory) -> Launch:
    found = resolve(TargetSpec("api"), STATE)
    request = ProfileRequest(10, 99, "both", "img")
    plan = make_plan(
        run_id=RUN,
        request=request,
        runner="auto",
        facts=STATE.facts,
        target=found,
        services=(Service("bpftrace", Bpftrace().plan(request, STATE.facts, found)[0]),),
        become=True,
    )
    problem = Problem(Severity.WARNING, "a", "b", "c")
    record = HostRecord("prod-3", "10.0.0.3", Status.FAILED, problems=(problem,))
    return Launch(job(directory), plan, record)


def without_secrets(host: Host) -> Host:
    become = Become(True, "su", "root")
    return replace(host, password=None, key_passphrase=None, become=become, vars={})


def test_jobs_come_back_as_they_were_but_for_secrets(directory: RunDirectory) -> None:
    write_jobs(directory, [job(directory)])
    assert load_jobs(directory) == [replace(job(directory), host=without_secrets(HOST))]


def test_a_library_comes_back_with_its_job(directory: RunDirectory) -> None:
    library = Library("lib/libasyncProfiler.so", 4, "0" * 64, "x86_64")
    request = replace(REQUEST, async_profiler=library)
    given = replace(job(directory), request=request, library="H4sI\nAAAA\n")
    write_jobs(directory, [given])
    assert load_jobs(directory) == [replace(given, host=without_secrets(HOST))]


def test_a_launch_comes_back_as_it_was_but_for_secrets(directory: RunDirectory) -> None:
    where = directory.fresh_directory("prod-3", "api")
    made = launch(directory)
    assert find_launch(directory, job(directory)) is None
    write_launch(directory, where, made)
    expected = replace(made, job=replace(made.job, host=without_secrets(HOST), directory=None))
    assert find_launch(directory, job(directory)) == (where, expected)
    forget_held(directory, HOST)
    assert find_launch(directory, job(directory)) is None
    forget_held(directory, HOST)


def test_no_secret_is_written(directory: RunDirectory) -> None:
    write_jobs(directory, [job(directory)])
    write_launch(directory, directory.fresh_directory("prod-3", "api"), launch(directory))
    for path in directory.path.rglob("*.json"):
        assert "pw-of" not in path.read_text()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"run_id": 1}]', "\0", "[" * 10_000])
def test_what_is_no_list_of_jobs_is_told(directory: RunDirectory, text: str) -> None:
    (directory.path / "jobs.json").write_text(text)
    with pytest.raises(UsageError, match=r"jobs\.json is not what a run leaves"):
        load_jobs(directory)


def test_a_run_of_an_older_version_is_told(directory: RunDirectory) -> None:
    with pytest.raises(UsageError, match=r"jobs\.json cannot be read"):
        load_jobs(directory)


def test_a_run_of_somebody_else_is_not_gone_on_with(
    directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets would go where its files say."""
    where = directory.fresh_directory("prod-3", "api")
    write_jobs(directory, [job(directory)])
    write_launch(directory, where, launch(directory))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of-another"))
    for load in (lambda: load_jobs(directory), lambda: find_launch(directory, job(directory))):
        with pytest.raises(UsageError, match="was not written by you on this machine"):
            load()
    write_jobs(RunDirectory.create(tmp_path, "20260131-000000-000000"), [])
    with pytest.raises(UsageError, match="was not written by you on this machine"):
        load_jobs(directory)


@pytest.mark.parametrize(("old", "new"), [("10.0.0.3", "10.6.6.6"), ('"ops"', '"root"')])
def test_what_was_changed_is_refused(directory: RunDirectory, old: str, new: str) -> None:
    write_jobs(directory, [job(directory)])
    path = directory.path / "jobs.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UsageError, match="or was changed since"):
        load_jobs(directory)


def test_the_key_is_for_its_owner_alone(directory: RunDirectory, tmp_path: Path) -> None:
    write_jobs(directory, [])
    key = tmp_path / "state/remote-prof/run.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    assert list(key.parent.iterdir()) == [key]


def test_without_a_place_for_the_key_a_run_goes_on(
    directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    write_jobs(directory, [job(directory)])
    with pytest.raises(UsageError, match="was not written by you"):
        load_jobs(directory)
