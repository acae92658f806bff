"""Where a program's files lay, and what that makes of addresses without a name."""

from __future__ import annotations

import pytest

from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.parse.mappings import Mappings, Place, Symbol, with_symbols
from remote_prof.parse.perf import parse_perf
from remote_prof.profile.model import Frame, FrameKind
from remote_prof.profile.quality import hints, measure_quality

BUILD = "c82e082b630d28618388557ae0209773ea9dca59"
SVC = f"# mapping 7 400000 401000-480000 1000 {BUILD} /opt/app/svc\n".encode()
LIBC = b"# mapping 7 7f0000000000 7f0000026000-7f0000180000 1000 - /usr/lib/libc.so.6\n"
BPFTRACE = (
    b"@@ sampling\nAttached 2 probes\n"
    b"@stacks_a[7, svc, \n        0xffffffff81000000\n, \n"
    b"        0x401234\n        main+12\n        0x7f0000026010\n        0x999999\n]: 5\n"
    b"@samples: 5\n" + SVC + LIBC + b"@@ end 0\n"
)
PERF = (
    b"# perf version : 6.12\n# weights: the numbers in the headers\n@@ sampling\n"
    b"svc 7/7 1.000000: 5 cpu-clock: \n"
    b"\t          401234 [unknown] (/opt/app/svc)\n"
    b"\t          401300 main+0x12 (/opt/app/svc)\n"
    b"\t    7f0000026010 [unknown] (/usr/lib/libc.so.6)\n\n" + SVC + LIBC + b"@@ end 0\n"
)


def known(place: Place) -> Symbol | None:
    """Know one function of one build."""
    wanted = Place(0x1234, BUILD, "/opt/app/svc")
    return Symbol("app::leaf(int)", 4) if place == wanted else None


def test_a_place_is_the_same_in_every_process() -> None:
    raw = (
        b"# mapping 1 5500000 5501000-5502000 1000 ab12 /opt/app/svc\n"
        b"# mapping 2 6600000 6601000-6602000 1000 ab12 /opt/app/svc\n"
    )
    mappings = Mappings(raw)
    assert mappings.place(0x5501010) == Place(0x1010, "ab12", "/opt/app/svc")
    assert mappings.place(0x6601010) == Place(0x1010, "ab12", "/opt/app/svc")
    assert mappings.place(0x5502000) is None
    assert mappings.place(0) is None
    assert mappings.build_ids == {"/opt/app/svc": "ab12"}


def test_each_process_has_its_own() -> None:
    raw = (
        b"# mapping 1 400000 401000-405000 1000 aaaa /opt/one\n"
        b"# mapping 2 400000 401000-403000 1000 bbbb /opt/two\n"
    )
    mappings = Mappings(raw)
    assert mappings.place(0x401000, 1) == Place(0x1000, "aaaa", "/opt/one")
    assert mappings.place(0x401000, 2) == Place(0x1000, "bbbb", "/opt/two")
    assert mappings.place(0x404000, 2) is None


def test_of_a_process_that_is_not_listed_only_what_all_agree_on_is_sure() -> None:
    raw = (
        b"# mapping 1 400000 401000-405000 1000 aaaa /opt/one\n"
        b"# mapping 2 400000 401000-403000 1000 bbbb /opt/two\n"
    )
    mappings = Mappings(raw)
    assert mappings.place(0x401000, 3) is None
    assert mappings.place(0x403000, 3) == Place(0x3000, "aaaa", "/opt/one")
    assert mappings.place(0x405000) is None


def test_different_builds_of_one_path_have_none() -> None:
    raw = (
        b"# mapping 1 10000 11000-12000 1000 aaaa /opt/app\n"
        b"# mapping 2 20000 21000-22000 1000 bbbb /opt/app\n"
    )
    assert Mappings(raw).build_ids == {}


@pytest.mark.parametrize(
    "line",
    [
        b"# mapping 1 400000 401000-400000 1000 ab12 /opt/app",
        b"# mapping 1 402000 401000-403000 1000 ab12 /opt/app",
        b"# mapping 1 400000 401000 ab12 /opt/app",
        b"# mapping 1 400000 401000-402000 1000 xyz /opt/app",
        b"# mapping 1 400000 401000-402000 1000 ab12 [heap]",
        b"# mapping x 400000 401000-402000 1000 ab12 /opt/app",
        b" # mapping 1 400000 401000-402000 1000 ab12 /opt/app",
        b"# mapping 1 11111111111111111 401000-402000 1000 ab12 /opt/app",
    ],
)
def test_what_is_no_mapping_is_left_out(line: bytes) -> None:
    assert not Mappings(line + b"\n")
    assert Mappings(b"").place(7) is None


def test_very_many_end_in_time() -> None:
    lines = (
        b"# mapping 1 %x %x-%x 1000 ab12 /opt/%d\n" % (n, n + 1, 0xFFFFFF - n, n)
        for n in range(100_000)
    )
    assert len(Mappings(b"".join(lines)).build_ids) <= 2000


def test_bpftrace_s_addresses_have_their_file() -> None:
    profile = parse_bpftrace(BPFTRACE)
    (stack,) = profile.stacks
    assert stack == (
        Frame("svc", FrameKind.PROCESS, pid=7),
        Frame("[unknown]", FrameKind.UNRESOLVED),
        Frame("[libc.so.6]", FrameKind.UNRESOLVED, "/usr/lib/libc.so.6"),
        Frame("main"),
        Frame("[svc]", FrameKind.UNRESOLVED, "/opt/app/svc"),
        Frame("[kernel]", FrameKind.UNRESOLVED, "[kernel]"),
    )
    assert profile.build_ids == {"/opt/app/svc": BUILD}
    assert profile.notes == ()


def test_bpftrace_s_addresses_get_their_names() -> None:
    named = with_symbols(BPFTRACE, Mappings(BPFTRACE), known)
    (stack,) = parse_bpftrace(named).stacks
    assert stack[-2] == Frame("app::leaf(int)", FrameKind.USER, "/opt/app/svc")
    (stack,) = parse_bpftrace(named, keep_offsets=True).stacks
    assert stack[-2].offset_bytes == 4
    assert parse_bpftrace(named).total == 5


def test_perf_s_addresses_get_their_names() -> None:
    named = with_symbols(PERF, Mappings(PERF), known)
    (stack,) = parse_perf(named).stacks
    assert [frame.name for frame in stack] == ["svc", "[libc.so.6]", "main", "app::leaf(int)"]
    assert stack[-1].kind is FrameKind.USER
    (stack,) = parse_perf(named, keep_offsets=True).stacks
    assert stack[-1].offset_bytes == 4
    assert parse_perf(PERF).build_ids == {"/opt/app/svc": BUILD}


def test_without_mappings_nothing_is_changed() -> None:
    raw = BPFTRACE.replace(b"# mapping", b"# map")
    assert with_symbols(raw, Mappings(raw), known) is raw


def test_a_stripped_program_is_told_by_its_build() -> None:
    profile = parse_bpftrace(BPFTRACE.replace(b"\n        0xffffffff81000000\n, ", b""))
    quality = measure_quality(profile)
    assert quality.build_ids == {"svc": BUILD}
    (found,) = [hint for hint in hints(profile, quality) if "without a name" in hint.what]
    assert f"svc 100 % (build id {BUILD})" in found.evidence
    assert "--debug-dir" in found.fix


def test_an_old_perf_tells_where_in_its_file_an_address_is() -> None:
    raw = PERF.replace(b"6.12", b"6.1.176").replace(b"401234", b"  1234")
    raw = raw.replace(b"7f0000026010", b"        1010")
    (stack,) = parse_perf(with_symbols(raw, Mappings(raw), known)).stacks
    assert [frame.name for frame in stack] == ["svc", "[libc.so.6]", "main", "app::leaf(int)"]
