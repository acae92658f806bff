"""Fixtures of the tests that need real hosts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from . import machine, processes
from .model import SUITES, Lab, LabError, LabHost, cache_dir
from .tool import Stock, Tool

REPOSITORY = Path(__file__).parents[2]
_NAMED = frozenset({"host", "debian12", "debian13"})


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Give a running lab: the one that the environment names, or one for this test run alone.

    Where none can be had the tests are skipped with the precise reasons; with CI=true they fail.
    """
    existing = _existing()
    if existing:
        try:
            found = Lab.load(existing)
        except LabError as error:
            give_up([str(error)])
        yield found
        return
    lacking = machine.missing()
    if lacking:
        give_up(lacking)
    directory = cache_dir() / "lab" / f"test-{os.getpid()}"
    try:
        done = run_lab("up", "--dir", str(directory))
        if done.returncode:
            give_up(done.stderr.strip().splitlines()[-1:])
        yield Lab.load(directory)
    finally:
        run_lab("down", "--dir", str(directory))


@pytest.fixture(autouse=True)
def _others_rest(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the targets of those hosts work that a test has, all where it names none.

    They would take half of the machine from it.
    """
    named = _NAMED & set(request.fixturenames)
    if "lab" not in request.fixturenames or not named:
        yield
        return
    lab = request.getfixturevalue("lab")
    names = {request.getfixturevalue(name).name for name in named}
    others = [host for host in lab.hosts.values() if host.name not in names]
    _tell(others, signal.SIGSTOP)
    yield
    # What a module has before its tests may be of any host.
    _tell(others, signal.SIGCONT)


def _tell(hosts: Iterable[LabHost], sign: signal.Signals) -> None:
    """Signal the targets that are always at work. The others go by the time that passes."""
    for host in hosts:
        for pid in processes.in_containers(host.anchor.pid, "/opt/app/svc"):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)


@pytest.fixture(params=sorted(SUITES))
def host(lab: Lab, request: pytest.FixtureRequest) -> LabHost:
    """Give a host of each generation in turn."""
    return _of_suite(lab, request.param)


@pytest.fixture(scope="session")
def debian12(lab: Lab) -> LabHost:
    """Give the host of the older generation: Docker 20.10, bpftrace 0.17."""
    return _of_suite(lab, "bookworm")


@pytest.fixture(scope="session")
def debian13(lab: Lab) -> LabHost:
    """Give a host of the current generation: Docker 26, bpftrace 0.23."""
    return _of_suite(lab, "trixie")


@pytest.fixture
def tool(lab: Lab, tmp_path: Path) -> Tool:
    """Give the command line, to be run in an empty directory."""
    return Tool(lab, tmp_path)


@pytest.fixture(scope="module")
def stock(lab: Lab) -> Stock:
    """Give what is on the hosts before a module's tests."""
    taken = Stock()
    for host in lab.hosts.values():
        taken.take(host)
    return taken


def run_lab(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the lab's command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.lab", *args],
        cwd=REPOSITORY,
        text=True,
        capture_output=True,
        check=False,
    )


def ssh(host: LabHost, user: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command by ssh, host key checked."""
    return subprocess.run(
        [*host.ssh_argv(user), command], capture_output=True, text=True, timeout=60, check=False
    )


def _of_suite(lab: Lab, suite: str) -> LabHost:
    found = [host for host in lab.hosts.values() if host.spec.suite == suite]
    if not found:
        give_up([f"it has no host of {suite}"])
    return found[0]


def _existing() -> Path | None:
    inventory = os.environ.get("REMOTE_PROF_LAB_INVENTORY")
    if inventory:
        return Path(inventory).parent
    directory = os.environ.get("REMOTE_PROF_LAB_DIR")
    return Path(directory) if directory else None


def give_up(reasons: list[str]) -> NoReturn:
    """Say what is missing: a skipped test on somebody's machine, a failed one with CI=true."""
    text = "the lab cannot be had: " + "; ".join(reasons)
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
