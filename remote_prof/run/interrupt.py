"""Ctrl-C, asked politely: the first stops the sampling and keeps it, the second leaves at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """Whether somebody wants the run to end.

    While signals are ``heard``, one raises KeyboardInterrupt at once; while they are also
    ``deferred``, the first is only noted, because something is at work on a host.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferring = False

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

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        at_once = self.requested or not self._deferring
        self.requested = True
        if at_once:
            raise KeyboardInterrupt
