"""Ctrl-C, asked politely: the first stops the sampling and keeps it, the second leaves at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
        """While a launcher works: note the first signal, raise at the second."""
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
        """Raise KeyboardInterrupt where somebody wants to leave, in whatever thread this is."""
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
