"""An event loop in a thread of its own, for callers that know nothing of asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any, TypeVar

from remote_prof.errors import LinkLostError

_T = TypeVar("_T")
_STOP_S = 2.0
_STEP_S = 1.0


class LoopThread:
    """Runs coroutines for other threads. Waiting for one can be interrupted by a signal."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._stopped = False
        # A daemon: a process that ends does not wait for a link.
        self._thread = threading.Thread(target=self._serve, name="ssh", daemon=True)
        self._thread.start()
        self._ready.wait()

    def run(self, work: Coroutine[Any, Any, _T], patience_s: float = math.inf) -> _T:
        """Run a coroutine to its end; an interrupt here cancels it there.

        Raises what it raises, and LinkLostError when the loop has been stopped, or patience is
        over.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError as error:
            work.close()
            raise LinkLostError("the connection is closed") from error
        deadline = time.monotonic() + patience_s
        try:
            # In steps: nobody answers when the loop ends in this very moment.
            while not futures.wait([future], min(_STEP_S, patience_s)).done:
                if not self._thread.is_alive() or time.monotonic() >= deadline:
                    raise LinkLostError("the connection is closed")
            return future.result()
        except futures.CancelledError as error:
            raise LinkLostError("the connection is closed") from error
        finally:
            future.cancel()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Have a function called soon; nothing happens when the loop has been stopped."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """End everything that is still at work, and the thread."""
        if not self._stopped:
            self._stopped = True
            self.call(self.loop.stop)
            self._thread.join(_STOP_S)

    def _serve(self) -> None:
        # Made here, where no signal can cut it short.
        self.loop = asyncio.new_event_loop()
        # What goes wrong is raised where it is waited for; nothing is printed besides.
        self.loop.set_exception_handler(lambda _loop, _context: None)
        asyncio.set_event_loop(self.loop)
        self._ready.set()
        try:
            self.loop.run_forever()
            while tasks := asyncio.all_tasks(self.loop):
                for task in tasks:
                    task.cancel()
                self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        finally:
            self.loop.close()
