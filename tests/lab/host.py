"""Starts one host: namespaces, login by ssh, container engine, images and targets."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from . import anchor as anchor_file
from . import inetd as inetd_file
from . import machine, processes
from .build import USERS, WITH_PASSWORD, Built
from .model import (
    BPFTRACE,
    LANGUAGES_IMAGE,
    SANE_PATH,
    SIDECAR_IMAGE,
    TARGET_IMAGE,
    HostSpec,
    LabError,
    LabHost,
    Login,
    Process,
    enter,
)
from .progress import run, say
from .targets import create_argv, targets

LEDGER = "processes.jsonl"
TOKEN = "token"
TOKEN_IN_HOST = "run/lab/token"
HOST_KEY_TYPES = ("ed25519", "ecdsa")

_SSHD = """\
HostKey /run/lab/ssh_host_ed25519_key
HostKey /run/lab/ssh_host_ecdsa_key
AuthorizedKeysFile /run/lab/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PidFile none
PrintMotd no
MaxSessions 50
MaxStartups 200
LogLevel ERROR
"""
_SFTP = "Subsystem sftp internal-sftp\n"
_BY_PASSWORD = "Match User typist\nPasswordAuthentication yes\nAuthenticationMethods password\n"
_SSHD_CONFIGS = {
    "sshd_config": _SSHD + "DenyUsers nosftp\n" + _SFTP + _BY_PASSWORD,
    "sshd_config_nosftp": _SSHD + "AllowUsers nosftp\n",
    "sshd_config_jump": _SSHD + "DenyUsers nosftp\n" + _SFTP,
}

_WRAPPER = "/usr/local/sbin/lab-runc"
_WRAPPER_TEXT = """\
#!/bin/sh
# Takes CAP_SYS_RESOURCE, which this machine withholds, out of a bundle and runs runc.
bundle=
previous=
for word; do
    case $previous in --bundle | -b) bundle=$word ;; esac
    case $word in --bundle=*) bundle=${word#--bundle=} ;; esac
    previous=$word
done
if [ -n "$bundle" ] && [ -f "$bundle/config.json" ]; then
    sed -i -e 's/,"CAP_SYS_RESOURCE"//g' -e 's/"CAP_SYS_RESOURCE",\\{0,1\\}//g' \\
        "$bundle/config.json"
fi
exec runc "$@"
"""


class HostBuilder:
    """Starts a host step by step, noting every process in the host's ledger."""

    def __init__(self, spec: HostSpec, lab_dir: Path, built: Built, api_load: float) -> None:
        self.spec = spec
        self.lab_dir = lab_dir
        self.built = built
        self.api_load = api_load
        self.dir = lab_dir / "hosts" / spec.name
        self.data = self.dir / "docker"
        self.ledger = self.dir / LEDGER
        self.wrapped = spec.runtime == "wrapped" or (
            spec.runtime == "auto" and machine.lacks_sys_resource()
        )

    def start(self) -> LabHost:
        """Start everything. Raises LabError; what was started until then is in the ledger."""
        self.data.mkdir(parents=True)
        (self.dir / TOKEN).write_text(secrets.token_hex(16))
        for kind in HOST_KEY_TYPES:
            key = str(self.dir / f"ssh_host_{kind}_key")
            run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", self.spec.name, "-f", key])
        anchor = self._start_anchor()
        host = self._start_inetd(anchor)
        self._set_up_users(host)
        began = time.monotonic()
        host = self._start_engine(host)
        engine_s = time.monotonic() - began
        self._load(host)
        load_s = time.monotonic() - began - engine_s
        self._wait_for_ssh(host)
        say(
            f"{host.name}: {self.spec.suite}, docker {host.docker_version} in {engine_s:.1f} s, "
            f"images and targets {load_s:.1f} s, {host.address}:{host.port}"
        )
        return host

    def _start_anchor(self) -> Process:
        config = {
            "root": str(self.built.roots[self.spec.suite]),
            "place": str(self.dir),
            "data": str(self.data),
            "name": self.spec.name,
            "cgroup": self.spec.cgroup,
            "files": self._files(),
            "hide": self._hidden(),
        }
        path = self.dir / "anchor.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        spaces = ["unshare", "-m", "-u", "-n", "--propagation", "private"]
        argv = [*spaces, sys.executable, "-I", str(anchor_file.__file__), str(path)]
        anchor = self._spawn("anchor", argv)
        ready = ["test", "-e", f"/{anchor_file.READY}"]

        def is_ready() -> bool:
            return subprocess.run([*enter(anchor.pid), *ready], capture_output=True).returncode == 0

        self._wait("the host's root", is_ready, anchor, 30)
        return anchor

    def _files(self) -> Mapping[str, tuple[int, str]]:
        name = self.spec.name
        files = {
            "etc/hostname": (0o644, f"{name}\n"),
            "etc/hosts": (0o644, f"127.0.0.1 localhost\n127.0.1.1 {name}\n"),
            "etc/docker/daemon.json": (0o644, json.dumps(self._daemon(), indent=2) + "\n"),
            TOKEN_IN_HOST: (0o644, (self.dir / TOKEN).read_text()),
            "run/lab/authorized_keys": (0o644, (self.lab_dir / "id_ed25519.pub").read_text()),
        }
        for kind in HOST_KEY_TYPES:
            key = f"ssh_host_{kind}_key"
            files[f"run/lab/{key}"] = (0o600, (self.dir / key).read_text())
        for config, text in _SSHD_CONFIGS.items():
            files[f"run/lab/{config}"] = (0o644, text)
        if self.wrapped:
            files[_WRAPPER.lstrip("/")] = (0o755, _WRAPPER_TEXT)
        return files

    def _daemon(self) -> dict[str, object]:
        daemon: dict[str, object] = {"exec-opts": ["native.cgroupdriver=cgroupfs"]}
        if self.wrapped:
            daemon["runtimes"] = {"lab-runc": {"path": _WRAPPER}}
            daemon["default-runtime"] = "lab-runc"
        return daemon

    def _hidden(self) -> list[str]:
        if self.spec.compose != "none":
            return []
        return ["usr/bin/docker-compose", "usr/libexec/docker/cli-plugins/docker-compose"]

    def _start_inetd(self, anchor: Process) -> LabHost:
        sockets = _listen(3)
        ports = [listener.getsockname()[1] for listener in sockets]
        address = sockets[0].getsockname()[0]
        words = [
            f"{listener.fileno()}:/run/lab/{config}:{network}"
            for listener, config, network in zip(
                sockets, _SSHD_CONFIGS, ("host", "host", "machine"), strict=True
            )
        ]
        argv = [sys.executable, "-I", str(inetd_file.__file__), str(anchor.pid), *words]
        self._spawn("inetd", argv, [listener.fileno() for listener in sockets])
        for listener in sockets:
            listener.close()
        return LabHost(
            name=self.spec.name,
            address=address,
            port=ports[0],
            nosftp_port=ports[1],
            jump_port=ports[2],
            spec=self.spec,
            docker_version="",
            cgroup_version="",
            runtime="lab-runc" if self.wrapped else "runc",
            password=secrets.token_urlsafe(12),
            key=self.lab_dir / "id_ed25519",
            known_hosts=self.lab_dir / "known_hosts",
            anchor=anchor,
            logins=_logins(ports[0], ports[1]),
        )

    def _set_up_users(self, host: LabHost) -> None:
        """Set the passwords, and let the shells that write files at their first start do so."""
        passwords = "".join(f"{user}:{host.password}\n" for user in WITH_PASSWORD)
        try:
            host.exec(["chpasswd"], input=passwords.encode())
            for user in ("fish", "csh", "keeper"):
                host.exec(["su", "-", user, "-c", "true"])
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            raise LabError(f"{self.spec.name}: {error.cmd[-1]} failed: {said}") from None

    def _start_engine(self, host: LabHost) -> LabHost:
        argv = ["env", "-i", f"PATH={SANE_PATH}", "dockerd", "--data-root", "/var/lib/docker"]
        argv += ["--exec-root", "/run/docker", "--pidfile", "/run/docker.pid"]
        argv += ["-H", "unix:///run/docker.sock"]
        engine = self._spawn("dockerd", [*enter(host.anchor.pid), *argv])
        ask = ["docker", "info", "-f", "{{.ServerVersion}} {{.CgroupVersion}}"]
        said = [b""]

        def answers() -> bool:
            done = host.exec(ask, check=False)
            said[0] = done.stdout
            return done.returncode == 0 and len(done.stdout.split()) == 2

        self._wait("the container engine", answers, engine, 60)
        version, cgroup = said[0].decode().split()
        return replace(host, docker_version=version.partition("+")[0], cgroup_version=cgroup)

    def _load(self, host: LabHost) -> None:
        """Import the sidecars while the targets start."""
        with ThreadPoolExecutor(2) as pool:
            sidecars = [pool.submit(self._load_sidecar, host, name) for name in BPFTRACE]
            self._import(host, self.built.languages, LANGUAGES_IMAGE)
            self._import(host, self.built.target, TARGET_IMAGE)
            self._start_targets(host)
            for sidecar in sidecars:
                sidecar.result()

    def _load_sidecar(self, host: LabHost, generation: str) -> None:
        name = f"lab/bpftrace:{generation}"
        self._import(host, self.built.sidecars[generation], name)
        if generation == self.spec.bpftrace:
            host.docker("tag", name, SIDECAR_IMAGE)

    def _import(self, host: LabHost, tar: Path, name: str) -> None:
        words = ["--change", f"ENV PATH={SANE_PATH}", "--change", 'CMD ["sh"]']
        argv = [*enter(host.anchor.pid), "docker", "import", *words, "-", name]
        run(argv, stdin=tar, timeout=300)

    def _start_targets(self, host: LabHost) -> None:
        for target in targets(self.api_load):
            run([*enter(host.anchor.pid), "docker", *create_argv(target)], timeout=60)
        run([*enter(host.anchor.pid), "docker", "start", "stopped"], timeout=60)

    def _wait_for_ssh(self, host: LabHost) -> None:
        def greets() -> bool:
            try:
                with socket.create_connection((host.address, host.port), 5) as connection:
                    return connection.recv(4) == b"SSH-"
            except OSError:
                return False

        self._wait("sshd", greets, host.anchor, 20)

    def _spawn(self, role: str, argv: Sequence[str], fds: Sequence[int] = ()) -> Process:
        with (self.dir / f"{role}.log").open("ab") as log:
            child = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=tuple(fds),
                start_new_session=True,
            )
        return processes.note(role, child.pid, self.ledger)

    def _wait(
        self, what: str, ready: Callable[[], bool], process: Process, patience_s: float
    ) -> None:
        """Poll until it is ready; give up when its process has ended or patience has."""
        deadline = time.monotonic() + patience_s
        while not ready():
            if not processes.alive(process) or time.monotonic() > deadline:
                log = self.dir / f"{process.role}.log"
                last = log.read_text(errors="replace").strip().splitlines()[-5:]
                raise LabError(f"{self.spec.name}: {what} did not come up: {' | '.join(last)}")
            time.sleep(0.05)


def _listen(count: int) -> list[socket.socket]:
    """Give sockets listening at free ports of one loopback address that nobody else uses yet."""
    while True:
        first, second, third = (1 + secrets.randbelow(253) for _ in range(3))
        address = f"127.{first}.{second}.{third}"
        sockets = []
        for _ in range(count):
            listener = socket.socket()
            listener.bind((address, 0))
            listener.listen(128)
            sockets.append(listener)
        return sockets


def _logins(port: int, nosftp_port: int) -> Mapping[str, Login]:
    sudo = {"admin": "nopasswd", "secure": "password", "console": "nopasswd", "vault": "password"}
    logins = {"root": Login("root", port, docker=True, sudo="root")}
    for user, (shell, group) in USERS.items():
        sftp = user != "nosftp"
        logins[user] = Login(
            user,
            port if sftp else nosftp_port,
            docker=group == "docker",
            sudo=sudo.get(user, "none"),
            sftp=sftp,
            shell=shell,
        )
    return logins
