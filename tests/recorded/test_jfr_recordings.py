"""Real recordings of Flight Recorder to exact stacks. Where they come from: data/jfr/README.md."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import pytest

from remote_prof.parse import READERS, read_profile
from remote_prof.parse.jfr import parse_jfr
from remote_prof.profile.model import FrameKind, Profile
from remote_prof.profile.quality import measure_quality
from remote_prof.render import RENDERERS, Report

DATA = Path(__file__).parent / "data" / "jfr"
EVENTS = {
    "jdk-11": ("cpu", "alloc", "lock"),
    "jdk-17": ("cpu", "alloc", "lock"),
    "jdk-21-alloc": ("alloc",),
    "jdk-21-lock": ("lock",),
    "jdk-25": ("cpu", "alloc", "lock"),
}
CASES = [(name, event) for name, events in EVENTS.items() for event in events]
# Functions of the program that share the work three to one.
SHARES = {
    "cpu": ("App.renderReply", "App.parseRequest"),
    "alloc": ("App.storeReply", "App.storeToken"),
    "lock": ("App.writeLedger", "App.takeStock"),
}


def read(name: str) -> bytes:
    return gzip.decompress((DATA / f"{name}.jfr.gz").read_bytes())


def weights(profile: Profile) -> Counter[str]:
    """Return the weights of functions, each once a stack."""
    found: Counter[str] = Counter()
    for stack, weight in profile.stacks.items():
        found.update(dict.fromkeys((frame.name for frame in stack), weight))
    return found


def test_every_recording_is_here() -> None:
    assert {path.name.partition(".")[0] for path in DATA.glob("*.jfr.gz")} == set(EVENTS)


@pytest.mark.parametrize(("name", "event"), CASES)
def test_stacks_are_as_expected(name: str, event: str, bless: bool) -> None:
    expected = DATA / "expected" / f"{name}.{event}.folded"
    profile = parse_jfr(read(name), event=event)
    report = Report(profile, measure_quality(profile), "recording")
    folded = RENDERERS["folded"].render(report)
    if bless:
        expected.parent.mkdir(exist_ok=True)
        expected.write_bytes(folded)
    assert expected.exists(), f"{expected.name} is missing: look at it, then pytest --bless"
    assert folded == expected.read_bytes()


@pytest.mark.parametrize(("name", "event"), [case for case in CASES if case != ("jdk-11", "cpu")])
def test_the_known_functions_have_about_their_known_shares(name: str, event: str) -> None:
    profile = parse_jfr(read(name), event=event)
    found = weights(profile)
    large, small = (found[function] for function in SHARES[event])
    assert large / (large + small) == pytest.approx(0.75, abs=0.12)
    assert (large + small) / profile.total > 0.9
    assert profile.notes == ()


@pytest.mark.parametrize("name", EVENTS)
def test_the_content_tells_the_format_and_the_event(name: str) -> None:
    data = read(name)
    assert next(each.name for each in READERS.values() if each.recognises(data[:65536])) == "jfr"
    units = {"cpu": "samples", "alloc": "bytes", "lock": "us"}
    assert read_profile("x.jfr", data).unit == units[EVENTS[name][0]]
    assert read_profile("x.jfr.gz", gzip.compress(data)) == read_profile("x.jfr", data)


@pytest.mark.parametrize("name", EVENTS)
def test_no_secret_is_in_it(name: str) -> None:
    data = read(name)
    for secret in ("geheim1", "geheim2", "SECRET_ENV"):
        assert secret.encode() not in data
        assert secret.encode("utf-16-le") not in data
        assert secret.encode("utf-16-be") not in data


def test_kinds_modules_threads_and_lines_are_told() -> None:
    profile = parse_jfr(read("jdk-25"), event="alloc")
    frames = {(frame.name, frame.kind): frame for frame in profile.frames}
    assert frames["App.storeReply", FrameKind.INLINED].module is None
    assert frames["java.lang.Thread.run", FrameKind.INTERPRETED].module == "java.base"
    assert frames["allocator", FrameKind.PROCESS].pid is None
    assert frames["App$$Lambda.once", FrameKind.JIT]
    lines = parse_jfr(read("jdk-25"), event="alloc", keep_offsets=True)
    assert any(re.fullmatch(r"App\.storeReply:\d+", frame.name) for frame in lines.frames)
    assert lines.total == profile.total


def test_what_a_thread_allocated_before_does_not_count() -> None:
    # Its first sample says 160 MB; in the 4 s some 250 MB were allocated.
    assert 200e6 < parse_jfr(read("jdk-25"), event="alloc").total < 300e6


def test_two_recordings_in_a_file_add_up_and_a_cut_one_is_read() -> None:
    one = read("jdk-21-lock")
    both = parse_jfr(one + one)
    assert both.total == 2 * parse_jfr(one).total
    cut = parse_jfr(one + one[: len(one) // 2])
    assert cut.total >= parse_jfr(one).total
    assert cut.notes
