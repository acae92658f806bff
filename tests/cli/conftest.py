"""The command line in an empty directory, with hosts that are scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from remote_prof.cli.app import main
from remote_prof.transport import Lines
from tests.cli.scripted import Script

CONNECTS = (
    "remote_prof.run.prepare.connect",
    "remote_prof.run.clean.connect",
    "remote_prof.cli.gathering.connect",
)


class Done(NamedTuple):
    """What a shell sees of a command."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line with arguments."""
    for name in [name for name in os.environ if name.startswith(("REMOTE_PROF_", "XDG_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(work)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["remote-prof", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """The hosts of the test; none, until it says which."""
    made = Script()
    for name in CONNECTS:
        monkeypatch.setattr(name, made.connect)
    monkeypatch.setattr(Lines, "connect", lambda _, host, options: made.connect(host, options))
    yield made
    made.assert_used()
