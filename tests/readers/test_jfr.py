"""The JDK's own ``jfr`` sees the same stacks in a recording as our reader does."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from remote_prof.parse.jfr import _class_name, parse_jfr
from remote_prof.profile.model import FrameKind

from .conftest import RECORDINGS, need, read

EVENTS = {
    "jdk-11": "jdk.JavaMonitorEnter",
    "jdk-17": "jdk.ExecutionSample",
    "jdk-21-lock": "jdk.JavaMonitorEnter",
    "jdk-25": "jdk.CPUTimeSample",
}
KINDS = {
    "Interpreted": FrameKind.INTERPRETED,
    "JIT compiled": FrameKind.JIT,
    "Inlined": FrameKind.INLINED,
    "Native": FrameKind.USER,
}


@pytest.mark.parametrize("name", EVENTS)
def test_every_stack_is_what_the_jdk_reads(name: str, tmp_path: Path) -> None:
    need("jfr", "openjdk-17-jdk-headless")
    event = EVENTS[name]
    path = tmp_path / "x.jfr"
    path.write_bytes(gzip.decompress((RECORDINGS / "jfr" / f"{name}.jfr.gz").read_bytes()))
    printed = read(
        ["jfr", "print", "--json", "--stack-depth", "64", "--events", event, str(path)], {}
    )
    theirs: Counter[tuple[tuple[str, FrameKind], ...]] = Counter()
    for each in json.loads(printed)["recording"]["events"]:
        values = each["values"]
        thread = (values.get("sampledThread") or values["eventThread"])["javaName"]
        frames = [
            (
                f"{_class_name(frame['method']['type']['name'])}.{frame['method']['name']}",
                KINDS[frame["type"]],
            )
            for frame in reversed(values["stackTrace"]["frames"])
        ]
        # "PT0.028534947S"
        seconds = float(values["duration"][2:-1]) if "Monitor" in event else 0.0
        weight = round(seconds * 1e6) if "Monitor" in event else 1
        theirs[(thread, FrameKind.PROCESS), *frames] += weight
    ours: Counter[tuple[tuple[str, FrameKind], ...]] = Counter()
    for stack, weight in parse_jfr(
        path.read_bytes(), event="lock" if "Monitor" in event else "cpu"
    ).stacks.items():
        ours[tuple((frame.name, frame.kind) for frame in stack)] += weight
    assert theirs.total() > 2
    assert ours == theirs
