r"""The collapsed stacks of async-profiler (``-o collapsed``), annotated (``ann``) and by thread.

They are folded stacks. How a method ran stands at its end (``_[0]`` interpreted, ``_[1]`` compiled
by C1, ``_[j]`` by C2, ``_[i]`` inlined), the kernel's functions end in ``_[k]``, and what has no
name is called after its file::

    [server tid=13];App.main_[0];App.handleRequest_[j];App.hotLeaf_[i] 21
    [keeper tid=42];java/lang/Thread.sleep_[j];JVM_Sleep;/usr/lib/libc.so.6 17

Source: https://github.com/async-profiler/async-profiler/blob/master/docs/OutputFormats.md
"""

from __future__ import annotations

import re

from remote_prof.parse.symbols import nameless
from remote_prof.profile.folded import parse_folded, parse_frame, recognises_folded
from remote_prof.profile.model import Frame, FrameKind, Profile

# Nobody else writes these. What _[j], _[i] and _[k] alone say, plain folded stacks say as well.
_CERTAIN = re.compile(
    rb"^\[(?:[^;\n]{1,200} )?tid=[0-9]{1,10}\][; ]|_\[[01]\](?:;| [0-9]{1,20}\r?$)", re.MULTILINE
)
_THREAD = re.compile(r"\[(?:(.+) )?tid=([0-9]{1,10})\]")
_METHOD = re.compile(r"(.+)_\[([01ji])\]")
_KINDS = {
    "0": FrameKind.INTERPRETED,
    "1": FrameKind.JIT,
    "j": FrameKind.JIT,
    "i": FrameKind.INLINED,
}
# A class that was made at run time is called by an address or a number, which differ each time.
_MADE = re.compile(r"(\$\$Lambda)[^.]*(?:\.0x[0-9a-f]{1,16})?|[/+.]0x[0-9a-f]{8,16}")


def recognises_async_profiler(head: bytes) -> bool:
    """Tell whether these are folded stacks with marks that async-profiler alone makes."""
    return _CERTAIN.search(head) is not None and recognises_folded(head)


def parse_async_profiler(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse collapsed stacks; the number of a stack is what was asked for: samples, bytes or ns.

    Raises ParseError where no line is a stack, and where it is too much.
    """
    return parse_folded(
        data, read_name=lambda name: _frame(name, keep_addresses=keep_offsets), whole_stacks=True
    )


def _frame(name: str, *, keep_addresses: bool) -> Frame:
    if thread := _THREAD.fullmatch(name):
        return Frame(thread[1] or f"thread {thread[2]}", FrameKind.PROCESS)
    method = _METHOD.fullmatch(name)
    if method is None:
        is_file = name.startswith("/")
        return nameless("", name, keep_offsets=False) if is_file else parse_frame(name)
    called = method[1].replace("/", ".")
    if not keep_addresses:
        called = _MADE.sub(lambda made: made[1] or "", called)
    if called.startswith("["):
        return parse_frame(called)  # no method, but why there is none
    return Frame(called, _KINDS[method[2]])
