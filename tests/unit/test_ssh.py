"""The parts of SSH that need no server: the way to a host, and what is said when it is closed."""

from __future__ import annotations

import socket
from dataclasses import replace

import asyncssh
import pytest

from remote_prof.errors import UnreachableError, UsageError
from remote_prof.records import Host
from remote_prof.transport.ssh.algorithms import choose, host_key_algorithms, transport_algorithms
from remote_prof.transport.ssh.client import Attempt
from remote_prof.transport.ssh.config import SshConfig, parse_ssh_config
from remote_prof.transport.ssh.explain import explain
from remote_prof.transport.ssh.identity import Notes
from remote_prof.transport.ssh.known_hosts import KnownKey, Trust, Verdict
from remote_prof.transport.ssh.route import Hop, known_hosts_name, route

HOP = Hop("prod-3", "10.0.0.3", 2222, "ops", known_hosts_files=("/home/me/.ssh/known_hosts",))
GLOBAL = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


def config(text: str) -> SshConfig:
    return parse_ssh_config(text)


def names(host: str, text: str, jump: str | None = None) -> list[str]:
    return [hop.address for hop in route(Host(host, host, jump=jump), config(text))]


def one(text: str, host: Host | None = None) -> Hop:
    (hop,) = route(host or Host("prod-3", "prod-3"), config(text))
    return hop


def test_without_a_config_a_host_is_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "me")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    hop = one("", Host("prod-3", "10.0.0.3"))
    assert hop == Hop(
        name="prod-3",
        address="10.0.0.3",
        port=22,
        user="me",
        identity_files=tuple(
            f"/home/me/.ssh/id_{kind}"
            for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "dsa")
        ),
        agent="/run/agent",
        known_hosts_files=(
            "/home/me/.ssh/known_hosts",
            "/home/me/.ssh/known_hosts2",
            *GLOBAL,
        ),
    )


def test_the_config_is_asked_for_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("KEYS", "/keys")
    hop = one(
        """
        Host prod-*
            HostName %h.example.org
            Port 2200
            User deploy
            IdentityFile ~/.ssh/a
            IdentityFile ${KEYS}/%r
            CertificateFile /c/%p
            IdentitiesOnly yes
            IdentityAgent ~/agent
            HostKeyAlias the-cluster
            UserKnownHostsFile /kh/1 /kh/%k
            GlobalKnownHostsFile none
            RevokedHostKeys /kh/revoked
            ProxyCommand nc %h %p %n %%
            PreferredAuthentications password,hostbased,publickey
            Ciphers aes128-ctr
            BindAddress 127.0.0.2
            AddressFamily inet
            ServerAliveInterval 5
        """
    )
    assert hop == Hop(
        name="prod-3",
        address="prod-3.example.org",
        port=2200,
        user="deploy",
        key_alias="the-cluster",
        identity_files=("/home/me/.ssh/a", "/keys/deploy"),
        certificate_files=("/c/2200",),
        identities_only=True,
        agent="/home/me/agent",
        known_hosts_files=("/kh/1", "/kh/the-cluster"),
        revoked_keys_file="/kh/revoked",
        proxy_command="nc prod-3.example.org 2200 prod-3 %",
        methods=("password", "publickey"),
        algorithms={"ciphers": "aes128-ctr"},
        bind_address="127.0.0.2",
        family="inet",
        keepalive_s=5,
    )


def test_the_inventory_wins_over_the_config() -> None:
    host = Host(
        "prod-3",
        "prod-3",
        port=23,
        user="ops",
        identity_files=("/keys/own",),
        known_hosts_files=("/kh/own",),
        password="secret",
        key_passphrase="sesame",
    )
    text = "Host *\n Port 2200\n User deploy\n IdentityFile /keys/b\n UserKnownHostsFile /kh/1\n"
    hop = one(text, host)
    assert (hop.port, hop.user) == (23, "ops")
    # Its keys and known hosts come before those of ssh.
    assert (hop.named_keys, hop.identity_files) == (("/keys/own",), ("/keys/b",))
    assert hop.known_hosts_files == ("/kh/own", "/kh/1", *GLOBAL)
    assert (hop.password, hop.key_passphrase) == ("secret", "sesame")
    assert "se" not in repr(hop).replace("False", "").partition("known_hosts")[2]
    assert one("", host).identity_files == ()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("IdentityAgent none\n", None),
        ("IdentityAgent SSH_AUTH_SOCK\n", "/run/agent"),
        ("IdentityAgent $OTHER\n", "/run/other"),
        ("IdentityAgent /run/%u\n", "/run/me"),
    ],
)
def test_the_agent(text: str, path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "me")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("OTHER", "/run/other")
    assert one(text).agent == path


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


def test_a_jump_that_was_asked_for_wins_over_the_config() -> None:
    text = "Host last\n ProxyJump a\n ProxyCommand nc %h %p\n"
    assert names("last", text, "x,y") == ["x", "y", "last"]
    assert names("last", text, "none") == ["last"]
    command = "Host last\n ProxyCommand nc %h %p\n"
    assert route(Host("last", "last", jump="x"), config(command))[-1].proxy_command is None
    assert route(Host("last", "last", jump="none"), config(command))[-1].proxy_command is None


def test_a_jump_host_gets_no_login_of_the_last() -> None:
    host = Host(
        "last",
        "last",
        user="me",
        port=7,
        jump="gate",
        identity_files=("/own",),
        known_hosts_files=("/kh",),
        password="secret",
        key_passphrase="sesame",
    )
    gate, last = route(host, config("Host gate\n User joe\n IdentityFile /joe\n"))
    assert (gate.user, gate.port, gate.password, gate.named_keys) == ("joe", 22, None, ())
    assert gate.identity_files == ("/joe",)
    assert (gate.known_hosts_files[0], gate.key_passphrase) == ("/kh", "sesame")
    assert (last.user, last.password, last.named_keys) == ("me", "secret", ("/own",))


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


@pytest.mark.parametrize("jump", ["gate:ssh", "a b", "@gate", "gate:", "[::1", "fe80::1", "g:0"])
def test_a_jump_that_cannot_be_read_is_an_error(jump: str) -> None:
    with pytest.raises(UsageError, match="ssh_config:2: ProxyJump cannot be read") as raised:
        names("last", f"Host last\n ProxyJump {jump}\n")
    assert jump in raised.value.what
    with pytest.raises(UsageError, match="the jump hosts of last cannot be read") as raised:
        names("last", "", jump)
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
    ("port", "alias", "expected"),
    [
        (22, None, "10.0.0.3"),
        (2222, None, "[10.0.0.3]:2222"),
        # ssh_config(5): an alias is looked up as it is, whatever the port.
        (2222, "the-cluster", "the-cluster"),
    ],
)
def test_known_hosts_has_names_with_ports(port: int, alias: str | None, expected: str) -> None:
    assert known_hosts_name(replace(HOP, port=port, key_alias=alias)) == expected


# Algorithms


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, ["a1", "b1"]),
        ("b2,unknown,a1", ["b2", "a1"]),
        ("+b2,a1", ["a1", "b1", "b2"]),
        ("-a*", ["b1"]),
        ("^b*", ["b1", "b2", "a1"]),
        ("unknown", []),
    ],
)
def test_a_list_of_algorithms(written: str | None, expected: list[str]) -> None:
    assert choose(written, ["a1", "b1", "b2"], ["a1", "b1"]) == expected


def test_a_list_without_anything_that_is_known_here() -> None:
    with pytest.raises(UsageError, match="leaves no ciphers for prod-3"):
        transport_algorithms(replace(HOP, algorithms={"ciphers": "rot13"}))


def test_the_host_key_that_is_known_is_asked_for() -> None:
    def algorithms(*keys: KnownKey) -> list[str]:
        return host_key_algorithms(HOP, Trust(keys))

    assert "-cert-" not in " ".join(algorithms())
    known = algorithms(KnownKey("x", "key", "ecdsa-sha2-nistp256", b"", ""))
    assert known[0] == "ecdsa-sha2-nistp256"
    assert sorted(known) == sorted(algorithms())
    rsa = algorithms(KnownKey("x", "key", "ssh-rsa", b"", ""))
    assert set(rsa[:2]) == {"rsa-sha2-512", "rsa-sha2-256"}
    assert "-cert-" in algorithms(KnownKey("x", "authority", "ssh-ed25519", b"", ""))[0]


# What is said


def known_key(data: bytes, where: str = "") -> KnownKey:
    return KnownKey("x", "key", "ssh-ed25519", data, where)


CHANGED = Attempt(
    known=Trust((known_key(b"old", "/kh:3"),)),
    shown=known_key(b"new"),
    verdict=Verdict.CHANGED,
    greeted=True,
)
UNKNOWN = Attempt(shown=known_key(b"new"), verdict=Verdict.UNKNOWN, greeted=True)
KEY_ERROR = asyncssh.HostKeyNotVerifiable("Host key is not trusted for host x")
DENIED = asyncssh.PermissionDenied("Permission denied")
GREETED = Attempt(greeted=True)
ERRORS = {
    "changed": (KEY_ERROR, CHANGED, "another host key", "ssh-keygen -R '[10.0.0.3]:2222' -f /kh"),
    "unknown": (KEY_ERROR, UNKNOWN, "host key of prod-3", "--host-key-checking accept-new"),
    "denied": (DENIED, GREETED, "login of ops", "--identity"),
    "password": (DENIED, Attempt(password_given=True), "password of ops", "--ask-pass"),
    "asked": (DENIED, Attempt(unanswered=["Code:"]), "more than a password", "second answer"),
    "keys": (
        asyncssh.DisconnectError(2, "Too many authentication failures"),
        Attempt(notes=Notes(offered=["/a", "/b"])),
        "it was offered 2 keys",
        "IdentitiesOnly",
    ),
    "algorithms": (asyncssh.KeyExchangeFailed("No match"), GREETED, "no algorithm", "Ciphers"),
    "jump": (asyncssh.ChannelOpenError(2, "no"), GREETED, "jump host does not", "AllowTcp"),
    "name": (socket.gaierror(-2, "not known"), Attempt(), "does not resolve", "ansible_host"),
    "refused": (ConnectionRefusedError(111, "no"), Attempt(), "refuses the", "ansible_port"),
    "timeout": (TimeoutError("timed out"), Attempt(), "within 7 s", "--connect-timeout"),
    "full": (asyncssh.ConnectionLost("lost"), Attempt(tries=5), "MaxStartups", "fewer hosts"),
    "session": (asyncssh.ProtocolError("no"), GREETED, "no SSH session", "ops@10.0.0.3"),
    "route": (OSError(113, "No route"), GREETED, "no SSH session", "ssh -p 2222 ops@10.0.0.3"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_says_cause_evidence_and_next_step(name: str) -> None:
    error, attempt, what, hint = ERRORS[name]
    found = explain(error, HOP, attempt, 7.0)
    assert isinstance(found, UnreachableError)
    assert what in found.what
    assert "prod-3 (10.0.0.3:2222)" in found.what
    assert hint in found.hint
    assert "\n" not in found.what + found.evidence + found.hint


def test_the_evidence_of_a_changed_key_is_both_keys() -> None:
    found = explain(KEY_ERROR, HOP, CHANGED, 7.0)
    assert isinstance(found, UnreachableError)
    assert found.evidence == (
        "got ssh-ed25519 SHA256:EVB6Di9eadXfpApiob17buV+a82FxnybhDGzb/8hxDc;"
        " known is ssh-ed25519 SHA256:y6BrVzb69n5UsHtWHq6UOV53TFF6fZEKVDaeEmPM+9Q (/kh:3)"
    )


def test_the_evidence_of_a_refused_login_is_what_was_offered() -> None:
    attempt = Attempt(notes=Notes(offered=["/keys/a", "/keys/b"], unusable=["/keys/c: no key"]))
    found = explain(DENIED, HOP, attempt, 7.0)
    assert isinstance(found, UnreachableError)
    assert found.evidence == "offered: /keys/a, /keys/b; could not be used: /keys/c: no key"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("another")])
def test_what_is_not_the_links_fault_stays_as_it_is(error: Exception) -> None:
    assert explain(error, HOP, GREETED, 7.0) is error
