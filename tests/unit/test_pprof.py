"""pprof files: what is written, what is read, and what is refused."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import ParseError
from remote_prof.parse import pprof as reader
from remote_prof.parse.pprof import parse_pprof
from remote_prof.profile.model import Frame, FrameKind, Profile, Stack
from remote_prof.profile.pprof import messages
from remote_prof.profile.quality import measure_quality
from remote_prof.render.folded import fold
from remote_prof.render.pprof import render_pprof
from remote_prof.render.report import Report

KERNEL, INLINED, PROCESS = FrameKind.KERNEL, FrameKind.INLINED, FrameKind.PROCESS
API = Frame("api", PROCESS, pid=12)
MAIN = Frame("main", module="/srv/api")


def write(profile: Profile, **more: Any) -> bytes:
    return render_pprof(Report(profile, measure_quality(profile), "title", **more))


class Document:
    """A profile.proto, made by hand."""

    def __init__(self, *types: tuple[str, str]) -> None:
        self.made = messages().Profile()
        self.strings = [""]
        for each in types:
            self.made.sample_type.append(self.value_type(*each))

    def string(self, text: str) -> int:
        self.strings.append(text)
        return len(self.strings) - 1

    def value_type(self, kind: str, unit: str) -> bytes:
        made = messages().ValueType(type=self.string(kind), unit=self.string(unit))
        return bytes(made.SerializeToString())

    def location(self, *names: str, file: str = "") -> int:
        """Add a location with a line for each name, innermost first; return its number."""
        number = len(self.made.location) + 1
        lines = []
        for name in names:
            function = messages().Function(id=len(self.made.function) + 1, name=self.string(name))
            self.made.function.append(function.SerializeToString())
            lines.append(messages().Line(function_id=function.id))
        mapping = messages().Mapping(id=number, filename=self.string(file))
        self.made.mapping.append(mapping.SerializeToString())
        made = messages().Location(id=number, mapping_id=number, line=lines)
        self.made.location.append(made.SerializeToString())
        return number

    def sample(self, locations: list[int], *values: int, **labels: str | int) -> None:
        made = [
            messages().Label(key=self.string(key), num=value)
            if isinstance(value, int)
            else messages().Label(key=self.string(key), str=self.string(value))
            for key, value in labels.items()
        ]
        sample = messages().Sample(location_id=locations, value=values, label=made)
        self.made.sample.append(sample.SerializeToString())

    def bytes(self) -> bytes:
        self.made.string_table[:] = [text.encode() for text in self.strings]
        return bytes(self.made.SerializeToString())


# ---- both ways

FRAMES = st.builds(
    Frame,
    st.text() | st.sampled_from(["", "[unknown]", "0x12", "[libc.so.6]", "f_[k]", "a;b"]),
    st.sampled_from(FrameKind),
    st.sampled_from([None, "/srv/api", "libc.so.6", "[vdso]", "a b"]),
    st.none() | st.integers(0, 2**40),
    st.none() | st.integers(0, 2**31),
    # A name that is none, in the kernel, is read as none.
).filter(lambda f: f.kind is not KERNEL or not f.name.startswith(("[kernel]", "0x")))


@given(
    st.dictionaries(st.lists(FRAMES, max_size=6).map(tuple), st.integers(1, 2**40), max_size=5),
    st.sampled_from(["samples", "us", "ns", "ms", "s", "bytes", "faults"]),
    st.none() | st.integers(1, 10_000),
)
def test_what_is_written_reads_as_the_same_folded_stacks(
    stacks: dict[Stack, int], unit: str, frequency_hz: int | None
) -> None:
    profile = Profile.of(stacks, unit=unit, frequency_hz=frequency_hz)
    data = write(profile)
    again = parse_pprof(data)
    assert fold(again) == fold(profile)
    assert again.unit == unit
    assert write(profile) == data


def test_kinds_modules_and_pids_survive() -> None:
    stacks: dict[Stack, int] = {
        (API, MAIN, Frame("clamp", INLINED, "/srv/api"), Frame("abs", INLINED, "/srv/api")): 4,
        (API, MAIN, Frame("vfs_write", KERNEL)): 3,
        (API, MAIN, Frame("nft_do_chain", KERNEL, "[nf_tables]")): 3,
        (API, MAIN, Frame("[kernel]", FrameKind.UNRESOLVED, "[kernel]")): 3,
        (API, MAIN, Frame("JS:handle", FrameKind.JIT, "/tmp/perf-12.map")): 2,
        (API, MAIN, Frame("JS:~handle", FrameKind.INTERPRETED)): 2,
        (API._replace(pid=13), Frame("[libc.so.6]", FrameKind.UNRESOLVED, "/lib/libc.so.6")): 1,
        (API._replace(pid=13), Frame("[truncated]", FrameKind.TRUNCATED), MAIN): 1,
        (Frame("idle", PROCESS),): 5,
    }
    profile = Profile.of(stacks, frequency_hz=99)
    assert parse_pprof(write(profile)) == profile


def test_samples_of_a_known_frequency_have_cpu_time_too() -> None:
    document = messages().Profile.FromString(
        gzip.decompress(write(Profile.of({(MAIN,): 7}, frequency_hz=100)))
    )
    sample = messages().Sample.FromString(document.sample[0])
    assert list(sample.value) == [7, 70_000_000]
    assert document.period == 10_000_000
    assert document.default_sample_type == 0, "pprof shows the last, which is CPU time"


@pytest.mark.parametrize(("unit", "values"), [("us", [7]), ("samples", [7])])
def test_other_weights_have_one_value(unit: str, values: list[int]) -> None:
    document = messages().Profile.FromString(
        gzip.decompress(write(Profile.of({(MAIN,): 7}, unit=unit)))
    )
    assert [list(messages().Sample.FromString(s).value) for s in document.sample] == [values]
    assert not document.period


def test_weights_of_more_than_64_bits_are_cut() -> None:
    profile = Profile.of({(MAIN,): 2**64}, frequency_hz=99)
    assert parse_pprof(write(profile)).total == 2**63 - 1


def test_title_facts_and_what_was_lost_are_comments() -> None:
    profile = Profile.of({(MAIN,): 7}, lost=3, notes=("the map was full",))
    data = write(profile, subtitle="on-CPU", facts={"host": "prod-3"})
    document = messages().Profile.FromString(gzip.decompress(data))
    said = [document.string_table[number].decode() for number in document.comment]
    assert said == ["title", "on-CPU", "host: prod-3", "lost: 3", "the map was full"]


def test_no_name_drives_the_terminal_that_pprof_prints_to() -> None:
    stack = (Frame("\x1b]0;x\x07", PROCESS), Frame("a\nb\u202e\ud800", module="/srv/\x1b[2J"))
    data = write(Profile.of({stack: 1}), subtitle="\x9b2J", facts={"a\rb": "\0"})
    texts = b" ".join(messages().Profile.FromString(gzip.decompress(data)).string_table).decode()
    assert texts.isprintable()
    assert "a?b??" in texts


# ---- what is read of the files of others


def test_the_last_value_is_read_unless_the_file_prefers_another() -> None:
    document = Document(("alloc_objects", "count"), ("alloc_space", "bytes"))
    document.sample([document.location("main")], 3, 4096)
    assert (parse_pprof(document.bytes()).total, parse_pprof(document.bytes()).unit) == (
        4096,
        "bytes",
    )
    document.made.default_sample_type = document.string("alloc_objects")
    preferred = parse_pprof(document.bytes())
    assert (preferred.total, preferred.unit) == (3, "alloc_objects")


def test_cpu_time_that_is_counted_in_samples_is_read_as_samples() -> None:
    document = Document(("samples", "count"), ("cpu", "nanoseconds"))
    document.sample([document.location("main")], 3, 30_000_000)
    assert parse_pprof(document.bytes()).unit == "ns", "the time between samples is not known"
    document.made.period_type = document.value_type("cpu", "nanoseconds")
    document.made.period = 10_000_000
    profile = parse_pprof(document.bytes())
    assert (profile.total, profile.unit, profile.frequency_hz) == (3, "samples", 100)


def test_values_of_zero_count_for_nothing_and_negative_ones_are_told() -> None:
    document = Document(("inuse_space", "bytes"))
    main, work = document.location("main"), document.location("work")
    for values in ([main], 8), ([work, main], 0), ([work, main], -5), ([main], -1), ([main], 2):
        document.sample(values[0], values[1])
    profile = parse_pprof(document.bytes())
    assert profile.stacks == {(Frame("main"),): 10}
    assert profile.notes == ("2 samples with negative values were left out",)


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("space", "bytes", "bytes"),
        ("delay", "nanoseconds", "ns"),
        ("contentions", "count", "contentions"),
        ("power", "milliwatts", "milliwatts"),
        ("a\0\nb", "count", "a??b"),
        ("x" * 1000, "count", "x" * 50),
        ("", "", "samples"),
    ],
)
def test_the_unit_is_a_word(name: str, unit: str, expected: str) -> None:
    document = Document((name, unit))
    document.sample([document.location("main")], 1)
    assert parse_pprof(document.bytes()).unit == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/srv/api", Frame("f", module="/srv/api")),
        ("", Frame("f")),
        ("[kernel.kallsyms]_stext", Frame("f", KERNEL, "[kernel.kallsyms]_stext")),
        ("/usr/lib/debug/boot/vmlinux-6.1", Frame("f", KERNEL, "/usr/lib/debug/boot/vmlinux-6.1")),
        ("/tmp/perf-12.map", Frame("f", FrameKind.JIT, "/tmp/perf-12.map")),
        ("//anon", Frame("f", FrameKind.JIT, "//anon")),
        ("[vdso]", Frame("f", module="[vdso]")),
    ],
)
def test_the_mapping_tells_the_kind(file: str, expected: Frame) -> None:
    document = Document(("samples", "count"))
    document.sample([document.location("f", file=file)], 1)
    assert parse_pprof(document.bytes()).frames == (expected,)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/lib/libc.so.6", "[libc.so.6]"),
        ("[vdso]", "[vdso]"),
        ("", "[unknown]"),
        ("[kernel.kallsyms]", "[kernel]"),
    ],
)
def test_an_address_without_lines_has_no_name(file: str, expected: str) -> None:
    document = Document(("samples", "count"))
    document.sample([document.location(file=file)], 1)
    (frame,) = parse_pprof(document.bytes()).frames
    assert (frame.name, frame.kind) == (expected, FrameKind.UNRESOLVED)


def test_inlined_functions_stand_above_what_they_are_inlined_into() -> None:
    document = Document(("samples", "count"))
    document.sample([document.location("abs", "clamp", "work"), document.location("main")], 1)
    assert parse_pprof(document.bytes()).stacks == {
        (Frame("main"), Frame("work"), Frame("clamp", INLINED), Frame("abs", INLINED)): 1
    }


def test_labels_of_the_process_become_the_root() -> None:
    document = Document(("samples", "count"))
    main = document.location("main")
    document.sample([main], 1, comm="api", pid=12, request="GET /")
    document.sample([main], 2, comm="api", pid=12, request="PUT /")
    document.sample([main], 4, pid=13)
    document.sample([main], 8, request="GET /")
    assert parse_pprof(document.bytes()).stacks == {
        (API, Frame("main")): 3,
        (Frame("pid 13", PROCESS, pid=13), Frame("main")): 4,
        (Frame("main"),): 8,
    }


def test_names_that_are_no_utf8_are_read() -> None:
    document = Document(("samples", "count"))
    document.sample([document.location("NAME")], 1)
    assert parse_pprof(document.bytes().replace(b"NAME", b"\xff\xfeME")).frames == (
        Frame("\ufffd\ufffdME"),
    )


# ---- what is refused


def small() -> bytes:
    document = Document(("samples", "count"))
    document.sample([document.location("main")], 1)
    return document.bytes()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "this is no profile.proto"),
        (b"main;work 3\n", "this is no profile.proto"),
        (b"\xff" * 100, "this is no profile.proto"),
        (gzip.compress(small(), mtime=0)[:20] + b"\xff" * 20, "this is no profile.proto"),
        (gzip.compress(b"main;work 3\n", mtime=0), "this is no profile.proto"),
    ],
)
def test_what_is_no_profile_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_pprof(data)
    assert caught.value.what == what
    assert caught.value.evidence
    assert caught.value.hint


def test_of_a_file_that_is_cut_what_is_there_is_read() -> None:
    profile = parse_pprof(gzip.compress(small())[:-9])
    assert profile.total == 1
    assert "its end is missing" in profile.notes[0]


def broken(part: str) -> bytes:
    """Return a profile that refers to what is not in it."""
    document = Document(("samples", "count"))
    main = document.location("main")
    document.sample([main + (part == "location")], 1, **({"comm": "x"} if part == "label" else {}))
    if part == "values":
        document.made.sample_type.append(document.value_type("cpu", "nanoseconds"))
    if part == "function":
        document.made.function.clear()
    if part == "mapping":
        document.made.mapping.clear()
    if part == "label":
        document.strings = document.strings[:-1]
    return document.bytes()


@pytest.mark.parametrize("part", ["location", "values", "function", "mapping", "label"])
def test_references_to_nothing_are_refused(part: str) -> None:
    with pytest.raises(ParseError):
        parse_pprof(broken(part))
    assert parse_pprof(broken("nothing")).total == 1


def test_a_small_file_that_inflates_without_end_takes_no_memory() -> None:
    bomb = gzip.compress(bytes(64 << 20)) * 64  # 4 GB in 4 MB
    tracemalloc.start()
    try:
        with pytest.raises(ParseError, match="more than 134217728 bytes"):
            parse_pprof(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * reader.MOST_BYTES


def test_a_message_of_many_empty_ones_is_not_opened() -> None:
    document = Document(("samples", "count"))
    document.made.location.append(b"\x22\x00" * (1 << 20))  # a million lines
    with pytest.raises(ParseError, match="bytes in one location"):
        parse_pprof(document.bytes())


def test_locations_of_many_lines_in_many_samples_are_bounded() -> None:
    document = Document(("samples", "count"))
    deep = document.location(*["f"] * 9_000)
    document.sample([deep, deep], 1)
    with pytest.raises(ParseError, match="frames in one stack"):
        parse_pprof(document.bytes())
    document.made.sample.clear()
    for _ in range(2_300):
        # Each is different as it is written, and the same when it is spelt out.
        document.sample([document.location("g"), deep], 1)
    with pytest.raises(ParseError, match="frames in all stacks"):
        parse_pprof(document.bytes())


@given(st.binary(max_size=300), st.integers(0, 400), st.booleans())
def test_any_bytes_make_a_profile_or_an_error(splinter: bytes, where: int, cut: bool) -> None:
    seed = small() + gzip.decompress(write(Profile.of({(API, MAIN): 3}, frequency_hz=99)))
    for data in (splinter, seed[:where] + splinter + (b"" if cut else seed[where:])):
        try:
            profile = parse_pprof(data)
        except ParseError:
            continue
        assert profile.total == sum(fold(profile).values())
