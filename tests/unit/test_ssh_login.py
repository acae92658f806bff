"""Logins on a server in this process: what a real sshd cannot be made to ask without PAM."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from remote_prof.errors import LinkLostError, UnreachableError
from remote_prof.records import Host
from remote_prof.transport import Command, SshOptions
from remote_prof.transport.ssh import Network, SshConnection
from remote_prof.transport.ssh.loop import LoopThread


class Server(asyncssh.SSHServer):
    """Asks questions; the right answer to each is ``secret``."""

    def __init__(self, rounds: list[list[str]]) -> None:
        self.rounds = list(rounds)

    def begin_auth(self, username: str) -> bool:
        del username
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, Sequence[tuple[str, bool]]]:
        del username, lang, submethods
        return "", "", "", [(prompt, False) for prompt in self.rounds.pop(0)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> Any:
        del username
        if any(answer != "secret" for answer in responses):
            return False
        if self.rounds:
            return "", "", "", [(prompt, False) for prompt in self.rounds.pop(0)]
        return True


def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Serve a command: print much, to both ends, and be killed."""
    process.stdout.write(b"noise\n")
    process.stderr.write(b"x" * 200_000 + b"the end")
    process.exit_with_signal("KILL")


class Running:
    """A server on a free port of this machine, in a thread."""

    def __init__(self, rounds: list[list[str]]) -> None:
        self.loop = asyncio.new_event_loop()
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.listener = self.run(
            asyncssh.listen(
                "127.0.0.1",
                0,
                server_factory=lambda: Server(rounds),
                server_host_keys=[self.key],
                process_factory=answer,
                encoding=None,
                password_auth=False,
                public_key_auth=False,
                gss_host=None,
            )
        )

    def run(self, work: Any) -> Any:
        async def wait() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self.loop).result(20)

    def stop(self) -> None:
        async def close() -> None:
            self.listener.close()
            await self.listener.wait_closed()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self.run(close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    running = Running(request.param)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


def connection(server: Running, place: Path, password: str | None) -> SshConnection:
    port = server.listener.get_port()
    known = place / "known_hosts"
    public = server.key.export_public_key().decode()
    known.write_text(f"[127.0.0.1]:{port} {public}")
    host = Host("here", "127.0.0.1", port, "me", password=password, known_hosts_files=(str(known),))
    return SshConnection(host, SshOptions(5.0))


@pytest.mark.parametrize("server", [[["Password: "]], [[], ["me's password:"]]], indirect=True)
def test_a_password_is_given_in_a_dialogue(server: Running, tmp_path: Path) -> None:
    found = connection(server, tmp_path, "secret")
    found.open()
    with pytest.raises(UnreachableError, match="refuses the password of me"):
        connection(server, tmp_path, "wrong").open()
    with pytest.raises(UnreachableError, match="refuses the login of me") as raised:
        connection(server, tmp_path, None).open()
    assert "--ask-pass" in raised.value.hint
    found.close()


@pytest.mark.parametrize(
    "server", [[["Password: "], ["Code: "]], [["Password: ", "Code: "]]], indirect=True
)
def test_a_second_question_has_no_answer(server: Running, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="asks me for more than a password") as raised:
        connection(server, tmp_path, "secret").open()
    assert "Code:" in raised.value.evidence


@pytest.mark.parametrize("server", [[["Password: "]]], indirect=True)
def test_the_end_of_much_that_a_command_says_is_kept(server: Running, tmp_path: Path) -> None:
    found = connection(server, tmp_path, "secret")
    found.open()
    result = found.run(Command("name", "true"), 10)
    assert result.exit_code == 137
    assert result.stderr.endswith(b"the end")
    assert len(result.stderr) <= 65536 + len(b"noise\n")
    found.close()


def test_a_loop_that_is_stopped_keeps_nobody_waiting() -> None:
    loop = LoopThread()
    waiting: list[type[BaseException]] = []

    def wait() -> None:
        try:
            loop.run(asyncio.sleep(60))
        except LinkLostError as error:
            waiting.append(type(error))

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    assert loop.run(asyncio.sleep(0, "here")) == "here"
    loop.stop()
    for waiter in waiters:
        waiter.join(10)
    assert waiting == [LinkLostError] * 3
    with pytest.raises(LinkLostError):
        loop.run(asyncio.sleep(0))
    loop.call(print)
    loop.stop()


def test_closing_does_not_wait_for_a_loop_that_is_stuck() -> None:
    # As it is when an interrupt has left a lock behind that the loop wants.
    release = threading.Event()
    stuck = LoopThread()
    stuck.call(release.wait)
    network = Network()
    network._thread = stuck
    closing = threading.Thread(target=network.close, daemon=True)
    closing.start()
    closing.join(60)
    ended = not closing.is_alive()
    release.set()
    assert ended
