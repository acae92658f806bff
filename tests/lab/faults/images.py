"""Sidecar images that fail in a way of their own, made on a host in a moment."""

from __future__ import annotations

import io
import tarfile

from tests.lab.model import TARGET_IMAGE, LabHost

_VERSION = '[ "$1" != --version ] || { echo "bpftrace v0.23.2"; exit 0; }\n'
_SAMPLING = 'echo "@@ sampling"\n'

BROKEN = {
    "garbage": f"{_VERSION}{_SAMPLING}head -c 20000 /dev/urandom\n",
    "huge": f"{_VERSION}{_SAMPLING}yes '@stacks_a[1, comm]: 1' | head -c 200000000\n",
    "large": f"{_VERSION}{_SAMPLING}head -c 6000000 /dev/urandom | base64\n",
    "noattach": f"{_VERSION}echo 'ERROR: failed to attach probe: profile:hz:99' >&2\nexit 1\n",
    "hungry": f"{_VERSION}{_SAMPLING}exec tail -c 2000000000 /dev/zero\n",
    "silent": f"{_VERSION}{_SAMPLING}trap '' INT TERM\nwhile :; do sleep 1; done\n",
}
"""What stands in for bpftrace in each; its shell and its timeout are busybox's."""


def broken_image(host: LabHost, name: str) -> str:
    """Make ``lab/bpftrace:NAME`` on a host out of the targets' image; give its name."""
    image, container = f"lab/bpftrace:{name}", f"making-{name}"
    script = f"#!/bin/sh\n{BROKEN[name]}".encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("bpftrace")
        member.size, member.mode = len(script), 0o755
        tar.addfile(member, io.BytesIO(script))
    host.docker("create", "--name", container, TARGET_IMAGE, "true")
    try:
        host.exec(["docker", "cp", "-", f"{container}:/bin"], input=packed.getvalue())
        host.docker("commit", container, image)
    finally:
        host.docker("rm", container)
    return image
