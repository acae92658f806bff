"""Files that a sidecar encloses in its standard output."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from remote_prof.errors import ParseError
from remote_prof.parse import read_profile
from remote_prof.parse.enclosed import enclosed, has_enclosed, parse_enclosed
from remote_prof.profile.folded import parse_folded
from remote_prof.profile.model import Frame, FrameKind

CPU = Path(__file__).parents[2] / "tests/recorded/data/pprof/go-pprof-cpu.pb.gz"


def in_text(name: str, data: bytes, process: str = "node app.js") -> bytes:
    encoded = base64.encodebytes(data)
    pid = name.split("-")[1].partition(".")[0]
    return f"@@ file {name} {pid} {process}\n".encode() + encoded


def test_files_come_out_as_they_went_in() -> None:
    first, second = bytes(range(256)) * 4, b"x"
    raw = (
        b"# tool 1\n@@ sampling\n"
        + in_text("profile-12.cpuprofile", first)
        + in_text("recording-7.jfr", second, "java")
        + b"@@ end 0\n"
    )
    assert has_enclosed(raw)
    assert [(each.name, each.pid, each.process) for each in enclosed(raw)] == [
        ("profile-12.cpuprofile", 12, "node app.js"),
        ("recording-7.jfr", 7, "java"),
    ]
    assert [each.data for each in enclosed(raw)] == [first, second]


@pytest.mark.parametrize(
    "name", ["../profile-1.jfr", "profile-1.sh", "Profile-1.jfr", "x/y-1.jfr", "cpu-1-.jfr"]
)
def test_a_name_is_one_of_few(name: str) -> None:
    assert not has_enclosed(b"@@ file " + name.encode() + b" 1 java\nAAAA\n")


def test_what_is_damaged_is_told() -> None:
    damaged = b"@@ file recording-7.jfr 7 java\nabcde\n"
    assert enclosed(damaged + b"@@ end 0\n") == []
    with pytest.raises(ParseError, match=r"recording-7\.jfr is damaged"):
        parse_enclosed(damaged, parse_folded)
    # The others are not lost with it.
    profile = parse_enclosed(in_text("a-1.jfr", b"f;g 2\n", "java") + damaged, parse_folded)
    assert profile.total == 2
    assert profile.notes[0].startswith("recording-7.jfr is damaged")


def test_each_stands_under_its_process() -> None:
    raw = in_text("a-1.jfr", b"f;g 2\n", "java") + in_text("a-2.jfr", b"f;g 3\n", "java")
    profile = parse_enclosed(raw + b"@@ end 0\n", parse_folded)
    roots = [Frame("java", FrameKind.PROCESS, pid=pid) for pid in (1, 2)]
    assert {(stack[0], stack[1].name): n for stack, n in profile.stacks.items()} == {
        (roots[0], "f"): 2,
        (roots[1], "f"): 3,
    }


def test_several_of_one_process_add_up() -> None:
    raw = in_text("cpu-1-1.pb.gz", b"f;g 2\n", "app") + in_text("cpu-1-20.pb.gz", b"f;g 3\n", "app")
    assert [each.name for each in enclosed(raw)] == ["cpu-1-1.pb.gz", "cpu-1-20.pb.gz"]
    root = Frame("app", FrameKind.PROCESS, pid=1)
    profile = parse_enclosed(raw + b"@@ end 0\n", parse_folded)
    assert profile.stacks == {(root, Frame("f"), Frame("g")): 5}


def test_what_had_been_counted_before_is_taken_off_its_own_process() -> None:
    before = b"gone 5\nf;g 2\nf;new 0\nback 9\n"
    raw = (
        in_text("before-1.pb.gz", before, "app")
        + in_text("allocs-1.pb.gz", b"f;g 7\nf;new 3\nback 4\n", "app")
        + in_text("allocs-2.pb.gz", b"f;g 7\n", "app")
    )
    profile = parse_enclosed(raw + b"@@ end 0\n", parse_folded)
    # A counter that went back was begun anew: nothing is less than nothing.
    assert {(s[0].pid, *(f.name for f in s[1:])): n for s, n in profile.stacks.items()} == {
        (1, "f", "g"): 5,
        (1, "f", "new"): 3,
        (2, "f", "g"): 7,
    }
    alone = parse_enclosed(in_text("before-1.pb.gz", before, "app"), parse_folded)
    assert alone.total == 0


def test_a_raw_profile_is_read_without_its_run() -> None:
    raw = b"@@ sampling\n" + in_text("profile-1.pb.gz", CPU.read_bytes(), "app") + b"@@ end 0\n"
    read = read_profile("profile.txt", raw)
    assert read.total == read_profile("cpu.pb.gz", CPU.read_bytes()).total
    assert {stack[0].name for stack in read.stacks} == {"app"}
