"""Processes by noted id: a pid counts only together with the start time it was noted with."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from .model import Process

CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")
_KILL_S = 10  # one that waits for a disk dies late


def start_time(pid: int) -> int | None:
    """Give the start time of a process in clock ticks since boot; None when it is not alive.

    Field 22 of /proc/PID/stat (proc_pid_stat(5)), counted behind the last parenthesis because
    the command name may hold anything. A zombie counts as dead.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def note(role: str, pid: int, ledger: Path) -> Process:
    """Write a process that has just been started into a ledger."""
    process = Process(role, pid, start_time(pid) or 0)
    with ledger.open("a") as out:
        out.write(json.dumps({**asdict(process), "boot": boot_id()}) + "\n")
    return process


def noted(ledger: Path) -> list[Process]:
    """Give the processes of a ledger that were started since the machine booted."""
    if not ledger.exists():
        return []
    found = []
    for line in ledger.read_text().splitlines():
        try:
            item = json.loads(line)
        except ValueError:
            continue
        if item.pop("boot", None) == boot_id():
            found.append(Process(**item))
    return found


def alive(process: Process) -> bool:
    """Say whether the very process that was noted still runs."""
    return process.start > 0 and start_time(process.pid) == process.start


def send(process: Process, sig: signal.Signals) -> bool:
    """Send a signal, unless the pid belongs to another process by now."""
    if not alive(process):
        return False
    try:
        os.kill(process.pid, sig)
    except ProcessLookupError:
        return False
    return True


def stop(processes: Iterable[Process], patience_s: float) -> list[Process]:
    """Send TERM, wait, and send KILL to what is left. Give those that had to be killed.

    They are gone on return: a killed process lives on until the kernel gets to it.
    """
    waiting = [process for process in processes if send(process, signal.SIGTERM)]
    _wait(waiting, patience_s)
    killed = [process for process in waiting if send(process, signal.SIGKILL)]
    _wait(killed, _KILL_S)
    return killed


def _wait(processes: Iterable[Process], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    left = [process for process in processes if alive(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [process for process in left if alive(process)]


def namespace(pid: int, kind: str = "mnt") -> str | None:
    """Give the id of a process's namespace, such as ``mnt:[4026531841]``; None when gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return None


def all_pids() -> Iterator[int]:
    """Give the ids of all processes of the machine."""
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def namespaces_holding(path: str, text: str) -> set[str]:
    """Give the mount namespaces of processes in whose root a file of this name says this.

    It tells a host's processes from others with certainty, even when none that was noted lives.
    """
    found = set()
    for pid in all_pids():
        try:
            says = Path(f"/proc/{pid}/root/{path}").read_text()
        except (OSError, ValueError):
            continue
        held = namespace(pid)
        if says == text and held:
            found.add(held)
    return found


def in_namespaces(mount_namespaces: set[str]) -> list[Process]:
    """Give the processes in these mount namespaces."""
    found = []
    for pid in all_pids():
        start = start_time(pid)
        if start is not None and namespace(pid) in mount_namespaces:
            found.append(Process("member", pid, start))
    return found


def in_containers(anchor: int, program: str) -> list[int]:
    """Give the processes of programs in all containers of the host whose anchor this is.

    ``program`` is how their paths begin.
    """
    engine = Path(f"/proc/{anchor}/root/var/lib/docker/containers")
    ids = {path.name for path in engine.iterdir()} if engine.is_dir() else set()
    found = []
    for pid in all_pids():
        try:
            group = Path(f"/proc/{pid}/cgroup").read_text()
            runs = str(Path(f"/proc/{pid}/exe").readlink())
        except OSError:
            continue
        if runs.startswith(program) and not ids.isdisjoint(CONTAINER_ID.findall(group)):
            found.append(pid)
    return found


def boot_id() -> str:
    """Give what names this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
