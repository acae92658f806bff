"""Runs the real command line against the lab, and reads what a run left here."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .leftovers import Snapshot, left_after, snapshot
from .model import SANE_PATH, Lab, LabHost
from .proxy import Proxy

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
            if path.is_file() and path.name not in ("run.json", "jobs.json")
        }
        # The note of what may still be on the host stays where nobody knows.
        unknown = any("not known whether" in item["what"] for item in self.record["problems"])
        noted = {name for name in there if name.endswith("/launch.json") and unknown}
        found = [f"not in both: {name}" for name in sorted((there - noted) ^ listed.keys())]
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
    """A command line at work; its progress is read as it comes.

    On a ``terminal`` of its own, all that it prints counts as progress.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, *, terminal: bool = False
    ) -> None:
        self.cwd = cwd
        # Whoever runs the tests in the background has interrupts ignored, and we inherit that.
        words = ["env", "--default-signal=INT,TERM,HUP"]
        words += ["setsid", "--ctty"] if terminal else []
        out, self._out_fd = os.pipe()[::-1]
        err, self._err_fd = os.openpty()[::-1] if terminal else os.pipe()[::-1]
        self.process = subprocess.Popen(
            [*words, REMOTE_PROF, *argv],
            env=dict(env),
            cwd=cwd,
            stdin=err if terminal else subprocess.DEVNULL,
            stdout=err if terminal else out,
            stderr=err,
        )
        os.close(out)
        os.close(err)
        self._hung_up = threading.Event()
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
        err = "".join(self._err)
        assert "Traceback" not in err, err
        return Done(code, b"".join(self._out).decode(), err, self.cwd / "results")

    def abandon(self) -> None:
        """End a command that is still at work: its test is over."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()

    def close_terminal(self) -> None:
        """Close the terminal that it was started on."""
        self._hung_up.set()
        self._readers[0].join()

    def _read_err(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for piece in self._pieces(self._err_fd):
            with self._change:
                self._err.append(decoder.decode(piece))
                self._change.notify_all()
        with self._change:
            self._change.notify_all()

    def _read_out(self) -> None:
        self._out += self._pieces(self._out_fd)

    def _pieces(self, fd: int) -> Iterator[bytes]:
        """Give what can be read until all is said, or the terminal is closed."""
        # A terminal that is being read is not closed before the reading ends.
        while not self._hung_up.is_set():
            if not select.select([fd], [], [], 0.05)[0]:
                continue
            try:
                piece = os.read(fd, 65536)
            except OSError:  # how a terminal says that nobody writes to it any more
                break
            if not piece:
                break
            yield piece
        os.close(fd)


@dataclass(frozen=True)
class Tool:
    """The command line, in a directory and with a home of its own."""

    lab: Lab
    place: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def start(self, *argv: object, terminal: bool = False, **env: str) -> Running:
        """Start a command; capitals as names are variables of its environment."""
        home = self.place / "home"
        home.mkdir(exist_ok=True)
        own = {"PATH": os.environ.get("PATH", SANE_PATH), "HOME": str(home), "NO_COLOR": "1"}
        inventory = {"REMOTE_PROF_INVENTORY": str(self.lab.inventory)}
        words = [str(word) for word in argv]
        whole = {**own, **inventory, **self.env, **env}
        return Running(words, whole, self.place, terminal=terminal)

    def __call__(self, *argv: object, **env: str) -> Done:
        """Run a command to its end."""
        return self.start(*argv, terminal=False, **env).end()

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

    def through(self, proxy: Proxy, host: LabHost) -> Path:
        """Write an inventory that leads to a host by way of a proxy, with its true host keys."""
        name, via = f"[{host.address}]:{host.port}", f"[{proxy.address}]:{proxy.port}"
        known = self.lab.known_hosts.read_text().splitlines()
        lines = [line.replace(name, via) for line in known if line.startswith(name)]
        file = self.place / "known_hosts"
        file.write_text("\n".join(lines) + "\n")
        return self.inventory(
            host,
            ansible_host=proxy.address,
            ansible_port=proxy.port,
            remote_prof_known_hosts=str(file),
        )


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


@contextmanager
def at_work(hosts: Iterable[LabHost], target: str) -> Iterator[None]:
    """Have a target run on these hosts for as long as this lasts."""
    for host in hosts:
        host.docker("start", target)
    time.sleep(2)
    try:
        yield
    finally:
        for host in hosts:
            host.docker("kill", target)
