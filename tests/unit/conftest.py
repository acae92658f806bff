"""A container engine that is none: a small program that imitates run, kill, ps and rm."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# What a "container" does is in the file "behaviour"; its pid is the engine's, as with docker run.
_ENGINE = """#!/bin/sh
state={state}
echo "$*" >> $state/calls
case $1 in
run)
  [ ! -e $state/refuse ] || {{ cat $state/refuse >&2; exit 125; }}
  next= name=
  for word; do [ -z "$next" ] || {{ name=$word; next=; }}; [ "$word" != --name ] || next=yes; done
  echo $$ > $state/running-$name
  trap 'rm -f $state/running-$name' EXIT
  # One that is called by its engine can do something of its own.
  own=$state/behaviour-${{name##*-}}
  [ -e $own ] || own=$state/behaviour
  . $own ;;
kill)
  # A shell in the background cannot catch INT: USR1 stands for it.
  case $3 in INT) signal=USR1 ;; *) signal=$3 ;; esac
  [ -e "$state/running-$4" ] && kill -"$signal" "$(cat "$state/running-$4")" ;;
ps) ! cat $state/running-* >/dev/null 2>&1 || echo 1a2b3c4d5e6f ;;
rm) [ -e $state/sticky ] || {{ kill -9 $(cat $state/running-*); rm -f $state/running-*; }} ;;
*) exit 9 ;;
esac
"""

HEAD = 'echo "# bpftrace v0.23.2"; echo "Attaching 4 probes..."; echo; echo "@@ sampling"'
# Printed by printf: no single quotes, for it stands in a trap, too.
STACKS = (
    'printf "@samples: 40\\n@stacks_a[7, svc, \\n    vfs_read+1\\n, \\n    main+2\\n    _start+3\\n'
    ']: 40\\n\\n"; echo "@@ end 0"'
)
PRINTS_WHEN_ASKED = f"trap '{STACKS}; exit 0' USR1; {HEAD}; "
LOOP = "n=0; while [ $n -lt 1200 ]; do sleep 0.05; n=$((n + 1)); done; exit 99"


@dataclass
class FakeEngine:
    """Where it is, and what it has been told."""

    path: Path
    state: Path

    def behave(self, script: str, of: str = "") -> None:
        """Set what a container does: it ends with the script, or with its ``exit``.

        ``of`` is the engine of the one that is meant, where there are several.
        """
        (self.state / (f"behaviour-{of}" if of else "behaviour")).write_text(script)

    def samples(self, seconds: float = 0.3) -> None:
        """Sample for so long, then print and end."""
        self.behave(f"{HEAD}; sleep {seconds}; {STACKS}")

    def samples_until_asked(self) -> None:
        """Sample until INT comes, then print and end."""
        self.behave(PRINTS_WHEN_ASKED + LOOP)

    def hangs(self) -> None:
        """Never print, ignore INT and TERM."""
        self.behave(f"trap '' USR1 TERM; {LOOP}")

    def refuses(self, message: str) -> None:
        """Refuse to start anything."""
        (self.state / "refuse").write_text(message + "\n")

    @property
    def calls(self) -> list[str]:
        """The first words of what it was asked."""
        text = (self.state / "calls").read_text()
        return [line.split(" ", 1)[0] for line in text.splitlines() if line[:1] in "rkp"]

    @property
    def running(self) -> bool:
        """Whether there is a container."""
        return any(self.state.glob("running-*"))


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    state = tmp_path / "engine"
    state.mkdir()
    path = state / "docker"
    path.write_text(_ENGINE.format(state=state))
    path.chmod(0o755)
    made = FakeEngine(path, state)
    made.samples()
    return made


def _processes_below(path: Path) -> list[int]:
    """Processes that name a directory, or are in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            place = (entry / "cwd").readlink()
            arguments = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if place.is_relative_to(path) or os.fsencode(path) in arguments:
            found.append(int(entry.name))
    return found


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Fail a test that leaves processes: each of them works below its directory, or names it."""
    yield
    guard = time.monotonic() + 30
    while (left := _processes_below(tmp_path)) and time.monotonic() < guard:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
