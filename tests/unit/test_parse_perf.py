"""perf script: the forms of headers and frames, what is damaged, and any bytes."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ParseError
from remote_prof.parse import perf_frames
from remote_prof.parse.perf import MAX_DEPTH, parse_perf
from remote_prof.profile.model import Frame, FrameKind, Stack

LEAF = "\t    5607e8ae25d9 leaf+0x19 (/opt/svc)\n\t    5607e8ae264e main+0xe (/opt/svc)\n"
USER = (Frame("main", module="/opt/svc"), Frame("leaf", module="/opt/svc"))


def process(name: str, pid: int | None = None) -> Frame:
    return Frame(name, FrameKind.PROCESS, pid=pid)


def frame(line: str, *, keep_offsets: bool = False) -> Frame:
    profile = parse_perf(f"a 1 1.000000: e: \n{line}\n".encode(), keep_offsets=keep_offsets)
    ((_, found),) = profile.stacks
    return found


@pytest.mark.parametrize(
    ("header", "root"),
    [
        ("java 25607 4794564.109216: cycles: ", process("java")),
        ("java 24636/25607 [000] 4794564.109216: cycles:", process("java", 24636)),
        ("java 12688/12764 6544038.708352:   1010101 cpu-clock: ", process("java", 12688)),
        ("java 12688 [002] 6544038.708352:        250 cycles:uppp: ", process("java")),
        (
            "V8 WorkerThread 24636/25607 [000] 94564.109216: cycles:u:",
            process("V8 WorkerThread", 24636),
        ),
        ("worker 7 22123  3622.302842:   10101010 task-clock:ppp: ", process("worker 7")),
        (
            "two words 7/8 13243/13257 [001]  1913.05:  25 cpu-clock: ",
            process("two words 7/8", 13243),
        ),
        ("1 2 3 4 5.000000: 6 cycles: ", process("1 2 3")),
        ("a: b: 12 5.000000: 6 cycles: ", process("a: b:")),
        ("swapper     0 [000] 158665.570607: cpu-clock: ", process("swapper")),
        (":-1    -1 [000]  1.000000: cycles: ", process(":-1")),
        ("gone -1/-1 [000]  1.000000: cycles: ", process("gone")),
        ("cc1 1 1.000000: sched:sched_switch: prev_comm=a prev_pid=1 (x) ", process("cc1")),
        ("two words 7 12641 page-faults: ", process("two words 7")),
        ("svc 12641/12645 page-faults: ", process("svc", 12641)),
        ("svc 12641   10101010 page-faults: ", process("svc")),
        ("svc 12641/12645 [001]  5.000000: ", process("svc", 12641)),
        ("svc 12641/12645 ", process("svc", 12641)),
        ("svc ", process("svc")),
        ("page-faults: ", None),
        ("", None),
    ],
)
def test_headers_may_lack_anything(header: str, root: Frame | None) -> None:
    profile = parse_perf(f"{header}\n{LEAF}\n{header}\n{LEAF}\n".encode())
    assert profile.stacks == {((root,) if root else ()) + USER: 2}
    assert profile.notes == ()


U, K, J, N = FrameKind.USER, FrameKind.KERNEL, FrameKind.JIT, FrameKind.UNRESOLVED


@pytest.mark.parametrize(
    ("line", "name", "kind", "module"),
    [
        ("\t    5607e8ae25d9 hot+0x19 (/opt/a b (x))", "hot", U, "/opt/a b (x)"),
        ("\t    5607e8ae25d9 hot (/opt/svc)", "hot", U, "/opt/svc"),
        ("\t    5607e8ae25d9 hot+0x1 (/opt/svc (deleted))", "hot", U, "/opt/svc"),
        ("\t    5607e8ae25d9 hot (/opt/svc (deleted))", "hot", U, "/opt/svc"),
        ("\t    5607e8ae25d9 hot", "hot", U, None),
        ("                 5607e8 hot (/opt/svc)", "hot", U, "/opt/svc"),
        ("\t1226 (anonymous namespace)::f(int)+0x1 (/x)", "(anonymous namespace)::f(int)", U, "/x"),
        ("\t1226 operator+ (/x)", "operator+", U, "/x"),
        ("\t1226 clamp+0x36 (inlined)", "clamp", FrameKind.INLINED, None),
        ("\tffffffff821f39e5 idle+0x5 ([kernel.kallsyms])", "idle", K, "[kernel.kallsyms]"),
        ("\t8c3453 tcp (/usr/lib/debug/vmlinux-6.1)", "tcp", K, "/usr/lib/debug/vmlinux-6.1"),
        ("\t7d8 nf_hook+0x7f8f80b8 ([nf_conntrack])", "nf_hook", K, "[nf_conntrack]"),
        ("\t7d8 xmit+0x8 (/lib/modules/e1000.ko.xz)", "xmit", K, "/lib/modules/e1000.ko.xz"),
        ("\tffffffffc0028aaa bpf_prog_6d_x (bpf_prog_6d_x)", "bpf_prog_6d_x", K, "bpf_prog_6d_x"),
        ("\t7ffd4b7f06c1 __vdso_time+0x1 ([vdso])", "__vdso_time", U, "[vdso]"),
        ("\tffffffffff600000 vtime+0x0 ([vsyscall])", "vtime", U, "[vsyscall]"),
        ("\tffffffff821f39e5 [unknown] ([kernel.kallsyms])", "[kernel]", N, "[kernel]"),
        ("\tffffffff821f39e5 [unknown] ([unknown])", "[kernel]", N, "[kernel]"),
        ("\t7fb865886ad7 [unknown] ([unknown])", "[unknown]", N, None),
        ("\t7f1e2215d058  (/lib/libc-2.15.so)", "[libc-2.15.so]", N, "/lib/libc-2.15.so"),
        ("\t7f1e2215d058 [unknown] (/lib/libc.so.6)", "[libc.so.6]", N, "/lib/libc.so.6"),
        ("\t7fd1fc03c996 run (/tmp/perf-7845.map)", "run", J, "/tmp/perf-7845.map"),
        ("\t7fd1fc03c996 run+0x1 (/x/jitted-7-1.so)", "run", J, "/x/jitted-7-1.so"),
        ("\t7fd1 JS:~a a.js:1:1+0x96 (/x)", "JS:~a a.js:1:1", FrameKind.INTERPRETED, "/x"),
    ],
)
def test_frames(line: str, name: str, kind: FrameKind, module: str | None) -> None:
    assert frame(line) == Frame(name, kind, module)


def test_offsets_and_addresses_are_kept_on_request() -> None:
    assert frame("\t12d9 hot+0x19 (/x)", keep_offsets=True) == Frame(
        "hot", module="/x", offset_bytes=25
    )
    nameless = frame("\t7fb8 [unknown] (/x/libc.so)", keep_offsets=True)
    assert nameless == Frame("0x7fb8", FrameKind.UNRESOLVED, "/x/libc.so")


def test_source_lines_are_no_frames() -> None:
    text = (
        "svc 7/7 [000]  1913.052727:   25000000   cpu-clock: \n"
        "\t            1231 mix+0x41\n  t.cc:8 (inlined)\n"
        "\t            1231 work+0x41 (/x)\n  t.cc:11\n"
        "\t            1120 _start+0x20 (/x)\n  ??:0\n\n"
    )
    (stack,) = parse_perf(text.encode()).stacks
    assert stack == (
        process("svc", 7),
        Frame("_start", module="/x"),
        Frame("work", module="/x"),
        Frame("mix", FrameKind.INLINED),
    )


def test_without_callchains_a_sample_is_a_line() -> None:
    text = (
        "   two words 7/8 12802  1899.319945:   20408163 cpu-clock:      557bdabe3226 f+0x36 (/x)\n"
        "              dd   128  1899.341228:   2040816 cpu-clock: ffffffff821f39e5 g ([unknown])\n"
        "              dd   128  1899.341229:         1 cpu-clock: ffffffff821f39e5 g ([unknown])\n"
        "              dd   128  1899.341230:         1 cpu-clock: \n"
    )
    assert parse_perf(text.encode()).stacks == {
        (process("two words 7/8"), Frame("f", module="/x")): 1,
        (process("dd"), Frame("g", FrameKind.KERNEL)): 2,
        (process("dd"),): 1,
    }


def test_a_sample_counts_one_whatever_its_period() -> None:
    header = "svc 1  1.000000:  {} cycles: \n"
    profile = parse_perf((header.format(7) + LEAF + "\n" + header.format(900) + LEAF).encode())
    assert list(profile.stacks.values()) == [2]
    assert profile.unit == "samples"


def test_lost_samples_and_the_version_are_told() -> None:
    text = (
        "# ========\n# perf version : 6.1.187\n# ========\n#\n"
        "svc 1  1.000000: PERF_RECORD_LOST lost 12\n"
        f"svc 1  1.000001: cycles: \n{LEAF}\nsvc 1  1.000002: PERF_RECORD_LOST lost 30\n"
    )
    profile = parse_perf(text.encode())
    assert (profile.total, profile.lost, profile.tool) == (1, 42, "perf 6.1.187")


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\n\n\n"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_the_end_may_be_anywhere(ending: str, line_break: str) -> None:
    text = f"svc 1  1.000000: cycles: \n{LEAF}".rstrip("\n") + ending
    profile = parse_perf(text.replace("\n", line_break).encode())
    assert profile.stacks == {(process("svc"), *USER): 1}


@pytest.mark.parametrize(
    ("text", "stacks", "note"),
    [
        (
            f"svc 1  1.0: cycles: \n{LEAF}\nhello\n\nsvc 1  1.0: cycles: \n{LEAF}",
            2,
            "line 5: 'hello'",
        ),
        (f"svc 1  1.0: cycles: \n{LEAF}\tnot a line\n\n", 1, "line 4: '\\tnot a line'"),
        (f"svc 1  1.0: cycles: \nodd one\n{LEAF}\n", 1, "line 2: 'odd one'"),
        (
            f"a header that is none, of words\n{LEAF}\n",
            1,
            "line 1: 'a header that is none, of words'",
        ),
        (f"hello\nsvc 1  1.0: cycles: \n{LEAF}\n", 1, "line 1: 'hello'"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_kept(
    text: str, stacks: int, note: str
) -> None:
    profile = parse_perf(text.encode())
    assert profile.total == stacks
    assert {stack[-2:] for stack in profile.stacks} == {USER}
    assert profile.notes == (f"1 line could not be read: {note}",)


@pytest.mark.parametrize("text", ["hello\n", "two words\n\nmore of them\n", "\tnot a line\n"])
def test_where_there_is_no_sample_it_is_an_error(text: str) -> None:
    with pytest.raises(ParseError, match="no sample of perf script") as raised:
        parse_perf(text.encode())
    assert "line 1" in raised.value.evidence


def test_comments_alone_are_an_empty_profile() -> None:
    assert parse_perf(b"# ========\n# perf version : 6.1\n#\n").stacks == {}


def deep(depth: int) -> str:
    frames = "".join(f"\t{number + 1:16x} f{number} (/x)\n" for number in range(depth))
    return f"svc 1  1.0: cycles: \n\t  1 clamp (inlined)\n{frames}\n"


@pytest.mark.parametrize(
    ("depths", "cut"),
    [([MAX_DEPTH - 1], 0), ([MAX_DEPTH], 1), ([MAX_DEPTH, 3], 1), ([MAX_DEPTH, MAX_DEPTH + 1], 0)],
)
def test_stacks_at_the_depth_limit_are_marked(depths: list[int], cut: int) -> None:
    profile = parse_perf("".join(map(deep, depths)).encode())
    marked = [stack for stack in profile.stacks if stack[1].kind is FrameKind.TRUNCATED]
    assert len(marked) == cut
    assert profile.max_depth == (MAX_DEPTH if cut else None)
    assert all(stack[0] == process("svc") and len(stack) == MAX_DEPTH + 3 for stack in marked)


def test_many_addresses_are_read_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_frames, "_MOST_KNOWN", 3)
    frames = "".join(f"\t{number:16x} f{number % 5}+0x{number:x} (/x)\n" for number in range(1, 60))
    profile = parse_perf(f"svc 1  1.0: cycles: \n{frames}\n".encode())
    ((_, *names),) = profile.stacks
    assert [found.name for found in reversed(names)] == [f"f{n % 5}" for n in range(1, 60)]


class Sample(NamedTuple):
    comm: str
    pid: int
    cpu: int
    names: tuple[str, ...]


COMMS = st.sampled_from(
    ["svc", "two words", "7", "a/b 7/8", "x: 1.5: y", "[k] (x)", "ü", "#1", "é 3 "]
)
NAMES = st.sampled_from(
    ["main", "operator+", "f(int, A<b c>)", "ns::(anonymous namespace)::f", "a+b"]
)
SAMPLES = st.lists(
    st.builds(
        Sample,
        COMMS,
        st.integers(0, 4194304),
        st.integers(0, 255),
        st.lists(NAMES, min_size=1, max_size=4).map(tuple),
    ),
    min_size=1,
    max_size=8,
)


@given(SAMPLES, st.booleans(), st.booleans())
def test_what_perf_would_print_is_read_again(
    samples: list[Sample], cpu: bool, offsets: bool
) -> None:
    text = ""
    expected: dict[Stack, int] = {}
    for number, (comm, pid, processor, names) in enumerate(samples):
        where = f" [{processor:03d}]" if cpu else ""
        text += f"{comm} {pid:5d}/{pid + 1:<5d}{where} {number:5d}.{number:06d}: {number:10d} e: \n"
        for name in names:
            offset = f"+0x{number:x}" if offsets else ""
            text += f"\t{4096 + number:16x} {name}{offset} (/srv/a b)\n"
        text += "\n"
        frames = [Frame(name, module="/srv/a b") for name in reversed(names)]
        stack = (process(comm.strip(), pid), *frames)
        expected[stack] = expected.get(stack, 0) + 1
    profile = parse_perf(text.encode())
    assert profile.stacks == expected
    assert profile.notes == ()


PIECES = st.sampled_from(
    [b"svc 1/2 [0] 1.0: 5 e: ", b"\n", b"\n\n", b"\t12 f+0x1 (/x)", b"  a.c:3", b"# x", b" ", b"\t"]
)


@given(st.lists(PIECES | st.binary(max_size=6)).map(b"".join))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert all(weight > 0 for weight in parse_perf(data).weights.values())
