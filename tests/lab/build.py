"""Builds what hosts are made of: root file systems, sidecar images and the target image."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .cache import build_dir, cached
from .model import BPFTRACE, HostSpec
from .progress import run, say

_VERSION = 1
"""Raise it when the way things are built changes in a manner the other inputs do not show."""

HOST_PACKAGES = {
    "bookworm": ("docker.io", "docker-compose"),
    "trixie": ("docker.io", "docker-cli", "docker-compose"),
}
LOGIN_PACKAGES = ("openssh-server", "iptables", "procps", "sudo", "opendoas", "tcsh", "fish")
SIDECAR_PACKAGES = ("bpftrace", "linux-perf", "python3-minimal", "jattach")
PY_SPY, AUSTIN = "py-spy==0.4.3", "austin-dist==4.0.0"
LANGUAGES_SUITE = "trixie"
LANGUAGES_PACKAGES = ("python3-minimal", "nodejs", "openjdk-21-jre-headless")

USERS = {
    "ops": ("/bin/bash", "docker"),
    "admin": ("/bin/bash", ""),
    "secure": ("/bin/bash", ""),
    "guest": ("/bin/bash", ""),
    "console": ("/bin/bash", ""),
    "vault": ("/bin/bash", ""),
    "doer": ("/bin/bash", ""),
    "keeper": ("/usr/bin/fish", ""),
    "typist": ("/bin/bash", "docker"),
    "nosftp": ("/bin/bash", "docker"),
    "fish": ("/usr/bin/fish", "docker"),
    "csh": ("/bin/tcsh", "docker"),
}
"""Users of every host: login shell and extra group."""

WITH_PASSWORD = ("root", "secure", "vault", "keeper", "typist")
"""Users with a password: for su, sudo, doas, and for the login of ``typist``."""

SUDOERS = """\
Defaults:console requiretty
Defaults:vault requiretty
admin ALL=(ALL) NOPASSWD: ALL
secure ALL=(ALL) ALL
console ALL=(ALL) NOPASSWD: ALL
vault ALL=(ALL) ALL
"""
"""``console`` and ``vault`` have to have a terminal, as old defaults of Red Hat wanted it."""

DOAS = "permit nopass doer\npermit keeper\n"

_DPKG_CONFIG = """\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
"""
_NO_SERVICES = "#!/bin/sh\nexit 101\n"

_NOT_IN_AN_IMAGE = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/lintian",
    "usr/share/bash-completion",
    "usr/share/zoneinfo",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/share/zsh",
    "usr/lib/*/perl-base",
    "usr/lib/*/gconv",
    "usr/lib/apt",
    "usr/bin/perl*",
    "usr/bin/apt*",
    "usr/bin/sqv",
    "usr/bin/bpftrace-aotrt",
    "var/lib/apt/lists",
    "var/lib/dpkg/info",
    "var/cache",
    "var/log",
    "boot/*",
)

CSRC = Path(__file__).parent / "csrc"
APPS = Path(__file__).parent / "appsrc"
# gcc leaves the table by which stacks are unwound away where it links statically.
_TABLE = "-Wl,--eh-frame-hdr"
_FRAMES = ("-O0", "-g", "-fno-omit-frame-pointer")
PROGRAMS = {
    "svc": ("gcc", *_FRAMES, "-static", "svc.c"),
    "svc-nofp": ("gcc", "-O2", "-fomit-frame-pointer", "-static", "-s", "svc.c"),
    "svc-frameless": ("gcc", "-O1", "-fomit-frame-pointer", "-static", _TABLE, "svc.c"),
    "waits": ("gcc", *_FRAMES, "-static", "-pthread", "waits.c"),
    "waits-glibc": ("gcc", *_FRAMES, "-pthread", "waits.c"),
    "waits-musl": ("musl-gcc", *_FRAMES, "waits.c"),
}
"""Programs in the target image: compiler, options, and the source in csrc."""

_AGENT = ("-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden")


@dataclass(frozen=True)
class Built:
    """Paths in the build cache: roots by suite, sidecar tars by generation, tars of targets."""

    roots: dict[str, Path]
    sidecars: dict[str, Path]
    target: Path
    languages: Path


def build(specs: Iterable[HostSpec]) -> Built:
    """Build what the hosts of these specs need and the cache does not hold."""
    suites = sorted({spec.suite for spec in specs})
    build_dir().mkdir(parents=True, exist_ok=True)
    say(f"build cache: {build_dir()}; mirror: {machine.mirror()}")
    wanted = {*suites, *BPFTRACE.values(), LANGUAGES_SUITE}
    with ThreadPoolExecutor(max_workers=2) as pool:
        bases = {suite: pool.submit(base, suite) for suite in sorted(wanted)}
        target = pool.submit(target_image)
        for future in bases.values():
            future.result()
        roots = {suite: pool.submit(host_root, suite) for suite in suites}
        languages = pool.submit(languages_image)
        sidecars = {name: pool.submit(sidecar_image, name) for name in BPFTRACE}
        return Built(
            {suite: future.result() for suite, future in roots.items()},
            {name: future.result() for name, future in sidecars.items()},
            target.result(),
            languages.result(),
        )


def base(suite: str) -> Path:
    """Give the smallest Debian of a suite, from which the roots and sidecars are made."""
    inputs = [_VERSION, suite, machine.mirror(), machine.architecture(), _DPKG_CONFIG]

    def make(new: Path) -> None:
        log = _log(f"base-{suite}")
        argv = ["debootstrap", "--variant=minbase", f"--keyring={machine.KEYRING}", suite]
        argv += [str(new), machine.mirror(), machine.debootstrap_script(suite)]
        run(argv, env=machine.apt_environment(), log=log)
        (new / "etc/dpkg/dpkg.cfg.d/lab").write_text(_DPKG_CONFIG)
        policy = new / "usr/sbin/policy-rc.d"
        policy.write_text(_NO_SERVICES)
        policy.chmod(0o755)

    return cached(f"base-{suite}", inputs, make)


def host_root(suite: str) -> Path:
    """Give the root of hosts of a suite: engine, sshd, sudo, users."""
    packages = (*HOST_PACKAGES[suite], *LOGIN_PACKAGES)
    start = base(suite)
    inputs = [_VERSION, start.name, packages, USERS, SUDOERS, DOAS]

    def make(new: Path) -> None:
        log = _log(f"root-{suite}")
        _install(start, new, packages, log)
        for user, (shell, group) in USERS.items():
            groups = ["-G", group] if group else []
            argv = ["useradd", "-m", "-U", "-s", shell, "-p", "*", *groups, user]
            run(["chroot", str(new), *argv], log=log)
        sudoers = new / "etc/sudoers.d/lab"
        sudoers.write_text(SUDOERS)
        sudoers.chmod(0o440)
        doas = new / "etc/doas.conf"
        doas.write_text(DOAS)
        doas.chmod(0o400)
        for name in new.glob("etc/ssh/ssh_host_*"):
            name.unlink()
        (new / "usr/sbin/policy-rc.d").unlink()

    return cached(f"root-{suite}", inputs, make)


def sidecar_image(generation: str) -> Path:
    """Give the tar of a sidecar's file system, for ``docker import``."""
    start = base(BPFTRACE[generation])
    inputs = [_VERSION, start.name, SIDECAR_PACKAGES, PY_SPY, AUSTIN, _NOT_IN_AN_IMAGE]

    def make(root: Path) -> None:
        _install(start, root, SIDECAR_PACKAGES, _log(f"sidecar-{generation}"))
        _add_wheel(root, PY_SPY, "py-spy")
        _add_wheel(root, AUSTIN, "austin", "austinp")
        _slim(root)

    return cached(f"sidecar-{generation}.tar", inputs, _packed(make))


def languages_image() -> Path:
    """Give the tar of a file system with Python, Node and Java; programs for them and for Go."""
    start = base(LANGUAGES_SUITE)
    sources = [path.read_text() for path in sorted(APPS.iterdir())]
    inputs = [_VERSION, start.name, LANGUAGES_PACKAGES, sources, PROGRAMS["svc"], _NOT_IN_AN_IMAGE]

    def make(root: Path) -> None:
        log = _log("languages")
        _install(start, root, LANGUAGES_PACKAGES, log)
        _slim(root)
        place = root / "opt/app"
        place.mkdir()
        for name in ("app.py", "app.js"):
            shutil.copy(APPS / name, place / name)
        run(["javac", "--release", "17", "-d", str(place), str(APPS / "App.java")], log=log)
        # A home and a cache of its own: the compiler wants them, and not everybody has one.
        with tempfile.TemporaryDirectory() as cache:
            settings = {"CGO_ENABLED": "0", "GOCACHE": cache, "GO111MODULE": "off"}
            argv = ["go", "build", "-o", str(place / "app-go"), str(APPS / "app.go")]
            run(argv, env={**os.environ, **settings}, log=log)
        _compile("svc", place)

    return cached("languages.tar", inputs, _packed(make))


def _add_wheel(root: Path, requirement: str, *names: str) -> None:
    """Take programs out of a wheel that are linked statically, or against the C library alone."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    with tempfile.TemporaryDirectory() as place:
        run([*pip, "-d", place, requirement])
        (wheel,) = Path(place).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            for name in names:
                (found,) = [n for n in files.namelist() if n.endswith(f"/{name}")]
                program = root / "usr/local/bin" / name
                program.write_bytes(files.read(found))
                program.chmod(0o755)


def _slim(root: Path) -> None:
    for pattern in _NOT_IN_AN_IMAGE:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def target_image() -> Path:
    """Give the tar of the targets' file system: a shell, the programs of csrc, their libraries."""
    busybox = Path(run(["sh", "-c", "command -v busybox"]).strip())
    sources = [path.read_text() for path in sorted(CSRC.glob("*.c"))]
    inputs = [_VERSION, sources, PROGRAMS, machine.architecture(), busybox.stat().st_size]

    def make(root: Path) -> None:
        for name in ("bin", "tmp", "proc", "sys", "dev", "etc", "opt/app"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        shutil.copy(busybox, root / "bin/busybox")
        for applet in run([str(busybox), "--list"]).split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        for name in PROGRAMS:
            _compile(name, root / "opt/app")
        libraries = run(["ldd", str(root / "opt/app/waits-glibc")])
        found = [Path(path) for path in re.findall(r"(/\S+) \(0x", libraries)]
        for library in (*found, *Path("/lib").glob("ld-musl-*.so.1")):
            place = root / library.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)

    return cached("target.tar", inputs, _packed(make))


def agent(directory: Path, compiler: str = "gcc") -> Path:
    """Build what stands in for async-profiler, as a release of it is laid out; give its place."""
    library = directory / "lib/libasyncProfiler.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    run([compiler, *_AGENT, "-o", str(library), str(CSRC / "agent.c")])
    return directory


def _compile(name: str, directory: Path) -> None:
    compiler, *flags, source = PROGRAMS[name]
    run([compiler, *flags, "-o", str(directory / name), str(CSRC / source)])


def _install(start: Path, new: Path, packages: Iterable[str], log: Path) -> None:
    """Copy a base and install packages there; its mounts live in a mount namespace of their own."""
    run(["cp", "-a", str(start), str(new)], log=log)
    script = """
set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
cat /etc/resolv.conf > "$root/etc/resolv.conf"
chroot "$root" apt-get -o Acquire::Languages=none update
chroot "$root" apt-get install -y --no-install-recommends "$@"
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/*
: > "$root/etc/resolv.conf"
"""
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", str(new)]
    run([*argv, *packages], env=machine.apt_environment(), log=log)


def _packed(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Turn a maker of a directory into a maker of a tar of it."""

    def packed(new: Path) -> None:
        with tempfile.TemporaryDirectory(dir=build_dir(), prefix=f"{new.name}-") as place:
            root = Path(place) / "root"
            make(root)
            run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(new), "."])

    return packed


def _log(name: str) -> Path:
    directory = build_dir() / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-{os.getpid()}.log"
    path.write_text("")
    return path
