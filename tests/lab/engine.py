"""Takes a host's container engine down, brings it back, freezes and thaws it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .host import LEDGER
from .model import SANE_PATH, Lab, LabError, LabHost, Process, enter

_ROLE = "dockerd"
_PATIENCE_S = 60.0
_PID_FILES = ("/run/docker.pid", "/run/docker/containerd/containerd.pid")


@dataclass(frozen=True)
class Engine:
    """The dockerd of a lab host. Its containerd is a child of its own that ends with it."""

    lab: Lab
    host: LabHost

    @property
    def _place(self) -> Path:
        return self.lab.dir / "hosts" / self.host.name

    @property
    def process(self) -> Process:
        """The process that was noted last."""
        noted = [p for p in processes.noted(self._place / LEDGER) if p.role == _ROLE]
        return noted[-1]

    def answers(self) -> bool:
        """Say whether the engine takes commands."""
        return self.host.exec(["docker", "version"], check=False).returncode == 0

    def running(self) -> list[str]:
        """Give the names of the containers that run."""
        return self.host.docker("ps", "--format", "{{.Names}}").split()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the engine in its tracks: it takes connections and answers none."""
        process = self.process
        processes.send(process, signal.SIGSTOP)
        try:
            yield
        finally:
            processes.send(process, signal.SIGCONT)

    @contextmanager
    def stopped(self, number: signal.Signals = signal.SIGTERM) -> Iterator[None]:
        """Have the engine down, and afterwards up again with the containers that ran.

        At SIGTERM it stops its containers; at SIGKILL they go on until it is started again.
        """
        argv = self._argv()
        containers = self.running()
        self._end(number)
        try:
            yield
        finally:
            self._start(argv)
            self._start_again(containers)

    def _argv(self) -> list[str]:
        """Give the engine's own command line, to start the same again."""
        words = Path(f"/proc/{self.process.pid}/cmdline").read_bytes().split(b"\0")[:-1]
        return [word.decode() for word in words]

    def _end(self, number: signal.Signals) -> None:
        process = self.process
        # A new engine takes a containerd that is about to end for one to be used.
        ending = [process, *_children(process.pid)]
        processes.send(process, number)
        deadline = time.monotonic() + _PATIENCE_S
        while any(processes.alive(one) for one in ending):
            if time.monotonic() > deadline:
                raise LabError(f"{self.host.name}: the engine does not end")
            time.sleep(0.02)

    def _start(self, argv: list[str]) -> None:
        # What was killed may be a zombie for a while, and a new engine would take it for alive.
        self.host.exec(["rm", "-f", *_PID_FILES])
        words = [*enter(self.host.anchor.pid), "env", "-i", f"PATH={SANE_PATH}", *argv]
        with (self._place / f"{_ROLE}.log").open("ab") as log, Path(os.devnull).open() as null:
            ends = {0: null.fileno(), 1: log.fileno(), 2: log.fileno()}
            actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in ends.items()]
            pid = os.posix_spawnp(words[0], words, os.environ, file_actions=actions, setsid=True)
        started = processes.note(_ROLE, pid, self._place / LEDGER)
        deadline = time.monotonic() + _PATIENCE_S
        while not self.answers():
            if not processes.alive(started) or time.monotonic() > deadline:
                raise LabError(f"{self.host.name}: the engine does not come back")
            time.sleep(0.05)

    def _start_again(self, containers: list[str]) -> None:
        there = set(self.host.docker("ps", "-a", "--format", "{{.Names}}").split())
        wanted = [name for name in containers if name in there]
        if wanted:
            self.host.docker("start", *wanted)


def _children(parent: int) -> list[Process]:
    found = []
    for path in Path(f"/proc/{parent}/task").glob("*/children"):
        for word in path.read_text().split():
            start = processes.start_time(int(word))
            if start is not None:
                found.append(Process("child", int(word), start))
    return found
