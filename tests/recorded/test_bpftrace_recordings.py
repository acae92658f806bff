"""Real outputs of bpftrace to exact folded stacks. Where they come from: data/README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remote_prof.errors import ParseError
from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.profile.model import FrameKind, Profile, is_kernel
from remote_prof.profile.quality import measure_quality
from remote_prof.render import Report
from remote_prof.render.folded import render_folded

DATA = Path(__file__).parent / "data"
NOT_PARSED = {"bpftrace-0.17-badpid", "bpftrace-0.23-badpid"}
WITHOUT_STACKS = {
    "bpftrace-0.17-nosamples",
    "bpftrace-0.23-nosamples",
    "bpftrace-0.17-funccount",
    "bpftrace-0.23-funccount",
    "bpftrace-0.17-syscount",
    "bpftrace-0.23-syscount",
    "bpftrace-0.23-runqlat",
}
RECORDINGS = sorted(path.stem for path in DATA.glob("*.txt") if path.stem not in NOT_PARSED)
WITH_STACKS = [name for name in RECORDINGS if name not in WITHOUT_STACKS]


def read(name: str) -> bytes:
    return (DATA / f"{name}.txt").read_bytes()


def parse(name: str) -> Profile:
    return parse_bpftrace(read(name))


def fold(profile: Profile) -> bytes:
    return render_folded(Report(profile, measure_quality(profile), "recording"))


@pytest.mark.parametrize("name", RECORDINGS)
def test_folded_stacks_are_as_expected(name: str, bless: bool) -> None:
    expected = DATA / f"{name}.folded"
    folded = fold(parse(name))
    if bless:
        expected.write_bytes(folded)
    assert expected.exists(), f"{expected.name} is missing: look at it, then pytest --bless"
    assert folded == expected.read_bytes()


def test_every_expected_file_has_its_recording() -> None:
    assert {path.stem for path in DATA.glob("*.folded")} == set(RECORDINGS)


@pytest.mark.parametrize("name", WITH_STACKS)
def test_no_weight_is_lost_or_made_up(name: str) -> None:
    raw = read(name).decode()
    maps = re.findall(r"^@(\w*)\[(?:[^]]*\n|[^]\n]*, |\n)[^@]*?\]: (\d+)$", raw, re.MULTILINE)
    first = next(iter(dict(maps)))
    assert parse(name).total == sum(int(weight) for map_, weight in maps if map_ == first)


@pytest.mark.parametrize("name", sorted(WITHOUT_STACKS))
def test_output_without_stacks_is_an_empty_profile(name: str) -> None:
    assert parse(name).stacks == {}


@pytest.mark.parametrize("name", [*sorted(NOT_PARSED), "bpftrace-json/bpftrace-0.23"])
def test_errors_and_json_are_refused_with_their_words(name: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(name)
    if "json" in name:
        assert "-f json" in caught.value.hint
    else:
        assert caught.value.evidence == "ERROR: : No such process"


@pytest.mark.parametrize("name", WITH_STACKS)
def test_a_cut_recording_keeps_what_is_complete(name: str) -> None:
    raw = read(name)
    whole = parse_bpftrace(raw)
    for share in (0.3, 0.6, 0.9):
        cut = parse_bpftrace(raw[: int(len(raw) * share)])
        assert 0 <= cut.total <= whole.total
        for stack, weight in cut.stacks.items():
            assert weight <= whole.stacks[stack]


def test_offsets_tell_apart_what_was_one_function() -> None:
    raw = read("bpftrace-0.23-ustack")
    merged, split = parse_bpftrace(raw), parse_bpftrace(raw, keep_offsets=True)
    assert split.total == merged.total
    assert len(split.stacks) > len(merged.stacks)
    leaves = {stack[-1] for stack in split.stacks}
    assert {leaf.offset_bytes for leaf in leaves if leaf.name == "hot_leaf"} >= {25, 33, 43}


def test_kernel_frames_are_told_from_user_frames() -> None:
    profile = parse("bpftrace-0.23-kstack_ustack-syslog")
    kinds = {frame.name: frame.kind for stack in profile.stacks for frame in stack}
    assert kinds["do_syscall_64"] is FrameKind.KERNEL
    assert kinds["hot_leaf"] is FrameKind.USER
    for stack in profile.stacks:
        sides = [is_kernel(frame) for frame in stack]
        assert sides == sorted(sides), "the kernel's frames are called by the user's"


@pytest.mark.parametrize("name", ["bpftrace-0.17-kstack_ustack", "bpftrace-0.23-kstack_ustack"])
def test_without_symbols_the_kernel_is_still_the_kernel(name: str) -> None:
    leaves = {stack[-1].name for stack in parse(name).stacks}
    assert {"[kernel]", "hot_leaf"} <= leaves


def test_run_time_compiled_code_is_known() -> None:
    java = parse("java-bpftrace-0.23-fp-perfmap")
    kinds = {frame.name: frame.kind for stack in java.stacks for frame in stack}
    assert kinds["double App.handleRequest(int)"] is FrameKind.JIT
    assert kinds["Interpreter"] is FrameKind.INTERPRETED
    assert kinds["JavaThread::thread_main_inner()"] is FrameKind.USER
    node = parse("node-perfmap-bpftrace-0.17")
    kinds = {frame.name: frame.kind for stack in node.stacks for frame in stack}
    assert kinds["JS:^processTimers node:internal/timers:504:25"] is FrameKind.JIT


def test_lost_samples_are_counted_by_their_warnings() -> None:
    raw = read("bpftrace-0.23-mapfull-excerpt")
    profile = parse_bpftrace(raw)
    assert profile.lost == raw.count(b"Map full;")
    assert profile.notes == ("Map full; can't update element. Try increasing max_map_keys config",)


def test_stacks_at_the_depth_limit_are_marked() -> None:
    profile = parse("bpftrace-0.23-deep300")
    (stack,) = profile.stacks
    assert stack[0].kind is FrameKind.TRUNCATED
    assert len(stack) == 1 + 127
    assert measure_quality(profile).truncated_share == 1


def test_programs_without_frame_pointers_are_shallow() -> None:
    for version in ("0.17", "0.23"):
        assert measure_quality(parse(f"bpftrace-{version}-eng-svc-nofp")).shallow_share == 1
        assert measure_quality(parse(f"bpftrace-{version}-ustack_perf")).shallow_share < 0.05
