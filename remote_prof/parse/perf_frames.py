"""One line of a callchain that perf printed, made a frame.

A TAB, the address in hexadecimal, then ``name+0x12 (module)``, ``name (inlined)``, or ``[unknown]``
with the module or ``([unknown])``; offset and module may be missing (``-F``). A source line stands
below its frame, behind two blanks.
"""

from __future__ import annotations

import re

from remote_prof.parse.demangle import readable
from remote_prof.parse.symbols import is_kernel_address, nameless, user_kind
from remote_prof.profile.folder import Folder
from remote_prof.profile.model import UNKNOWN, UNKNOWN_KERNEL, Frame, FrameKind

NO_FRAME = -1
_SOURCE_LINE = -2
_INLINED_LINE = -3  # the source line of a function that is inlined: the frame stands before it
_MOST_KNOWN = 500_000  # lines (functions at different addresses) that are remembered

_FRAME = re.compile(r"\s*([0-9a-f]{1,16})(?: (.*))?")
_AFTER_OFFSET = re.compile(r"\+0x[0-9a-f]{1,16} \(")
_OFFSET = re.compile(r"(.*)\+0x([0-9a-f]{1,16})")
_DELETED = " (deleted))"
_INLINED = "inlined"
# Modules in brackets are the kernel's but for these; [vsyscall] even has a kernel's address.
_USER_MODULES = ("[vdso", "[vsyscall", "[heap", "[stack", "[anon", "[uprobes", "[unknown")
_KERNEL_FILES = re.compile(r"\[.*|.*/vmlinux[^/]*|.*\.ko(?:\.\w+)?")
_JIT_FILES = re.compile(r".*/perf-\d+\.map|.*/jitted-\d+-\d+\.so")


class Lines(dict[bytes, int]):
    """Numbers of frames by line: each line is parsed once, or a few times where there are many."""

    def __init__(self, folder: Folder, *, keep_offsets: bool) -> None:
        super().__init__()
        self._folder = folder
        self._keep_offsets = keep_offsets
        self._frames: dict[int, Frame] = {}
        self.inlined: set[int] = set()

    def __missing__(self, line: bytes) -> int:
        if line[:1] not in b" \t" or not line:
            return NO_FRAME
        if line[:2] == b"  " and line[2:3] not in b" \t":
            return _INLINED_LINE if line.endswith(b"(inlined)") else _SOURCE_LINE
        match = _FRAME.fullmatch(line.decode("utf-8", "replace"))
        if not match:
            return NO_FRAME
        frame = _frame(match[1], match[2] or "", keep_offsets=self._keep_offsets)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        number = self[line] = self._number(frame)
        return number

    def _number(self, frame: Frame) -> int:
        number = self._folder.number(frame, repr(frame.name[:100]))
        self._frames[number] = frame
        if frame.kind is FrameKind.INLINED:
            self.inlined.add(number)
        return number

    def without_sources(self, numbers: list[int]) -> list[int]:
        """Drop the source lines between frames; what they tell to be inlined becomes that."""
        frames: list[int] = []
        for number in numbers:
            if number == _INLINED_LINE and frames and frames[-1] >= 0:
                inlined = self._frames[frames[-1]]._replace(kind=FrameKind.INLINED, module=None)
                frames[-1] = self._number(inlined)
            elif number >= NO_FRAME:
                frames.append(number)
        return frames


def _frame(address: str, rest: str, *, keep_offsets: bool) -> Frame:
    symbol, module = _split_module(rest)
    match = _OFFSET.fullmatch(symbol)
    name, offset = (match[1], int(match[2], 16)) if match else (symbol, None)
    if module == _INLINED:
        return Frame(name or UNKNOWN, FrameKind.INLINED)
    kernel = _is_kernels(address, module)
    if name.strip() in ("", UNKNOWN):
        if kernel:
            module = UNKNOWN_KERNEL
        elif module == UNKNOWN:
            module = None
        return nameless(address, module, keep_offsets=keep_offsets)
    name = readable(name)
    kind = FrameKind.KERNEL if kernel else user_kind(name)
    if kind is FrameKind.USER and module and _JIT_FILES.fullmatch(module):
        kind = FrameKind.JIT
    if module == UNKNOWN:
        module = None
    return Frame(name, kind, module, offset if keep_offsets else None)


def _split_module(rest: str) -> tuple[str, str | None]:
    """Split ``name+0x12 (module)``; both may hold blanks and parentheses."""
    if not rest.endswith(")"):
        return rest, None
    # The offset stands between the two. A path may hold one too, but seldom the name.
    match = _AFTER_OFFSET.search(rest)
    if match:
        cut = match.end() - 2
    else:
        cut = rest.rfind(" (", 0, -len(_DELETED) if rest.endswith(_DELETED) else None)
    if cut < 0:
        return rest, None
    return rest[:cut], rest[cut + 2 : -1].removesuffix(" (deleted)") or None


def _is_kernels(address: str, module: str | None) -> bool:
    if module is None or module == UNKNOWN:
        return is_kernel_address(address)
    if module.startswith(_USER_MODULES):
        return False
    return is_kernel_address(address) or _KERNEL_FILES.fullmatch(module) is not None
