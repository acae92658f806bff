"""Runs the real command line against the lab, and reads what a run left here."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .leftovers import Snapshot, left_after, snapshot
from .model import SANE_PATH, Lab, LabHost

REMOTE_PROF = str(Path(sys.executable).with_name("remote-prof"))
_WORK, _PER_MILLE = "/opt/app/svc serve", 201
SAMPLING = "sampling for"
"""What the progress says when the sidecar has begun to sample."""


@dataclass(frozen=True)
class RunFiles:
    """The directory of a run."""

    path: Path

    @property
    def manifest(self) -> dict[str, Any]:
        """What run.json says."""
        found: dict[str, Any] = json.loads((self.path / "run.json").read_bytes())
        return found

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says of the only host."""
        (record,) = self.manifest["hosts"]
        assert isinstance(record, dict)
        return record

    @property
    def target(self) -> Path:
        """The directory of the only target."""
        return self.path / str(self.record["directory"])

    def stacks(self) -> Counter[tuple[str, ...]]:
        """The folded stacks: the command's name, frames, and how many samples each has."""
        found: Counter[tuple[str, ...]] = Counter()
        for line in (self.target / "profile.folded").read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            found[tuple(stack.split(";"))] += int(count)
        return found

    def differences(self) -> list[str]:
        """Say what of the directory is not as run.json says: files, sizes, checksums, modes."""
        listed = {str(item["path"]): item for item in self.record["artifacts"]}
        there = {
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if path.is_file() and path.name != "run.json"
        }
        found = [f"not in both: {name}" for name in sorted(there ^ listed.keys())]
        for name in there & listed.keys():
            path, item = self.path / name, listed[name]
            data = path.read_bytes()
            if (len(data), hashlib.sha256(data).hexdigest()) != (
                item["size_bytes"],
                item["sha256"],
            ):
                found.append(f"not what was noted: {name}")
            if item["raw"] != (path.stat().st_mode & 0o222 == 0):
                found.append(f"mode {path.stat().st_mode:o}: {name}")
        return found


@dataclass(frozen=True)
class Done:
    """A command line that has ended."""

    code: int
    out: str
    err: str
    results: Path

    @property
    def run(self) -> RunFiles:
        """The files of the run, the newest where there are several."""
        return RunFiles(max(self.results.iterdir()))

    def parts(self, severity: str = "error") -> list[tuple[str, str, str]]:
        """The problems of a severity: what, evidence, next step, as they were printed."""
        found: list[tuple[str, str, str]] = []
        mine = False
        for line in self.err.splitlines():
            name, colon, text = line.partition(": ")
            if not line.startswith("  "):
                mine = bool(colon) and name == severity
                found += [(text, "", "")] if mine else []
            elif mine and name == "  evidence":
                found[-1] = (found[-1][0], text, found[-1][2])
            elif mine and name == "  next step":
                found[-1] = (*found[-1][:2], text)
        return found


class Running:
    """A command line at work; its progress is read as it comes."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self.cwd = cwd
        # Whoever runs the tests in the background has interrupts ignored, and we inherit that.
        defaults = ("env", "--default-signal=INT,TERM,HUP")
        self.process = subprocess.Popen(
            [*defaults, REMOTE_PROF, *argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._err: list[str] = []
        self._out: list[bytes] = []
        self._change = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read_err, daemon=True),
            threading.Thread(target=self._read_out, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str, timeout_s: float = 60.0) -> None:
        """Wait until a line of progress holds the text."""
        with self._change:
            came = self._change.wait_for(
                lambda: text in "".join(self._err) or not self._readers[0].is_alive(), timeout_s
            )
        assert came, f"no {text!r} in: {''.join(self._err)}"
        assert text in "".join(self._err), f"it ended: {''.join(self._err)}"

    def end(self, timeout_s: float = 120.0) -> Done:
        """Wait for the end. No failure may be a traceback."""
        code = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        err = "".join(self._err)
        assert "Traceback" not in err, err
        return Done(code, b"".join(self._out).decode(), err, self.cwd / "results")

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._change:
                self._err.append(line.decode(errors="replace"))
                self._change.notify_all()
        with self._change:
            self._change.notify_all()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        self._out.append(self.process.stdout.read())


@dataclass(frozen=True)
class Tool:
    """The command line, in a directory and with a home of its own."""

    lab: Lab
    place: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def start(self, *argv: object, **env: str) -> Running:
        """Start a command; capitals as names are variables of its environment."""
        home = self.place / "home"
        home.mkdir(exist_ok=True)
        own = {"PATH": os.environ.get("PATH", SANE_PATH), "HOME": str(home), "NO_COLOR": "1"}
        inventory = {"REMOTE_PROF_INVENTORY": str(self.lab.inventory)}
        words = [str(word) for word in argv]
        return Running(words, {**own, **inventory, **self.env, **env}, self.place)

    def __call__(self, *argv: object, **env: str) -> Done:
        """Run a command to its end."""
        return self.start(*argv, **env).end()

    def inventory(self, host: LabHost, **variables: object) -> Path:
        """Write an inventory of one host; variables with a value None are left away."""
        known = {
            "ansible_host": host.address,
            "ansible_port": host.port,
            "ansible_user": "ops",
            "ansible_ssh_private_key_file": str(host.key),
            "remote_prof_known_hosts": str(host.known_hosts),
        }
        told = {key: value for key, value in {**known, **variables}.items() if value is not None}
        path = self.place / f"inventory-{len(list(self.place.glob('inventory-*')))}.yml"
        path.write_text(json.dumps({"all": {"hosts": {host.name: told}}}))
        return path


class Stock:
    """What was on each host before, to prove that it is the same afterwards."""

    def __init__(self) -> None:
        self._before: dict[str, Snapshot] = {}

    def take(self, host: LabHost) -> None:
        """Note what is on a host, if that is not noted yet."""
        if host.name not in self._before:
            # The very first use of sudo leaves a mark in some homes, whoever asks for it.
            host.exec(["su", "-", "admin", "-c", "sudo -n true"])
            self._before[host.name] = snapshot(host)

    def left(self, host: LabHost, patience_s: float = 5.0) -> list[str]:
        """Name what is on a host and was not there before."""
        return left_after(host, self._before[host.name], patience_s)


def share(stacks: Mapping[tuple[str, ...], int], function: str) -> float:
    """Give the share of samples with a function somewhere in the stack."""
    seen = sum(count for stack, count in stacks.items() if function in stack)
    return seen / (sum(stacks.values()) or 1)


@contextmanager
def working(host: LabHost, container: str) -> Iterator[None]:
    """Have one more process at work in a container for a while."""
    command = f"{_WORK} {_PER_MILLE}"
    host.docker("exec", "-d", container, *command.split())
    try:
        yield
    finally:
        for line in host.docker("top", container, "-eo", "pid,args").splitlines():
            pid, _, arguments = line.strip().partition(" ")
            if arguments.strip() == command:
                os.kill(int(pid), signal.SIGKILL)


def our_containers(host: LabHost) -> list[str]:
    """Give the containers that carry the label of a run."""
    return host.docker("ps", "-aq", "--filter", "label=remote-prof.run").split()


def until(what: str, condition: Callable[[], bool], timeout_s: float) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)
