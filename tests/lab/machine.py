"""What the machine must have for a lab, and how the lab gets it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from .model import LabError
from .progress import run, say, step

DEFAULT_MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

PACKAGES: Mapping[str, str] = {
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "gcc": "gcc",
    "musl-gcc": "musl-tools",
    "javac": "default-jdk-headless",
    "go": "golang-go",
    "busybox": "busybox-static",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "tar": "tar",
}
"""Programs the lab runs on the machine itself, and the Debian or Ubuntu package of each."""

_CAPABILITIES: Mapping[str, int] = {
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_CHROOT": 18,
    "CAP_NET_ADMIN": 12,
    "CAP_MKNOD": 27,
}
_CAP_SYS_RESOURCE = 24
_SYSTEM_DIRS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def missing() -> list[str]:
    """Name all that keeps this machine from running a lab; nothing is changed.

    Packages are named only when apt does not know them: ``provide`` installs the others.
    """
    if not sys.platform.startswith("linux"):
        return [f"a lab needs Linux; this is {sys.platform}"]
    problems = []
    if os.geteuid() != 0:
        problems.append("not root: a lab mounts, makes namespaces and runs container engines")
    problems += [f"no {name}" for name, bit in _CAPABILITIES.items() if not has_capability(bit)]
    if not Path("/sys/kernel/btf/vmlinux").exists():
        problems.append("no /sys/kernel/btf/vmlinux: the kernel has no BTF, bpftrace needs it")
    if not Path("/sys/fs/cgroup").is_dir():
        problems.append("no /sys/fs/cgroup: container engines need control groups")
    if not problems:
        problems += _cannot_mount()
    return problems + _cannot_install()


def _cannot_mount() -> list[str]:
    with tempfile.TemporaryDirectory() as place:
        script = (
            'mount -t tmpfs lab "$1" && cd "$1" && mkdir low up work all && '
            "mount -t overlay lab -o lowerdir=low,upperdir=up,workdir=work all"
        )
        argv = ["unshare", "-m", "-u", "-n", "--propagation", "private"]
        try:
            run([*argv, "sh", "-c", script, "sh", place])
        except LabError as error:
            return [f"no namespaces with overlayfs on tmpfs: {error}"]
    return []


def _cannot_install() -> list[str]:
    wanted = lacking_packages()
    if not wanted:
        return []
    if not shutil.which("apt-get"):
        return [f"no apt-get to install {', '.join(wanted)} with; a lab serves Debian and Ubuntu"]
    if not _apt_lists_there():
        return []
    return [f"apt knows no package {name}" for name in wanted if not _apt_knows(name)]


def provide() -> None:
    """Install the packages that are lacking. Raises LabError, with the whole list, if it cannot."""
    problems = missing()
    if problems and any(text.startswith("apt knows no") for text in problems):
        _apt_update()
        problems = missing()
    if problems:
        raise LabError("this machine cannot run a lab: " + "; ".join(problems))
    wanted = lacking_packages()
    if wanted:
        if not _apt_lists_there():
            _apt_update()
        with step(f"apt-get install {' '.join(wanted)}"):
            argv = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
            run(argv, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def lacking_packages() -> list[str]:
    """Give the packages that the machine lacks and apt can install."""
    wanted = {package for program, package in PACKAGES.items() if not _program(program)}
    if not KEYRING.exists():
        wanted.add("debian-archive-keyring")
    if not list(Path("/usr/lib").glob("**/libc.a")):
        wanted.add("libc6-dev")
    busybox = _program("busybox")
    if busybox and b"ld-linux" in Path(busybox).read_bytes()[:4096]:
        wanted.add("busybox-static")
    return sorted(wanted)


def _program(name: str) -> str | None:
    return shutil.which(name, path=":".join(_SYSTEM_DIRS))


def _apt_update() -> None:
    with step("apt-get update"):
        run(["apt-get", "update"])


def _apt_lists_there() -> bool:
    return any(Path("/var/lib/apt/lists").glob("*_Packages*"))


def _apt_knows(package: str) -> bool:
    said = run(["apt-cache", "policy", package])
    return re.search(r"Candidate: (?!\(none\))", said) is not None


def has_capability(bit: int) -> bool:
    """Say whether this process holds a capability, by its number (capabilities(7))."""
    found = re.search(
        r"^CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text(), re.MULTILINE
    )
    return bool(found and int(found[1], 16) >> bit & 1)


def lacks_sys_resource() -> bool:
    """Say whether the machine withholds CAP_SYS_RESOURCE, which privileged containers ask for."""
    return not has_capability(_CAP_SYS_RESOURCE)


@cache
def mirror() -> str:
    """Give the address of the Debian mirror to build from."""
    named = os.environ.get("REMOTE_PROF_LAB_MIRROR")
    return (named or _own_mirror() or DEFAULT_MIRROR).rstrip("/")


def _own_mirror() -> str | None:
    if "ID=debian" not in _os_release():
        return None
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for path in sources:
        if path.is_file():
            for line in path.read_text(errors="replace").splitlines():
                found = _MIRROR_LINE.match(line)
                if found:
                    return found[1]
    return None


_MIRROR_LINE = re.compile(r"^(?:URIs:|deb\s+(?:\[[^]]*\]\s+)?)\s*(https?://\S+/debian)/?(?:\s|$)")


def _os_release() -> list[str]:
    try:
        return Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return []


def apt_environment() -> dict[str, str]:
    """Give the environment for debootstrap and apt: the machine's, with apt's proxies in it."""
    env = {
        **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
        "PATH": ":".join(_SYSTEM_DIRS),
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C",
        "HOME": "/root",
    }
    for scheme in ("http", "https"):
        said = run(["apt-config", "shell", "proxy", f"Acquire::{scheme}::Proxy"])
        found = re.search(r"proxy='([^']+)'", said)
        if found and found[1] != "DIRECT":
            env.setdefault(f"{scheme}_proxy", found[1])
    return env


def architecture() -> str:
    """Give the machine's architecture as the kernel names it."""
    return platform.machine()


def debootstrap_script(suite: str) -> str:
    """Give the script for a suite: its own, or sid's where this debootstrap is older than it."""
    own = Path("/usr/share/debootstrap/scripts") / suite
    if not own.exists():
        say(f"debootstrap knows no {suite}; using the script of sid")
        return "sid"
    return suite
