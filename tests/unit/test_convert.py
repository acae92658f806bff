"""From what people have to what they want: any format in, several at once, what is told of it."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import NoSamplesError, ParseError, UsageError
from remote_prof.parse import READERS, check_reader, packed, read_profile
from remote_prof.profile import limits
from remote_prof.profile.model import Profile
from remote_prof.render import RENDERERS
from remote_prof.run.convert import format_of, read_profiles, report_of

RAW = b"""# bpftrace v0.23.2
# filter: cgroup == 7
Attaching 4 probes...
@@ sampling

@samples: 40
@stacks_a[7, svc, 
    vfs_read+1
, 
    work+2
    main+3
]: 30
@stacks_a[7, svc, 
, 
    idle+2
    main+3
]: 10

@@ end 0
"""  # noqa: W291  bpftrace ends these lines in a blank


def folded(*sources: tuple[str, bytes], reader: str | None = None) -> list[str]:
    profile = read_profiles(sources, reader=check_reader(reader))
    return RENDERERS["folded"].render(report_of(profile, [])).decode().splitlines()


STACKS = ["svc;main;idle 10", "svc;main;work;vfs_read_[k] 30"]


def test_what_bpftrace_printed_is_converted() -> None:
    assert sorted(folded(("profile.txt", RAW))) == STACKS


@pytest.mark.parametrize("prefix", [b"profile-1  | ", b"remote_prof.x_1 | ", b"profile  |"])
def test_the_prefix_of_compose_is_dropped(prefix: bytes) -> None:
    lines = [prefix + line for line in RAW.splitlines()]
    pasted = b"\n".join([b"Attaching to profile-1", *lines, b"profile-1 exited with code 0\n"])
    assert sorted(folded(("pasted.txt", pasted))) == STACKS


@pytest.mark.parametrize(
    "head",
    [
        b"Attaching 2 probes...\n",
        b"# bpftrace v0.23.2\n",
        b"WARNING: Map full; can't update element. Try increasing max_map_keys config\n",
        b"",
    ],
)
def test_what_bpftrace_prints_first_tells_it(head: bytes) -> None:
    # Thousands of warnings may come before the first map.
    noise = b"Additional Info - helper: map_update_elem, retcode: -7\n" * 2000 if head else b""
    assert folded(("x", head + noise + b"@[\n    f+1\n    main+2\n]: 5\n")) == ["main;f 5"]


def test_folded_stacks_are_converted() -> None:
    assert folded(("a.folded", b"a;b 3\na;c 4\n")) == ["a;b 3", "a;c 4"]


@pytest.mark.parametrize("name", ["operator| ", "a|b", "pipe |"])
def test_a_bar_in_folded_stacks_is_no_prefix(name: str) -> None:
    line = f"{name.strip()};main 3"
    assert folded(("a.folded", line.encode())) == [line]


def test_an_at_sign_in_folded_stacks_is_not_bpftrace_s() -> None:
    assert folded(("a.folded", b"java;Foo@1f;run 3\n")) == ["java;Foo@1f;run 3"]


def test_several_inputs_are_added_up() -> None:
    assert folded(("a", b"a;b 3\na;c 4\n"), ("b", b"a;b 5\n"), ("c", b"d 1\n")) == [
        "a;b 8",
        "a;c 4",
        "d 1",
    ]


def test_a_title_is_made_of_the_names_of_the_inputs() -> None:
    profile = Profile((), {})
    assert report_of(profile, ["/x/one.folded", "-", "two"]).title == "one.folded, two"
    assert report_of(profile, ["one"], title="two & three").title == "two & three"


@pytest.mark.parametrize("data", [b"", b"\n"])
def test_an_empty_profile_is_an_error(data: bytes) -> None:
    with pytest.raises(NoSamplesError, match="no samples in x"):
        folded(("x", data))


@pytest.mark.parametrize(
    "data", [b"hello\n", b"a;b x\n", b"@@@", b"\x00\xff", b"<svg/>", b"{}", b"name   12\nb  3\n"]
)
def test_what_is_no_profile_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ParseError, match=r"notes\.txt: this is none of the formats") as raised:
        folded(("good", b"a 1\n"), ("notes.txt", data))
    assert raised.value.evidence
    assert all(name in raised.value.hint for name in READERS)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    refusals = []
    try:
        read_profiles([("x", data)])
    except (ParseError, NoSamplesError) as error:
        refusals.append(error.what)
    assert all(what.startswith("x: ") or what.endswith("samples in x") for what in refusals)


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary())
def test_any_bytes_are_read_as_any_format_or_refused(name: str, data: bytes) -> None:
    with contextlib.suppress(ParseError):
        profile = read_profile("x", data, reader=check_reader(name))
        assert all(weight > 0 for weight in profile.weights.values())


def test_the_names_of_readers_are_those_of_the_registry() -> None:
    assert {name: reader.name for name, reader in READERS.items()} == {
        name: name for name in READERS
    }
    assert all(reader.about for reader in READERS.values())


def test_a_reader_is_chosen_by_name() -> None:
    bpftrace = b"@[\n    a 3\n]: 5\n"
    assert folded(("x", bpftrace)) == ["a 3 5"]
    assert folded(("x", bpftrace), reader="folded") == ["    a 3", "]: 5"]
    with pytest.raises(UsageError, match="no input format 'perv'") as raised:
        check_reader("perv")
    assert "perf" in raised.value.hint


def test_an_input_that_is_half_readable_is_told_with_its_name() -> None:
    profile = read_profiles([("one", b"a;b 1\nhello\n"), ("two", b"a;b 2\n"), ("-", b"x\na;c 1\n")])
    assert profile.total == 4
    assert profile.notes == (
        "one: 1 line could not be read: line 2: 'hello'",
        "-: 1 line could not be read: line 1: 'x'",
    )


def test_units_that_differ_are_told_with_both_names() -> None:
    austin = b"# mode: wall\nP1;T0:1;/a.py:f:1 10\n"
    sources = [
        ("a", b"# no samples\n"),
        ("one", b"a;b 1\n"),
        ("two", b"b;c 1\n"),
        ("three", austin),
    ]
    with pytest.raises(UsageError, match="one and three cannot be added up") as raised:
        read_profiles(sources)
    assert raised.value.evidence == "one: samples; three: us"
    # What holds no samples has no unit.
    assert read_profiles([("a", b"\n"), ("three", austin)]).unit == "us"


def test_inputs_are_read_one_after_the_other() -> None:
    alive: list[int] = []

    class Input(bytes):
        def __del__(self) -> None:
            alive.pop()

    def sources() -> Iterator[tuple[str, bytes]]:
        for number in range(50):
            data = Input(b"a;b %d\n" % (number + 1))
            alive.append(number)
            assert len(alive) <= 3
            yield f"input {number}", data
            del data

    assert read_profiles(sources()).total == sum(range(1, 51))


def test_compressed_inputs_are_read() -> None:
    data = gzip.compress(b"a;b 1\n") + gzip.compress(b"a;b 2\n") + b"\0" * 20
    assert folded(("x", data)) == ["a;b 3"]
    assert folded(("x", data), reader="folded") == ["a;b 3"]


def test_of_a_compressed_input_that_is_cut_the_rest_is_kept() -> None:
    lines = b"".join(b"a;f%d 1\n" % (number * 7919) for number in range(50_000))
    whole = gzip.compress(lines)
    profile = read_profile("x", whole[: len(whole) // 2])
    assert 10_000 < profile.total < 40_000
    assert profile.notes[0] == "the compressed file is damaged, its end is missing: it is cut"
    damaged = bytearray(whole)
    damaged[len(whole) // 2 :] = b"\xff" * (len(whole) - len(whole) // 2)
    profile = read_profile("x", bytes(damaged))
    assert 10_000 < profile.total < 40_000
    assert profile.notes[0].startswith("the compressed file is damaged")


def test_a_compressed_input_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ParseError, match="x: the compressed file is damaged"):
        read_profile("x", gzip.compress(b"a;b 1\n")[:10])


def test_a_compressed_input_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_UNPACKED_BYTES", 1000)
    assert packed.unpack(gzip.compress(b"a" * 1000))[0] == b"a" * 1000
    with pytest.raises(ParseError, match="more than 1000 bytes in a compressed file"):
        packed.unpack(gzip.compress(b"a" * 1001))
    assert limits.MOST_UNPACKED_BYTES == 1 << 30


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("a.svg", "svg"),
        ("x/b.folded", "folded"),
        ("c.json", "speedscope"),
        ("profile.1.svg", "svg"),
    ],
)
def test_the_ending_of_the_output_tells_the_format(output: str, name: str) -> None:
    assert format_of(output) == name


@pytest.mark.parametrize("output", ["-", "profile", "a.png", "svg"])
def test_without_an_ending_the_format_is_asked_for(output: str) -> None:
    with pytest.raises(UsageError, match="the output format is missing") as raised:
        format_of(output)
    assert "--to" in raised.value.hint
    assert ".folded" in raised.value.hint
