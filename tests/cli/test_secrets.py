"""Where passwords come from, which source wins, and how the flags reach a host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remote_prof.cli import secrets
from remote_prof.cli.flag_sets import ConnectFlags
from remote_prof.cli.secrets import Secrets, give_secrets, load_secrets, no_keyring, open_keyring
from remote_prof.errors import UsageError
from remote_prof.records import Become, Host
from remote_prof.settings import SECRET_VARIABLES
from tests.cli.scripted import Script

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

DATA = Path(__file__).parents[1] / "unit" / "data" / "facts"
FACTS = (DATA / "docker-26-hybrid.txt").read_bytes()
HOST = Host("prod-3", "prod-3", become=Become())
PS = ("ps", "-i", "prod-3,", "-H", "prod-3")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answer questions for passwords with these, in order; a terminal is there."""
    answers: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda _: answers.pop(0))
    monkeypatch.setattr(secrets, "Path", _Terminal)
    return answers


class _Terminal(type(Path())):  # type: ignore[misc]
    """Paths of a machine whose ``/dev/tty`` opens."""

    def open(self, *arguments: object, **options: object) -> object:
        path = "/dev/null" if str(self) == "/dev/tty" else str(self)
        return Path(path).open(*arguments, **options)  # type: ignore[call-overload]


def test_the_nearest_source_wins(typed: list[str], tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text("from a file\r\nnot this\n")
    variable = SECRET_VARIABLES["become"]

    def found(flags: ConnectFlags, inventory: str | None, environ: dict[str, str]) -> str | None:
        host = Host("prod-3", "prod-3", become=Become(password=inventory))
        given = give_secrets(
            host, load_secrets(flags, environ), lambda kind, host: f"{kind}@{host}"
        )
        assert given.become is not None
        return given.become.password

    typed.append("typed")
    by_file = ConnectFlags(become_password_file=str(file))
    both = ConnectFlags(become_password_file=str(file), ask_become_pass=True)
    assert found(both, "inventory", {variable: "environment"}) == "typed"
    assert found(by_file, "inventory", {variable: "environment"}) == "from a file"
    assert found(ConnectFlags(), "inventory", {variable: "environment"}) == "environment"
    assert found(ConnectFlags(), "inventory", {variable: ""}) == "inventory"
    assert found(ConnectFlags(), None, {}) == "become@prod-3"


def test_secrets_leave_the_environment() -> None:
    environ = dict.fromkeys(SECRET_VARIABLES.values(), "s3cret") | {"HOME": "/root"}
    found = load_secrets(ConnectFlags(), environ)
    assert found == Secrets("s3cret", "s3cret", "s3cret")
    assert environ == {"HOME": "/root"}
    assert "s3cret" not in repr(found)


def test_each_secret_goes_where_it_belongs() -> None:
    given = give_secrets(HOST, Secrets("c", "k", "b"), no_keyring)
    assert (given.password, given.key_passphrase) == ("c", "k")
    assert given.become == Become(password="b")
    never = give_secrets(Host("a", "a"), Secrets(become="b"), no_keyring)
    assert never == Host("a", "a")


def test_an_empty_answer_means_the_password_of_ssh(typed: list[str]) -> None:
    typed += ["of ssh", ""]
    found = load_secrets(ConnectFlags(ask_pass=True, ask_become_pass=True), {})
    given = give_secrets(HOST, found, no_keyring)
    assert given.become is not None
    assert (given.password, given.become.password) == ("of ssh", "of ssh")
    with pytest.raises(UsageError, match="means that of SSH, and there is none"):
        give_secrets(HOST, Secrets(become=""), no_keyring)


def test_an_empty_answer_for_ssh_is_none(typed: list[str]) -> None:
    typed.append("")
    with pytest.raises(UsageError, match="nothing was given to --ask-pass"):
        load_secrets(ConnectFlags(ask_pass=True), {})


def test_a_password_of_two_lines_is_refused() -> None:
    with pytest.raises(UsageError, match="line break") as raised:
        give_secrets(HOST, Secrets(become="two\nlines"), no_keyring)
    assert "two" not in raised.value.what + raised.value.evidence


@pytest.mark.parametrize(
    ("data", "what"), [(None, "cannot be read"), (b"", "is empty"), (b"\xff\n", "cannot be read")]
)
def test_password_files_that_are_none(data: bytes | None, what: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UsageError, match=what):
        load_secrets(ConnectFlags(connection_password_file=str(path)), {})


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_files_that_others_may_read_are_warned_about(
    mode: int, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    path.chmod(mode)
    assert load_secrets(ConnectFlags(key_passphrase_file=str(path)), {}).key_passphrase == "s3cret"
    err = capsys.readouterr().err
    assert ("open to others" in err) == warned
    assert "s3cret" not in err


class TestKeyring:
    """The real library, with a backend of our own."""

    @pytest.fixture(autouse=True)
    def backend(self) -> Iterator[None]:
        import keyring
        from keyring.backend import KeyringBackend

        class Memory(KeyringBackend):
            priority = 1

            def get_password(self, service: str, username: str) -> str | None:
                known = {"become@prod-3": "own", "become": "general", "connection": "c"}
                return known.get(username) if service == "remote-prof" else None

            def set_password(self, service: str, username: str, password: str) -> None:
                raise AssertionError(service, username, password)

        before = keyring.get_keyring()
        keyring.set_keyring(Memory())  # type: ignore[no-untyped-call]
        yield
        keyring.set_keyring(before)

    def test_a_host_s_own_entry_wins(self) -> None:
        look_up = open_keyring()
        given = give_secrets(HOST, Secrets(), look_up)
        assert (given.password, given.key_passphrase) == ("c", None)
        assert given.become == Become(password="own")
        assert look_up("become", "prod-4") == "general"

    def test_it_is_asked_where_that_is_wanted(self, cli: Cli, script: Script) -> None:
        script.hosts = {"prod-3": [("facts", FACTS)]}
        assert cli(*PS, "--keyring").code == 0
        assert script.connected[0].password == "c"

    def test_a_keyring_that_does_not_open(self) -> None:
        import keyring
        from keyring.backends.fail import Keyring

        keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call]
        with pytest.raises(UsageError, match="keyring does not open") as raised:
            open_keyring()("become", "prod-3")
        assert raised.value.evidence
        assert "environment" in raised.value.hint


def test_without_the_library_there_is_no_keyring(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    done = cli(*PS, "--keyring")
    assert done.code == 5
    assert "pip install 'remote-prof[keyring]'" in done.err
    assert not script.connected


def test_without_a_terminal_nothing_is_asked(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("remote-prof")
    done = subprocess.run(
        ["setsid", "--wait", program, *PS, "--ask-pass"],
        stdin=subprocess.PIPE,  # open, and silent
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert "--ask-pass asks at a terminal, and there is none" in done.stderr
    assert "REMOTE_PROF_CONNECTION_PASSWORD" in done.stderr


def test_flags_reach_the_host(cli: Cli, script: Script, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("hunter2\n")
    (tmp_path / "p").chmod(0o600)
    script.hosts = {"prod-3": [("facts", FACTS)]}
    done = cli(
        *(*PS, "-J", "op@bastion:2222,second", "-b", "--become-method", "doas"),
        *("--become-user", "op", "--become-password-file", str(tmp_path / "p")),
    )
    assert done.code == 0
    (host,) = script.connected
    assert host.jump == "op@bastion:2222,second"
    assert host.become == Become(True, "doas", "op", "hunter2")
    assert "hunter2" not in done.out + done.err


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (("--become-method", "runas"), "there is no become method 'runas'"),
        (("--connection", "telnet"), "there is no connection 'telnet'"),
        (("--become-user", "-r"), "--become-user '-r' is no name"),
        (("--jump", "a,,b"), "--jump '' is no name"),
        (("--jump", "-oProxyCommand=x"), "is no name"),
    ],
)
def test_flags_that_mean_nothing(
    flags: tuple[str, ...], what: str, cli: Cli, script: Script
) -> None:
    done = cli(*PS, *flags)
    assert (done.code, done.out) == (5, "")
    assert what in done.err
    assert not script.connected


def test_hosts_are_listed_without_asking(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_PROF_KEYRING", "true")
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert cli("hosts", "-i", "prod-3,").code == 0
