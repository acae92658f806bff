"""Rights on a host by sudo, su and doas: with a password, without, and in a terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from .model import LabHost
from .test_odd_hosts import file, without
from .tool import REMOTE_PROF, Done, Stock, Tool, share

QUICK = ("-C", "api", "-d", 1, "-F", 499)

WAYS = [
    ("admin", ("--become",), False),
    ("secure", (), True),
    ("secure", ("--become", "--become-user", "root"), True),
    ("console", (), False),
    ("console", ("--become",), True),
    ("vault", (), True),
    ("guest", ("--become-method", "su"), True),
    ("keeper", ("--become-method", "su", "--become"), True),
    ("doer", ("--become-method", "doas"), False),
    ("doer", ("--become-method", "doas", "--become"), True),
    ("keeper", ("--become-method", "doas"), True),
]
"""Login, options, whether a password is given."""


def refused(done: Done, what: str, evidence: str, next_step: str) -> None:
    """See that a run ended with one error of three parts."""
    assert done.code == 1, done.err
    ((said, seen, advice),) = done.parts()
    assert what in said
    assert evidence in seen
    assert next_step in advice


@pytest.mark.parametrize(
    ("user", "options", "password"), WAYS, ids=[" ".join((u, *o)) for u, o, _ in WAYS]
)
def test_ways_to_the_rights(
    user: str, options: Sequence[str], password: bool, host: LabHost, tool: Tool, stock: Stock
) -> None:
    given = {"REMOTE_PROF_BECOME_PASSWORD": host.password} if password else {}
    done = tool("run", "-H", host.name, "--user", user, *options, *QUICK, **given)
    assert done.code == 0, done.err
    assert done.run.record["status"] == "ok"
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    assert done.run.differences() == []
    assert stock.left(host) == []


@contextmanager
def tries_noted(host: LabHost) -> Iterator[Callable[[], list[bytes]]]:
    """Have PAM note each try of a password, by sudo, su and doas; give what reads that."""
    with ExitStack() as changes:
        # sudo asks again after a mistake, and then nothing is answered: that is no try.
        script = 'IFS= read -r try; [ -z "$try" ] || echo $PAM_USER >> /run/lab/tries\n'
        changes.enter_context(file(host, "/run/lab/note", script))
        changes.enter_context(file(host, "/run/lab/tries", "", "666"))
        for service in ("sudo", "su", "doas"):
            path = f"/etc/pam.d/{service}"
            own = host.exec(["cat", path]).stdout.decode()
            line = "auth optional pam_exec.so quiet expose_authtok /bin/sh /run/lab/note\n"
            changes.enter_context(file(host, path, line + own))

        def read() -> list[bytes]:
            return host.exec(["cat", "/run/lab/tries"]).stdout.split()

        yield read


@pytest.mark.parametrize(
    ("user", "options", "what", "evidence", "next_step"),
    [
        ("secure", (), "sudo does not take the password", "1 incorrect", "the login"),
        ("vault", (), "sudo does not take the password", "1 incorrect", "the login"),
        (
            "guest",
            ("--become-method", "su"),
            "su does not take the password",
            "Authentication failure",
            "the one of root",
        ),
        (
            "keeper",
            ("--become-method", "doas"),
            "doas does not take the password",
            "Authentication failed",
            "the login",
        ),
    ],
)
def test_a_wrong_password_is_tried_once(
    user: str,
    options: Sequence[str],
    what: str,
    evidence: str,
    next_step: str,
    host: LabHost,
    tool: Tool,
    stock: Stock,
) -> None:
    with tries_noted(host) as tries:
        asked = ("run", "-H", host.name, "--user", user, *options, *QUICK)
        done = tool(*asked, REMOTE_PROF_BECOME_PASSWORD="not-it")
        seen = tries()
    refused(done, what, evidence, next_step)
    assert len(seen) == 1, seen
    assert stock.left(host) == []


@pytest.mark.parametrize(
    ("user", "options", "what", "evidence", "next_step"),
    [
        ("guest", (), "may not use docker, and sudo wants a password", "denied", "--ask-become"),
        ("guest", ("--become",), "sudo wants a password", "is required", "--ask-become-pass"),
        ("vault", (), "sudo wants a password", "is required", "--ask-become-pass"),
        (
            "keeper",
            ("--become-method", "doas"),
            "may not use docker, and doas wants a password",
            "denied",
            "--ask-become-pass",
        ),
        (
            "guest",
            ("--become-method", "doas", "--become"),
            "doas does not give the rights",
            "Operation not permitted",
            "--become-method",
        ),
        (
            "guest",
            ("--become-method", "su"),
            "may not use docker, and su wants a password",
            "denied",
            "--ask-become-pass",
        ),
    ],
)
def test_without_a_password_there_are_no_rights(
    user: str,
    options: Sequence[str],
    what: str,
    evidence: str,
    next_step: str,
    debian13: LabHost,
    tool: Tool,
    stock: Stock,
) -> None:
    done = tool("run", "-H", debian13.name, "--user", user, *options, *QUICK)
    refused(done, what, evidence, next_step)
    assert stock.left(debian13) == []


def test_a_way_that_is_not_there(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    asked = ("run", "-H", debian13.name, "--user", "doer", "--become", "--become-method", "doas")
    with without(debian13, "doas"):
        done = tool(*asked, *QUICK)
    refused(done, "there is no doas on the host", "doas: not found", "--become-method")
    assert stock.left(debian13) == []


def test_a_terminal_that_cannot_be_made(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    with without(debian13, "script"):
        done = tool("run", "-H", debian13.name, "--user", "console", *QUICK)
    refused(done, "sudo wants a terminal, and none can be made", "util-linux", "requiretty")
    assert stock.left(debian13) == []


def test_rights_that_the_inventory_forbids_are_not_tried(debian13: LabHost, tool: Tool) -> None:
    path = tool.inventory(debian13, ansible_user="admin", ansible_become=False)
    done = tool("run", "-H", debian13.name, "-i", path, *QUICK)
    refused(done, "admin may not use docker", "denied", "--user")
    done = tool("run", "-H", debian13.name, "-i", path, "--become", *QUICK)
    assert done.code == 0, done.err


def test_passwords_are_asked_for_at_the_terminal(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    asked = ("doctor", "-H", debian13.name, "-C", "api", "--user", "secure", "-K")
    running = tool.start(*asked, terminal=True)
    running.wait_for("password: ")
    os.write(running._err_fd, debian13.password.encode() + b"\n")
    done = running.end()
    assert done.code == 0, done.err
    assert "a run would work" in done.err
    assert debian13.password not in done.err
    assert stock.left(debian13) == []


def test_without_a_terminal_nothing_is_asked_for(debian13: LabHost, tool: Tool) -> None:
    argv = ["setsid", "--wait", REMOTE_PROF, "doctor", "-H", debian13.name, "-K"]
    done = subprocess.run(
        argv,
        env={**os.environ, "REMOTE_PROF_INVENTORY": str(tool.lab.inventory)},
        stdin=subprocess.PIPE,  # open, and silent
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tool.place,
    )
    assert done.returncode == 5
    assert "--ask-become-pass asks at a terminal, and there is none" in done.stderr
    assert "--become-password-file FILE" in done.stderr
    assert "Traceback" not in done.stderr
