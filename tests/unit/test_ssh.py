"""The parts of SSH that need no server: the way to a host, and what is said when it is closed."""

from __future__ import annotations

import io
import socket

import paramiko
import pytest

from remote_prof.errors import UnreachableError, UsageError
from remote_prof.records import Host
from remote_prof.transport.ssh.explain import explain
from remote_prof.transport.ssh.route import Hop, known_hosts_name, route

HOP = Hop("prod-3", "10.0.0.3", 2222, "ops", "10.0.0.3", (), ("~/.ssh/known_hosts",), None)
GLOBAL = "/etc/ssh/ssh_known_hosts"


def config(text: str) -> paramiko.SSHConfig:
    found = paramiko.SSHConfig()
    found.parse(io.StringIO(text))
    return found


def names(host: str, text: str) -> list[str]:
    return [hop.address for hop in route(Host(host, host), config(text))]


def one(text: str, host: Host | None = None) -> Hop:
    (hop,) = route(host or Host("prod-3", "prod-3"), config(text))
    return hop


def test_without_a_config_a_host_is_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "me")
    assert one("", Host("prod-3", "10.0.0.3")) == Hop(
        name="prod-3",
        address="10.0.0.3",
        port=22,
        user="me",
        key_name="10.0.0.3",
        identity_files=(),
        known_hosts_files=("~/.ssh/known_hosts", GLOBAL),
        proxy_command=None,
    )


def test_the_config_is_asked_for_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    hop = one(
        """
        Host prod-*
            HostName %h.example.org
            Port 2200
            User deploy
            IdentityFile ~/.ssh/a
            IdentityFile /keys/b
            HostKeyAlias the-cluster
            UserKnownHostsFile /kh/1 /kh/2
            ProxyCommand nc %h %p
        """
    )
    assert hop == Hop(
        name="prod-3",
        address="prod-3.example.org",
        port=2200,
        user="deploy",
        key_name="the-cluster",
        identity_files=("/home/me/.ssh/a", "/keys/b"),
        known_hosts_files=("/kh/1", "/kh/2", GLOBAL),
        proxy_command="nc prod-3.example.org 2200",
    )


def test_the_inventory_wins_over_the_config() -> None:
    host = Host(
        "prod-3",
        "prod-3",
        port=23,
        user="ops",
        identity_files=("/keys/own",),
        known_hosts_files=("/kh/own",),
    )
    text = "Host *\n Port 2200\n User deploy\n IdentityFile /keys/b\n UserKnownHostsFile /kh/1\n"
    hop = one(text, host)
    assert (hop.port, hop.user, hop.identity_files) == (23, "ops", ("/keys/own",))
    # Its known hosts come besides those that ssh uses.
    assert hop.known_hosts_files == ("/kh/own", "/kh/1", GLOBAL)


def test_the_first_value_of_a_config_wins() -> None:
    assert one("Host prod-3\n Port 1\nHost *\n Port 2\n User x\n").port == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["last"]),
        ("Host last\n ProxyJump none\n", ["last"]),
        ("Host last\n ProxyJump NONE\n", ["last"]),
        ("Host last\n ProxyJump a\n", ["a", "last"]),
        ("Host last\n ProxyJump a,b\n", ["a", "b", "last"]),
        ("Host last\n ProxyJump a, b , c\n", ["a", "b", "c", "last"]),
        ("Host last\n ProxyJump b\nHost b\n ProxyJump a\n", ["a", "b", "last"]),
        ("Host last\n ProxyJump c\nHost c\n ProxyJump a,b\n", ["a", "b", "c", "last"]),
        # Only the first of a chain goes by its own jumps: the others are reached from it.
        ("Host last\n ProxyJump a,b\nHost b\n ProxyJump x\n", ["a", "b", "last"]),
        ("Host last\n ProxyJump a,b\nHost a\n ProxyJump x\n", ["x", "a", "b", "last"]),
        ("Host last\n ProxyJump a\nHost a\n HostName a.net\n", ["a.net", "last"]),
        ("Host *\n ProxyJump a\nHost a\n ProxyJump none\n", None),
        ("Host a\n ProxyJump none\nHost *\n ProxyJump a\n", ["a", "last"]),
    ],
)
def test_jumps_are_walked_in_openssh_order(text: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(UsageError, match="circle"):
            names("last", text)
    else:
        assert names("last", text) == expected


@pytest.mark.parametrize(
    ("jump", "user", "address", "port"),
    [
        ("joe@gate:2022", "joe", "gate", 2022),
        ("joe@corp@gate", "joe@corp", "gate", 22),
        ("ssh://joe@gate:2022", "joe", "gate", 2022),
        ("[fe80::1]:2022", "dflt", "fe80::1", 2022),
        ("joe@[fe80::1]", "joe", "fe80::1", 22),
    ],
)
def test_a_jump_says_user_and_port(jump: str, user: str, address: str, port: int) -> None:
    first, last = route(
        Host("last", "last"), config(f"Host last\n ProxyJump {jump}\nHost *\n User dflt\n")
    )
    assert (first.user, first.address, first.port) == (user, address, port)
    assert (last.user, last.port) == ("dflt", 22)


@pytest.mark.parametrize("jump", ["gate:ssh", "a b", "@gate", "gate:", "[::1", "fe80::1"])
def test_a_jump_that_cannot_be_read_is_an_error(jump: str) -> None:
    with pytest.raises(UsageError, match="ProxyJump of last cannot be read") as raised:
        names("last", f"Host last\n ProxyJump {jump}\n")
    assert jump in raised.value.evidence


@pytest.mark.parametrize(
    "text",
    [
        "Host last\n ProxyJump last\n",
        "Host last\n ProxyJump a\nHost a\n ProxyJump last\n",
        "Host last\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a\n",
    ],
)
def test_a_circle_of_jumps_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="ProxyJump of last leads in a circle"):
        names("last", text)


@pytest.mark.parametrize(
    ("address", "port", "key_name", "expected"),
    [
        ("10.0.0.3", 22, "10.0.0.3", "10.0.0.3"),
        ("10.0.0.3", 2222, "10.0.0.3", "[10.0.0.3]:2222"),
        # ssh_config(5): an alias is looked up as it is, whatever the port.
        ("10.0.0.3", 2222, "the-cluster", "the-cluster"),
    ],
)
def test_known_hosts_has_names_with_ports(
    address: str, port: int, key_name: str, expected: str
) -> None:
    hop = Hop("x", address, port, "ops", key_name, (), (), None)
    assert known_hosts_name(hop) == expected


OLD, NEW = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
REFUSED = ConnectionRefusedError(111, "Connection refused")
ERRORS = [
    (paramiko.BadHostKeyException("x", NEW, OLD), "another host key", "ssh-keygen -R '[10.0.0.3]"),
    (
        paramiko.SSHException("Server '[10.0.0.3]:2222' not found in known_hosts"),
        "host key of prod-3 (10.0.0.3:2222) is not known",
        "--host-key-checking accept-new",
    ),
    (paramiko.AuthenticationException("Authentication failed."), "login of ops", "--identity"),
    (paramiko.PasswordRequiredException("is encrypted"), "login of ops", "into the agent"),
    (socket.gaierror(-2, "Name or service not known"), "does not resolve", "ansible_host"),
    (REFUSED, "refuses the connection", "ansible_port"),
    (TimeoutError("timed out"), "does not answer within 7 s", "--connect-timeout"),
    (paramiko.SSHException("No existing session"), "no SSH session", "ssh -p 2222 ops@10.0.0.3"),
    (paramiko.ProxyCommandFailure("nc", "gone"), "no SSH session", "ssh -p 2222 ops@10.0.0.3"),
    (EOFError(), "no SSH session", "ssh -p 2222 ops@10.0.0.3"),
    (OSError(113, "No route to host"), "no SSH session", "ssh -p 2222 ops@10.0.0.3"),
]


@pytest.mark.parametrize(
    ("error", "what", "hint"), ERRORS, ids=[type(error).__name__ for error, _, _ in ERRORS]
)
def test_an_error_says_cause_evidence_and_next_step(error: Exception, what: str, hint: str) -> None:
    found = explain(error, HOP, 7.0)
    assert isinstance(found, UnreachableError)
    assert what in found.what
    assert "prod-3 (10.0.0.3:2222)" in found.what
    assert hint in found.hint
    assert "\n" not in found.what + found.evidence + found.hint


def test_the_evidence_of_a_changed_key_is_both_keys() -> None:
    found = explain(paramiko.BadHostKeyException("x", NEW, OLD), HOP, 7.0)
    assert isinstance(found, UnreachableError)
    assert found.evidence == (
        f"got ecdsa-sha2-nistp256 {NEW.fingerprint}, known is ecdsa-sha2-nistp256 {OLD.fingerprint}"
    )


def test_the_evidence_of_a_refused_login_is_what_was_offered() -> None:
    hop = Hop("a", "a", 22, "ops", "a", ("/keys/a", "/keys/b"), (), None)
    found = explain(paramiko.AuthenticationException("no"), hop, 7.0)
    assert isinstance(found, UnreachableError)
    assert found.evidence == "no; offered: /keys/a, /keys/b"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("another")])
def test_what_is_not_the_links_fault_stays_as_it_is(error: Exception) -> None:
    assert explain(error, HOP, 7.0) is error
