"""The contract that every engine keeps."""

from __future__ import annotations

import pickle
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from remote_prof.engines import AUTO, ENGINES, Engine, ProfileRequest
from remote_prof.host.facts import parse_facts
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.records import Library
from remote_prof.settings import Settings
from remote_prof.settings.values import EXPECTED
from remote_prof.templates import data_path

ROOT = Path(__file__).parents[2]
STATE = parse_facts((Path(__file__).parent / "data/facts/docker-26-hybrid.txt").read_bytes())
FACTS = replace(STATE.facts, tracefs="/sys/kernel/tracing", counters=True)
REQUEST = ProfileRequest(10.0, 99, "both", "img", script="# remote-prof: format=folded\n")
LIBRARY = Library("libasyncProfiler.so", 1, "0" * 64, FACTS.architecture)
PROGRAMS = {"pyspy": "python3", "austin": "python3", "java": "java", "node": "node"}
CASES = [(engine, event) for engine in ENGINES for event in engine.events]


def target(engine: Engine) -> Target:
    """One that an engine can do something with."""
    found = resolve(TargetSpec("api"), STATE)
    name = PROGRAMS.get(engine.name, "svc")
    processes = tuple(
        replace(p, name=name, arguments=name, uid=1000, gid=1000) for p in found.processes
    )
    return replace(found, processes=processes)


def test_names_are_those_of_the_setting() -> None:
    names = [engine.name for engine in ENGINES]
    assert get_args(get_type_hints(Settings)["engine"]) == (AUTO, *names)
    assert all(f"'{name}'" in EXPECTED["engine"] for name in (AUTO, *names))
    assert Settings().engine == AUTO


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_each_tells_what_it_is_and_is_documented(engine: Engine) -> None:
    assert re.fullmatch(r"[^.]{20,80}", engine.purpose)
    assert engine.options <= {field.name for field in fields(ProfileRequest)}
    assert all(name == event.name and event.title for name, event in engine.events.items())
    (row,) = [
        line
        for line in (ROOT / "docs" / "engines.md").read_text().splitlines()
        if line.startswith(f"| `{engine.name}` |")
    ]
    assert all(f"`{event}`" in row for event in engine.events)
    assert list(data_path("templates").glob(f"{engine.name}/sidecar.sh.j2"))
    recorded = {path.name.replace("-", "") for path in (ROOT / "tests/recorded/data").iterdir()}
    # What a script prints another one's recordings show.
    assert engine.name == "script" or any(name.startswith(engine.name) for name in recorded)


@pytest.mark.parametrize(
    ("engine", "event"), CASES, ids=lambda value: getattr(value, "name", value)
)
def test_plans_are_exact_and_ask_for_little(engine: Engine, event: str) -> None:
    # Of Java that is async-profiler's alone.
    library = LIBRARY if (engine.name, event) == ("java", "wall") else None
    request = replace(REQUEST, event=event, async_profiler=library)
    sidecars = engine.plan(request, FACTS, target(engine))
    assert sidecars
    assert sidecars == engine.plan(request, FACTS, target(engine))
    assert pickle.loads(pickle.dumps(sidecars)) == sidecars
    for sidecar in sidecars:
        assert not sidecar.privileged
        assert sidecar.security_options == ("no-new-privileges",)
        assert sidecar.memory_limit_bytes == 1 << 30
        assert sidecar.cpu_limit in (1.0, None)
        assert 64 <= (sidecar.pids_limit or 0) < 128
        assert sidecar.rung == "+".join(sidecar.capabilities)
        assert sidecar.filter_text
        # The launcher waits for the one, and reads the exit code from the other.
        assert "@@ sampling" in sidecar.script
        assert 'echo "@@ end $' in sidecar.script
        assert "timeout -s INT -k" in sidecar.script
    (forced,) = engine.plan(replace(request, privileged=True), FACTS, target(engine))[:1]
    assert (forced.privileged, forced.rung, forced.capabilities) == (True, "privileged", ())
    once = engine.events[event].once
    assert engine.describe(request).split(" ")[:2] == (["taken", "once"] if once else ["10", "s"])
    assert engine.problems(request, FACTS, target(engine)) == []
    assert engine.problems(request, FACTS, None) == []
