"""Recordings made by hand: what real ones do not have, and what nobody should send."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable

import pytest

from remote_prof.errors import ParseError
from remote_prof.parse.jfr import parse_jfr
from remote_prof.parse.jfr_types import read_number
from remote_prof.profile.model import Frame, FrameKind

STRING, STACK, EVENT, THREAD, LONG, NEST = 20, 21, 22, 23, 24, 25


def number(value: int) -> bytes:
    out = bytearray()
    for _ in range(8):
        if value < 0x80:
            return bytes(out) + bytes([value])
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def text(value: str) -> bytes:
    return b"\x03" + number(len(value.encode())) + value.encode()


def event(kind: int, body: bytes) -> bytes:
    inner = number(kind) + body
    size = len(inner) + 4
    padded = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80])
    return padded + bytes([size >> 21]) + inner


def metadata(types: dict[int, tuple[str, list[tuple[str, int, str]]]]) -> bytes:
    strings: list[str] = []

    def at(value: str) -> bytes:
        if value not in strings:
            strings.append(value)
        return number(strings.index(value))

    def element(name: str, given: dict[str, str], inner: Iterable[bytes] = ()) -> bytes:
        parts = list(inner)
        said = b"".join(at(key) + at(value) for key, value in given.items())
        head = at(name) + number(len(given)) + said
        return head + number(len(parts)) + b"".join(parts)

    classes = [
        element(
            "class",
            {"id": str(key), "name": name},
            [
                element(
                    "field",
                    {"name": field, "class": str(of)} | {how: "true"}
                    if how == "constantPool"
                    else {"name": field, "class": str(of)} | ({how: "1"} if how else {}),
                )
                for field, of, how in fields
            ],
        )
        for key, (name, fields) in types.items()
    ]
    tree = element("root", {}, [element("metadata", {}, classes)])
    table = number(len(strings)) + b"".join(map(text, strings))
    return event(0, number(1) + number(0) + number(1) + table + tree)


def chunk(*events: bytes, size: int | None = None, major: int = 2, state: int = 1) -> bytes:
    body = b"".join(events)
    whole = 68 + len(body) if size is None else size
    return (
        struct.pack(">4sHHQQQQQQQI", b"FLR\0", major, 0, whole, 0, 0, 0, 0, 0, 1000, state) + body
    )


TYPES: dict[int, tuple[str, list[tuple[str, int, str]]]] = {
    STRING: ("java.lang.String", []),
    LONG: ("long", []),
    THREAD: ("java.lang.Thread", [("javaName", STRING, "")]),
    STACK: ("jdk.types.StackTrace", [("truncated", LONG, ""), ("frames", LONG, "dimension")]),
    EVENT: (
        "jdk.ExecutionSample",
        [("sampledThread", THREAD, "constantPool"), ("stackTrace", STACK, "constantPool")],
    ),
}


def checkpoint(pools: dict[int, dict[int, bytes]]) -> bytes:
    said = b"".join(
        number(kind)
        + number(len(values))
        + b"".join(number(key) + value for key, value in values.items())
        for kind, values in pools.items()
    )
    return event(1, number(1) + number(0) + number(0) + b"\0" + number(len(pools)) + said)


THREADS = checkpoint({THREAD: {7: text("main")}})
SAMPLE = event(EVENT, number(7) + number(9))


@pytest.mark.parametrize(
    "value", [0, 1, 127, 128, 300, (1 << 56) - 1, 1 << 56, (1 << 63) + 5, (1 << 64) - 1]
)
def test_numbers_have_nine_bytes_at_most(value: int) -> None:
    written = number(value)
    assert len(written) <= 9
    assert read_number(written + b"\xff", 0) == (value, len(written))


def test_a_sample_without_a_stack_counts() -> None:
    profile = parse_jfr(chunk(metadata(TYPES), THREADS, SAMPLE, SAMPLE))
    unknown = Frame("[unknown]", FrameKind.UNRESOLVED)
    assert profile.stacks == {(Frame("main", FrameKind.PROCESS), unknown): 2}
    # A thread that nobody describes is told as one.
    (stack,) = parse_jfr(chunk(metadata(TYPES), SAMPLE)).stacks
    assert stack[0].name == "[unknown thread]"


def test_a_chunk_that_is_still_written_has_no_size() -> None:
    raw = chunk(metadata(TYPES), THREADS, SAMPLE, size=0)
    assert parse_jfr(raw).total == 1
    cut = parse_jfr(raw + SAMPLE[:-1])
    assert (cut.total, cut.notes) == (
        1,
        ("a part of the recording is damaged: its end is missing",),
    )


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (chunk(metadata(TYPES), major=3), "version 3 of the format is not known"),
        (chunk(metadata(TYPES), state=0), "numbers are not compressed"),
        (chunk(SAMPLE), "it does not describe its types"),
        (chunk(metadata(TYPES), checkpoint({99: {1: b"\0"}})), "it does not describe type 99"),
        (b"FLR\0", "there is no chunk where one should begin"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(ParseError, match="the recording cannot be read") as raised:
        parse_jfr(raw)
    assert raised.value.evidence == why
    # One that can be is not lost for it.
    both = parse_jfr(chunk(metadata(TYPES), THREADS, SAMPLE) + raw)
    assert (both.total, both.notes) == (1, (f"a part of the recording is damaged: {why}",))


def test_what_is_no_recording_is_told() -> None:
    with pytest.raises(ParseError, match="this is no recording"):
        parse_jfr(b"a;b 1\n")


def test_a_type_in_itself_and_arrays_of_nothing_end() -> None:
    nest = TYPES | {NEST: ("Nest", [("inner", NEST, "")])}
    with pytest.raises(ParseError) as raised:
        parse_jfr(chunk(metadata(nest), checkpoint({NEST: {1: b""}})))
    assert raised.value.evidence == "a type is in itself"
    # Elements that take no room, as many as a number can say.
    empty = TYPES | {NEST: ("Empty", []), 26: ("Many", [("all", NEST, "dimension")])}
    begun = time.monotonic()
    huge = checkpoint({26: {1: number(1 << 62)}})
    assert parse_jfr(chunk(metadata(empty), huge, THREADS, SAMPLE)).total == 1
    many = event(1, number(1) + number(0) + number(0) + b"\0" + number(1) + number(NEST))
    with pytest.raises(ParseError):
        parse_jfr(chunk(metadata(empty), many[:-1] + number(NEST) + number(1 << 62)))
    assert time.monotonic() - begun < 5


def test_a_doubling_of_types_ends() -> None:
    doubling = dict(TYPES)
    for level in range(40):
        of = 100 + level + 1 if level < 39 else LONG
        doubling[100 + level] = ("D", [("a", of, ""), ("b", of, "")])
    begun = time.monotonic()
    with pytest.raises(ParseError):
        parse_jfr(chunk(metadata(doubling), checkpoint({100: {1: b"\0" * 100}})))
    assert time.monotonic() - begun < 5


def test_it_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.parse.jfr.MOST_BYTES", 100)
    with pytest.raises(ParseError, match="more than 100 bytes"):
        parse_jfr(chunk(metadata(TYPES), THREADS, SAMPLE))
