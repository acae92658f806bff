"""The way to a host on real servers: its key, jump hosts, and links that do not hold."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.errors import LinkLostError, LoginError, UnreachableError
from remote_prof.transport import Command, Connection, Lines, SshOptions

from .model import LabHost
from .proxy import Proxy
from .sshd import Sshd, make_key, public, sign
from .test_login import WHOAMI, configure, home, lets_in, login, refuses
from .tool import until

__all__ = ["home"]

HOST_CERTIFICATE = "HostCertificate DIR/host-cert"


def certified(host: LabHost, place: Path, principal: str, *words: str) -> tuple[Path, bytes]:
    """Give an authority, and the certificate that it made for the ed25519 key of a host."""
    authority = make_key(place / f"ca-{len(list(place.glob('ca-*.pub')))}")
    half = place / "host.pub"
    done = host.exec(["ssh-keygen", "-y", "-f", "/run/lab/ssh_host_ed25519_key"])
    half.write_bytes(done.stdout)
    return authority, sign(authority, half, principal, "-h", *words).read_bytes()


# Host keys


def test_known_hosts_in_every_form(debian13: LabHost, tmp_path: Path, home: Path) -> None:
    mine = (str(debian13.key),)
    with Sshd(debian13, tmp_path) as sshd:
        file = tmp_path / f"known-{sshd.port}"
        real = sshd.known_hosts(kinds=("ecdsa-sha2-nistp256",))
        kind, data = real.split()[1:]
        name = f"[{sshd.address}]:{sshd.port}"
        forms = {
            # One kind of key alone: the other that the server has is not asked for.
            "plain": real,
            "list": f"other,{name} {kind} {data}\n",
            "pattern": f"[127.*]:{sshd.port} {kind} {data}\n",
            "without port": f"{sshd.address} {kind} {data}\n",
            "broken lines": f"garbage\n{name} ssh-rsa AAAA\n@what {name} x y\n{real}",
        }
        for text in forms.values():
            file.write_text(text)
            lets_in(login(sshd, tmp_path, identity_files=mine))
        file.write_text(real)
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
        assert file.read_text().startswith("|1|")
        lets_in(login(sshd, tmp_path, identity_files=mine))
        file.write_text(f"!{name},[127.*]:{sshd.port} {kind} {data}\n")
        refuses(login(sshd, tmp_path, identity_files=mine), "is not known", name, "accept-new")
        file.write_text(f"the-cluster {kind} {data}\n")
        refuses(login(sshd, tmp_path, identity_files=mine), "is not known", name, "accept-new")
        configure(home, "HostKeyAlias the-cluster\n")
        lets_in(login(sshd, tmp_path, identity_files=mine))


def test_a_new_host_key_is_written_down(debian13: LabHost, tmp_path: Path) -> None:
    mine = (str(debian13.key),)
    with Sshd(debian13, tmp_path) as sshd:
        file = tmp_path / f"known-{sshd.port}"
        file.write_text("# mine, without a line break")
        new = SshOptions(5.0, "accept-new")
        lets_in(login(sshd, tmp_path, identity_files=mine, options=new))
        first, second = file.read_text().splitlines()
        assert first == "# mine, without a line break"
        assert second + "\n" in sshd.known_hosts()
        lets_in(login(sshd, tmp_path, identity_files=mine))


def test_a_changed_host_key(debian13: LabHost, tmp_path: Path) -> None:
    mine = (str(debian13.key),)
    with Sshd(debian13, tmp_path) as sshd:
        file = tmp_path / f"known-{sshd.port}"
        other = make_key(tmp_path / "other")
        name = f"[{sshd.address}]:{sshd.port}"
        file.write_text(f"# one\n{name} {public(other)}")
        for checking in ("yes", "accept-new"):
            options = SshOptions(5.0, checking)
            changed = login(sshd, tmp_path, identity_files=mine, options=options)
            error = refuses(changed, "another host key", f"{file}:2", f"ssh-keygen -R '{name}' -f")
            for key in (other.with_suffix(".pub"), None):
                data = key.read_text() if key else sshd.known_hosts().split(" ", 1)[1]
                argv = ["ssh-keygen", "-l", "-f", "-"]
                seen = subprocess.run(argv, input=data, text=True, capture_output=True, check=True)
                assert seen.stdout.split()[1] in error.evidence
        lets_in(login(sshd, tmp_path, identity_files=mine, options=SshOptions(5.0, "no")))


def test_a_revoked_host_key(debian13: LabHost, tmp_path: Path, home: Path) -> None:
    mine = (str(debian13.key),)
    with Sshd(debian13, tmp_path) as sshd:
        file = tmp_path / f"known-{sshd.port}"
        known = sshd.known_hosts(kinds=("ssh-ed25519",))
        file.write_text(f"{known}@revoked * {known.split(' ', 1)[1]}")
        for checking in ("yes", "accept-new"):
            options = SshOptions(5.0, checking)
            revoked = login(sshd, tmp_path, identity_files=mine, options=options)
            refuses(revoked, "revoked", f"{file}:2", "owner")
        file.write_text(known)
        (tmp_path / "revoked").write_text(f"# a list\n{known.split(' ', 1)[1]}")
        configure(home, f"RevokedHostKeys {tmp_path}/revoked\n")
        refuses(login(sshd, tmp_path, identity_files=mine), "revoked", "revoked:2", "owner")


def test_host_certificates(debian13: LabHost, tmp_path: Path, home: Path) -> None:
    mine = (str(debian13.key),)
    authority, good = certified(debian13, tmp_path, debian13.address, "-V", "+1h")
    with Sshd(debian13, tmp_path, HOST_CERTIFICATE, **{"host-cert": good}) as sshd:
        file = tmp_path / f"known-{sshd.port}"
        file.write_text(f"@cert-authority [127.*]:* {public(authority)}")
        lets_in(login(sshd, tmp_path, identity_files=mine))
        file.write_text(f"@cert-authority 127.* {public(authority)}")
        lets_in(login(sshd, tmp_path, identity_files=mine))
        revoked = f"@revoked * {public(authority)}"
        file.write_text(f"@cert-authority * {public(authority)}{revoked}")
        refuses(login(sshd, tmp_path, identity_files=mine), "revoked", f"{file}:2", "owner")
        file.write_text(f"@cert-authority * {public(make_key(tmp_path / 'stranger'))}")
        unknown = login(sshd, tmp_path, identity_files=mine)
        refuses(unknown, "certificate", "authority is not known", "HostKeyAlias")
        file.write_text(f"@cert-authority * {public(authority)}")
        configure(home, "HostKeyAlias elsewhere\n")
        other = login(sshd, tmp_path, identity_files=mine)
        refuses(other, "certificate", "principal mismatch", "HostKeyAlias")
    configure(home, "")
    authority, old = certified(debian13, tmp_path, debian13.address, "-V", "-2h:-1h")
    with Sshd(debian13, tmp_path, HOST_CERTIFICATE, **{"host-cert": old}) as sshd:
        file = tmp_path / f"known-{sshd.port}"
        file.write_text(f"@cert-authority * {public(authority)}")
        refuses(login(sshd, tmp_path, identity_files=mine), "certificate", "expired", "renewed")


# Jump hosts and proxies


def test_a_chain_of_two_jump_hosts(
    debian12: LabHost, debian13: LabHost, tmp_path: Path, home: Path
) -> None:
    (home / ".ssh" / "id_ed25519").write_bytes(debian13.key.read_bytes())
    with Sshd(debian13, tmp_path) as last:
        to_last = f"PermitOpen {last.address}:{last.port}"
        with Sshd(debian13, tmp_path, to_last) as second:
            to_second = f"PermitOpen {second.address}:{second.port}"
            # Each leads to the next and nowhere else: in another order there is no way.
            with Sshd(debian12, tmp_path, to_second) as first:
                known = tmp_path / f"known-{last.port}"
                known.write_text("".join(s.known_hosts() for s in (first, second, last)))
                two = f"Host two\n HostName {second.address}\n Port {second.port}\n"
                configure(home, two)
                one = f"ops@{first.address}:{first.port}"
                lets_in(login(last, tmp_path, jump=f"{one},admin@two"))
                assert "Accepted publickey for ops" in first.log()
                assert "Accepted publickey for admin" in second.log()
                backwards = login(last, tmp_path, jump=f"admin@two,{one}")
                refuses(backwards, "the jump host does not reach", "prohibited", "AllowTcp")
                # By the configuration, unless it is told not to.
                text = f"Host {last.address}\n ProxyJump two\n{two} User admin\n ProxyJump {one}\n"
                configure(home, text)
                before = len(logins(first)), len(logins(second))
                lets_in(login(last, tmp_path))
                assert (len(logins(first)), len(logins(second))) == (before[0] + 1, before[1] + 1)
                lets_in(login(last, tmp_path, jump="none"))
                assert (len(logins(first)), len(logins(second))) == (before[0] + 1, before[1] + 1)


def test_a_jump_host_is_logged_in_once_for_all_behind_it(
    debian12: LabHost, debian13: LabHost, tmp_path: Path, home: Path
) -> None:
    (home / ".ssh" / "id_ed25519").write_bytes(debian13.key.read_bytes())
    # It takes one login at a time, and serves two commands of one: what is forwarded is neither.
    with (
        Sshd(debian12, tmp_path, "MaxStartups 1", "MaxSessions 2") as gate,
        Sshd(debian13, tmp_path, "MaxStartups 100") as last,
        Lines() as lines,
    ):
        (tmp_path / f"known-{last.port}").write_text(gate.known_hosts() + last.known_hosts())
        host = login(last, tmp_path, jump=f"ops@{gate.address}:{gate.port}").host
        many = [lines.connect(host, SshOptions(10.0)) for _ in range(20)]
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda each: each.open(), many))
            said = [done.stdout for done in pool.map(lambda each: each.run(WHOAMI, 20), many)]
            assert said == [b"ops\n"] * 20
            assert (len(logins(gate)), len(logins(last))) == (1, 20)
            # Those that go leave the way to the others.
            for each in many[10:]:
                each.close()
            assert many[0].run(WHOAMI, 20).stdout == b"ops\n"
            # When it is cut, all of them come back over one new login.
            gate.cut()
            for each in many[:10]:
                with pytest.raises(LinkLostError):
                    each.run(WHOAMI, 20)
            list(pool.map(lambda each: each.open(), many))
            assert many[0].run(WHOAMI, 20).stdout == b"ops\n"
            assert (len(logins(gate)), len(logins(last))) == (2, 40)
        # A way that looks alike and is another's is not shared.
        other = lines.connect(replace(host, jump=f"admin@{gate.address}:{gate.port}"), SshOptions())
        other.open()
        assert len(logins(gate)) == 3


def test_a_jump_host_that_refuses_refuses_all_and_is_asked_anew(
    debian12: LabHost, debian13: LabHost, tmp_path: Path, home: Path
) -> None:
    key = home / ".ssh" / "id_ed25519"
    with Sshd(debian12, tmp_path) as gate, Sshd(debian13, tmp_path) as last, Lines() as lines:
        (tmp_path / f"known-{last.port}").write_text(gate.known_hosts() + last.known_hosts())
        host = login(last, tmp_path, jump=f"ops@{gate.address}:{gate.port}").host
        many = [lines.connect(host, SshOptions(10.0)) for _ in range(5)]

        def refused(each: Connection) -> bool:
            with pytest.raises(LoginError, match="refuses the login of ops"):
                each.open()
            return True

        with ThreadPoolExecutor(5) as pool:
            assert all(pool.map(refused, many))
            key.write_bytes(debian13.key.read_bytes())
            list(pool.map(lambda each: each.open(), many))
        assert (len(logins(gate)), len(logins(last))) == (1, 5)


def logins(sshd: Sshd) -> list[str]:
    return [line for line in sshd.log().splitlines() if line.startswith("Accepted publickey")]


def test_jump_hosts_that_do_not_work(debian13: LabHost, tmp_path: Path, home: Path) -> None:
    (home / ".ssh" / "id_ed25519").write_bytes(debian13.key.read_bytes())
    with Sshd(debian13, tmp_path) as gate, Sshd(debian13, tmp_path) as closed:
        with socket.create_server((debian13.address, 0)) as free:
            nowhere = free.getsockname()[1]
        (tmp_path / f"known-{closed.port}").write_text(gate.known_hosts() + closed.known_hosts())
        via = f"ops@{gate.address}:{gate.port}"
        wrong = login(closed, tmp_path, jump=f"nobody-here@{gate.address}:{gate.port}")
        refuses(wrong, f"({gate.address}:{gate.port}) refuses the login of nobody-here", "", "")
        gone = login(closed, tmp_path, jump=via, port=nowhere)
        refuses(gone, f"the jump host does not reach prod ({gate.address}:{nowhere})", "", "seen")


def test_a_proxy_command(debian13: LabHost, tmp_path: Path, home: Path) -> None:
    mine = (str(debian13.key),)
    script = tmp_path / "carry.py"
    script.write_text(
        "import os, select, socket, sys\n"
        "print('noise on stderr', file=sys.stderr, flush=True)\n"
        "link = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "while True:\n"
        "    for end in select.select([0, link], [], [])[0]:\n"
        "        data = os.read(0, 65536) if end == 0 else link.recv(65536)\n"
        "        if not data: sys.exit()\n"
        "        link.sendall(data) if end == 0 else os.write(1, data)\n"
    )
    with Sshd(debian13, tmp_path) as sshd:
        configure(home, f"ProxyCommand {sys.executable} {script} %h %p\n")
        lets_in(login(sshd, tmp_path, identity_files=mine))
        configure(home, "ProxyCommand echo cannot get there >&2; exit 3\n")
        broken = login(sshd, tmp_path, identity_files=mine)
        refuses(broken, "the ProxyCommand of prod", "echo cannot get there", "SSH-")
        configure(home, "ProxyCommand none\n")
        lets_in(login(sshd, tmp_path, identity_files=mine))


# Links


def test_too_many_logins_at_once(debian13: LabHost, tmp_path: Path) -> None:
    mine = (str(debian13.key),)
    with Sshd(debian13, tmp_path, "MaxStartups 1", "LoginGraceTime 60") as sshd:
        idle = socket.create_connection((sshd.address, sshd.port))
        try:
            assert idle.recv(4) == b"SSH-"
            # While somebody takes the only place ...
            full = login(sshd, tmp_path, identity_files=mine, options=SshOptions(1.0))
            refuses(full, "MaxStartups", "times", "fewer hosts")
            # ... and when it becomes free in the meantime.
            threading.Timer(0.7, idle.close).start()
            lets_in(login(sshd, tmp_path, identity_files=mine))
        finally:
            idle.close()


def test_a_refused_connection_is_not_tried_again(debian13: LabHost, tmp_path: Path) -> None:
    with Sshd(debian13, tmp_path) as sshd:
        gone = login(sshd, tmp_path)
    began = time.monotonic()
    refuses(gone, "refuses the connection", "Connection refused", "--port")
    assert time.monotonic() - began < 2


def test_a_link_that_stalls_is_noticed(debian13: LabHost, tmp_path: Path) -> None:
    with Sshd(debian13, tmp_path) as sshd, Proxy((sshd.address, sshd.port)) as proxy:
        known = sshd.known_hosts().replace(
            f"[{sshd.address}]:{sshd.port}", f"[{proxy.address}]:{proxy.port}"
        )
        (tmp_path / f"known-{sshd.port}").write_text(known)
        connection = login(
            sshd,
            tmp_path,
            identity_files=(str(debian13.key),),
            address=proxy.address,
            port=proxy.port,
        )
        connection.open()
        channel = connection.stream(Command("follow", "echo ready; sleep 120"))
        assert channel.read_line(10) == b"ready"
        proxy.stall()
        began = time.monotonic()
        with pytest.raises(LinkLostError):
            channel.read_line(90)
        assert 20 < time.monotonic() - began < 55
        channel.close()
        connection.close()


def test_a_link_that_is_cut_is_noticed_at_once(debian13: LabHost, tmp_path: Path) -> None:
    with Sshd(debian13, tmp_path) as sshd:
        connection = login(sshd, tmp_path, identity_files=(str(debian13.key),))
        connection.open()
        channel = connection.stream(Command("follow", "echo ready; cat; sleep 60"))
        assert channel.read_line(10) == b"ready"
    began = time.monotonic()
    with pytest.raises(LinkLostError):
        channel.read_line(30)
    assert time.monotonic() - began < 5
    with pytest.raises(LinkLostError):
        channel.write(b"more\n")
    with pytest.raises(LinkLostError):
        connection.run(Command("late", "true"), 5)
    connection.close()


_TRANSFER = """
import resource, sys, time
from remote_prof.records import Host
from remote_prof.transport import Command, SshOptions, connect
address, port, key, known = sys.argv[1:]
host = Host("prod", address, int(port), "ops", identity_files=(key,), known_hosts_files=(known,))
connection = connect(host, SshOptions(10.0))
connection.open()
# That a step takes a tenth of a second is the machine's doing, where that is busy.
connection._network.loop.loop.slow_callback_duration = 60
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
connection.run(Command("warm", "true"), 10)
before = peak()
channel = connection.stream(Command("big", "head -c 52428800 /dev/zero; echo over >&2"))
time.sleep(3)  # a slow reader: what the host sends meanwhile must not pile up here
size = 0
while size < 52428800: size += len(channel.read_block(1 << 18, 30))
result = channel.finish(10)
print(size, result.exit_code, result.stderr.decode().strip(), (peak() - before) // 1024)
__import__("os")._exit(0)
"""


def test_a_large_transfer_takes_little_memory(debian13: LabHost, tmp_path: Path) -> None:
    with Sshd(debian13, tmp_path) as sshd:
        known = tmp_path / "known"
        known.write_text(sshd.known_hosts())
        where = (sshd.address, str(sshd.port), str(debian13.key), str(known))
        argv = [sys.executable, "-X", "dev", "-c", _TRANSFER, *where]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert done.stderr == ""
        size, code, said, grown_mb = done.stdout.split()
        assert (int(size), code, said) == (52428800, "0", "over")
        assert int(grown_mb) < 20


_INTERRUPTED = """
import sys
from remote_prof.records import Host
from remote_prof.transport import Command, SshOptions, connect
address, port, key, known, how = sys.argv[1:]
host = Host("prod", address, int(port), "ops", identity_files=(key,), known_hosts_files=(known,))
connection = connect(host, SshOptions(10.0))
connection.open()
channel = connection.stream(Command("follow", "echo ready; sleep 60"))
assert channel.read_line(10) == b"ready"
if how == "error":
    raise SystemExit("left in the middle")
try:
    print("ready", flush=True)
    channel.read_line(60)
except KeyboardInterrupt:
    channel.close()
    connection.close()
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("how", ["interrupt", "error"])
def test_the_end_of_a_process_is_quick_and_quiet(
    how: str, debian13: LabHost, tmp_path: Path
) -> None:
    with Sshd(debian13, tmp_path) as sshd:
        known = tmp_path / "known"
        known.write_text(sshd.known_hosts())
        where = (sshd.address, str(sshd.port), str(debian13.key), str(known), how)
        # Whoever runs the tests in the background has interrupts ignored, and that is inherited.
        argv = ["env", "--default-signal=INT", sys.executable, "-c", _INTERRUPTED, *where]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if how == "interrupt":
            assert process.stdout.readline() == "ready\n"
            process.send_signal(2)
        began = time.monotonic()
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - began < 8
        expected = ("interrupted\n", "") if how == "interrupt" else ("", "left in the middle\n")
        assert (out, err) == expected


def test_many_threads_at_once(debian13: LabHost, tmp_path: Path) -> None:
    with Sshd(debian13, tmp_path, "MaxStartups 100") as sshd:
        connections = [
            login(sshd, tmp_path, identity_files=(str(debian13.key),), options=SshOptions(20.0))
            for _ in range(12)
        ]
        failed: list[Exception] = []

        def work(number: int) -> None:
            try:
                lets_in(connections[number])
            except (UnreachableError, AssertionError) as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        until("no thread is left", lambda: not _ours(), 5)


def _ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "ssh"]
