from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.parse.bpftrace_frames import Side, parse_frame
from remote_prof.profile.model import Frame, FrameKind

UNKNOWN = Frame("[unknown]", FrameKind.UNRESOLVED)
KERNEL_HEX = Frame("[kernel]", FrameKind.UNRESOLVED, module="[kernel]")
WRITE = Frame("vfs_write", FrameKind.KERNEL)


@pytest.mark.parametrize(
    ("line", "name", "offset"),
    [
        (b"    hot_leaf+25", "hot_leaf", 25),
        (b"        operator+(A const&, A const&)+7", "operator+(A const&, A const&)", 7),
        (b"    std::map<int, a+b>::at+0", "std::map<int, a+b>::at", 0),
        (b"    <T as core::ops::Add>::add+16", "<T as core::ops::Add>::add", 16),
        (b"    no_offset", "no_offset", None),
        (b"    a+5+3", "a+5", 3),
        (b"    dead", "dead", None),
        (b"    f+99999999999999999999999", "f+99999999999999999999999", None),
    ],
)
def test_only_the_trailing_offset_goes(line: bytes, name: str, offset: int | None) -> None:
    assert parse_frame(line, Side.USER) == Frame(name)
    assert parse_frame(line, Side.USER, keep_offsets=True) == Frame(name, offset_bytes=offset)


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        (b"\t7f main+3 (/opt/app/svc)", Frame("main", module="/opt/app/svc")),
        (b"\t7f f (int)+3 (/opt/my app (1)/x)", Frame("f (int)", module="/opt/my app (1)/x")),
        (b"\t7f main+3 (/tmp/x (deleted))", Frame("main", module="/tmp/x (deleted)")),
        (b"\t7f 0x7f ([unknown])", UNKNOWN),
        (b"\t7f [unknown] ([unknown])", UNKNOWN),
        (
            b"\t7f 0x7f (/lib/libc.so.6)",
            Frame("[libc.so.6]", FrameKind.UNRESOLVED, "/lib/libc.so.6"),
        ),
        (b"\t7f JS:^f a.js:1+3", Frame("JS:^f a.js:1", FrameKind.JIT)),
        (b"\tffffffff81000130 vfs_write+1", WRITE),
        (b"\t", UNKNOWN),
        (b"    0x7f8b535fd1f5", UNKNOWN),
        (b"    0", UNKNOWN),
        (b"    0xffffffff81000130", KERNEL_HEX),
        (b"7fd77e072545", UNKNOWN),
        (b"ffffffff81000130", KERNEL_HEX),
        (b"", UNKNOWN),
        (b"    +5", UNKNOWN),
        (b"    caf\xff+1", Frame("caf\ufffd")),
    ],
)
def test_forms_of_a_frame(line: bytes, frame: Frame) -> None:
    assert parse_frame(line, Side.EITHER) == frame


def test_addresses_stay_with_the_offsets() -> None:
    def kept(line: bytes) -> str:
        return parse_frame(line, Side.EITHER, keep_offsets=True).name

    assert kept(b"    0x7f8b535fd1f5") == "0x7f8b535fd1f5"
    assert kept(b"7fd77e072545") == "0x7fd77e072545"
    assert kept(b"\t7f12 [unknown] ([unknown])") == "0x7f12"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("JS:^processTimers node:internal/timers:504:25", FrameKind.JIT),
        ("JS:*hot app.js:3:1", FrameKind.JIT),
        ("LazyCompile:*hot app.js:3:1", FrameKind.JIT),
        ("JS:~cold app.js:3:1", FrameKind.INTERPRETED),
        ("Interpreter", FrameKind.INTERPRETED),
        ("Lcom/app/Handler;::run", FrameKind.JIT),
        ("double App.handleRequest(int)", FrameKind.JIT),
        ("byte[] java.util.Arrays.copyOfRange(byte[], int, int)", FrameKind.JIT),
        ("void App.lambda$main$0()", FrameKind.JIT),
        ("py::handle:/srv/app.py", FrameKind.INTERPRETED),
        ("void [System.Private.CoreLib] System.Foo::Bar()[OptimizedTier1]", FrameKind.JIT),
        ("void std::__sort<int*>(int*, int*)", FrameKind.USER),
        ("JavaThread::thread_main_inner()", FrameKind.USER),
        ("main.main.func1", FrameKind.USER),
        ("<alloc::vec::Vec<T> as core::ops::Index>::index", FrameKind.USER),
    ],
)
def test_run_time_compiled_code_is_told_by_its_names(name: str, kind: FrameKind) -> None:
    assert parse_frame(f"    {name}+12".encode(), Side.USER) == Frame(name, kind)


@given(st.binary())
def test_any_line_is_a_frame(line: bytes) -> None:
    for side in Side:
        assert parse_frame(line, side).name
        assert parse_frame(line, side, keep_offsets=True).name
