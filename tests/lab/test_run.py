"""The main job, whole: each generation, each runner, and what a run leaves here and there."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from remote_prof.run.manifest import parse_manifest

from .conftest import give_up
from .model import SIDECAR_IMAGE, Lab, LabHost
from .targets import API_SHARES
from .tool import SAMPLING, Done, Stock, Tool, share, working

COMPOSE_FILES = ("/usr/libexec/docker/cli-plugins/docker-compose", "/usr/bin/docker-compose")
FREQUENCY_HZ = 499


@dataclass(frozen=True)
class Case:
    """A host by what it is like, and which runner a run on it is to have."""

    suite: str
    cgroup: str
    asked: str
    runner: str
    hide_compose: bool = False


CASES = {
    "debian12-engine": Case("bookworm", "machine", "engine", "engine"),
    "debian12-compose": Case("bookworm", "machine", "compose", "compose"),
    "debian13-engine": Case("trixie", "machine", "engine", "engine"),
    "debian13-compose": Case("trixie", "machine", "auto", "compose"),
    "cgroup2-without-compose": Case("trixie", "v2", "auto", "engine", hide_compose=True),
}


@dataclass(frozen=True)
class Captured:
    """A run that has been, on which host, and what it left there."""

    case: Case
    host: LabHost
    done: Done
    left: list[str]


@contextmanager
def without_compose(host: LabHost) -> Iterator[None]:
    hide = "for f; do if [ -e $f ]; then mv $f $f.hidden; fi; done"
    show = "for f; do if [ -e $f.hidden ]; then mv $f.hidden $f; fi; done"
    host.exec(["sh", "-c", hide, "sh", *COMPOSE_FILES])
    try:
        yield
    finally:
        host.exec(["sh", "-c", show, "sh", *COMPOSE_FILES])


@pytest.fixture(scope="module", params=list(CASES))
def captured(
    lab: Lab, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Captured:
    """Give a run of api, in which a process was started in the container after the sampling."""
    case = CASES[request.param]
    like = (case.suite, case.cgroup)
    hosts = [h for h in lab.hosts.values() if (h.spec.suite, h.spec.cgroup) == like]
    if not hosts:
        give_up([f"it has no host with {like}"])
    host, stock = hosts[0], Stock()
    tool = Tool(lab, tmp_path_factory.mktemp(request.param))
    stock.take(host)

    def run() -> Done:
        options = ("-d", 3, "-F", FREQUENCY_HZ, "--runner", case.asked, "-v")
        running = tool.start("run", "-H", host.name, "-C", "api", *options)
        running.wait_for(SAMPLING)
        with working(host, "api"):
            return running.end()

    if case.hide_compose:
        with without_compose(host):
            done = run()
    else:
        done = run()
    return Captured(case, host, done, stock.left(host))


def of_svc(captured: Captured) -> Counter[tuple[str, ...]]:
    """Give the stacks of the service alone: what starts a late process is in the container, too."""
    stacks = captured.done.run.stacks()
    return Counter({stack: count for stack, count in stacks.items() if stack[0] == "svc"})


def test_it_ends_well_and_leaves_nothing_on_the_host(captured: Captured) -> None:
    assert captured.done.code == 0, captured.done.err
    assert captured.left == []
    assert captured.done.run.record["left_behind"] == []


def test_the_known_functions_have_about_their_known_shares(captured: Captured) -> None:
    stacks = of_svc(captured)
    total = stacks.total()
    assert total > 50, captured.done.err
    for function, expected in API_SHARES.items():
        # Five standard deviations of a share drawn from so many samples, and a little.
        tolerance = 0.05 + 5 * sqrt(expected * (1 - expected) / total)
        assert share(stacks, function) == pytest.approx(expected, abs=tolerance), function


def test_every_process_is_covered_also_one_that_started_later(captured: Captured) -> None:
    run = captured.done.run
    raw = (run.target / "profile.txt").read_text()
    sampled = {int(pid) for pid in re.findall(r"^@stacks_[ab]\[(\d+), svc,", raw, re.MULTILINE)}
    known = set(run.record["target"]["pids"])
    assert len(sampled & known) == 2, raw
    assert len(sampled - known) == 1, raw


def test_the_manifest_tells_all(captured: Captured) -> None:
    run, case = captured.done.run, captured.case
    manifest = parse_manifest((run.path / "run.json").read_bytes(), run.path)
    (record,) = manifest.hosts
    assert (manifest.run_id, record.status, record.error) == (run.path.name, "ok", "")
    assert manifest.started_at <= manifest.finished_at
    assert (manifest.request.frequency_hz, manifest.request.duration_s) == (FREQUENCY_HZ, 3)
    assert record.address == captured.host.address
    assert captured.host.docker_version in record.engine
    assert record.target is not None
    assert record.target.container == "api"
    assert len(record.target.pids) == 3
    assert 1 in record.target.container_pids
    assert record.target.filter.startswith(("by control group: cgroup == ", "by pid namespace"))
    assert len(record.sidecars) == 1
    assert (record.sidecars[0].image, record.sidecars[0].exit_code) == (SIDECAR_IMAGE, 0)
    image_id = captured.host.docker("image", "inspect", "-f", "{{.Id}}", SIDECAR_IMAGE)
    assert record.sidecars[0].image_id == image_id
    fine = captured.host.spec.suite == "trixie"
    expected = "BPF+PERFMON+SYS_PTRACE+SYSLOG" if fine else "SYS_ADMIN+SYS_PTRACE+SYSLOG"
    assert record.sidecars[0].rung == expected
    assert record.sidecars[0].runner == case.runner
    assert record.sidecars[0].tool == f"bpftrace v{captured.host.spec.bpftrace}" or (
        record.sidecars[0].tool.startswith(f"bpftrace v{captured.host.spec.bpftrace}.")
    )
    assert 0 < record.round_trips <= 3
    assert {"connect", "facts", "sample", "launch and sample", "render"} <= set(record.timings_s)
    assert record.timings_s["sample"] >= 2.9


def test_it_says_how_good_the_profile_is(captured: Captured) -> None:
    run = captured.done.run
    quality = run.record["quality"]
    assert quality["got"] == run.stacks().total()
    assert quality["lost"] == 0
    assert quality["expected"] == round(run.record["cpu_time_s"] * FREQUENCY_HZ)
    # Time that is accounted and ticks that are sampled differ by some per cent, and a busy
    # machine reads the account late.
    assert quality["expected"] * 0.5 < quality["got"] < quality["expected"] * 2 + 30
    assert quality["unresolved_share"] < 0.2
    assert f"{quality['got']} of {quality['expected']} expected samples" in captured.done.out


def test_the_summary_names_the_top_functions_and_the_flame_graph(captured: Captured) -> None:
    out = captured.done.out
    assert re.search(r"^ *\d+\.\d % +\d+\.\d % +hot_leaf *$", out, re.MULTILINE), out
    graph = re.search(r"^flame graph: (.*)$", out, re.MULTILINE)
    assert graph
    assert (captured.done.results.parent / graph[1]).is_file()


def test_files_are_as_noted_and_raw_ones_read_only(captured: Captured) -> None:
    run = captured.done.run
    assert run.differences() == []
    raw = {Path(item["path"]).name for item in run.record["artifacts"] if item["raw"]}
    assert raw >= {"profile.txt", "sidecar.err", "launcher.log"}


def test_the_pictures_show_the_functions(captured: Captured) -> None:
    target = captured.done.run.target
    svg = ET.fromstring((target / "flamegraph.svg").read_bytes())
    text = "".join(svg.itertext())
    assert all(function in text for function in API_SHARES)
    document = json.loads((target / "speedscope.json").read_bytes())
    names = {frame["name"] for frame in document["shared"]["frames"]}
    assert set(API_SHARES) <= names
    weights = document["profiles"][0]["weights"]
    assert sum(weights) == captured.done.run.stacks().total()


def test_report_makes_everything_again(captured: Captured, tool: Tool) -> None:
    shutil.copytree(captured.done.results, tool.place / "results")
    target = (tool.place / "results") / captured.done.run.target.relative_to(captured.done.results)
    names = ("profile.folded", "flamegraph.svg", "speedscope.json")
    before = {name: (target / name).read_bytes() for name in names}
    for name in names:
        (target / name).unlink()
    done = tool("report", "last")
    assert done.code == 0, done.err
    assert {name: (target / name).read_bytes() for name in names} == before
    assert done.run.differences() == []
    assert "hot_leaf" in done.out


def test_convert_reads_the_raw_profile(captured: Captured, tool: Tool) -> None:
    target = captured.done.run.target
    done = tool("convert", target / "profile.txt", "--to", "folded")
    assert done.code == 0, done.err
    assert done.out == (target / "profile.folded").read_text()
    assert tool("convert", target / "profile.txt", "--to", "svg", "-o", "graph.svg").code == 0
    assert "hot_leaf" in (tool.place / "graph.svg").read_text()
