"""From the raw profiles of a run to files, and again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.errors import UsageError
from remote_prof.records import Problem, Severity
from remote_prof.render import check_formats
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import (
    MANIFEST_VERSION,
    HostRecord,
    Manifest,
    RequestRecord,
    SidecarRecord,
    Status,
)
from remote_prof.run.remake import remake
from remote_prof.run.report import (
    analyse,
    build_report,
    find_engine,
    find_event,
    profile_request,
)

RAW = b"""# bpftrace v0.23.2
# filter: cgroup == 7
Attaching 4 probes...
@@ sampling

@samples: 40
@stacks_a[7, svc, 
    vfs_read+1
, 
    work+2
    main+3
]: 30
@stacks_a[7, svc, 
, 
    idle+2
    main+3
]: 10

@@ end 0
"""  # noqa: W291  bpftrace ends these lines in a blank
REQUEST = ProfileRequest(10.0, 99, "both", "img")
RECORD = RequestRecord(
    ("prod-3",), "api", "container", "bpftrace", 10.0, 99, "both", "img", False, "auto", ("svg",)
)
ENGINE = find_engine("bpftrace")
SIDECAR = SidecarRecord("bpftrace", "img", "", (), "SYS_ADMIN", (), "engine", 0, "bpftrace v0")


def test_an_engine_is_found_by_name() -> None:
    assert ENGINE.name == "bpftrace"
    with pytest.raises(UsageError, match="no engine oprofile") as raised:
        find_engine("oprofile")
    assert "bpftrace" in raised.value.hint


@pytest.mark.parametrize(("cpu_time_s", "expected"), [(None, None), (0.5, 50), (0.0, 0)])
def test_cpu_time_tells_how_many_samples_to_expect(
    cpu_time_s: float | None, expected: int | None
) -> None:
    analysis = analyse({"bpftrace": RAW}, REQUEST, cpu_time_s=cpu_time_s)
    assert (analysis.quality.got, analysis.quality.expected) == (40, expected)
    assert analysis.profile.total == 40


def test_the_manifest_says_what_the_engine_was_asked() -> None:
    assert profile_request(RECORD) == REQUEST


def test_every_event_of_another_kind_counts() -> None:
    request = replace(REQUEST, event="offcpu")
    raw = RAW.replace(b"@@ sampling", b"# unit: us\n@@ sampling", 1)
    analysis = analyse({"bpftrace": raw}, request, cpu_time_s=0.5)
    assert (analysis.quality.got, analysis.quality.expected) == (40, None)
    assert (analysis.profile.unit, analysis.profile.frequency_hz) == ("us", None)
    record = replace(RECORD, event="offcpu")
    assert profile_request(record) == request
    assert ENGINE.describe(request) == "10 s of off-CPU, both stacks"
    assert ENGINE.describe(REQUEST) == "10 s at 99 Hz, both stacks"


def test_an_event_is_one_of_its_engine() -> None:
    assert find_event("bpftrace", "").name == find_event("pyspy", "").name == "cpu"
    assert find_event("pyspy", "gil").title == "threads that hold the GIL"
    with pytest.raises(UsageError, match="bpftrace has no event 'gil'") as raised:
        find_event("bpftrace", "gil")
    assert "wakeup" in raised.value.hint


def test_formats_are_checked_and_taken_once() -> None:
    assert check_formats(["svg", "folded", "svg"]) == ("svg", "folded")
    with pytest.raises(UsageError, match="no format 'png'") as raised:
        check_formats(["svg", "png"])
    assert "speedscope" in raised.value.hint


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run of two hosts, of which one was not reached."""
    directory = RunDirectory.create(tmp_path, "one")
    where = directory.fresh_directory("prod-3", "api")
    raw = directory.write(where / "profile.txt", RAW, raw=True)
    reached = HostRecord(
        "prod-3", "10.0.0.3", Status.OK, sidecars=(SIDECAR,), artifacts=(raw,), cpu_time_s=0.5
    )
    lost = HostRecord("prod-4", "10.0.0.4", Status.UNREACHABLE)
    directory.write_manifest(
        Manifest(MANIFEST_VERSION, "one", "0.1", (), "", "", RECORD, (reached, lost))
    )
    return directory


def test_every_file_is_made_again_from_the_raw_ones(run: RunDirectory) -> None:
    manifest = run.load_manifest()
    updated, analyses = remake(run, manifest, ("svg", "folded"), keep_offsets=False)
    names = ["profile.txt", "flamegraph.svg", "profile.folded"]
    assert [a.path for a in updated.hosts[0].artifacts] == [f"hosts/prod-3/api/{n}" for n in names]
    assert updated.hosts[1] == manifest.hosts[1]
    assert analyses[0] is not None
    assert analyses[1] is None
    assert updated.hosts[0].quality == analyses[0].quality
    assert run.load_manifest() == updated
    where = run.path / "hosts/prod-3/api"
    assert (where / "profile.txt").read_bytes() == RAW
    assert b"<svg" in (where / "flamegraph.svg").read_bytes()


def test_a_report_has_the_facts_of_the_run_and_all_its_problems() -> None:
    analysis = analyse({"bpftrace": RAW}, REQUEST, cpu_time_s=0.5)
    few, *others = analysis.hints
    clock = Problem(Severity.WARNING, "the clock is off")
    host = HostRecord("prod-3", "10.0.0.3", Status.OK, kernel="6.1", problems=(clock, few))
    command = ("/usr/local/bin/remote-prof", "run", "-H", "prod 3")
    began = "2026-01-31T23:59:59+00:00"
    manifest = Manifest(MANIFEST_VERSION, "one", "0.1", command, began, "", RECORD, (host,))
    report = build_report(analysis, manifest, host)
    assert report.problems == (few, *others, clock)
    assert report.title == "api on prod-3"
    assert report.facts["command"] == "remote-prof run -H 'prod 3'"
    assert (report.facts["run"], report.facts["began"]) == ("one", began)
    assert report.facts["samples"] == "40 of 50 expected"


def test_making_again_twice_changes_nothing(run: RunDirectory) -> None:
    once, _ = remake(run, run.load_manifest(), ("svg",), keep_offsets=False)
    twice, _ = remake(run, once, ("svg",), keep_offsets=False)
    assert once == twice


@pytest.mark.parametrize(("keep", "offsets"), [(True, {None, 1, 2, 3}), (False, {None})])
def test_offsets_are_kept_on_request(
    run: RunDirectory, keep: bool, offsets: set[int | None]
) -> None:
    _, (analysis, _) = remake(run, run.load_manifest(), ("folded",), keep_offsets=keep)
    assert analysis is not None
    frames = [frame for stack in analysis.profile.stacks for frame in stack]
    assert {frame.offset_bytes for frame in frames} == offsets


def test_an_unknown_format_changes_nothing(run: RunDirectory) -> None:
    before = sorted(run.path.rglob("*"))
    with pytest.raises(UsageError):
        remake(run, run.load_manifest(), ("png",), keep_offsets=False)
    assert sorted(run.path.rglob("*")) == before
