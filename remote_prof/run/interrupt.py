"""Ctrl-C, asked politely: the first stops the sampling and keeps it, the second leaves at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Protocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# For what was sampled to arrive, and the host to be cleaned, once the time is over.
_GRACE_S = 60.0


class Stop(Protocol):
    """What a job is told of its end: it is ``requested``, or one is ``leaving`` at once."""

    @property
    def requested(self) -> bool:
        """Whether the sampling is to end, and what was sampled to be kept."""

    @property
    def leaving(self) -> bool:
        """Whether nothing is waited for any more."""

    def deferred(self) -> AbstractContextManager[None]:
        """While a launcher works: note the first signal, raise at the second."""

    def check(self) -> None:
        """Raise KeyboardInterrupt where one is leaving, in whatever thread this is."""


class Interrupt:
    """Whether somebody wants the run to end: ``requested``, and at once: ``leaving``.

    While signals are ``heard``, one raises KeyboardInterrupt at once. While they are also
    ``deferred``, because something is at work on a host, the first is only noted; while they are
    ``left_to_threads``, so is the second: only the main thread gets a signal, and what others do
    ends by their looking.
    """

    def __init__(self) -> None:
        self.requested = False
        self.leaving = False
        self._deferring = False
        self._left = False
        self._count = 0

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take SIGTERM and SIGHUP as Ctrl-C for as long as this lasts."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # What is ignored stays so: that is how nohup and a shell's "&" ask for it.
        heard = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
        for number in heard:
            signal.signal(number, self._note)
        try:
            yield
        finally:
            for number in heard:
                signal.signal(number, before[number])

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """See ``Stop.deferred``."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    @contextmanager
    def left_to_threads(self) -> Iterator[None]:
        """While threads do the work: note the first two signals, raise at the third."""
        self._left = True
        try:
            yield
        finally:
            self._left = False

    def check(self) -> None:
        """See ``Stop.check``."""
        if self.leaving:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._count += 1
        self.requested = True
        self.leaving = self._count > 1
        # What threads defer is theirs.
        if self._count > (2 if self._left else 1 if self._deferring else 0):
            raise KeyboardInterrupt


class TimeLimit:
    """The end of one job: that of the run, or that its own time is over, whichever is first.

    ``limit_s`` of None is no limit. A minute after it nothing is waited for any more.
    """

    def __init__(self, stop: Stop, limit_s: float | None) -> None:
        self._stop = stop
        self.limit_s = limit_s
        self._begun = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time is, and not the user, what ends the job."""
        return self._is_past(0.0) and not self._stop.requested

    @property
    def requested(self) -> bool:
        """See ``Stop.requested``."""
        return self._stop.requested or self._is_past(0.0)

    @property
    def leaving(self) -> bool:
        """See ``Stop.leaving``."""
        return self._stop.leaving or self._is_past(_GRACE_S)

    def deferred(self) -> AbstractContextManager[None]:
        """See ``Stop.deferred``."""
        return self._stop.deferred()

    def check(self) -> None:
        """See ``Stop.check``."""
        if self.leaving:
            raise KeyboardInterrupt

    def _is_past(self, grace_s: float) -> bool:
        limit_s = self.limit_s
        return limit_s is not None and time.monotonic() - self._begun > limit_s + grace_s
