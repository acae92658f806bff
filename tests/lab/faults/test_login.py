"""The login"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.lab.faults.bench import Bench
from tests.lab.faults.rows import NOTHING, PROFILE, Row, fault
from tests.lab.sshd import Sshd, make_key, public
from tests.lab.tool import Done


def _known(bench: Bench, text: str) -> str:
    file = bench.tool.place / "known_hosts"
    file.write_text(text)
    return str(file)


def _other_host(bench: Bench) -> str:
    """Give this host's lines of known_hosts with the keys of another."""
    mine = f"[{bench.host.address}]:{bench.host.port}"
    others = [h for h in bench.lab.hosts.values() if h.name != bench.host.name]
    theirs = f"[{others[0].address}]:{others[0].port}"
    lines = bench.lab.known_hosts.read_text().splitlines()
    found = [line.replace(theirs, mine) for line in lines if line.startswith(theirs)]
    return "\n".join(found) + "\n"


@contextmanager
def _sshd(
    bench: Bench, *options: str, files: Mapping[str, bytes] | None = None, **variables: object
) -> Iterator[Sshd]:
    """Have the run go to an sshd of its own."""
    with Sshd(bench.host, bench.tool.place, *options, **(files or {})) as sshd:
        known = _known(bench, sshd.known_hosts())
        where = {"ansible_host": sshd.address, "ansible_port": sshd.port}
        bench.variables(**{**where, "remote_prof_known_hosts": known, **variables})
        yield sshd


@fault(
    Row(
        "the host's key is not known", "connect", "error: the host key of …is not known", 4, NOTHING
    ),
)
def test_an_unknown_host_key(bench: Bench) -> Done:
    bench.variables(remote_prof_known_hosts=_known(bench, ""))
    return bench.start().end()


@fault(
    Row(
        "the host's key has changed",
        "connect",
        "error: …shows another host key than the known one",
        4,
        NOTHING,
    ),
)
def test_a_changed_host_key(bench: Bench) -> Done:
    bench.variables(remote_prof_known_hosts=_known(bench, _other_host(bench)))
    return bench.start().end()


@fault(Row("a wrong user", "connect", "error: …refuses the login of nobody-here", 4, NOTHING))
def test_a_wrong_user(bench: Bench) -> Done:
    bench.variables(ansible_user="nobody-here")
    return bench.start().end()


@fault(Row("a wrong key", "connect", "error: …refuses the login of ops", 4, NOTHING))
def test_a_wrong_key(bench: Bench) -> Done:
    key = make_key(bench.tool.place / "id_other")
    bench.variables(ansible_ssh_private_key_file=str(key))
    return bench.start().end()


@fault(
    Row(
        "a wrong passphrase of the key", "connect", "error: the passphrase of …is wrong", 4, NOTHING
    )
)
def test_a_wrong_passphrase(bench: Bench) -> Done:
    key = make_key(bench.tool.place / "id_locked", passphrase="right")
    options, files = ("AuthorizedKeysFile DIR/keys",), {"keys": public(key).encode()}
    with _sshd(bench, *options, files=files, ansible_ssh_private_key_file=str(key)):
        return bench.start(REMOTE_PROF_KEY_PASSPHRASE="wrong").end()


@fault(Row("a wrong password", "connect", "error: …refuses the password of secure", 4, NOTHING))
def test_a_wrong_password(bench: Bench) -> Done:
    options = ("PasswordAuthentication yes", "AuthorizedKeysFile none")
    with _sshd(
        bench,
        *options,
        ansible_user="secure",
        ansible_password="wrong",
        ansible_ssh_private_key_file=None,
    ):
        return bench.start().end()


@fault(
    Row(
        "sshd takes no more logins at once (MaxStartups)",
        "connect",
        "error: …too many logins at once (MaxStartups)?",
        4,
        NOTHING,
    ),
)
def test_max_startups(bench: Bench) -> Done:
    with _sshd(bench, "MaxStartups 1:100:1", "LoginGraceTime 60") as sshd, _waiting(sshd):
        return bench.start().end()


@fault(
    Row(
        "sshd takes no more logins for 1 s (MaxStartups)",
        "connect",
        "cleaning the host",
        0,
        PROFILE,
    ),
)
def test_max_startups_for_a_while(bench: Bench) -> Done:
    with _sshd(bench, "MaxStartups 1:100:1", "LoginGraceTime 60") as sshd:
        with _waiting(sshd):
            running = bench.start()
            bench.reach(running)
            time.sleep(1)
        return running.end()


@contextmanager
def _waiting(sshd: Sshd) -> Iterator[None]:
    """Be somebody who has connected and does not log in."""
    with socket.create_connection((sshd.address, sshd.port)) as other:
        assert other.recv(4) == b"SSH-"
        yield
