"""What can be asked of a run: which processes, which stacks, as which login."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remote_prof.profile.quality import SHALLOW

from .model import LabHost
from .tool import Done, Stock, Tool, share, working

QUICK = ("-d", 2, "-F", 499)
DEPTH_LIMIT = 127


def pids_in(host: LabHost, container: str) -> list[int]:
    """Give the host pids of the workers in a container."""
    lines = host.docker("top", container, "-eo", "pid,args").splitlines()[1:]
    return [int(line.split()[0]) for line in lines if line.split()[1].startswith("/opt/app/")]


def sampled_pids(done: Done) -> set[int]:
    """Give the processes that samples were taken of."""
    lines = (done.run.target / "profile.txt").read_text().splitlines()
    return {int(line.partition("[")[2].split(",")[0]) for line in lines if line[:8] == "@stacks_"}


def check(done: Done, host: LabHost, stock: Stock) -> None:
    """See that a run went well and left nothing."""
    assert done.code == 0, done.err
    assert done.run.record["status"] == "ok"
    assert done.run.differences() == []
    assert stock.left(host) == []


def test_deep_stacks_are_cut_and_that_is_said(host: LabHost, tool: Tool, stock: Stock) -> None:
    options = ("--scope", "process", "--stacks", "user")
    done = tool("run", "-H", host.name, "-C", "deep", *QUICK, *options)
    check(done, host, stock)
    record = done.run.record
    assert record["target"]["scope"] == "process"
    assert sampled_pids(done) == set(record["target"]["pids"])
    assert record["quality"]["truncated_share"] > 0.9
    (warning,) = [text for text, _, _ in done.parts("warning") if "cut" in text]
    assert f"limit of {DEPTH_LIMIT} frames" in warning
    stacks = done.run.stacks()
    assert share(stacks, "descend") > 0.9
    assert share(stacks, "main") < 0.1


def test_a_program_without_frame_pointers_is_recognised(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    (pid,) = pids_in(host, "nofp")
    done = tool("run", "-H", host.name, "--pid", pid, *QUICK)
    check(done, host, stock)
    record = done.run.record
    assert (record["target"]["container"], record["target"]["pids"]) == ("nofp", [pid])
    assert record["quality"]["shallow_share"] >= SHALLOW.rough
    assert any("without frame pointers" in text for text, _, _ in done.parts("warning")), done.err


def test_one_process_by_its_pid_inside(debian12: LabHost, tool: Tool, stock: Stock) -> None:
    first, _ = sorted(pids_in(debian12, "api"))
    inside = (Path(f"/proc/{first}/status").read_text()).partition("NSpid:")[2].split()[1]
    options = ("--container-pid", inside, *QUICK)
    done = tool("run", "-H", debian12.name, "-C", "api", *options)
    check(done, debian12, stock)
    filtered = done.run.record["target"]["filter"]
    assert re.fullmatch(rf"by pid: \(pid == {first}\) && \(cgroup == \d+\)", filtered)
    assert sampled_pids(done) == {first}


def test_processes_by_name(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-H", debian13.name, "-C", "api", "--process", "svc", *QUICK)
    check(done, debian13, stock)
    assert sampled_pids(done) == set(pids_in(debian13, "api"))


def test_user_stacks_alone(debian12: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-H", debian12.name, "-C", "api", "--stacks", "user", *QUICK)
    check(done, debian12, stock)
    frames = {frame for stack in done.run.stacks() for frame in stack}
    assert "write_log" in frames
    assert not [frame for frame in frames if frame.endswith("_[k]")]
    # The kernel's names are not needed then, nor is the right to see them.
    assert "SYSLOG" not in done.run.record["sidecars"][0]["capabilities"]


def test_kernel_stacks_alone(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-H", debian13.name, "-C", "api", "--stacks", "kernel", *QUICK)
    check(done, debian13, stock)
    frames = {frame for stack in done.run.stacks() for frame in stack[1:]}
    assert frames
    assert all(frame.endswith("_[k]") for frame in frames)


@pytest.mark.parametrize(
    "asked",
    [
        ("-C", "shop/web"),
        (
            *("--label", "com.docker.compose.project=shop"),
            *("--label", "com.docker.compose.service=web"),
        ),
    ],
    ids=["service", "labels"],
)
def test_a_container_by_its_service_or_labels(
    asked: tuple[str, ...], debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    with working(debian13, "web-1"):
        done = tool("run", "-H", debian13.name, *asked, "-d", 2, "--format", "folded")
    check(done, debian13, stock)
    assert done.run.record["target"]["container"] == "web-1"
    assert share(done.run.stacks(), "handle_request") > 0.5
    made = {Path(item["path"]).name for item in done.run.record["artifacts"] if not item["raw"]}
    assert "profile.folded" in made
    assert not made & {"flamegraph.svg", "speedscope.json"}


@pytest.mark.parametrize(
    ("generation", "user"),
    [
        ("debian12", "root"),
        ("debian12", "csh"),
        ("debian12", "nosftp"),
        ("debian13", "admin"),
        ("debian13", "fish"),
    ],
)
def test_every_login_that_may_use_the_engine(
    generation: str, user: str, request: pytest.FixtureRequest, tool: Tool, stock: Stock
) -> None:
    host: LabHost = request.getfixturevalue(generation)
    login = ("--user", user, "--port", host.logins[user].port)
    done = tool("run", "-H", host.name, "-C", "api", *login, *QUICK)
    check(done, host, stock)
    assert share(done.run.stacks(), "hot_leaf") > 0.5
