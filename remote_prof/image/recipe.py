"""What the sidecar's image is made of: Debian packages, wheels from PyPI, and what is left out.

Versions of Debian packages are those of the archive at the time; all else is pinned here. The same
packages give the same image, to the byte: ``snapshot.debian.org`` as the mirror gives those of a
day.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

NAME = "remote-prof/sidecar"
TITLE = "remote-prof sidecar"
LABEL = "remote-prof.sidecar"
"""Marks the images that are ours; its value is the version of the tool that built one."""

MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE = "trixie"
PACKAGES = (
    *("base-files", "dash", "coreutils", "grep", "sed", "mawk"),
    *("bpftrace", "linux-perf", "python3-minimal", "jattach"),
)

OLD = "bpftrace-old"
"""The older generation of bpftrace, for kernels that are too old for the other: its name, as a
program, in labels, and of its directory below /opt."""

OLD_SUITE = "bookworm"
OLD_PACKAGES = ("bpftrace", "libbpf1", "libbpfcc", "libclang1-14", "libllvm14")
"""What differs between the generations. All else that the older one is linked with (the C library,
libelf, libxml2 and the like) it has from the younger one's suite: these keep what older programs
use of them, and Debian calls them otherwise when they do not."""

OLD_ROOT = f"opt/{OLD}/"
OLD_HEADERS = f"{OLD_ROOT}include"
OLD_FILES: Mapping[str, tuple[str, ...]] = {
    f"usr/bin/{OLD}": (
        "#!/bin/sh",
        # Not the dynamic loader as the program: bpftrace has probes on its own, /proc/self/exe.
        f"LD_LIBRARY_PATH=$(echo /{OLD_ROOT}usr/lib/*-linux-gnu)",
        "export LD_LIBRARY_PATH",
        f'exec /{OLD_ROOT}usr/bin/bpftrace -I /{OLD_HEADERS} "$@"',
    ),
    f"{OLD_HEADERS}/linux/types.h": (
        "#ifndef _LINUX_TYPES_H",
        "#define _LINUX_TYPES_H",
        *(
            f"typedef {meant} {name};"
            for meant, names in {
                "unsigned char": "u8 __u8",
                "unsigned short": "u16 __u16 umode_t",
                "unsigned int": "u32 __u32 gfp_t uid_t gid_t dev_t",
                "unsigned long long": "u64 __u64 sector_t",
                "signed char": "s8 __s8",
                "short": "s16 __s16",
                "int": "s32 __s32 pid_t",
                "long long": "s64 __s64 loff_t",
                "unsigned long": "size_t ino_t",
                "long": "ssize_t",
                "_Bool": "bool",
            }.items()
            for name in names.split()
        ),
        "#endif",
    ),
}
"""What starts the older generation with its own libraries, and the types that it looks up there,
to know what tracepoints have, where the kernel has no BTF: paths, and lines."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
LICENCES = "Apache-2.0 AND GPL-2.0-only AND GPL-3.0-or-later AND MIT AND PSF-2.0"
"""Of the profilers and Python themselves; those of every package are in the list of contents."""

PROGRAMS = ("bpftrace", "perf", "python3", "jattach", "py-spy", "austin", "austinp")

ARCHITECTURES: Mapping[str, str] = {"amd64": "x86_64", "arm64": "aarch64"}
"""Architectures as Debian and image formats name them, and as the kernel does."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of PyPI that carries programs. ``sha256`` is by architecture."""

    name: str
    version: str
    licence: str
    programs: tuple[str, ...]
    sha256: Mapping[str, str]


WHEELS = (
    Wheel(
        "py-spy",
        "0.4.3",
        "MIT",
        ("py-spy",),
        {
            "amd64": "8a4277225f470d394a85cca0cdd944bef87f0097b6f20150a6dd3ac2e92806b8",
            "arm64": "bbcec46930d464b3bfc142d6d02ade4dd8ad5627823263b3eff0280e80c7c132",
        },
    ),
    Wheel(
        "austin-dist",
        "4.0.0",
        "GPL-3.0-or-later",
        ("austin", "austinp"),
        {
            "amd64": "d7b5c8025ccad164899829f493f8865ac6abeca3624be00efc06307a4f4ed098",
            "arm64": "7f9d6df6237146a8914e0fcbedc7173bb6ec06d6bacd85eafb501a5cffc950b6",
        },
    ),
)

DIRECTORIES: Mapping[str, int] = {
    **dict.fromkeys(("dev", "etc", "mnt", "opt", "proc", "run", "sys", "var"), 0o755),
    "root": 0o700,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
}
"""Directories that are there even if empty, and their modes."""

FILES: Mapping[str, str] = {
    # What base-passwd would write when it is configured: nothing is configured here.
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
LINKS: Mapping[str, str] = {
    **{name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")},
    "usr/bin/awk": "mawk",
}

# Brought by dependencies, and used by nothing that runs here: what configures packages, what
# python's modules of the kind need, perl. bpftrace takes a part of bcc that compiles no C.
_PACKAGES_LEFT_OUT = re.compile(
    r"(debconf|dpkg|debianutils|init-system-helpers|sensible-utils|ucf|procps|tar|tzdata|netbase"
    r"|media-types|readline-common|openssl-provider-legacy|libclang-cpp[0-9]+"
    r"|libdebuginfod-common|libsqlite3-0|libdb5\.3t64|libgdbm.*|libproc2-0|perl|perl-.*|.*-perl)"
)
_PATHS_LEFT_OUT = re.compile(
    r"(boot|media|srv|home|etc/(init\.d|cron\..*|systemd|default|logrotate\.d|skel|update-motd\.d)"
    r"|usr/share/(info|locale|man|lintian|bash-completion|zoneinfo|zsh|perl|perl5|gdb|bug|gcc"
    r"|applications|pixmaps|menu|doc-base|apport|binfmts|systemtap|sensible-utils|debianutils)"
    r"|usr/lib/([^/]+/)?(systemd|tmpfiles\.d|sysusers\.d|perl|perl5|perl-base|gconv|valgrind"
    r"|python[^/]+/(test|idlelib|lib2to3|ensurepip|pydoc_data|tkinter|turtledemo))"
    r"|usr/lib/perf-core/tests|usr/libexec/perf-core/tests|usr/include|usr/share/perf-core/tests"
    r"|usr/lib/python3/dist-packages/perf[^/]*|usr/lib/[^/]+/libgio-.*|usr/lib/[^/]+/libbcc\.so.*"
    r"|usr/bin/bpftrace-aotrt|usr/sbin/[^/]+\.bt|usr/share/bpftrace|var/(lib|cache|log|mail|spool"
    r"|opt|backups|local|run|lock))(/.*)?"
)
_DOC = re.compile(r"usr/share/doc/[^/]+/.+")


def is_package_wanted(name: str) -> bool:
    """Say whether a package that apt brings goes into the image."""
    return _PACKAGES_LEFT_OUT.fullmatch(name) is None


def is_path_wanted(path: str) -> bool:
    """Say whether a file, by its path without a leading slash, goes into the image.

    Of documentation only the licences do: who gets the programs gets these.
    """
    if _DOC.fullmatch(path):
        return path.endswith("/copyright")
    return _PATHS_LEFT_OUT.fullmatch(path) is None


def tag(version: str) -> str:
    """Return the name of the image that a version of the tool builds."""
    return f"{NAME}:{version}"
