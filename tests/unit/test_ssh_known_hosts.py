"""known_hosts: which lines are about a host, and what they say of a key."""

from __future__ import annotations

import base64
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import UsageError
from remote_prof.transport.ssh.known_hosts import (
    Verdict,
    load_known_hosts,
    load_revoked_keys,
    parse_known_hosts,
    remember,
    trust,
)


def wire(text: bytes) -> bytes:
    return b"\x00\x00\x00\x0bssh-ed25519" + text


def line(names: str, key: bytes, marker: str = "") -> str:
    return f"{marker} {names} ssh-ed25519 {base64.b64encode(wire(key)).decode()} comment\n"


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def judge(text: str, key: bytes, name: str = "x", plain: str | None = None) -> Verdict:
    return trust(parse_known_hosts(text, "kh"), name, plain).judge(wire(key))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("x", True),
        ("X", True),
        ("y,x", True),
        ("*", True),
        ("?", True),
        ("*,!x", False),
        ("!y", False),
        ("[x]:22", False),
        (hashed("x"), True),
        (hashed("y"), False),
        ("|1|broken", False),
        ("|1|AAAA|A", False),
    ],
)
def test_the_names_of_a_line(names: str, found: bool) -> None:
    expected = Verdict.KNOWN if found else Verdict.UNKNOWN
    assert judge(line(names, b"k"), b"k") is expected


def test_a_key() -> None:
    text = line("x", b"one") + line("x", b"two") + line("y", b"three")
    assert judge(text, b"two") is Verdict.KNOWN
    assert judge(text, b"three") is Verdict.CHANGED
    assert judge(text, b"three", "z") is Verdict.UNKNOWN


def test_a_name_with_a_port_falls_back_on_the_name_alone() -> None:
    text = line("x", b"plain")
    assert judge(text, b"plain", "[x]:2222", "x") is Verdict.KNOWN
    assert judge(text, b"other", "[x]:2222", "x") is Verdict.UNKNOWN
    assert judge(text, b"plain", "[x]:2222", None) is Verdict.UNKNOWN
    text += line("[x]:2222", b"exact")
    assert judge(text, b"plain", "[x]:2222", "x") is Verdict.CHANGED
    assert judge(text, b"exact", "[x]:2222", "x") is Verdict.KNOWN


def test_markers() -> None:
    text = line("x", b"ca", "@cert-authority") + line("*", b"bad", "@revoked") + line("x", b"k")
    text += line("x", b"what", "@something")
    found = trust(parse_known_hosts(text, "kh"), "x", None)
    assert [key.where for key in found.of("authority")] == ["kh:1"]
    assert [key.where for key in found.of("revoked")] == ["kh:2"]
    assert [key.where for key in found.keys] == ["kh:3"]
    # An authority is no host's key.
    assert found.judge(wire(b"ca")) is Verdict.CHANGED


@given(st.text(max_size=80) | st.text("@|1 \n\t#,!*?[]:AB=/ssh-rsa", max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    for key in parse_known_hosts(text, "kh"):
        key.covers("x")


def test_files(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(f"# {line('x', b'0')}garbage\n{line('x', b'1')}")
    (tmp_path / "two").write_bytes(b"\xff\xfe x\n" + line("y", b"2").encode())
    names = [str(tmp_path / name) for name in ("one", "gone", "two")]
    assert [key.where for key in load_known_hosts(names)] == [f"{names[0]}:3", f"{names[2]}:2"]
    with pytest.raises(UsageError, match="cannot be read"):
        load_known_hosts([str(tmp_path)])


def test_a_list_of_revoked_keys(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    text = line("", b"bad").strip()
    file.write_text(f"# list\n\n{text}\n")
    (key,) = load_revoked_keys(str(file))
    assert (key.role, key.data, key.where) == ("revoked", wire(b"bad"), f"{file}:3")
    assert key.covers("anything")
    file.write_bytes(b"SSHKRL\n\x00\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        load_revoked_keys(str(file))


def test_a_new_key_is_appended(tmp_path: Path) -> None:
    file = tmp_path / "new" / "known_hosts"
    remember(file, "x", "ssh-ed25519", wire(b"1"))
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.write_text(file.read_text().rstrip("\n"))
    remember(file, "[x]:22", "ssh-ed25519", wire(b"2"))
    assert [key.names for key in load_known_hosts([str(file)])] == ["x", "[x]:22"]
