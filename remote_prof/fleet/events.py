"""What happens to the hosts of a run, as JSON lines, while it happens."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from remote_prof.errors import ExitCode, UsageError
from remote_prof.records import Problem, Severity
from remote_prof.run.manifest import HostRecord


class Events:
    """Writes one JSON object a line, with ``time`` (UTC, ISO 8601) and ``event``.

    ``begun``: ``run`` and its ``hosts``; ``stage``: a ``host`` comes to a ``stage``;
    ``targets``: a ``host`` has several, from then on each is named like a host; ``host``: what
    came of one, as in run.json; ``ended``: the ``exit_code``. A context manager. Raises UsageError
    where the file cannot be opened. That it cannot be written any more ends no run: it is in
    ``problem``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem: Problem | None = None
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        try:
            # Each line is written by itself: somebody reads along.
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise UsageError(
                f"--events {self._path} cannot be written", evidence=error.strerror or str(error)
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def begun(self, run_id: str, hosts: tuple[str, ...]) -> None:
        """Write that a run has begun, or is gone on with."""
        self._write("begun", {"run": run_id, "hosts": hosts})

    def stage(self, host: str, stage: str) -> None:
        """Write that a host comes to a stage."""
        self._write("stage", {"host": host, "stage": stage})

    def targets(self, host: str, names: Sequence[str]) -> None:
        """Write that a host has several targets, each with a stage and a result of its own."""
        self._write("targets", {"host": host, "targets": list(names)})

    def host(self, record: HostRecord) -> None:
        """Write what came of a host."""
        self._write("host", {"host": record.name, "record": dataclasses.asdict(record)})

    def ended(self, code: ExitCode) -> None:
        """Write how it all ended."""
        self._write("ended", {"exit_code": int(code)})

    def _write(self, event: str, more: dict[str, Any]) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **more}).encode() + b"\n"
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(line)
            except OSError as error:
                self._file.close()
                self._file = None
                self.problem = Problem(
                    Severity.WARNING,
                    f"--events {self._path} could not be written to its end",
                    error.strerror or str(error),
                )
