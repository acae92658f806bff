"""Real pprof files to exact folded stacks. Where they come from: data/pprof/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_prof.parse import read_profile
from remote_prof.parse.pprof import parse_pprof
from remote_prof.profile.model import Profile
from remote_prof.profile.quality import measure_quality
from remote_prof.render import RENDERERS, Report

DATA = Path(__file__).parent / "data" / "pprof"
# What `go tool pprof -top` (1.19) says of each: the unit, and the sum of what it shows first.
# Of the CPU time it says 2.35 s, that is 235 samples of 10 ms.
TOTALS = {
    "go-pprof-allocs": ("bytes", 1_921_421_167),
    "go-pprof-block": ("ns", 31_279_321_946),
    "go-pprof-cpu": ("samples", 235),
    "go-pprof-goroutine": ("goroutine", 7),
    "go-pprof-heap": ("bytes", 524_496),
    "go-pprof-mutex": ("ns", 25_011_068_416),
    "go-pprof-threadcreate": ("threadcreate", 5),
}


def parse(name: str) -> Profile:
    # As any input is read: the content tells the format.
    return read_profile(name, (DATA / f"{name}.pb.gz").read_bytes())


def render(profile: Profile, name: str) -> bytes:
    return RENDERERS[name].render(Report(profile, measure_quality(profile), "recording"))


def test_every_recording_is_here() -> None:
    assert {path.name.partition(".")[0] for path in DATA.glob("*.pb.gz")} == set(TOTALS)


@pytest.mark.parametrize("name", TOTALS)
def test_folded_stacks_are_as_expected(name: str, bless: bool) -> None:
    expected = DATA / f"{name}.folded"
    folded = render(parse(name), "folded")
    if bless:
        expected.write_bytes(folded)
    assert expected.exists(), f"{expected.name} is missing: look at it, then pytest --bless"
    assert folded == expected.read_bytes()


@pytest.mark.parametrize("name", TOTALS)
def test_units_and_totals_are_those_of_pprof(name: str) -> None:
    profile = parse(name)
    assert (profile.unit, profile.total) == TOTALS[name]
    assert profile.frequency_hz == (100 if name == "go-pprof-cpu" else None)


@pytest.mark.parametrize("name", TOTALS)
def test_what_is_written_again_reads_the_same(name: str) -> None:
    profile = parse(name)
    assert parse_pprof(render(profile, "pprof")) == profile
