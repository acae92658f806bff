"""Files that a command line names: ``-`` is standard input or standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from remote_prof import console
from remote_prof.errors import UsageError

STANDARD = "-"


def read_input(source: str) -> bytes:
    """Return the content of a file. Raises UsageError."""
    try:
        return sys.stdin.buffer.read() if source == STANDARD else Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"{source} cannot be read", evidence=str(error)) from error


def write_output(data: bytes, output: str) -> None:
    """Write a file by atomic rename. Raises UsageError."""
    from remote_prof.run.directory import write_atomically

    if output == STANDARD:
        console.write_bytes(data)
        return
    path = Path(output)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device or a pipe, which is not to be replaced
        else:
            write_atomically(path, data)
    except OSError as error:
        raise UsageError(f"{output} cannot be written", evidence=str(error)) from error
