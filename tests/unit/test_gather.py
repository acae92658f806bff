"""One exchange that asks a host for its facts: the script for real, and what is asked when."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remote_prof.errors import HostError
from remote_prof.host.facts import Image
from remote_prof.host.gather import FactsQuery, facts_command, gather_state
from remote_prof.records import Become, Host
from remote_prof.transport import Channel, Command, Result
from remote_prof.transport.local import LocalConnection

DATA = Path(__file__).parent / "data" / "facts"
API = "bdc4ab3dbe27a65a9fe2ea7418ee37fe481853d2f49a432f586373407481226f"


def recorded(name: str) -> bytes:
    return (DATA / f"{name}.txt").read_bytes()


def test_the_script_runs_here_without_an_engine(tmp_path: Path) -> None:
    query = FactsQuery("x", engine=str(tmp_path / "nonesuch"), work_parent=str(tmp_path))
    connection = LocalConnection(Host("here", "here", connection="local"))
    state = gather_state(connection, query)
    assert connection.exchanges == 1
    assert state.facts.engine is None
    assert state.facts.kernel == Path("/proc/sys/kernel/osrelease").read_text().strip()
    assert state.facts.cgroup in ("v1", "v2", "hybrid")
    assert state.facts.clock_s > 0
    assert state.facts.uid >= 0
    assert state.facts.work_parents[str(tmp_path)] > 0


def fake_engine(directory: Path, *, refuses: bool) -> Path:
    engine = directory / "docker"
    row = json.dumps([API, "/api", "sha256:1", "img", "exited", 0, 3, "runc", "", {"a": "b"}])
    engine.write_text(
        "#!/bin/sh\n"
        + ("echo permission denied; exit 1\n" if refuses else "")
        + 'case "$1 $2" in\n'
        f'"ps -aq") echo {API};;\n'
        '"image inspect") echo \'["sha256:2",["x@sha256:3"],"arm64"]\';;\n'
        f"\"inspect --format\") echo '{row}';;\n"
        '"compose version") echo 2.30.1;;\n'
        '"info --format") echo \'{"ServerVersion":"27.0.1","PidsLimit":true}\';;\n'
        "*) exit 9;;\nesac\n"
    )
    engine.chmod(0o755)
    return engine


@pytest.mark.parametrize("word", ["ps", "info", "image"])
def test_an_engine_that_hangs_is_told(
    tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_prof.host.gather.CALL_TIMEOUT_S", 0.3)
    engine = fake_engine(tmp_path, refuses=False)
    hangs = f'#!/bin/sh\n[ "$1" != {word} ] || exec sleep 600\n'
    engine.write_text(engine.read_text().replace("#!/bin/sh\n", hangs, 1))
    with pytest.raises(HostError, match="here: the engine does not answer") as raised:
        gather_state(
            LocalConnection(Host("here", "here", connection="local")),
            FactsQuery("x", engine=str(engine)),
        )
    assert "said nothing for 0.3 s" in raised.value.evidence


def test_the_script_asks_an_engine(tmp_path: Path) -> None:
    query = FactsQuery("x", engine=str(fake_engine(tmp_path, refuses=False)), cpu_window_s=0.01)
    state = gather_state(LocalConnection(Host("here", "here", connection="local")), query)
    engine = state.facts.engine
    assert engine is not None
    assert (engine.access, engine.version, engine.pids_limit) == ("direct", "27.0.1", True)
    assert (state.facts.compose, state.become) == ("v2 2.30.1", False)
    assert state.facts.image == Image("sha256:2", ("x@sha256:3",), "arm64")
    (container,) = state.containers
    assert (container.name, container.status, container.exit_code) == ("api", "exited", 3)
    assert container.labels == {"a": "b"}


def test_the_script_tells_what_an_engine_says_that_refuses(tmp_path: Path) -> None:
    query = FactsQuery("x", engine=str(fake_engine(tmp_path, refuses=True)))
    state = gather_state(LocalConnection(Host("here", "here", connection="local")), query)
    assert state.facts.engine is not None
    assert (state.facts.engine.access, state.facts.engine.error) == ("denied", "permission denied")


class Answers:
    """A connection that has an answer for each command, and keeps what it was asked."""

    def __init__(self, become: Become | None, *outputs: bytes) -> None:
        self.host = Host("prod-3", "prod-3", become=become)
        self.exchanges = 0
        self.asked: list[Command] = []
        self._outputs = list(outputs)

    def open(self) -> None:
        raise AssertionError

    def run(self, command: Command, timeout_s: float) -> Result:
        assert timeout_s > 0
        self.asked.append(command)
        return Result(1, self._outputs.pop(0), b"sh: not found")

    def stream(self, command: Command) -> Channel:
        raise AssertionError(command.name)

    def close(self) -> None:
        raise AssertionError


QUERY = FactsQuery("x")


@pytest.mark.parametrize(
    ("become", "first", "asked"),
    [
        (None, "docker-26-hybrid", [False]),
        (None, "docker-26-sudo-password", [False]),
        (Become(), "docker-26-sudo-password", [False]),
        (Become(password="p"), "docker-26-sudo-password", [False, True]),
        (Become(password="p"), "docker-26-hybrid", [False]),
        (Become(always=True), "docker-20.10-root", [True]),
    ],
)
def test_a_password_is_used_where_nothing_else_helps(
    become: Become | None, first: str, asked: list[bool]
) -> None:
    connection = Answers(become, recorded(first), recorded("docker-20.10-root"))
    state = gather_state(connection, QUERY)
    assert [command.become for command in connection.asked] == asked
    assert state.become == asked[-1]


@pytest.mark.parametrize(
    ("become", "tried"),
    [
        (None, ""),
        (Become(), "'sudo -n -u root --'"),
        (Become(method="doas", user="op"), "'doas -n -u op --'"),
        (Become(method="su"), "su-password"),
    ],
)
def test_the_last_resort_is_what_the_host_has(become: Become | None, tried: str) -> None:
    own = facts_command(QUERY, become, by_become=False).script
    assert tried in own
    assert ("refused=" in own) == (become is not None)
    assert "refused=" not in facts_command(QUERY, become, by_become=True).script


@pytest.mark.parametrize("notice", ["echo notice", "echo notice >&2"])
def test_notices_of_an_engine_are_passed_over(tmp_path: Path, notice: str) -> None:
    engine = fake_engine(tmp_path, refuses=False)
    engine.write_text(engine.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{notice}\n"))
    query = FactsQuery("x", engine=str(engine))
    state = gather_state(LocalConnection(Host("here", "here", connection="local")), query)
    assert state.facts.engine is not None
    assert (state.facts.engine.version, state.facts.compose) == ("27.0.1", "v2 2.30.1")
    assert state.facts.image == Image("sha256:2", ("x@sha256:3",), "arm64")
    assert [container.name for container in state.containers] == ["api"]


class Refuses(Answers):
    """A connection to a host that gives no other rights."""

    def __init__(self, become: Become, said: str) -> None:
        super().__init__(become)
        self.said = said

    def run(self, command: Command, timeout_s: float) -> Result:
        assert timeout_s > 0
        assert command.become
        return Result(1, b"", self.said.encode())


@pytest.mark.parametrize(
    ("become", "said", "what", "hint"),
    [
        (
            Become(True, password="p"),
            "Sorry, try again.\nsudo: 1 incorrect password attempt",
            "sudo does not take the password",
            "it is the one of the login",
        ),
        (
            Become(True),
            "sudo: a password is required",
            "sudo wants a password",
            "--ask-become-pass",
        ),
        (
            Become(True, password="p"),
            "guest is not in the sudoers file.",
            "sudo does not give the rights",
            "--become-method",
        ),
        (
            Become(True, "su", "op", password="p"),
            "Password: su: Authentication failure",
            "su does not take the password",
            "it is the one of op",
        ),
        (
            Become(True, "su"),
            "Password: su: Authentication failure",
            "su wants a password",
            "give that of root with --ask-become-pass",
        ),
        (
            Become(True, "doas"),
            "doas: not found",
            "there is no doas on the host",
            "--become-method",
        ),
        (
            Become(True, "doas", password="p"),
            "doas wants a terminal, and script (of util-linux) is not there to make one",
            "doas wants a terminal, and none can be made",
            "--user",
        ),
        (
            Become(True, "doas", password="p"),
            "doas: Operation not permitted",
            "doas does not give the rights",
            "--become-method",
        ),
    ],
)
def test_why_there_are_no_other_rights(become: Become, said: str, what: str, hint: str) -> None:
    with pytest.raises(HostError) as raised:
        gather_state(Refuses(become, said), QUERY)
    assert raised.value.what.startswith(f"prod-3: {what}")
    assert said.rsplit(maxsplit=1)[-1] in raised.value.evidence
    assert "Password:" not in raised.value.evidence
    assert hint in raised.value.hint


def test_a_host_without_a_shell_says_so() -> None:
    with pytest.raises(HostError, match="prod-3: the facts") as raised:
        gather_state(Answers(None, b""), QUERY)
    assert raised.value.evidence == "exit code 1: sh: not found"
