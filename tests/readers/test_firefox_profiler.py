"""The Firefox Profiler's own code reads what ``gecko`` writes: its command line, profiler-cli."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_prof.profile.model import Frame, FrameKind
from remote_prof.render import RENDERERS, Report

from .conftest import Npm

Ask = Callable[..., Any]
_LOADING_S = 60
PER_MS = {"samples": 1, "us": 1000}


@pytest.fixture
def ask(npm: Npm, report: Report, tmp_path: Path) -> Iterator[Ask]:
    """Load the profile; give what asks about it."""
    path = tmp_path / RENDERERS["gecko"].filename
    path.write_bytes(RENDERERS["gecko"].render(report))
    script = str(npm.modules / "@firefox-devtools" / "profiler-cli" / "dist" / "profiler-cli.js")
    sessions = tmp_path / "sessions"
    own = {"PROFILER_CLI_SESSION_DIR": str(sessions)}

    def ask(*words: str) -> Any:
        return json.loads(npm.node(script, *words, "--session", "test", "--json", **own))

    # Its own `load` starts this too, and waits for half a second only.
    daemon = [npm.program, script, "--daemon", str(path), "--session", "test"]
    with subprocess.Popen(daemon, env=os.environ | own, stdout=subprocess.DEVNULL) as running:
        try:
            wait_until_loaded(sessions / "test.log", running)
            yield ask
        finally:
            running.terminate()


def wait_until_loaded(log: Path, running: subprocess.Popen[bytes]) -> None:
    """Wait by its log: a question that comes too early has it forget its session."""
    deadline = time.monotonic() + _LOADING_S
    while not log.exists() or "Profile loaded successfully" not in log.read_text():
        assert running.poll() is None, "it has ended"
        assert time.monotonic() < deadline, "it does not load the profile"
        time.sleep(0.05)


def processes(report: Report) -> dict[tuple[str, str], Counter[tuple[Frame, ...]]]:
    """Return the stacks of each process by its name and pid, without itself."""
    found: dict[tuple[str, str], Counter[tuple[Frame, ...]]] = {}
    for stack, weight in report.profile.stacks.items():
        is_process = stack[0].kind is FrameKind.PROCESS
        name = stack[0].name if is_process else "[unknown]"
        pid = stack[0].pid if is_process else None
        frames = stack[is_process:] or stack
        # Pids and offsets do not tell functions apart.
        key = tuple(Frame(*frame[:3]) for frame in frames)
        found.setdefault((name, "" if pid is None else f"{pid}"), Counter())[key] += weight
    return found


def test_each_process_is_a_thread(ask: Ask, report: Report) -> None:
    threads = ask("thread", "list")["threads"]
    read = {(t["name"], "" if str(t["pid"]).startswith("#") else str(t["pid"])) for t in threads}
    assert read == set(processes(report))
    assert len(threads) == len(read)


def test_functions_have_their_figures(ask: Ask, report: Report) -> None:
    per_ms = PER_MS[report.profile.unit]
    expected = {}
    for (name, pid), stacks in processes(report).items():
        own: Counter[Frame] = Counter()
        total: Counter[Frame] = Counter()
        for stack, weight in stacks.items():
            own[stack[-1]] += weight
            total.update(dict.fromkeys(stack, weight))
        expected[name, pid] = sorted((frame.name, own[frame], total[frame]) for frame in total)
    read = {}
    for thread in ask("thread", "list")["threads"]:
        pid = "" if str(thread["pid"]).startswith("#") else str(thread["pid"])
        rows = ask("thread", "functions", "--thread", thread["threadHandle"], "--limit", "0")
        read[thread["name"], pid] = sorted(
            (row["name"], round(row["selfSamples"] * per_ms), round(row["totalSamples"] * per_ms))
            for row in rows["functions"]
        )
    assert read == expected
