"""What comes of a job on a host, and how far it is meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from remote_prof.errors import RemoteProfError
from remote_prof.host.containers import Container
from remote_prof.run.manifest import HostRecord
from remote_prof.run.prepare import HostJob
from remote_prof.run.report import Analysis

Watch = Callable[[str, str], None]  # told a host's name and the stage that it comes to
Ended = Callable[[HostRecord], None]  # told what came of a host
Parted = Callable[[str, Sequence[str]], None]  # told a host's name, and those of its targets
STOPPING, TIME_OVER = "stopping", "time-over"  # by the user's wish, and without it
OVER = "over"  # the last stage of each


@dataclass(slots=True)
class HostResult:
    """What came of a job. ``error`` is what ended it, None where it went to its end.

    ``containers`` are those that the host had. ``settled`` is the directory of a target of which
    its host holds nothing any more: once this result is noted, the launch can be forgotten. A job
    that turned out to be several ended with that: ``parts`` are those.
    """

    record: HostRecord
    analysis: Analysis | None = None
    error: RemoteProfError | None = None
    containers: tuple[Container, ...] = ()
    settled: Path | None = None
    parts: tuple[HostJob, ...] = ()


@dataclass(slots=True)
class Clock:
    """Takes the times of stages, in seconds by their names."""

    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note how long this lasts."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.timings_s[name] = round(time.monotonic() - begun, 3)
