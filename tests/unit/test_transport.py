"""Commands through a real shell, over the connection that needs no SSH."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import HostError, LinkLostError
from remote_prof.records import Become, Host
from remote_prof.transport import Command, Connection, SshOptions, connect
from remote_prof.transport.base import BOOTSTRAP
from remote_prof.transport.local import LocalChannel, LocalConnection

LONG_S = 30.0  # guards against hanging; nothing is measured


def local(become: Become | None = None) -> LocalConnection:
    return LocalConnection(Host("here", "here", connection="local", become=become))


def run(script: str) -> bytes:
    result = local().run(Command("test", script), LONG_S)
    assert (result.exit_code, result.stderr) == (0, b"")
    return result.stdout


def start(*argv: str, data: bytes = b"") -> LocalChannel:
    return LocalChannel(list(argv), data)


def test_a_local_host_is_connected_to_without_ssh() -> None:
    connection: Connection = connect(Host("here", "here", connection="local"), SshOptions())
    connection.open()
    assert isinstance(connection, LocalConnection)
    connection.close()
    connection.close()


def test_a_script_arrives_to_the_letter() -> None:
    script = "printf '%s|' \"it's\" 'a \"b\"' '$HOME' '\\n' `echo x` 'é日' ''\necho\n\necho 'a\nb'"
    assert run(script) == 'it\'s|a "b"|$HOME|\\n|x|é日||\na\nb\n'.encode()


@given(st.text(st.characters(blacklist_characters="\0", codec="utf-8")))
def test_any_text_arrives(text: str) -> None:
    assert run(f"printf %s {shlex.quote(text)}") == text.encode()


def test_lines_of_a_script_keep_blanks_and_backslashes() -> None:
    assert run("cat <<'E'\n  two\n\ttab \\\n\\t %s %d\nE") == b"  two\n\ttab \\\n\\t %s %d\n"


def test_what_follows_the_script_is_its_standard_input() -> None:
    data = b"#script\n#end\nline\\n\n\x00\xff last, without a newline"
    channel = local().stream(Command("test", "cat"))
    channel.write(data)
    channel.end_input()
    assert channel.finish(LONG_S).stdout == data
    channel.close()


def test_a_script_may_be_longer_than_an_argument() -> None:
    lines = [f"echo {n:06d}" for n in range(14_000)]
    script = "\n".join(lines)
    assert len(script) > 160 << 10
    assert run(script).splitlines() == [line[5:].encode() for line in lines]


def test_output_may_be_binary_and_large() -> None:
    assert run("head -c 3000000 /dev/zero | tr '\\0' '\\377'") == b"\xff" * 3_000_000


def test_exit_code_and_stderr_are_told() -> None:
    result = local().run(Command("test", "echo out; echo err >&2; exit 7"), LONG_S)
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"out\n", b"err\n")


def test_a_signal_is_no_success() -> None:
    assert local().run(Command("test", "kill -9 $$"), LONG_S).exit_code != 0


def test_exchanges_are_counted() -> None:
    connection = local()
    for _ in range(3):
        connection.run(Command("test", ":"), LONG_S)
    assert connection.exchanges == 3


@pytest.mark.parametrize("noise", ["", "Welcome!\n", "@@begin?\n@@end\n\n", "no newline "])
def test_what_a_login_shell_prints_first_is_dropped(noise: str) -> None:
    login = f"printf %s {shlex.quote(noise)}; {BOOTSTRAP}"
    channel = start("sh", "-c", login, data=Command("test", "echo @@one; echo two").input(None))
    assert channel.read_line(LONG_S) == b"@@one"
    channel.end_input()
    assert channel.finish(LONG_S).stdout == b"two\n"
    channel.close()


def test_noise_is_dropped_from_a_result_too() -> None:
    channel = start("sh", "-c", f"echo hi; {BOOTSTRAP}", data=Command("t", "echo x").input(None))
    channel.end_input()
    assert channel.finish(LONG_S).stdout == b"x\n"
    channel.close()


def test_a_login_that_refuses_is_quoted_as_the_cause() -> None:
    channel = start("sh", "-c", "echo This account is locked.; exit 1")
    result = channel.finish(LONG_S)
    channel.close()
    assert (result.exit_code, result.stdout) == (1, b"")
    assert result.stderr == b"This account is locked.\n"


def test_a_command_which_ends_early_tells_why() -> None:
    """Its input is larger than a pipe holds, and nobody reads it."""
    become = Become(method="false")
    result = local(become).run(Command("t", "#" * 300_000, become=True), LONG_S)
    assert (result.exit_code, result.stdout) == (1, b"")


def test_writing_to_a_command_that_has_ended_is_an_error() -> None:
    channel = local().stream(Command("t", "exit 0"))
    with pytest.raises(EOFError):
        channel.read_line(LONG_S)
    channel.finish(LONG_S)
    with pytest.raises(HostError, match="ended before"):
        channel.write(b"fetched\n")
    channel.close()


def test_a_program_that_is_missing_is_an_error() -> None:
    become = Become(method="nonesuch-sudo")
    result = local(become).run(Command("t", ":", become=True), LONG_S)
    assert (result.exit_code, result.stderr) == (1, b"nonesuch-sudo: not found\n")


def test_lines_are_read_as_they_come() -> None:
    channel = local().stream(Command("t", "echo a; read -r x; echo \"<$x>\"; printf 'no newline'"))
    assert channel.read_line(LONG_S) == b"a"
    assert channel.read_line(0.05) is None
    channel.write(b"go\n")
    assert channel.read_line(LONG_S) == b"<go>"
    assert channel.finish(LONG_S).stdout == b"no newline"
    channel.close()


def test_a_line_may_come_in_pieces() -> None:
    channel = local().stream(Command("t", "printf a; read -r x; printf 'b\\nc\\n'"))
    assert channel.read_line(0.2) is None
    channel.write(b"\n")
    assert [channel.read_line(LONG_S), channel.read_line(LONG_S)] == [b"ab", b"c"]
    channel.close()


def test_blocks_and_lines_alternate() -> None:
    channel = local().stream(Command("t", "echo head; printf 'a\\n\\0b'; echo; echo tail"))
    assert channel.read_line(LONG_S) == b"head"
    block = b""
    while len(block) < 4:
        block += channel.read_block(4 - len(block), LONG_S)
    assert block == b"a\n\0b"
    assert [channel.read_line(LONG_S), channel.read_line(LONG_S)] == [b"", b"tail"]
    channel.close()


def test_a_block_that_ends_early_can_be_had_again() -> None:
    channel = local().stream(Command("t", "echo head; printf abc"))
    channel.read_line(LONG_S)
    assert channel.read_block(4, LONG_S) == b"abc"
    with pytest.raises(LinkLostError, match="broke off"):
        channel.read_block(1, LONG_S)
    channel.close()


def test_a_block_that_stalls_can_be_had_again() -> None:
    channel = local().stream(Command("t", "echo head; printf abc; read -r x"))
    channel.read_line(LONG_S)
    assert channel.read_block(4, LONG_S) == b"abc"
    with pytest.raises(LinkLostError, match="nothing more"):
        channel.read_block(1, 0.1)
    channel.close()


def test_a_line_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.transport.channel._LONGEST_LINE_BYTES", 1000)
    channel = local().stream(Command("t", "head -c 2000 /dev/zero; sleep 1"))
    with pytest.raises(HostError, match="a line of more than 1000 bytes"):
        channel.read_line(LONG_S)
    channel.close()


def test_output_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.transport.channel._LARGEST_OUTPUT_BYTES", 1000)
    channel = local().stream(Command("t", "head -c 2000 /dev/zero"))
    with pytest.raises(HostError, match="printed more than 1000 bytes"):
        channel.finish(LONG_S)
    channel.close()


def test_a_command_that_does_not_end_in_time_is_an_error() -> None:
    channel = local().stream(Command("t", "read -r x"))
    with pytest.raises(HostError, match="did not end within"):
        channel.finish(0.1)
    channel.close()


def test_a_script_that_did_not_arrive_whole_is_not_run(tmp_path: Path) -> None:
    whole = Command("t", f"touch {tmp_path}/begun\ntouch {tmp_path}/ended").input(None)
    cut = whole[: whole.rindex(b"\ntouch") + 8]
    size = b"\n%d\n" % len(whole.partition(b"\n")[2].partition(b"\n")[2])
    assert size in whole
    for sent in (cut, cut.replace(size, b"\n0\n")):
        done = subprocess.run(["sh", "-c", BOOTSTRAP], input=sent, capture_output=True, check=False)
        assert done.returncode != 0
        assert list(tmp_path.iterdir()) == []


def fake_sudo(directory: Path, *, reads_password: bool) -> Path:
    """Imitates sudo -S: asks only where it does not remember; keeps its arguments."""
    sudo = directory / "sudo"
    read = 'IFS= read -r p; printf "%s" "$p" > ' + str(directory / "password")
    sudo.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" > {directory / "argv"}\n'
        f"{read if reads_password else ':'}\n"
        'while [ "$1" != -- ]; do shift; done; shift\n'
        'exec "$@"\n'
    )
    sudo.chmod(sudo.stat().st_mode | stat.S_IXUSR)
    return sudo


@pytest.mark.parametrize("reads_password", [True, False])
@pytest.mark.parametrize("password", ["secret word'", "#script", ""])
def test_sudo_gets_the_password_and_the_script_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads_password: bool, password: str
) -> None:
    fake_sudo(tmp_path, reads_password=reads_password)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    become = Become(user="it's", password=password)
    channel = local(become).stream(Command("t", "cat", become=True))
    channel.write(b"#input\n")
    channel.end_input()
    result = channel.finish(LONG_S)
    channel.close()
    assert (result.exit_code, result.stdout) == (0, b"#input\n")
    argv = (tmp_path / "argv").read_text().splitlines()
    assert argv[:5] == ["-S", "-p", "", "-u", "it's"]
    if reads_password:
        assert (tmp_path / "password").read_text() == password


def test_sudo_without_a_password_does_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_sudo(tmp_path, reads_password=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert local().run(Command("t", "echo x", become=True), LONG_S).stdout == b"x\n"
    assert (tmp_path / "argv").read_text().splitlines()[:3] == ["-n", "-u", "root"]


def test_a_wrong_password_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As sudo does it: every line that comes is one more try, until three.
    (tmp_path / "sudo").write_text(
        "#!/bin/sh\n"
        f"for n in 1 2 3; do IFS= read -r p || break; echo try >> {tmp_path}/tries; done\nexit 1\n"
    )
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = local(Become(password="wrong")).run(Command("t", "echo x", become=True), LONG_S)
    assert (result.exit_code, result.stdout) == (1, b"")
    assert (tmp_path / "tries").read_text() == "try\n"


def test_no_command_line_holds_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_sudo(tmp_path, reads_password=True)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    become = Become(password="hunter2")
    look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
    result = local(become).run(Command("t", look, become=True), LONG_S)
    assert b"sh -c" in result.stdout
    assert b"hunter2" not in result.stdout
    assert "hunter2" not in repr(Host("a", "a", become=become))


def test_rights_that_were_not_asked_for_are_not_taken() -> None:
    become = Become(always=True, password="hunter2")
    command = Command("t", ":")
    assert b"hunter2" not in command.input(become)
    assert b"sudo" not in command.input(become)


def test_the_bootstrap_holds_nothing_that_csh_and_fish_expand() -> None:
    """In single quotes csh expands ``!`` before a word, and fish reads two escapes."""
    inside = BOOTSTRAP.removeprefix("sh -c '").removesuffix("'")
    assert not {"'", "\n"} & set(inside)
    assert set(re.findall("!(.)", inside)) <= {" ", "="}
    assert set(re.findall(r"\\(.)", inside)) <= {"n"}


def test_a_command_ends_when_its_channel_closes(tmp_path: Path) -> None:
    channel = local().stream(Command("t", f"echo $$ > {tmp_path}/pid; echo up; read -r x"))
    assert channel.read_line(LONG_S) == b"up"
    pid = (tmp_path / "pid").read_text().strip()
    channel.close()
    assert not Path(f"/proc/{pid}").exists()
