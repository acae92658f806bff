"""What a run on many hosts costs, against other tools that do the same work, and against ssh alone.

Hosts are logins on loopback addresses, all of one sshd. Instead of a container engine they have a
stub, which sleeps a second and gives a profile of 50 kB back. The others push two files of the
sizes that a run pushes, run a script that does what the stub does, fetch that profile and remove
what they have made: pyinfra, Ansible with pipelining, and ssh in parallel, one process a host,
which is the floor. All have the same forks, and take turns. Who lacks pyinfra measures without it.

sshd, the shells of the hosts and the controller share the processors of one machine: seconds are
those of all of them, CPU time is the controller's alone. What a host is asked of its processes it
answers for all hosts at once, so a host costs more here than it does elsewhere.

It needs root, for the target has a control group of its own, and OpenSSH's server.

    python -m benchmarks.fleet [--hosts 200] [--forks 50] [--rounds 1] [--only NAME ...] [--memory]
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import getpass
import importlib.util
import io
import json
import os
import platform
import re
import resource
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

PROFILE_BYTES = 50_000
CONTAINER_ID = secrets.token_hex(32)
BINARIES = Path(sys.executable).parent
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
PATIENCE_S = 120  # with that many logins at once on few processors
OURS = "remote-prof"
# Seconds of the others by ours: at least so many, or, of the floor, our seconds by its.
WANTED_FASTER = {"ansible": 10.0, "pyinfra": 3.0}
WANTED_OF_FLOOR = 1.5
WANTED_MIB = 1.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)

_SSHD_CONFIG = """\
Port {port}
ListenAddress 0.0.0.0
HostKey {place}/host_key
AuthorizedKeysFile {place}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 2000
LoginGraceTime 0
PrintMotd no
SetEnv HOME={place}/home
Subsystem sftp internal-sftp
LogLevel ERROR
"""
_SERVER = """\
echo $$ > {group}/cgroup.procs
sleep infinity & echo $! > {group}/{id}/cgroup.procs; echo $! > {place}/target
exec {sshd} -D -f {place}/sshd_config -E {place}/sshd.log
"""
_ENGINE = """\
#!/bin/sh
case "$1 $2 $3" in
"ps -aq --no-trunc") echo {id} ;;
"image inspect "*) cat {place}/image.json ;;
"inspect --format "*) cat {place}/container.json ;;
"info --format "*) cat {place}/info.json ;;
"run "*)
  echo "# bpftrace v0.23.2"; echo "@@ sampling"
  sleep 1
  cat {place}/profile; echo "@@ end 0" ;;
"ps "* | "kill "* | "rm "*) ;;
*) exit 1 ;;
esac
"""
_PLAYBOOK = """\
- hosts: all
  gather_facts: no
  vars:
    there: "{place}/there-{{{{ inventory_hostname }}}}"
  tasks:
    - copy: src={place}/compose.yml dest={{{{ there }}}}/
    - copy: src={place}/launcher.sh dest={{{{ there }}}}/
    - command: sh {{{{ there }}}}/launcher.sh
    - fetch: src={{{{ there }}}}/profile.txt dest={out}/{{{{ inventory_hostname }}}} flat=yes
    - file: path={{{{ there }}}} state=absent
"""
_DEPLOY = """\
from pyinfra import host
from pyinfra.operations import files, server

there = f"{place}/there-{{host.name}}"
files.put(src="{place}/compose.yml", dest=f"{{there}}/compose.yml")
files.put(src="{place}/launcher.sh", dest=f"{{there}}/launcher.sh")
server.shell(commands=[f"sh {{there}}/launcher.sh"])
files.get(src=f"{{there}}/profile.txt", dest=f"{out}/{{host.name}}")
server.shell(commands=[f"rm -rf {{there}}"])
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the controller's processes used; ``peak_mib`` is of the largest of them.

    ``hosts_cpu_s`` is what all hosts used meanwhile.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    hosts_cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Site:
    """The hosts, and the files of this benchmark."""

    place: Path
    port: int
    user: str
    group: Path

    @property
    def cpu_s(self) -> float:
        """The CPU time that all hosts have used."""
        (used,) = re.findall(r"usage_usec (\d+)", (self.group / "cpu.stat").read_text())
        return int(used) / 1e6

    def addresses(self, number: int) -> list[str]:
        """Return so many addresses: 127.1.0.1, 127.1.0.2, and so on."""
        return [f"127.1.{at // 250}.{at % 250 + 1}" for at in range(number)]

    def own(self, address: str) -> Path:
        """Return a directory that one host alone uses."""
        path = self.place / "hosts" / address
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def ssh_options(self) -> list[str]:
        """Options of ssh that leave the user's own settings away."""
        known = f"UserKnownHostsFile={self.place}/known_hosts"
        return ["-F", "none", "-o", known, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every program: none of the user's settings, and no agent."""
        kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        return kept | {"HOME": str(self.place / "home"), "LC_ALL": "C.UTF-8"}


@contextmanager
def site() -> Iterator[Site]:
    """Serve the hosts; at the end nothing is left of them."""
    if SSHD is None or os.getuid() != 0:
        raise SystemExit("this needs root and OpenSSH's server, sshd")
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rp-fleet-")))
        group = stack.enter_context(_control_group())
        made = Site(place, _free_port(), getpass.getuser(), group)
        _write_keys(made)
        stack.enter_context(_serving(made, SSHD))
        _write_engine(made)
        _write_pushed(made)
        yield made


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        return int(sock.getsockname()[1])


@contextmanager
def _control_group() -> Iterator[Path]:
    """Have a control group for the hosts, and one in it that is named as a container's."""
    unified = Path("/sys/fs/cgroup/unified")
    group = (unified if unified.is_dir() else unified.parent) / f"rp-fleet-{os.getpid()}"
    group.mkdir()
    target = group / CONTAINER_ID
    try:
        target.mkdir()
        yield group
    finally:
        deadline = time.monotonic() + 5
        while "populated 1" in (group / "cgroup.events").read_text():
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        target.rmdir()
        group.rmdir()


def _write_keys(made: Site) -> None:
    place = made.place
    (place / "home").mkdir()
    for name in ("host_key", "key"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)]
        subprocess.run(keygen, check=True)
    kind, key = (place / "host_key.pub").read_text().split()[:2]
    (place / "known_hosts").write_text(f"[127.1.*]:{made.port} {kind} {key}\n")
    # Not everybody knows patterns.
    lines = [f"[{each}]:{made.port} {kind} {key}\n" for each in made.addresses(1000)]
    (place / "known_hosts.long").write_text("".join(lines))


def _write_engine(made: Site) -> None:
    target = int((made.place / "target").read_text())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    image = "sha256:" + "1" * 64
    container = [CONTAINER_ID, "/api", image, "api", "running", target, 0, "runc", "", {}]
    limits = {"MemoryLimit": True, "CpuCfsQuota": True, "PidsLimit": True}
    files = {
        "image.json": json.dumps([image, [], machine, [image], {}]),
        "container.json": json.dumps(container),
        "info.json": json.dumps({"ServerVersion": "26.1.5", "SecurityOptions": [], **limits}),
    }
    for name, text in files.items():
        (made.place / name).write_text(text + "\n")
    (made.place / "profile").write_text(_profile())
    engine = made.place / "docker"
    engine.write_text(_ENGINE.format(place=made.place, id=CONTAINER_ID))
    engine.chmod(0o755)


def _profile() -> str:
    """Return stacks as bpftrace prints them, of the size that is wanted."""
    stacks: list[str] = []
    size = 0
    while size < PROFILE_BYTES - 40:
        at = len(stacks)
        kernel = "".join(f"    kernel_{at * step % 97}+{step}\n" for step in range(1, 9))
        user = "".join(f"    function_{at * step % 211}+{step}\n" for step in range(1, 17))
        stacks.append(f"@stacks_a[7, svc, \n{kernel}, \n{user}    _start+3\n]: 1\n")
        size += len(stacks[-1])
    return f"@samples: {len(stacks)}\n" + "".join(stacks) + "\n"


@contextmanager
def _serving(made: Site, sshd: str) -> Iterator[None]:
    """Serve logins in a pid namespace: no host sees other processes, and all end with it."""
    config = made.place / "sshd_config"
    config.write_text(_SSHD_CONFIG.format(port=made.port, place=made.place))
    separation = Path("/run/sshd")
    absent = not separation.exists()
    separation.mkdir(mode=0o755, exist_ok=True)
    try:
        if "persourcepenalties" in _call(made, [sshd, "-T", "-f", str(config)]):
            with config.open("a") as more:
                more.write("PerSourcePenalties no\n")
        script = _SERVER.format(group=made.group, id=CONTAINER_ID, place=made.place, sshd=sshd)
        argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]
        with subprocess.Popen(argv, start_new_session=True) as server:
            try:
                _wait_for(made.port)
                yield
            finally:
                server.kill()
    finally:
        if absent:
            with contextlib.suppress(OSError):
                separation.rmdir()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.1.0.1", port), timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _write_pushed(made: Site) -> None:
    """Write the two files of the others, as long as those that a run pushes."""
    plans = json.loads(_call(made, [*_our_argv(made, 1, 1, "dry"), "--dry-run", "--json"]))
    sizes = {name: len(text.encode()) for name, text in plans[0]["files"].items()}
    script = f'cd "$(dirname "$0")" && sleep 1 && cat {made.place}/profile > profile.txt && exit\n'
    for name, text in {"compose.yml": "", "launcher.sh": script}.items():
        filling = "# a line of the length that lines have, for what is not said here\n" * 1000
        (made.place / name).write_text((text + filling)[: sizes[name] - 1] + "\n")
    print(", ".join(f"{name} {sizes[name]} bytes" for name in ("compose.yml", "launcher.sh")))


def _call(made: Site, argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env=made.environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\nexit code {done.returncode}\n{done.stderr}")
    return done.stdout


def _our_argv(made: Site, hosts: int, forks: int, name: str) -> list[str]:
    inventory = made.place / f"{name}.yml"
    variables = {
        "ansible_port": made.port,
        "ansible_user": made.user,
        "ansible_ssh_private_key_file": str(made.place / "key"),
        "remote_prof_known_hosts": str(made.place / "known_hosts"),
        "remote_prof_engine": str(made.place / "docker"),
        "remote_prof_connect_timeout": PATIENCE_S,
    }
    # A run's directory has one name on all hosts, and here they share a file system.
    own = {each: {"remote_prof_tmp": str(made.own(each))} for each in made.addresses(hosts)}
    inventory.write_text(json.dumps({"all": {"hosts": own, "vars": variables}}))
    asked = ["--engine", "bpftrace", "-d", "1", "--format", "folded", "--image-policy", "never"]
    where = ["-i", str(inventory), "-H", "all", "-C", "api", "-o", str(made.place / name)]
    return [str(BINARIES / "remote-prof"), "run", *where, *asked, "--forks", str(forks)]


def _run(made: Site, argv: Sequence[str], more: dict[str, str] | None = None) -> float:
    """Run a program to its end; return the MiB of its largest process."""
    log = made.place / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=made.environment | (more or {}),
            cwd=made.place / "home",
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(argv)}\nexit code {process.returncode}\n{said}")
    return usage.ru_maxrss / 1024


def with_tool(made: Site, hosts: int, forks: int, out: Path) -> float:
    """Run remote-prof; every host has to be ``ok``."""
    peak_mib = _run(made, _our_argv(made, hosts, forks, out.name))
    (path,) = out.glob("*/run.json")
    records = json.loads(path.read_text())["hosts"]
    bad = [record["name"] for record in records if record["status"] != "ok"]
    left = list((made.place / "hosts").glob("*/*"))
    if bad or left or len(records) != hosts:
        raise SystemExit(f"{len(records)} of {hosts}; not ok: {bad[:10]}; left: {left[:10]}")
    return peak_mib


def by_ssh(made: Site, hosts: int, forks: int, out: Path) -> float:
    """Do it with one ssh process a host, over one connection and in one exchange."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("compose.yml", "launcher.sh"):
            archive.add(made.place / name, name)
    pushed = packed.getvalue()
    options = [*made.ssh_options, "-i", str(made.place / "key"), "-p", str(made.port)]
    out.mkdir()

    def one(address: str) -> None:
        there = f"{made.place}/there-{address}"
        script = f"umask 077; mkdir {there} && cd {there} && tar -xf - && sh launcher.sh && "
        script += f"cat profile.txt; code=$?; cd / && rm -rf {there}; exit $code"
        argv = ["ssh", *options, f"{made.user}@{address}", script]
        with (out / address).open("wb") as fetched:
            subprocess.run(argv, input=pushed, stdout=fetched, env=made.environment, check=True)

    with ThreadPoolExecutor(forks) as pool:
        list(pool.map(one, made.addresses(hosts)))
    _check_fetched(made, hosts, out)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def by_pyinfra(made: Site, hosts: int, forks: int, out: Path) -> float:
    """Do it with pyinfra's own program."""
    place = made.place
    patience = {"timeout": PATIENCE_S, "banner_timeout": PATIENCE_S, "auth_timeout": PATIENCE_S}
    variables = {
        "ssh_port": made.port,
        "ssh_user": made.user,
        "ssh_key": str(place / "key"),
        "ssh_known_hosts_file": str(place / "known_hosts.long"),
        "ssh_strict_host_key_checking": "yes",
        "ssh_paramiko_connect_kwargs": patience,
    }
    out.mkdir()
    inventory, deploy = place / "inventory.py", place / "deploy.py"
    inventory.write_text(f"hosts = ({made.addresses(hosts)!r}, {variables!r})\n")
    deploy.write_text(_DEPLOY.format(place=place, out=out))
    argv = [str(BINARIES / "pyinfra"), "-y", "--parallel", str(forks), str(inventory), str(deploy)]
    peak_mib = _run(made, argv)
    _check_fetched(made, hosts, out)
    return peak_mib


def by_ansible(made: Site, hosts: int, forks: int, out: Path) -> float:
    """Do it with a playbook, with pipelining."""
    place = made.place
    python = Path("/usr/bin/python3")
    variables = {
        "ansible_port": made.port,
        "ansible_user": made.user,
        "ansible_ssh_private_key_file": str(place / "key"),
        "ansible_ssh_common_args": " ".join(made.ssh_options),
        "ansible_python_interpreter": str(python if python.exists() else sys.executable),
        "ansible_remote_tmp": str(place / "ansible-there"),
    }
    names = dict.fromkeys(made.addresses(hosts))
    inventory, playbook = place / "ansible.yml", place / "playbook.yml"
    inventory.write_text(json.dumps({"all": {"hosts": names, "vars": variables}}))
    playbook.write_text(_PLAYBOOK.format(place=place, out=out))
    out.mkdir()
    argv = [str(BINARIES / "ansible-playbook"), "-i", str(inventory), "-f", str(forks)]
    more = {
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_TIMEOUT": str(PATIENCE_S),
        "ANSIBLE_HOME": str(place / "a"),
    }
    peak_mib = _run(made, [*argv, str(playbook)], more)
    _check_fetched(made, hosts, out)
    return peak_mib


def _check_fetched(made: Site, hosts: int, out: Path) -> None:
    wanted = (made.place / "profile").stat().st_size
    sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    bad = [each for each in made.addresses(hosts) if sizes.get(each) != wanted]
    left = list(made.place.glob("there-*"))
    if bad or left:
        raise SystemExit(f"not fetched: {bad[:10]}; not removed: {left[:10]}")


Way = Callable[[Site, int, int, Path], float]
WAYS: dict[str, Way] = {
    OURS: with_tool,
    "ssh": by_ssh,
    "pyinfra": by_pyinfra,
    "ansible": by_ansible,
}


def measured(made: Site, way: Way, hosts: int, forks: int) -> Usage:
    """Do it in a process of its own, which counts all that were started there."""
    out = made.place / "out"
    before_s = made.cpu_s
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _measure_here(partial(way, made, hosts, forks, out), writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as told:
            found = told.read()
        os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGINT)
        os.waitpid(pid, 0)
        raise
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if not found:
        raise SystemExit("it has failed")
    return replace(Usage(**json.loads(found)), hosts_cpu_s=made.cpu_s - before_s)


def _measure_here(work: Callable[[], float], writing: int) -> None:
    """Say what it used, and end this process."""
    code = 1
    try:
        # What a program leaves behind, as Ansible does its connections, counts too.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        begun = time.monotonic()
        peak_mib = work()
        wall_s = time.monotonic() - begun
        _end_children()
        whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        cpu_s = sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))
        os.write(writing, json.dumps(asdict(Usage(wall_s, cpu_s, peak_mib))).encode())
        code = 0
    except SystemExit as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        pass
    except BaseException:  # noqa: BLE001  the other process tells the rest
        traceback.print_exc()
    finally:
        _end_children()
        os._exit(code)


def _end_children() -> None:
    _kill(_descendants(os.getpid()), signal.SIGTERM)
    deadline = time.monotonic() + 5
    with contextlib.suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    _kill(_descendants(os.getpid()))
                time.sleep(0.01)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *_descendants(child)]
    return found


def _kill(pids: Iterable[int], how: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def compare(made: Site, names: Sequence[str], hosts: int, forks: int, rounds: int) -> None:
    """Print what each way costs, and whether that is what is wanted."""
    found: dict[str, list[Usage]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            took = measured(made, WAYS[name], hosts, forks)
            found[name].append(took)
            print(f"  {name}: {took.wall_s:.1f} s", flush=True)
    print(f"\n{hosts} hosts, {forks} forks, {os.cpu_count()} processors, medians of {rounds}:")
    print("                        by     CPU ms per host   largest")
    print("             seconds  ours  controller   host  process MiB")
    walls = {name: statistics.median(each.wall_s for each in used) for name, used in found.items()}
    ratios = {
        name: statistics.median(
            theirs.wall_s / ours.wall_s
            for theirs, ours in zip(used, found.get(OURS, used), strict=True)
        )
        for name, used in found.items()
    }
    for name, all_used in found.items():
        cpu_ms = 1000 * statistics.median(each.cpu_s for each in all_used) / hosts
        host_ms = 1000 * statistics.median(each.hosts_cpu_s for each in all_used) / hosts
        peak_mib = max(each.peak_mib for each in all_used)
        ratio = f"{ratios[name]:5.2f}" if OURS in found else " " * 5
        cpu = f"{cpu_ms:10.1f}  {host_ms:5.1f}"
        print(f"  {name:11}{walls[name]:7.1f} {ratio}  {cpu}  {peak_mib:11.1f}")
    if OURS not in found:
        return
    for name, wanted in WANTED_FASTER.items():
        if name in found:
            _say(f"times as fast as {name}", ratios[name], wanted, holds=ratios[name] >= wanted)
    if "ssh" in found:
        of_floor = 1 / ratios["ssh"]
        _say("times the floor", of_floor, WANTED_OF_FLOOR, holds=of_floor <= WANTED_OF_FLOOR)


def compare_memory(made: Site, hosts: int, forks: int) -> None:
    """Print what an open connection and a host that is done take of the controller's memory."""
    few, many = max(1, hosts // 10), 5 * hosts
    peaks: dict[tuple[int, int], float] = {}
    for number, at_once in ((few, few), (hosts, hosts), (hosts, forks), (many, forks)):
        used = measured(made, with_tool, number, at_once)
        peaks[number, at_once] = used.peak_mib
        print(
            f"  {number} hosts, {at_once} forks: {used.wall_s:.1f} s,"
            f" CPU {1000 * used.cpu_s / number:.1f} ms per host, peak {used.peak_mib:.1f} MiB",
            flush=True,
        )
    each = (peaks[hosts, hosts] - peaks[few, few]) / (hosts - few)
    _say("MiB per open connection", each, WANTED_MIB, holds=each < WANTED_MIB)
    more = (peaks[many, forks] - peaks[hosts, forks]) / (many - hosts)
    _say(f"MiB per host from {hosts} to {many}", more, WANTED_MIB, holds=more < WANTED_MIB)


def _say(what: str, value: float, wanted: float, *, holds: bool) -> None:
    print(f"  {value:8.2f} {what}, wanted {wanted:g}: {'holds' if holds else 'DOES NOT HOLD'}")


def _interrupted(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--forks", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=list(WAYS), nargs="*", default=list(WAYS))
    parser.add_argument("--memory", action="store_true", help="the controller's memory, not time")
    given = parser.parse_args()
    names = list(given.only)
    if "pyinfra" in names and importlib.util.find_spec("pyinfra") is None:
        print("pyinfra is not installed: measured without it")
        names.remove("pyinfra")
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupted)
    with site() as made:
        if given.memory:
            compare_memory(made, given.hosts, given.forks)
        else:
            compare(made, names, given.hosts, given.forks, given.rounds)


if __name__ == "__main__":
    main()
