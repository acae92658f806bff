"""What is shown and written while hosts are at work."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from remote_prof.console.progress import Lines, Table
from remote_prof.errors import ExitCode, UsageError
from remote_prof.fleet.events import Events
from remote_prof.run.manifest import HostRecord, Status


def drawn(table: Table) -> str:
    out = Console(file=StringIO(), width=80, color_system=None)
    out.print(table.draw())
    file = out.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_the_table_counts_and_names_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("remote_prof.console.progress.time.monotonic", lambda: now)
    table = Table(30.0, 8, rows=2, _begun=now)
    for name in ("web-1", "web-2", "web-3"):
        table(name, "connecting")
        now += 5
    table("web-3", "sampling")
    table("web-1", "done")  # says nothing of the host
    text = drawn(table)
    assert text.startswith("0 of 8 hosts; 0:00:15")
    assert "2 connecting, 1 sampling for 30 s" in text
    assert "web-1" in text
    assert "web-3" not in text  # it has been at work for the shortest
    assert "15 s" in text
    table("web-1", "over")
    table.ended("web-1", "ok", "")
    table("web-2", "over")
    table.ended("web-2", "failed", "docker does not answer")
    now += 5
    text = drawn(table)
    # 2 in 20 s: 6 more take a minute.
    assert text.startswith("2 of 8 hosts, 1 ok, 1 failed; 0:00:20; about 0:01:00 left")
    assert "web-2: failed, docker does not answer" in text
    assert "web-1" not in text
    table.ended("web-3", "unreachable", "it is down")
    for number in range(4, 9):
        table.ended(f"web-{number}", "failed", f"cause {number}")
    text = drawn(table)
    assert "8 of 8 hosts" in text
    assert "left" not in text
    # The last ones alone: they have to fit on the screen.
    assert [f"cause {n}" in text for n in range(4, 9)] == [False, False, True, True, True]


def test_plain_lines_tell_stages_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    several = Lines(0.0, 2)
    several("web-1", "sampling")
    several("web-1", "done")
    several.ended("web-1", "failed", "docker does not answer")
    several.ended("web-2", "ok", "")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("web-1: taken (")
    assert lines[1:] == ["web-1: failed, docker does not answer (1 of 2)", "web-2: ok (2 of 2)"]
    Lines(1.0, 1).ended("web-1", "ok", "")
    assert capsys.readouterr().err == ""


def test_events_are_lines_of_json_as_they_happen(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "earlier"}\n')
    with Events(path) as events:
        events.begun("20260101-a", ("web-1",))
        events.stage("web-1", "connecting\n")
        # It can be read along, not only at the end.
        assert len(path.read_text().splitlines()) == 3
        events.host(HostRecord("web-1", "192.0.2.1", Status.FAILED, error="no"))
        events.ended(ExitCode.SOME_FAILED)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["earlier", "begun", "stage", "host", "ended"]
    assert lines[1]["hosts"] == ["web-1"]
    assert lines[2]["stage"] == "connecting\n"
    assert lines[3]["record"]["error"] == "no"
    assert lines[4]["exit_code"] == 2
    assert all(line["time"].endswith("+00:00") for line in lines[1:])
    assert events.problem is None


def test_where_events_cannot_be_written_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--events .* cannot be written"), Events(tmp_path):
        pass
    # A disk that is full ends no run.
    with Events(Path("/dev/full")) as events:
        events.stage("web-1", "connecting")
        events.stage("web-1", "sampling")
    assert events.problem is not None
    assert "No space" in events.problem.evidence
