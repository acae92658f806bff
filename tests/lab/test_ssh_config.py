"""What is read of ssh_config against the ssh program itself: ``ssh -G``."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from remote_prof.errors import UsageError
from remote_prof.records import Host
from remote_prof.transport.ssh.config import Found, load_ssh_config
from remote_prof.transport.ssh.grammar import parse_jumps
from remote_prof.transport.ssh.route import route

SINGLE = (
    "addressfamily",
    "bindaddress",
    "hostkeyalias",
    "identitiesonly",
    "kbdinteractiveauthentication",
    "passwordauthentication",
    "port",
    "preferredauthentications",
    "proxycommand",
    "pubkeyauthentication",
    "revokedhostkeys",
    "serveraliveinterval",
    "user",
)
LISTS = ("ciphers", "kexalgorithms", "macs", "hostkeyalgorithms", "pubkeyacceptedalgorithms")
HOSTS = ("alpha", "beta", "web-1.example.org", "10.0.0.7", "Alpha")

CORPUS: Mapping[str, str] = {
    "nothing": "",
    "comments": "# one\n\n   # two\nHost alpha # three\n  Port 1 # four\n",
    "first wins": "Host alpha\n Port 1\nHost *\n Port 2\n User x\n",
    "before any host": "User top\nHost alpha\n User low\n",
    "equals": "Host=alpha\nPort=22022\nUser = joe\nHostName\t=\tx.org\n",
    "case": "hOsT alpha\n pOrT 7\n IDENTITIESONLY YES\n",
    "quotes": 'Host "alpha"\n IdentityFile "/a b/c"\n User \'o ps\'\n IdentityFile /d\\ e\n',
    "open quote": 'Host alpha\n User "joe\n',
    "escapes": 'Host alpha\n IdentityFile "/a\\"b"\n IdentityFile /c\\\\d\n IdentityFile /e\\f\n',
    "hash in a word": "Host alpha\n User a#b\n HostKeyAlias c #d\n",
    "form feed": "Host alpha\n Port 5 \f\n",
    "carriage return": "Host alpha\r\n Port 5\r\n User joe\r\n",
    "wildcards": "Host a?pha\n Port 1\nHost web-*.example.*\n Port 2\nHost 10.0.0.*\n Port 3\n",
    "brackets are letters": "Host [a]lpha\n Port 1\n",
    "negation": "Host * !alpha\n Port 1\nHost !beta *\n User x\nHost !alpha\n HostKeyAlias n\n",
    "several names": "Host beta gamma alpha\n Port 1\n",
    "empty pattern": 'Host ""\n Port 1\n',
    "identities": "IdentityFile /a\nHost alpha\n IdentityFile /b\nHost *\n IdentityFile /a\n",
    "no identity": "Host alpha\n IdentityFile none\n",
    "none among identities": "IdentityFile none\nIdentityFile /a\n",
    "certificates": "CertificateFile /a\nCertificateFile /b\nCertificateFile /a\n",
    "files for keys": "Host *\n UserKnownHostsFile /a /b\n GlobalKnownHostsFile /c\n",
    "tokens in files": "Host *\n HostName h.%h\n UserKnownHostsFile /%h/%n/%p/%r/%%\n Port 99\n",
    "no files": "UserKnownHostsFile none\nGlobalKnownHostsFile none\n",
    "host name": "Host alpha\n HostName %h.Example.ORG\nHost beta\n HostName 10.1.1.1\n",
    "host name percent": "Host alpha\n HostName a%%b\n",
    "host name token": "Host alpha\n HostName %p.x\n",
    "alias": "Host alpha\n HostKeyAlias the-cluster\n",
    "times": "Host alpha\n ServerAliveInterval 1m30s\nHost beta\n ServerAliveInterval 2h\n",
    "bad time": "ServerAliveInterval soon\n",
    "bad port": "Port many\n",
    "port too high": "Port 65536\n",
    "port zero": "Port 0\n",
    "named port": "Port ssh\n",
    "bad port for another": "Host nobody\n Port many\n",
    "two words": "Host alpha\n User a b\n",
    "no value": "Host alpha\n User\n",
    "empty value": 'Host alpha\n User ""\n',
    "flag": "IdentitiesOnly true\nPasswordAuthentication no\nPubkeyAuthentication no\n",
    "bad flag": "IdentitiesOnly maybe\n",
    "aliases": "ChallengeResponseAuthentication no\nPubkeyAcceptedKeyTypes ssh-ed25519\n",
    "family": "AddressFamily inet\nBindAddress 127.0.0.1\n",
    "bad family": "AddressFamily ipx\n",
    "lists": "Ciphers aes128-ctr,aes256-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256",
    "key lists": "HostKeyAlgorithms ssh-ed25519\nPubkeyAcceptedAlgorithms rsa-sha2-512\n",
    "methods": "PreferredAuthentications password,publickey\n",
    "agent": "Host alpha\n IdentityAgent none\nHost *\n IdentityAgent /run/%r.sock\n",
    "agent variable": "IdentityAgent $MY_AGENT\n",
    "proxy command": "Host alpha\n ProxyCommand nc -x 'a b' %h %p # not a comment\n",
    "proxy command equals": "ProxyCommand=nc %h %p\n",
    "proxy none": "Host alpha\n ProxyCommand none\nHost *\n ProxyCommand nc %h %p\n",
    "jump": "Host alpha\n ProxyJump joe@gate:2022\n",
    "jumps": "Host alpha\n ProxyJump a,joe@b:2,ssh://c@d:3\n",
    "jump in brackets": "Host alpha\n ProxyJump [fe80::1]:7\n",
    "jump none": "Host alpha\n ProxyJump none\nHost *\n ProxyJump gate\n",
    "jump before command": "Host alpha\n ProxyJump gate\n ProxyCommand nc %h %p\n",
    "command before jump": "Host alpha\n ProxyCommand nc %h %p\n ProxyJump gate\n",
    "no command before jump": "Host alpha\n ProxyCommand none\n ProxyJump gate\n",
    "bad jump": "Host alpha\n ProxyJump gate:many\n",
    "bad jump for another": "Host nobody\n ProxyJump gate:many\n",
    "match all": "Match all\n Port 1\n",
    "match host": "Host alpha\n HostName x.org\nMatch host x.*\n Port 1\nMatch host alpha\n User u",
    "match original": "Host alpha\n HostName x.org\nMatch originalhost alpha\n Port 1\n",
    "match list": "Match host alpha,beta,!10.*\n Port 1\nMatch host *,!alpha\n User u\n",
    "match negated": "Match !host alpha\n Port 1\nMatch host * !originalhost beta\n User u\n",
    "match user": "Host alpha\n User joe\nMatch user joe\n Port 1\nMatch user root\n Port 2\n",
    "match local user": "Match localuser nobody\n Port 1\nMatch localuser *\n Port 2\n",
    "match case": "Match HOST ALPHA\n Port 1\n",
    "match final": "Host alpha\n HostName x.org\nMatch final host x.org\n Port 1\nHost *\n User u",
    "match final adds": "IdentityFile /a\nMatch final\n IdentityFile /b\n IdentityFile /a\n",
    "match not final": "Match !final\n Port 1\nMatch final\n Port 2\n User u\n",
    "match final names": "Host alpha\n HostName b.org\nMatch final\n HostName c.org\n",
    "match canonical": "Match canonical\n Port 1\nMatch !canonical\n User u\n",
    "match canonical with final": "Match canonical\n Port 1\nMatch final\n User u\n",
    "match all and more": "Match all host alpha\n Port 1\n",
    "match more and all": "Match host alpha all\n Port 1\n",
    "match canonical all": "Match canonical all\n Port 1\n",
    "match final all": "Match final all\n Port 1\n",
    "match nothing": "Match\n Port 1\n",
    "match no value": "Match host\n Port 1\n",
    "match comment": "Match host alpha # all\n Port 1\n",
    "match user given late": "Match user root\n Port 1\nHost *\n User joe\n",
    "match equals": "Match host=alpha\n Port 1\n",
    "include": "Include DIR/a.conf\nHost *\n Port 2\n",
    "include in a block": "Host beta\n Include DIR/a.conf\nHost *\n Port 2\n",
    "include in a match": "Match host alpha\n Include DIR/a.conf\n User after\nHost *\n Port 2\n",
    "include keeps the block": "Host alpha\n Include DIR/b.conf\n User mine\n Port 9\n",
    "include several": "Include DIR/b.conf DIR/a.conf\n",
    "include sorted": "Include DIR/*.conf\n",
    "include nothing": "Include DIR/nothing-*.conf\nPort 3\n",
    "include nested": "Include DIR/nest\nHost *\n HostKeyAlias last\n",
    "include itself": "Include DIR/circle\n",
    "include nothing named": 'Include ""\n',
    "keyword alone": "Host\n",
}
FILES = {
    "a.conf": "Host alpha\n Port 71\n IdentityFile /a\nHost beta\n User from-a\n IdentityFile /b\n",
    "b.conf": "User from-b\nHost nobody\n Port 72\n",
    "z.conf": "Port 79\n",
    "nest": "Host alpha\n Include DIR/a.conf\n HostKeyAlias nested\nHost *\n Include DIR/b.conf\n",
    "circle": "Include DIR/circle\n",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.replace("DIR", str(tmp_path)))
    return tmp_path


def ssh_says(path: Path, host: str) -> dict[str, list[str]] | None:
    """Give what ssh makes of a file; None where it refuses it."""
    argv = ["ssh", "-G", "-F", str(path), host]
    done = subprocess.run(argv, capture_output=True, timeout=20, env={"MY_AGENT": "/agent"})
    if done.returncode:
        return None
    found: dict[str, list[str]] = {}
    for line in done.stdout.decode().splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key.lower(), []).append(value)
    return found


def jumps(written: str) -> list[tuple[str, int, str]]:
    return [(j.address, j.port or 22, j.user or "") for j in parse_jumps(written)]


def difference(path: Path, host: str, default: Mapping[str, list[str]]) -> list[str]:
    """Say in what our reading of a file differs from ssh's."""
    theirs = ssh_says(path, host)
    try:
        config = load_ssh_config(str(path), "/nonexistent")
        ours = config.lookup(host)
        hop = route(Host(host, host, jump="none"), config)[-1]
    except UsageError as error:
        return [] if theirs is None else [f"only we refuse it: {error.what}"]
    if theirs is None:
        return ["only ssh refuses it"]
    found = compared(ours, theirs, default)
    kept = " ".join(theirs["userknownhostsfile"] + theirs["globalknownhostsfile"])
    agent = [name for name in theirs.get("identityagent", []) if name not in ("none", "$MY_AGENT")]
    mine = {
        "agent": ([hop.agent] if hop.agent else [], agent),
        "hostname": ([ours.address], theirs["hostname"]),
        "known hosts": (
            list(hop.known_hosts_files),
            [name for name in kept.split() if name != "none"],
        ),
    }
    if kept == " ".join(default["userknownhostsfile"] + default["globalknownhostsfile"]):
        del mine["known hosts"]
    return found + [f"{key}: {a} != {b}" for key, (a, b) in mine.items() if a != b]


def compared(
    ours: Found, theirs: Mapping[str, list[str]], default: Mapping[str, list[str]]
) -> list[str]:
    found = []
    for key in (*SINGLE, *LISTS, "identityfile", "certificatefile", "proxyjump"):
        mine = list(ours.all(key)) or default.get(key, [])
        real = theirs.get(key, [])
        if key == "proxyjump":
            same = [jumps(v) for v in mine if jumps(v)] == [jumps(v) for v in real if jumps(v)]
        elif key == "pubkeyauthentication":
            same = [value.replace("true", "yes").replace("false", "no") for value in mine] == [
                value.replace("true", "yes").replace("false", "no") for value in real
            ]
        else:
            same = [v for v in mine if v != "none"] == [v for v in real if v != "none"]
        if not same:
            found.append(f"{key}: {mine} != {real}")
    return found


@pytest.mark.parametrize("name", CORPUS)
def test_a_config_is_read_as_ssh_reads_it(name: str, place: Path) -> None:
    path = place / "config"
    path.write_text("")
    default = {host: ssh_says(path, host) for host in HOSTS}
    path.write_text(CORPUS[name].replace("DIR", str(place)))
    found = {host: difference(path, host, default[host] or {}) for host in HOSTS}
    assert not any(found.values()), found


def random_config(dice: random.Random, place: Path) -> str:
    """Give a config of some blocks that is likely to be read by ssh."""
    patterns = [
        "alpha",
        "beta",
        "a*",
        "*",
        "!alpha",
        "!b*",
        "10.0.0.?",
        "web-?.*",
        "Alpha",
        "x.org",
    ]
    criteria = ["host", "originalhost", "user", "localuser", "!host", "!user"]
    values = ["root", "joe", *patterns]

    def option() -> str:
        keyword, choices = dice.choice(
            [
                ("Port", ["1", "22", "2200"]),
                ("User", ["joe", "root", '"a b"', "x#y"]),
                ("HostName", ["%h", "x.org", "%h.Net", "10.9.9.9"]),
                ("IdentityFile", ["/a", "/b", "~/.ssh/c", '"/d e"', "/f # g"]),
                ("CertificateFile", ["/a", "/b"]),
                ("ProxyJump", ["gate", "a,b:22", "none", "joe@c"]),
                ("ProxyCommand", ["nc %h %p", "none"]),
                ("UserKnownHostsFile", ["/k", "/k /l", "/%h"]),
                ("IdentitiesOnly", ["yes", "no"]),
                ("HostKeyAlias", ["one", "two"]),
                ("ServerAliveInterval", ["5", "1m"]),
                ("Include", [f"{place}/a.conf", f"{place}/b.conf", f"{place}/*.conf"]),
            ]
        )
        separator = dice.choice([" ", "=", " = ", "\t"])
        spelling = dice.choice([keyword, keyword.lower(), keyword.upper()])
        return f"{dice.choice(['', ' ', '  '])}{spelling}{separator}{dice.choice(choices)}"

    def head() -> str:
        kind = dice.randrange(5)
        if kind < 3:
            return "Host " + " ".join(dice.sample(patterns, dice.randint(1, 3)))
        if kind == 3:
            words = [
                f"{dice.choice(criteria)} {','.join(dice.sample(values, dice.randint(1, 3)))}"
                for _ in range(dice.randint(1, 2))
            ]
            return "Match " + " ".join(words)
        return dice.choice(["Match all", "Match final", "Match !final", "Match canonical"])

    lines = []
    for _ in range(dice.randint(1, 5)):
        lines += [head()] if dice.random() < 0.85 else []
        lines += [option() for _ in range(dice.randint(0, 4))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", range(8))
def test_random_configs_are_read_as_ssh_reads_them(seed: int, place: Path) -> None:
    dice = random.Random(seed)
    path = place / "config"
    path.write_text("")
    default = {host: ssh_says(path, host) or {} for host in HOSTS}
    refused = 0
    for _ in range(50):
        text = random_config(dice, place)
        path.write_text(text)
        host = dice.choice(HOSTS)
        found = difference(path, host, default[host])
        assert found == [], f"{host}:\n{text}"
        refused += ssh_says(path, host) is None
    assert refused < 25
