"""Logins on a real sshd: who is let in, who is not, and what is said then."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_prof.errors import UnreachableError
from remote_prof.records import Host
from remote_prof.transport import Command, Connection, SshOptions, connect

from .model import LabHost
from .sshd import Sshd, make_key, public, sign

WHOAMI = Command("who", "id -un")
BY_PASSWORD = ("PasswordAuthentication yes", "AuthorizedKeysFile none")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home of the test's own, without keys, agent or configuration."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "home"


def configure(home: Path, text: str) -> None:
    path = home / ".ssh" / "config"
    path.write_text(text)
    path.chmod(0o600)


def login(sshd: Sshd, place: Path, user: str = "ops", **changes: Any) -> Connection:
    """Give a connection to a server whose keys are known; not open yet."""
    known = place / f"known-{sshd.port}"
    if not known.exists():
        known.write_text(sshd.known_hosts())
    options = changes.pop("options", SshOptions(5.0))
    host = {
        "name": "prod",
        "address": sshd.address,
        "port": sshd.port,
        "user": user,
        "known_hosts_files": (str(known),),
        **changes,
    }
    return connect(Host(**host), options)


def lets_in(connection: Connection, user: str = "ops") -> None:
    connection.open()
    try:
        assert connection.run(WHOAMI, 20).stdout.decode().strip() == user
    finally:
        connection.close()


def refuses(connection: Connection, what: str, evidence: str, hint: str) -> UnreachableError:
    with pytest.raises(UnreachableError) as raised:
        connection.open()
    connection.close()
    error = raised.value
    assert what in error.what, (error.what, error.evidence)
    assert evidence in error.evidence, error.evidence
    assert hint in error.hint, error.hint
    assert "\n" not in error.what + error.evidence + error.hint
    return error


@pytest.fixture
def plain(debian13: LabHost, tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(debian13, tmp_path, "PasswordAuthentication no") as sshd:
        yield sshd


# Passwords


def test_a_password(debian13: LabHost, tmp_path: Path) -> None:
    with Sshd(debian13, tmp_path, *BY_PASSWORD, "Banner DIR/banner", banner=b"hello\n") as sshd:
        lets_in(login(sshd, tmp_path, "secure", password=debian13.password), "secure")
        wrong = login(sshd, tmp_path, "secure", password="wrong")
        refuses(wrong, "refuses the password of secure", "no key", "--ask-pass")
        none = login(sshd, tmp_path, "secure")
        refuses(none, "refuses the login of secure", "no key", "--ask-pass")
        unknown = login(sshd, tmp_path, "nobody-here", password=debian13.password)
        refuses(unknown, "refuses the password of nobody-here", "", "--user")
        assert sshd.log().count("Failed password for secure") == 1


def test_no_password_for_a_host_with_another_key(debian13: LabHost, tmp_path: Path) -> None:
    with Sshd(debian13, tmp_path, *BY_PASSWORD) as sshd:
        other = public(make_key(tmp_path / "other"))
        (tmp_path / f"known-{sshd.port}").write_text(f"[{sshd.address}]:{sshd.port} {other}")
        options = SshOptions(5.0, "no")
        secret = debian13.password
        taken = login(sshd, tmp_path, "secure", password=secret, options=options)
        refuses(taken, "refuses the login", "", "--ask-pass")
        assert "password" not in sshd.log()


# Keys


def test_keys(debian13: LabHost, plain: Sshd, tmp_path: Path) -> None:
    lets_in(login(plain, tmp_path, identity_files=(str(debian13.key),)))
    other = make_key(tmp_path / "id_other")
    wrong = login(plain, tmp_path, identity_files=(str(other),))
    refuses(wrong, "refuses the login of ops", str(other), "--identity")
    user = login(plain, tmp_path, "nobody-here", identity_files=(str(debian13.key),))
    refuses(user, "refuses the login of nobody-here", str(debian13.key), "--user")
    both = (str(other), str(debian13.key))
    lets_in(login(plain, tmp_path, identity_files=both))


def test_a_key_that_is_none(plain: Sshd, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no key\n")
    none = login(plain, tmp_path, identity_files=(str(text), str(tmp_path / "gone")))
    error = refuses(none, "refuses the login", f"{text}: it is no private key", "--identity")
    assert "gone: No such file" in error.evidence


def test_default_keys_and_those_of_the_config(
    debian13: LabHost, plain: Sshd, tmp_path: Path, home: Path
) -> None:
    (home / ".ssh" / "id_ed25519").write_bytes(debian13.key.read_bytes())
    lets_in(login(plain, tmp_path))
    (home / ".ssh" / "id_ed25519").rename(tmp_path / "mine")
    configure(home, f"Host {plain.address}\n IdentityFile /gone\n IdentityFile {tmp_path}/mine\n")
    lets_in(login(plain, tmp_path))
    configure(home, "PubkeyAuthentication no\n")
    refuses(login(plain, tmp_path), "refuses the login", "no key", "--identity")


@pytest.mark.parametrize(
    ("kind", "form"), [("ed25519", ""), ("rsa", ""), ("rsa", "PEM"), ("ecdsa", "PEM")]
)
def test_an_encrypted_key(kind: str, form: str, debian13: LabHost, tmp_path: Path) -> None:
    key = make_key(tmp_path / "locked", kind, "open sesame", form)
    mine = (str(key),)
    option = "AuthorizedKeysFile DIR/keys"
    with Sshd(debian13, tmp_path, option, keys=public(key).encode()) as sshd:
        lets_in(login(sshd, tmp_path, identity_files=mine, key_passphrase="open sesame"))
        wrong = login(sshd, tmp_path, identity_files=mine, key_passphrase="sesame")
        refuses(wrong, f"passphrase of {key} is wrong", "as ops", "--ask-key-pass")
        none = login(sshd, tmp_path, identity_files=mine)
        refuses(none, f"{key} is encrypted", "ops", f"ssh-add {key}")


def test_an_encrypted_key_that_is_not_wanted(plain: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "locked", passphrase="open sesame")
    error = refuses(
        login(plain, tmp_path, identity_files=(str(key),)), "refuses the login", str(key), "--user"
    )
    assert "encrypted" not in error.what


def test_too_many_keys(debian13: LabHost, tmp_path: Path) -> None:
    keys = tuple(str(make_key(tmp_path / f"id_{number}")) for number in range(4))
    with Sshd(debian13, tmp_path, "MaxAuthTries 2") as sshd:
        many = login(sshd, tmp_path, identity_files=keys)
        error = refuses(many, "allows no more tries", "Too many authentication", "--identity")
        assert keys[0] in error.evidence
        lets_in(login(sshd, tmp_path, identity_files=(str(debian13.key), *keys)))


# The agent


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """Give the socket of a real agent without keys."""
    path = tmp_path / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            if path.exists():
                break
            subprocess.run(["sleep", "0.02"], check=True)
        yield path
    finally:
        process.terminate()
        process.wait(10)


def add(agent: Path, key: Path) -> None:
    env = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
    subprocess.run(["ssh-add", "-q", str(key)], env=env, check=True, capture_output=True)


def test_the_agent(
    debian13: LabHost,
    plain: Sshd,
    tmp_path: Path,
    agent: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(agent, make_key(tmp_path / "other"))
    add(agent, debian13.key)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    lets_in(login(plain, tmp_path))
    configure(home, "IdentityAgent none\n")
    refuses(login(plain, tmp_path), "refuses the login", "no key", "into the agent")
    monkeypatch.delenv("SSH_AUTH_SOCK")
    configure(home, f"IdentityAgent {agent}\n")
    lets_in(login(plain, tmp_path))
    configure(home, f"IdentityAgent {agent}\nIdentitiesOnly yes\nIdentityFile {tmp_path}/other\n")
    error = refuses(login(plain, tmp_path), "refuses the login", "other", "--identity")
    assert str(debian13.key) not in error.evidence
    configure(home, f"IdentityAgent {tmp_path}/gone\n")
    refuses(login(plain, tmp_path), "refuses the login", f"the agent at {tmp_path}/gone", "agent")


def test_a_key_that_is_encrypted_here_and_open_in_the_agent(
    debian13: LabHost,
    tmp_path: Path,
    agent: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = make_key(tmp_path / "key")
    add(agent, key)
    lock = ["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", str(key)]
    subprocess.run(lock, check=True, capture_output=True)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    option = "AuthorizedKeysFile DIR/keys"
    with Sshd(debian13, tmp_path, option, keys=public(key).encode()) as sshd:
        lets_in(login(sshd, tmp_path, identity_files=(str(key),)))


# Certificates of users


def test_certificates_of_users(
    debian13: LabHost, tmp_path: Path, home: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, key = make_key(tmp_path / "ca"), make_key(tmp_path / "id_user")
    (other := tmp_path / "elsewhere").mkdir()
    half = tmp_path / "id_user.pub"
    options = ("AuthorizedKeysFile none", "TrustedUserCAKeys DIR/ca", "RevokedKeys DIR/revoked")
    bad = make_key(tmp_path / "id_revoked")
    files = {"ca": public(authority).encode(), "revoked": public(bad).encode()}
    mine = (str(key),)
    with Sshd(debian13, tmp_path, *options, **files) as sshd:
        refuses(login(sshd, tmp_path, identity_files=mine), "refuses the login", str(key), "")
        beside = sign(authority, half, "ops", "-V", "+1h")
        lets_in(login(sshd, tmp_path, identity_files=mine))
        named = beside.rename(other / "cert.pub")
        configure(home, f"CertificateFile {named}\n")
        lets_in(login(sshd, tmp_path, identity_files=mine))
        add(agent, key)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        lets_in(login(sshd, tmp_path))
        monkeypatch.delenv("SSH_AUTH_SOCK")
        configure(home, "")
        sign(authority, half, "ops", "-V", "-2h:-1h")
        refuses(
            login(sshd, tmp_path, identity_files=mine), "refuses the login", "expired", "--identity"
        )
        sign(authority, half, "somebody")
        refuses(login(sshd, tmp_path, identity_files=mine), "refuses the login", str(beside), "")
        sign(authority, tmp_path / "id_revoked.pub", "ops")
        refuses(
            login(sshd, tmp_path, identity_files=(str(bad),)), "refuses the login", str(bad), ""
        )
