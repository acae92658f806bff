"""Hosts that lack what most have, are full or noisy: a run works, or says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from .model import LabHost
from .tool import Done, Stock, Tool, share

QUICK = ("-C", "api", "-d", 1, "-F", 499)
NOISE = (
    "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo @@begin; echo '@@end 0'; echo oops >&2\n"
)


@contextmanager
def without(host: LabHost, *programs: str) -> Iterator[None]:
    """Take programs of ``/usr/bin`` away from a host for a while."""
    for program in programs:
        host.exec(["mv", f"/usr/bin/{program}", f"/usr/bin/.{program}.away"])
    try:
        yield
    finally:
        for program in programs:
            host.exec(["mv", f"/usr/bin/.{program}.away", f"/usr/bin/{program}"])


@contextmanager
def file(host: LabHost, path: str, text: str, mode: str = "644") -> Iterator[None]:
    """Put another file into a place for a while; a file that is there comes back."""
    kept = host.exec(["mv", path, f"{path}.kept"], check=False).returncode == 0
    try:
        host.exec(["tee", path], input=text.encode())
        host.exec(["chmod", mode, path])
        yield
    finally:
        host.exec(["mv", f"{path}.kept", path] if kept else ["rm", path])


@contextmanager
def mounted(host: LabHost, *argv: str) -> Iterator[None]:
    """Mount something for a while; the last word is where."""
    host.exec(["mount", *argv])
    try:
        yield
    finally:
        host.exec(["umount", "-l", argv[-1]])


def full(host: LabHost, place: str) -> AbstractContextManager[None]:
    """Leave a directory with next to no room."""
    return mounted(host, "-t", "tmpfs", "-o", "size=1m,mode=1777", "lab", place)


@contextmanager
def shell(host: LabHost, program: str) -> Iterator[None]:
    """Make another program the host's ``sh``."""
    before = host.exec(["readlink", "/bin/sh"]).stdout.decode().strip()
    host.exec(["ln", "-sfn", program, "/bin/sh"])
    try:
        yield
    finally:
        host.exec(["ln", "-sfn", before, "/bin/sh"])


@contextmanager
def moved(host: LabHost, path: str, to: str) -> Iterator[None]:
    """Have something elsewhere for a while."""
    host.exec(["mv", path, to])
    try:
        yield
    finally:
        host.exec(["mv", to, path])


@contextmanager
def banner(host: LabHost, size_bytes: int) -> Iterator[None]:
    """Have sshd show a banner before the login."""
    config = host.exec(["cat", "/run/lab/sshd_config"]).stdout.decode()
    text = ("Authorised use only. @@begin\n" * (size_bytes // 29 + 1))[:size_bytes]
    with file(host, "/run/lab/banner", text):
        host.exec(
            ["tee", "/run/lab/sshd_config"], input=f"Banner /run/lab/banner\n{config}".encode()
        )
        try:
            yield
        finally:
            host.exec(["tee", "/run/lab/sshd_config"], input=config.encode())


@contextmanager
def read_only(host: LabHost, place: str) -> Iterator[None]:
    """Let nobody write to a directory."""
    with mounted(host, "--bind", place, place):
        host.exec(["mount", "-o", "remount,ro,bind", place])
        yield


@contextmanager
def noexec(host: LabHost, place: str) -> Iterator[None]:
    """Let nothing that lies in a directory be run."""
    host.exec(["mount", "-o", "remount,noexec", place])
    try:
        yield
    finally:
        host.exec(["mount", "-o", "remount,exec", place])


def bashrc(text: str) -> Callable[[LabHost], AbstractContextManager[None]]:
    """Have the login read this first."""
    return lambda host: file(host, "/home/ops/.bashrc", text)


@contextmanager
def talkative(host: LabHost, notice: str) -> Iterator[None]:
    """Have an engine that says something else first, as podman's does that is called docker."""
    text = f'#!/bin/sh\n{notice}\nexec /usr/bin/docker "$@"\n'
    with file(host, "/usr/local/bin/docker", text, "755"):
        yield


@contextmanager
def elsewhere(host: LabHost) -> Iterator[None]:
    """Have the engine in a place that is not in the login's PATH."""
    with (
        moved(host, "/usr/bin/docker", "/usr/local/bin/docker"),
        file(host, "/home/ops/.bashrc", "PATH=/usr/bin:/bin; export PATH\n"),
    ):
        yield


@contextmanager
def full_with_bash(host: LabHost) -> Iterator[None]:
    """Bash keeps what scripts hold in here-documents in ``/tmp``, which is full."""
    with full(host, "/tmp"), shell(host, "bash"):
        yield


ODDITIES: dict[str, Callable[[LabHost], AbstractContextManager[None]]] = {
    "no tar, gzip, sha256sum, setsid, timeout": lambda host: without(
        host, "tar", "gzip", "sha256sum", "setsid", "timeout"
    ),
    "sh is bash": lambda host: shell(host, "bash"),
    "noise": bashrc(NOISE),
    "a banner": lambda host: banner(host, 2_000),
    "a banner of 200 kB": lambda host: banner(host, 200_000),
    "/tmp noexec": lambda host: noexec(host, "/tmp"),
    "/tmp full": lambda host: full(host, "/tmp"),
    "/tmp full, sh is bash": full_with_bash,
    "home read-only": lambda host: read_only(host, "/home/ops"),
    "no home": lambda host: moved(host, "/home/ops", "/home/away"),
    "odd TMPDIR": bashrc("TMPDIR=/no/such/place; export TMPDIR\n"),
    "umask 000": bashrc("umask 000\n"),
    "umask 777": bashrc("umask 777\n"),
    "Turkish": bashrc("LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8; export LANG LC_ALL\n"),
    "notices on stderr": lambda host: talkative(host, "echo 'Emulating Docker CLI.' >&2"),
    "notices on stdout": lambda host: talkative(host, "echo 'WARNING: old setting'"),
    "engine not in PATH": elsewhere,
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_a_run_works_all_the_same(oddity: str, host: LabHost, tool: Tool, stock: Stock) -> None:
    with ODDITIES[oddity](host):
        done = tool("run", "-H", host.name, *QUICK)
    assert done.code == 0, done.err
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    assert done.run.differences() == []
    assert not [text for text in done.parts("warning") if "left" in text[0]]
    assert stock.left(host) == []


def directory(done: Done) -> str:
    """Give the directory on the host that a dry run names."""
    (line,) = [line for line in done.out.splitlines() if line.startswith("directory:")]
    return line.split()[1]


def test_a_directory_with_room_is_taken(debian13: LabHost, tool: Tool) -> None:
    dry = ("run", "-H", debian13.name, *QUICK, "--dry-run")
    assert directory(tool(*dry)).startswith("/tmp/remote-prof-")
    with full(debian13, "/tmp"):
        assert directory(tool(*dry)).startswith("/var/tmp/remote-prof-")


def test_a_host_that_is_full(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    with ExitStack() as changes:
        for place in ("/tmp", "/var/tmp", "/dev/shm", "/home/ops"):
            changes.enter_context(full(debian13, place))
        done = tool("run", "-H", debian13.name, *QUICK)
    assert done.code == 1, done.err
    ((what, evidence, next_step),) = done.parts()
    assert "is full" in what
    assert "/tmp 1 MiB, /var/tmp 1 MiB" in evidence
    assert "remote_prof_tmp" in next_step
    assert stock.left(debian13) == []


def test_files_on_a_host_are_the_login_s_alone(debian13: LabHost, tool: Tool) -> None:
    with file(debian13, "/home/ops/.bashrc", "umask 000\n"):
        running = tool.start("run", "-H", debian13.name, "-C", "api", "-d", 3)
        running.wait_for("sampling for")
        listed = debian13.exec(["sh", "-c", "find /tmp/remote-prof-* -printf '%m %p\\n'"])
        assert running.end().code == 0
    modes = [line.split()[0] for line in listed.stdout.decode().splitlines()]
    assert len(modes) > 3
    assert not [mode for mode in modes if int(mode, 8) & 0o077], listed.stdout
