"""Becomes the process that holds a host's namespaces: makes the root, moves into it, sleeps.

Run as a file, inside the new namespaces, with the path of a JSON file as its argument:
root (directory of the lower layer), place (a directory of ours), data (for the engine), name,
cgroup (``machine`` or ``v2``), files (path inside the host to [mode, text]), hide (paths that
are to be absent).
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

READY = "run/lab/ready"

_MOVE_IN = """
cd "$1" && pivot_root . mnt && cd / && umount -l /mnt && : > /run/lab/ready &&
exec sleep infinity
"""


def mount(*args: str) -> None:
    """Run mount(8)."""
    subprocess.run(["mount", *args], check=True)


def make_root(config: dict[str, Any]) -> Path:
    """Mount the host's root: a tmpfs layer over the read-only lower one, and what goes into it."""
    place = Path(config["place"])
    layer, root = place / "layer", place / "root"
    layer.mkdir()
    root.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755", "lab", str(layer))
    for name in ("upper", "work"):
        (layer / name).mkdir()
    options = f"lowerdir={config['root']},upperdir={layer}/upper,workdir={layer}/work"
    mount("-t", "overlay", "-o", options, "lab", str(root))
    for name in ("proc", "sys", "dev"):
        mount("--rbind", f"/{name}", str(root / name))
    for name, mode in {"run": "755", "tmp": "1777", "root": "700", "dev/shm": "1777"}.items():
        mount("-t", "tmpfs", "-o", f"mode={mode}", "lab", str(root / name))
    for name in ("run/lab", "run/sshd", "run/lock", "var/lib/docker"):
        (root / name).mkdir(parents=True, exist_ok=True)
    mount("--bind", config["data"], str(root / "var/lib/docker"))
    mount_kernel(root, config["cgroup"])
    return root


def mount_kernel(root: Path, cgroup: str) -> None:
    """Mount what kernels usually offer and this machine may not, and the wished for cgroups."""
    for kind, name in (("tracefs", "sys/kernel/tracing"), ("debugfs", "sys/kernel/debug")):
        place = root / name
        if place.is_dir() and not os.path.ismount(place):
            quiet = subprocess.DEVNULL
            subprocess.run(["mount", "-t", kind, kind, str(place)], stderr=quiet, check=False)
    switch_off_apparmor(root)
    if cgroup == "v2":
        subprocess.run(["umount", "-l", str(root / "sys/fs/cgroup")], check=False)
        mount("-t", "cgroup2", "cgroup2", str(root / "sys/fs/cgroup"))


def switch_off_apparmor(root: Path) -> None:
    """Tell the engine that there is no AppArmor: its profile would be loaded for the machine."""
    switch = root / "sys/module/apparmor/parameters/enabled"
    if switch.exists() and switch.read_text().startswith("Y"):
        off = root / "run/lab/apparmor"
        off.write_text("N\n")
        mount("--bind", str(off), str(switch))


def fill_root(root: Path, config: dict[str, Any]) -> None:
    """Write the host's own files, and take away those it is to lack."""
    for name, (mode, text) in config["files"].items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
        path.chmod(mode)
    for name in config["hide"]:
        (root / name).unlink(missing_ok=True)


def set_hostname(name: str) -> None:
    """Name this UTS namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sethostname(name.encode(), len(name.encode())):
        raise OSError(ctypes.get_errno(), "sethostname")


def main() -> None:
    """Set the host up and become its anchor."""
    config = json.loads(Path(sys.argv[1]).read_text())
    root = make_root(config)
    fill_root(root, config)
    set_hostname(config["name"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    os.execvp("sh", ["sh", "-c", _MOVE_IN, "sh", str(root)])


if __name__ == "__main__":
    main()
