"""Passwords are told to those they are meant for, and to nobody else, here and on the host."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from .model import LabHost
from .processes import all_pids
from .test_odd_hosts import file
from .tool import Running, Stock, Tool, share

PASSPHRASE = "correct-horse-battery-staple-1f3c"
_BIGGEST = 8 << 20

# Breaks in the middle of a run, in a way that nobody has thought of, with the host in its hands.
_CRASH = """\
import remote_prof.run.prepare


def crash(connection, query):
    raise RuntimeError(f"nobody thought of {connection.host!r} and {connection!r}")


remote_prof.run.prepare.gather_state = crash
"""


class Witness:
    """Reads the command lines and environments of all processes again and again."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, bytes, bytes]] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def tellers(self, secret: str, running: Running) -> list[tuple[bytes, bytes]]:
        """Give what tells a secret, but for the environments of those who are to know it."""
        told = secret.encode()
        mine = {line for pid, line, _ in self.seen if pid == running.process.pid}
        found = [(line, b"") for _, line, _ in self.seen if told in line]
        for pid, line, environment in self.seen:
            # What has been forked and not yet been replaced is still the program itself.
            if told in environment and line not in mine and pid not in ancestors():
                found.append((line, environment))
        return found

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for pid in all_pids():
                try:
                    line = Path(f"/proc/{pid}/cmdline").read_bytes()
                    self.seen.add((pid, line, Path(f"/proc/{pid}/environ").read_bytes()))
                except OSError:
                    continue


@dataclass(frozen=True)
class Way:
    """A login that needs a secret: options, the secret, and where it is given."""

    options: tuple[object, ...]
    secret: str
    variable: str
    flag: str


def become(host: LabHost, tool: Tool) -> Way:
    del tool
    variable, flag = "REMOTE_PROF_BECOME_PASSWORD", "--become-password-file"
    return Way(("--user", "vault"), host.password, variable, flag)


def become_by_doas(host: LabHost, tool: Tool) -> Way:
    way = become(host, tool)
    options = ("--user", "keeper", "--become-method", "doas")
    return Way(options, way.secret, way.variable, way.flag)


def become_by_su(host: LabHost, tool: Tool) -> Way:
    way = become(host, tool)
    options = ("--user", "guest", "--become-method", "su", "--become")
    return Way(options, way.secret, way.variable, way.flag)


def connection(host: LabHost, tool: Tool) -> Way:
    del tool
    variable, flag = "REMOTE_PROF_CONNECTION_PASSWORD", "--connection-password-file"
    return Way(("--user", "typist"), host.password, variable, flag)


def key(host: LabHost, tool: Tool) -> Way:
    del host
    path = tool.place / "locked"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", str(path)]
    subprocess.run(argv, check=True)
    options = ("--user", "ops", "--identity", path)
    variable, flag = "REMOTE_PROF_KEY_PASSPHRASE", "--key-passphrase-file"
    return Way(options, PASSPHRASE, variable, flag)


@contextmanager
def let_in(host: LabHost, tool: Tool) -> Iterator[None]:
    """Let the locked key in, where there is one."""
    path = tool.place / "locked.pub"
    own = host.exec(["cat", "/run/lab/authorized_keys"]).stdout.decode()
    more = path.read_text() if path.exists() else ""
    with file(host, "/run/lab/authorized_keys", own + more):
        yield


def ancestors() -> set[int]:
    """Give this process and those that it descends from."""
    found, pid = set(), os.getpid()
    while pid > 0:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def on_host(host: LabHost, secret: str) -> bytes:
    """Name the host's files that tell a secret."""
    places = ("/tmp", "/var/tmp", "/dev/shm", "/home", "/root", "/run/lab", "/var/log", "/etc")
    found = host.exec(["grep", "-rlFs", "-f", "-", *places], secret.encode() + b"\n", check=False)
    return found.stdout


def said(running: Running) -> str:
    """Wait for the end, however it ends, and give all that was printed."""
    running.process.wait(120)
    for reader in running._readers:
        reader.join()
    return "".join(running._err) + b"".join(running._out).decode()


def given(way: Way, tool: Tool, by: str) -> tuple[tuple[object, ...], Mapping[str, str]]:
    """Give the options and the environment that hand a secret over."""
    if by == "environment":
        return (), {way.variable: way.secret}
    path = tool.place / "secret"
    path.touch(mode=0o600)
    path.write_text(way.secret + "\n")
    return (way.flag, path), {}


def told_here(tool: Tool, secret: str) -> list[Path]:
    """Name the files here that tell a secret, but for the one that is there to tell it."""
    files = [path for path in tool.place.rglob("*") if path.is_file() and path.name != "secret"]
    return [path for path in files if secret.encode() in path.read_bytes()[:_BIGGEST]]


@pytest.mark.parametrize("by", ["environment", "file"])
@pytest.mark.parametrize("make", [become, become_by_doas, become_by_su, connection, key])
def test_a_run_tells_nobody(
    make: Callable[[LabHost, Tool], Way], by: str, debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    way = make(debian13, tool)
    options, environment = given(way, tool, by)
    asked = ("run", "-H", debian13.name, "-C", "api", "-d", 2, "-F", 499, "-vv")
    with let_in(debian13, tool), Witness() as witness:
        running = tool.start(*asked, *way.options, *options, terminal=False, **environment)
        running.wait_for("sampling for")
        in_mid_run = on_host(debian13, way.secret)
        done = running.end()
    assert done.code == 0, done.err
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    assert in_mid_run == b""
    assert len(witness.seen) > 10
    assert witness.tellers(way.secret, running) == []
    assert way.secret not in done.out + done.err
    assert told_here(tool, way.secret) == []
    assert on_host(debian13, way.secret) == b""
    assert stock.left(debian13) == []


@pytest.mark.parametrize("make", [become, connection, key])
@pytest.mark.parametrize("how", ["refused", "wrong", "crash", "dry", "json"])
def test_nor_does_any_other_end(
    how: str, make: Callable[[LabHost, Tool], Way], debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    way = make(debian13, tool)
    secret = "no-such-secret-77aa" if how == "wrong" else way.secret
    environment = {way.variable: secret}
    asked: tuple[object, ...] = ("run", "-H", debian13.name, "-C", "api", "-d", 1, "-vv")
    if how == "refused":
        asked += ("--image", "no/such:1")
    elif how == "crash":
        site = tool.place / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_CRASH)
        environment["PYTHONPATH"] = str(site)
    elif how in ("dry", "json"):
        asked += ("--dry-run", "--json") if how == "dry" else ("--json",)
    with let_in(debian13, tool), Witness() as witness:
        running = tool.start(*asked, *way.options, terminal=False, **environment)
        text = said(running)
    code = running.process.returncode
    if how in ("dry", "json"):
        assert code == 0, text
    else:
        # Without the right to log in the host cannot be reached.
        assert code == (4 if how == "wrong" and make is not become else 1), text
    if how == "crash":
        assert "nobody thought of" in text
    assert secret not in text
    assert witness.tellers(secret, running) == []
    assert told_here(tool, secret) == []
    assert on_host(debian13, secret) == b""
    assert stock.left(debian13) == []


def test_a_password_file_that_others_can_read_is_warned_about(
    debian13: LabHost, tool: Tool
) -> None:
    path = tool.place / "open"
    path.write_text(debian13.password + "\n")
    path.chmod(0o644)
    asked = ("doctor", "-H", debian13.name, "--user", "secure", "--become-password-file", path)
    done = tool(*asked)
    assert done.code == 0, done.err
    ((what, evidence, next_step),) = done.parts("warning")
    assert "open to others" in what
    assert evidence == "its mode is 644"
    assert next_step == f"chmod 600 {path}"
    assert debian13.password not in done.err + done.out
