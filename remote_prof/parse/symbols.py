"""What a symbol's name, address and module say of its frame, whoever printed it."""

from __future__ import annotations

import re
from dataclasses import replace

from remote_prof.profile.model import UNKNOWN, UNKNOWN_KERNEL, Frame, FrameKind, Profile

# The upper half of a 64-bit address space is the kernel's (x86-64: ffff8..., arm64: ffff0...).
_KERNEL_ADDRESS = re.compile(r"ffff[0-9a-f]{12}")

_JIT_PREFIXES = (
    # V8 with --perf-basic-prof
    "JS:",
    "LazyCompile:",
    "Function:",
    "Eval:",
    "Script:",
    "RegExp:",
    "Builtin:",
    "BytecodeHandler:",
    "Stub:",
    # HotSpot (jcmd Compiler.perfmap)
    "StubRoutines (",
)
_JIT_NAMES = re.compile(
    r"L[\w/$]+;::.*"  # perf-map-agent: Lcom/app/Handler;::run
    r"|[\w.$\[\]]+ [\w.$]+\.[\w$<>]+\([\w.$\[\], ]*\)"  # HotSpot: double App.handle(int)
    r"|.*\[(?:PreJIT|Tier0|Optimized\w*|QuickJitted|Instrumented\w*)\]"  # .NET's perf map
)
# V8 marks functions that its interpreter runs with ~; HotSpot has one name for all of them;
# CPython's calls itself through a piece of code for each function (python -X perf).
_INTERPRETED = re.compile(r"(?:JS|LazyCompile|Function|Eval|Script):~.*|Interpreter|py::.*")
# Go's names: a package's path, a dot, a function or a type and its method. gcc's suffixes have a
# dot before them, too, and so have names in other languages: these count only beside Go's runtime.
_GO = re.compile(
    r"(?:[\w.~%+-]+/)*[\w%-]+"
    r"\.(?!(?:isra|constprop|part|cold|clone|llvm|lto_priv|localalias|str)\b)"
    r"(?:\(\*?)?[A-Za-z_][^:;@\s]*"
)
_GO_RUNTIME = re.compile(
    r"runtime\.(?:goexit|main|mcall|mstart|systemstack|gcBgMarkWorker)(?:\.abi0)?"
)
_LONGEST_JIT_NAME = 4096


def is_kernel_address(address: str) -> bool:
    """Tell whether an address, in hexadecimal without ``0x``, is the kernel's."""
    return _KERNEL_ADDRESS.fullmatch(address) is not None


def nameless(address: str, module: str | None, *, keep_offsets: bool) -> Frame:
    """Make the frame of an address without a name: ``[module]``, ``[kernel]``, ``[unknown]``.

    The kernel's have ``[kernel]`` for a module. With ``keep_offsets`` the address is the name.
    """
    if keep_offsets and address:
        name = f"0x{address}"
    elif module is None:
        name = UNKNOWN
    elif module == UNKNOWN_KERNEL:
        name = UNKNOWN_KERNEL
    else:
        name = f"[{module.rpartition('/')[2]}]"
    return Frame(name, FrameKind.UNRESOLVED, module)


def user_kind(name: str) -> FrameKind:
    """Tell code that was made at run time from other code of user space, by its name."""
    if len(name) > _LONGEST_JIT_NAME:
        return FrameKind.USER
    if _INTERPRETED.fullmatch(name):
        return FrameKind.INTERPRETED
    if name.startswith(_JIT_PREFIXES) or _JIT_NAMES.fullmatch(name):
        return FrameKind.JIT
    return FrameKind.USER


def with_go(profile: Profile) -> Profile:
    """Tell the functions of Go from others, where there are any."""
    if not any(_GO_RUNTIME.fullmatch(frame.name) for frame in profile.frames):
        return profile
    return replace(profile, frames=tuple(map(_told_go, profile.frames)))


def _told_go(frame: Frame) -> Frame:
    told = frame.kind is FrameKind.USER and len(frame.name) <= _LONGEST_JIT_NAME
    return frame._replace(kind=FrameKind.GO) if told and _GO.fullmatch(frame.name) else frame


def source_frame(function: str, file: str, line: str, *, keep_lines: bool) -> Frame:
    """Make the frame of a function of a scripting language, which stands in a source file.

    The file is the module. The line goes, because it splits one function into many, unless it is
    to be kept: ``leaf (app.py:4)`` is the name then. ``<module>`` and its like are no names by
    themselves: they are always told apart by their file.
    """
    kind = FrameKind.INTERPRETED if file.endswith(".py") or file[:1] == "<" else FrameKind.USER
    short = file.rpartition("/")[2]
    if keep_lines and line:
        function = f"{function} ({short}:{line})"
    elif function.startswith("<") and function.endswith(">"):
        function = f"{function} ({short})"
    return Frame(function, kind, file)
