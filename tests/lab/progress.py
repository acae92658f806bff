"""What the lab says while it works, and how it runs programs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .model import LabError

_SAYING = threading.Lock()


def say(text: str) -> None:
    """Print a line of progress on stderr."""
    with _SAYING:
        print(f"lab: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say that a step begins and, when it is over, how many seconds it took."""
    say(f"{what} ...")
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.1f} s")


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    stdin: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program and give its stdout; with a log, all output goes there instead.

    Raises LabError with the last lines of what the program said.
    """
    source = stdin.open("rb") if stdin else None
    try:
        done = subprocess.run(
            list(argv),
            stdin=source or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if log else subprocess.PIPE,
            env=env,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(argv)} did not end within {timeout:.0f} s") from None
    finally:
        if source:
            source.close()
    if log:
        with log.open("ab") as out:
            out.write(done.stdout)
    if done.returncode:
        said = (done.stdout if log else done.stderr).decode(errors="replace").strip()
        last = " | ".join(said.splitlines()[-4:])
        if log:
            last += f" (all it said: {log})"
        raise LabError(f"{' '.join(argv)}: exit status {done.returncode}: {last}")
    return done.stdout.decode(errors="replace")
