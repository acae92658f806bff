"""The local directory of a run: whole files, raw ones for good, names that stay inside."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import RemoteProfError, UsageError
from remote_prof.run.directory import (
    RunDirectory,
    list_runs,
    new_run_id,
    safe_name,
    write_atomically,
)


def make(results: Path, *names: str) -> None:
    for name in names:
        (results / name).mkdir(parents=True)
        (results / name / "run.json").write_text("{}")


def test_run_ids_sort_by_time_and_are_unique() -> None:
    early = dt.datetime(2026, 1, 31, 23, 59, 59, tzinfo=dt.UTC)
    ids = {new_run_id(early) for _ in range(50)}
    assert len(ids) == 50
    assert all(run_id.startswith("20260131-235959-") for run_id in ids)
    assert max(ids) < new_run_id(early + dt.timedelta(seconds=1))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("prod-3.example.org", "prod-3.example.org"),
        ("host:2222", "host:2222"),
        ("a_b", "a_b"),
        ("a/b", "a_b-c14cddc033f64b9d"),
        ("../../etc", "_.._etc-74ccf3c5b4c19a81"),
        ("..", "_-5ec1f7e700f37c3d"),
        ("", "_-e3b0c44298fc1c14"),
    ],
)
def test_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(), st.text())
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(st.text())
def test_a_safe_name_is_one_component(name: str) -> None:
    safe = safe_name(name)
    assert Path("/x") / safe == Path(f"/x/{safe}")
    assert Path(safe).name == safe
    assert safe not in ("", ".", "..")
    assert safe.isascii()


def test_a_run_is_made_once(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "a" / "results", "one")
    assert directory.path.is_dir()
    with pytest.raises(RemoteProfError, match="results cannot be written") as raised:
        RunDirectory.create(tmp_path / "a" / "results", "one")
    assert "--output" in raised.value.hint


def test_results_below_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RemoteProfError, match="cannot be written"):
        RunDirectory.create(tmp_path / "file", "one")


def test_files_are_written_with_their_checksums(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path, "one")
    where = directory.fresh_directory("prod/3", "api")
    assert where == tmp_path / "one" / "hosts" / safe_name("prod/3") / "api"
    artifact = directory.write(where / "x.svg", b"one", raw=False)
    assert artifact.path == f"hosts/{safe_name('prod/3')}/api/x.svg"
    assert (artifact.size_bytes, artifact.raw) == (3, False)
    assert artifact.sha256 == hashlib.sha256(b"one").hexdigest()
    assert directory.write(where / "x.svg", b"two", raw=False).sha256 != artifact.sha256
    assert (where / "x.svg").read_bytes() == b"two"


def test_a_raw_file_is_written_once(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path, "one")
    where = directory.fresh_directory("prod-3", "api")
    first = directory.write(where / "profile.txt", b"first", raw=True)
    second = directory.write(where / "profile.txt", b"other", raw=True)
    assert first == second  # both say what is in the file
    assert (where / "profile.txt").read_bytes() == b"first"
    assert (where / "profile.txt").stat().st_mode & 0o777 == 0o444


def test_a_file_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"before")

    def fail(self: Path, target: Path) -> Path:
        assert self.read_bytes() == b"after"
        assert target.read_bytes() == b"before"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"after")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"before")]


def test_runs_are_listed_oldest_first(tmp_path: Path) -> None:
    make(tmp_path, "20260102-a", "20260101-b", "20260103-c")
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    assert [run.path.name for run in list_runs(tmp_path)] == [
        "20260101-b",
        "20260102-a",
        "20260103-c",
    ]
    assert list_runs(tmp_path / "nonesuch") == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("20260101-b", "20260101-b"),
        ("2026010", None),
        ("20260102", "20260102-a"),
        ("last", "20260102-a"),
    ],
)
def test_a_run_is_found_by_the_start_of_its_id(
    tmp_path: Path, name: str, found: str | None
) -> None:
    make(tmp_path, "20260102-a", "20260101-b")
    if found is None:
        with pytest.raises(UsageError, match="2 runs begin with '2026010'") as raised:
            RunDirectory.find(name, tmp_path)
        assert "20260101-b, 20260102-a" in raised.value.evidence
    else:
        assert RunDirectory.find(name, tmp_path).path == tmp_path / found


def test_a_run_is_found_by_its_directory(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "one")
    path = tmp_path / "elsewhere" / "one"
    assert RunDirectory.find(str(path), tmp_path / "results").path == path


@pytest.mark.parametrize("name", ["x", "last"])
def test_a_run_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"there is no run '{name}'") as raised:
        RunDirectory.find(name, tmp_path)
    assert raised.value.evidence == f"looked in {tmp_path}"


def test_a_manifest_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        RunDirectory(tmp_path).load_manifest()
