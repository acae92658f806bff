"""Where jobs are worked off: in this thread, in threads of this process, or by another executor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, Protocol, Self, TypeVar

from remote_prof.run.directory import RunDirectory
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.job import run_job
from remote_prof.run.manifest import Manifest
from remote_prof.run.prepare import HostJob
from remote_prof.run.result import HostResult, Watch
from remote_prof.templates import preload
from remote_prof.transport import Lines

_T = TypeVar("_T")


class Place(Protocol):
    """Takes jobs. A context manager: at its end it waits for none."""

    def __enter__(self) -> Self:
        """Be ready."""

    def __exit__(self, *_: object) -> None:
        """Let go of all that is still at work."""

    def submit(self, job: HostJob) -> Future[HostResult]:
        """Have a job worked off."""


class Local:
    """Works jobs off in this process: so many at a time, each in a thread.

    One at a time is worked off in the thread that asks: the main one, where signals come.
    """

    def __init__(
        self,
        directory: RunDirectory,
        manifest: Manifest,
        interrupt: Interrupt,
        watch: Watch,
        forks: int,
    ) -> None:
        self._directory = directory
        self._manifest = manifest
        self._interrupt = interrupt
        self._watch = watch
        self._forks = forks
        self._executor: Executor = _Here()
        self._lines = Lines()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        # While hosts answer there is time for what their plans will need.
        threading.Thread(target=preload, daemon=True).start()
        self._open.enter_context(self._lines)
        if self._forks > 1:
            self._executor = ThreadPoolExecutor(self._forks, thread_name_prefix="host")
            self._open.callback(self._executor.shutdown, wait=False, cancel_futures=True)
            deferred: AbstractContextManager[None] = self._interrupt.left_to_threads()
            self._open.enter_context(deferred)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def submit(self, job: HostJob) -> Future[HostResult]:
        """See ``Place.submit``."""
        return self._executor.submit(
            run_job,
            replace(job, directory=self._directory.path),
            self._manifest,
            self._interrupt,
            self._watch,
            self._lines,
        )


class _Here(Executor):
    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        future: Future[_T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future
