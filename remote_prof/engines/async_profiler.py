"""async-profiler, whose library the user gives: how it is read here, packed, and asked.

It is loaded into the JVM, and so needs nothing of the sidecar's image but jattach.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from remote_prof.engines.base import FILES, ProfileRequest
from remote_prof.errors import UsageError
from remote_prof.records import Library
from remote_prof.templates import render

NAME = "libasyncProfiler.so"
PLACES = (f"lib/{NAME}", NAME)
"""Where it lies in a release, or in a directory of its own."""

LARGEST_BYTES = 8 << 20
_PACKED = "library"  # its name beside the compose file, and in the sidecar
_GRACE_S = 60  # after which it stops by itself, if nobody tells it to
_ANSWER_S = 30  # for each word: a busy JVM takes its time to load it
_NS_PER_S = 1_000_000_000
# e_machine of an ELF file (elf(5)), as uname(2) calls it. All are 64-bit and little-endian.
_MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64", 21: "ppc64le"}
_ELF64_LITTLE = b"\x7fELF\x02\x01"


class _Way(NamedTuple):
    """How an event is asked for: what it may be called, the first that works; what is counted."""

    names: tuple[str, ...]
    counted: str
    often: bool


# The first needs perf_event_open(2), which most containers may not use. Timers of threads' CPU
# time need nothing; that of the process as a whole old versions have alone, and it is not as fair.
_WAYS: Mapping[str, _Way] = {
    "cpu": _Way(("cpu-clock", "ctimer", "itimer"), "samples", often=True),
    "wall": _Way(("wall",), "samples", often=True),
    "alloc": _Way(("alloc",), "total", often=False),
    "lock": _Way(("lock",), "total", often=False),
}


def read_library(data: bytes, path: str) -> tuple[Library, str]:
    """Return what a library is, and its content as it travels: gzip, base64, in lines.

    Raises UsageError where it is no library that a JVM could load.
    """
    if len(data) > LARGEST_BYTES:
        raise UsageError(
            f"{path} is too large: {len(data)} bytes, at most {LARGEST_BYTES}",
            hint="strip it of what is for debuggers: strip -g",
        )
    machine = int.from_bytes(data[18:20], "little")
    if not data.startswith(_ELF64_LITTLE) or machine not in _MACHINES:
        raise UsageError(
            f"{path} is no library for Linux",
            evidence=f"it begins with {data[:20]!r}",
            hint=f"give the directory of an unpacked release for Linux, with lib/{NAME}",
        )
    library = Library(path, len(data), hashlib.sha256(data).hexdigest(), _MACHINES[machine])
    # Without a time: the same library makes the same plan.
    return library, base64.encodebytes(gzip.compress(data, mtime=0)).decode()


def samples(event: str) -> bool:
    """Tell whether it can measure an event."""
    return event in _WAYS


def packed_files(request: ProfileRequest) -> Mapping[str, str]:
    """Return what the sidecar has to have beside its script."""
    return {_PACKED: request.library}


def loading_script(request: ProfileRequest, pids: list[int], duration_s: int) -> str:
    """Return the script that has JVMs load it, begin, stop and write what they have sampled."""
    assert request.async_profiler is not None
    way = _WAYS[request.event]
    interval = f",interval={round(_NS_PER_S / request.frequency_hz)}" if way.often else ""
    sha256 = request.async_profiler.sha256
    return render(
        "java/async.sh.j2",
        pids=pids,
        packed=f"{FILES}/{_PACKED}",
        sha256=sha256,
        # The same each time: a JVM that has it loaded knows it by its path, and maps no second one.
        shelf=f"remote-prof-{sha256[:16]}",
        library=NAME,
        names=way.names,
        start=f"{interval},threads,timeout={duration_s + _GRACE_S}",
        stop=f"collapsed,ann,threads,{way.counted}",
        duration_s=duration_s,
        answer_s=_ANSWER_S,
    )
