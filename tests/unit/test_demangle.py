"""Names of C++ and Rust, and the many that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.parse.bpftrace_frames import Side, parse_frame
from remote_prof.parse.demangle import readable


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("_ZN3app5Store4findEiPKc", "app::Store::find(int, char const*)"),
        (
            "_ZN3app5Store4findEiPKc.isra.0",
            "app::Store::find(int, char const*) [clone .isra.0]",
        ),
        ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
        ("core::fmt::write::h0123456789abcdef", "core::fmt::write"),
        (
            "_$LT$$RF$T$u20$as$u20$core..fmt..Display$GT$::fmt::h0123456789abcdef",
            "<&T as core::fmt::Display>::fmt",
        ),
        ("_RINvNtCsjMaewn57Afh_1t4deep4spinmEB4_", "t::deep::spin::<u32>"),
        ("_RNvXCsjMaewn57Afh_1tNtB2_2SqNtB2_5Shape4area", "<t::Sq as t::Shape>::area"),
        *((name, name) for name in ("main", "_start", "_Zebra", "_Rest", "__libc_start_main")),
        *((name, name) for name in ("runtime.goexit.abi0", "std::vector<int>::push_back(int&&)")),
        ("::h0123456789abcdef", "::h0123456789abcdef"),
        ("a::hello", "a::hello"),
        ("_Z" + "P" * 5000, "_Z" + "P" * 5000),
    ],
)
def test_names_are_read(name: str, read: str) -> None:
    assert readable(name) == read


def test_frames_have_readable_names() -> None:
    line = b"        _RNvXCsjMaewn57Afh_1tNtB2_2SqNtB2_5Shape4area+12"
    assert parse_frame(line, Side.USER).name == "<t::Sq as t::Shape>::area"


@given(st.text(alphabet="_ZRNSIE0123456789abBCTPRKv.$:h", max_size=200))
def test_any_name_is_read_or_stays(name: str) -> None:
    for each in (name, f"_Z{name}", f"_R{name}", f"_ZN{name}E"):
        assert readable(each)[:1] != "" or not each


def test_a_name_that_refers_to_itself_is_bounded() -> None:
    numbers = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    references = ["S_", *(f"S{number}_" for number in numbers)]
    name = "_Z1f1AIiiE" + "".join(f"1BI{each}{each}E" for each in references)
    # Spelt out it would be longer than any memory; within the library's limits it stays as it is.
    assert len(readable(name)) <= 1 << 16
