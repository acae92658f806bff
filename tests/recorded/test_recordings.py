"""Real outputs of other profilers to exact folded stacks. A directory of data/ is a reader's."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from remote_prof.parse import READERS, read_profile
from remote_prof.profile.model import FrameKind, Profile
from remote_prof.profile.quality import measure_quality
from remote_prof.render import Report
from remote_prof.render.folded import render_folded

DATA = Path(__file__).parent / "data"
RECORDINGS = sorted(str(path.relative_to(DATA)) for path in DATA.glob("*/*.txt"))
# What stands at the end of the recording, from the shell that made it.
DAMAGED = {"perf/perf-6.12-fp.txt", "perf/perf-6.12-fp-on-nofp.txt"}


def parse(name: str, *, keep_offsets: bool = False) -> Profile:
    return read_profile(name, (DATA / name).read_bytes(), keep_offsets=keep_offsets)


def kinds(profile: Profile) -> dict[str, FrameKind]:
    return {frame.name: frame.kind for frame in profile.frames}


@pytest.mark.parametrize("name", RECORDINGS)
def test_folded_stacks_are_as_expected(name: str, bless: bool) -> None:
    expected = (DATA / name).with_suffix(".folded")
    profile = parse(name)
    folded = render_folded(Report(profile, measure_quality(profile), "recording"))
    if bless:
        expected.write_bytes(folded)
    assert expected.exists(), f"{expected.name} is missing: look at it, then pytest --bless"
    assert folded == expected.read_bytes()


def test_every_expected_file_has_its_recording() -> None:
    others = (".pb.gz", ".mojo", ".raw")
    folded = [
        path
        for path in DATA.glob("*/*.folded")
        if not any(path.with_suffix(suffix).exists() for suffix in others)
    ]
    assert {str(path.relative_to(DATA).with_suffix(".txt")) for path in folded} == set(RECORDINGS)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_content_tells_the_format(name: str) -> None:
    data = (DATA / name).read_bytes()
    first = next(each.name for each in READERS.values() if each.recognises(data[:65536]))
    assert first == Path(name).parent.name


@pytest.mark.parametrize("name", RECORDINGS)
def test_compressed_it_is_the_same(name: str) -> None:
    data = (DATA / name).read_bytes()
    assert read_profile(name, gzip.compress(data)) == read_profile(name, data)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in RECORDINGS
        # Where equal samples are put together, a tenth of the text may be half of them.
        if not name.startswith(("speedscope/", "cpuprofile/", "perf/sidecar", "async"))
    ],
)
def test_a_cut_recording_keeps_what_is_complete(name: str) -> None:
    data = (DATA / name).read_bytes()
    whole = parse(name)
    for share in (0.8, 0.97):
        cut = read_profile(name, data[: int(len(data) * share)])
        if name.startswith("bpftrace-json/"):
            assert cut.total <= whole.total  # all stands in one line
        else:
            assert abs(cut.total - share * whole.total) < 0.2 * whole.total + 1
        # The last sample may lack callers, no other.
        assert len(set(cut.stacks) - set(whole.stacks)) <= 1


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_cannot_be_read_is_told_and_nothing_else_is_lost(name: str) -> None:
    notes = [note for note in parse(name).notes if "could not be read" in note]
    assert bool(notes) == (name in DAMAGED)
    if notes:
        assert re.fullmatch(r"1 line could not be read: line \d+: 'took [\d.]+'", notes[0])


@pytest.mark.parametrize("name", [name for name in RECORDINGS if name.startswith("perf/perf-6.12")])
def test_every_sample_of_perf_counts_one(name: str) -> None:
    headers = re.findall(rb"^\S.* task-clock:ppp: $", (DATA / name).read_bytes(), re.MULTILINE)
    assert parse(name).total == len(headers)


@pytest.mark.parametrize("name", [n for n in RECORDINGS if n.startswith("perf/sidecar")])
def test_what_was_put_together_counts_as_often_as_it_says(name: str) -> None:
    text = (DATA / name).read_text()
    numbers = re.findall(r"^svc.*: (\d+) cpu-clock:$", text, re.MULTILINE)
    profile = parse(name)
    assert profile.total == sum(map(int, numbers)) > 90
    assert profile.notes == ()
    callers = {"parse_request": 0.2, "render_reply": 0.6, "compress_body": 0.2}
    leaf = {s: n for s, n in profile.stacks.items() if s[-1].name == "hot_leaf"}
    for caller, known in callers.items():
        seen = sum(n for s, n in leaf.items() if caller in {frame.name for frame in s})
        assert seen / sum(leaf.values()) == pytest.approx(known, abs=0.15)


@pytest.mark.parametrize("name", [name for name in RECORDINGS if name.startswith("py-spy/")])
def test_the_samples_of_py_spy_are_as_many_as_it_says(name: str) -> None:
    said = re.findall(rb"Samples: (\d+)", (DATA / name).read_bytes())
    assert [parse(name).total] == [int(number) for number in said]


@pytest.mark.parametrize("name", [name for name in RECORDINGS if name.startswith("austin/")])
def test_the_microseconds_of_austin_are_summed(name: str) -> None:
    lines = re.findall(rb"^P.* (\d+)$", (DATA / name).read_bytes(), re.MULTILINE)
    profile = parse(name)
    assert (profile.total, profile.unit) == (sum(map(int, lines)), "us")
    assert profile.tool == "austin 4.0.0"


def test_of_several_events_the_one_with_most_samples_is_read() -> None:
    profile = parse("perf/perf-6.1-events.txt")
    text = (DATA / "perf/perf-6.1-events.txt").read_text()
    assert profile.total == len(re.findall(r"^two.* cpu-clock: $", text, re.MULTILINE))
    others = len(re.findall(r" page-faults: $", text, re.MULTILINE))
    assert profile.notes == (f"{others} samples of the event page-faults are left out",)


def test_records_that_are_no_samples_change_nothing() -> None:
    assert parse("perf/perf-6.1-other-records.txt") == parse("perf/perf-6.1-events.txt")


def test_a_comm_may_hold_blanks_digits_and_a_slash() -> None:
    roots = {stack[0] for stack in parse("perf/perf-6.1-inlined.txt").stacks}
    assert {root.name for root in roots} == {"two words 7/8"}
    assert all(root.kind is FrameKind.PROCESS and root.pid for root in roots)


@pytest.mark.parametrize("name", ["perf/perf-6.1-inlined.txt", "perf/perf-6.1-srcline.txt"])
def test_inlined_functions_are_known(name: str) -> None:
    found = kinds(parse(name))
    assert found["twice"] is found["mix"] is FrameKind.INLINED
    assert found["pair_of<int, unsigned long>::operator()"] is FrameKind.USER


def test_frames_of_perf_have_their_kind_and_module() -> None:
    profile = parse("perf/perf-6.12-node-perfmap-excerpt.txt")
    frames = {frame.name: frame for frame in profile.frames}
    assert frames["JS:^processTimers node:internal/timers:504:25"].kind is FrameKind.JIT
    assert frames["Eval:~ node:internal/crypto/scrypt:1:1"].kind is FrameKind.INTERPRETED
    assert frames["handle_softirqs"].kind is FrameKind.KERNEL
    assert frames["uv_run"].module == "/usr/bin/node"
    assert frames["[libc.so.6]"].kind is FrameKind.UNRESOLVED
    split = parse("perf/perf-6.12-node-perfmap-excerpt.txt", keep_offsets=True)
    assert {f.offset_bytes for f in split.frames if f.name == "uv_run"} == {0x2F4}


def test_how_java_s_methods_ran_is_known() -> None:
    profile = parse("async-profiler/async-profiler-4.5-perf-events.txt")
    found = {(frame.name, frame.kind) for frame in profile.frames}
    assert {
        ("server", FrameKind.PROCESS),
        ("App.main", FrameKind.INTERPRETED),
        ("App.handleRequest", FrameKind.JIT),
        ("App.renderReply", FrameKind.INLINED),
        ("futex_wait", FrameKind.KERNEL),
        ("JVM_Sleep", FrameKind.USER),
        ("[libc.so.6]", FrameKind.UNRESOLVED),
    } <= found
    assert {f.module for f in profile.frames if f.name == "[libc.so.6]"} == {
        "/usr/lib/x86_64-linux-gnu/libc.so.6"
    }
    names = kinds(parse("async-profiler/async-profiler-4.5-wall.txt", keep_offsets=True))
    assert any("$$Lambda.0x" in name for name in names)
    assert not any("0x" in name for name in kinds(profile))


@pytest.mark.parametrize("event", ["cpu", "perf-events"])
def test_async_profiler_s_samples_have_the_known_shares(event: str) -> None:
    stacks = parse(f"async-profiler/async-profiler-4.5-{event}.txt").stacks
    served = {
        tuple(frame.name for frame in stack): n
        for stack, n in stacks.items()
        if any(frame.name == "App.handleRequest" for frame in stack)
    }
    reply = sum(n for names, n in served.items() if "App.renderReply" in names)
    assert reply / sum(served.values()) == pytest.approx(0.75, abs=0.1)


def test_python_s_lines_are_kept_on_request() -> None:
    names = kinds(parse("py-spy/py-spy-0.4-stdout.txt", keep_offsets=True))
    assert names["leaf (app.py:4)"] is FrameKind.INTERPRETED
    names = kinds(parse("austin/austin-4.0-cpu.txt", keep_offsets=True))
    assert names["leaf (app.py:4)"] is FrameKind.INTERPRETED
    assert names["process 1"] is names["thread 6"] is FrameKind.PROCESS


def test_a_process_of_py_spy_has_its_pid() -> None:
    profile = parse("py-spy/py-spy-0.4-subprocesses.txt")
    processes = {frame for frame in profile.frames if frame.kind is FrameKind.PROCESS}
    assert {frame.name for frame in processes} == {"python3 /opt/app/app.py multi"}
    assert {24822, 24896, 24898} <= {frame.pid for frame in processes}


def test_both_of_py_spy_s_formats_say_the_same() -> None:
    speedscope = parse("speedscope/py-spy-0.4.txt")
    assert (speedscope.unit, speedscope.tool) == ("us", "py-spy@0.4.3")
    functions = {stack[1:] for stack in speedscope.stacks}  # under the thread's name
    raw = parse("py-spy/py-spy-0.4-stdout.txt")
    assert {tuple(f.name for f in stack) for stack in functions} == {
        tuple(f.name for f in stack) for stack in raw.stacks
    }
