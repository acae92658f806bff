"""What is shown before a run is what is deployed, and its two files serve people as well."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .model import LabHost
from .tool import SAMPLING, Stock, Tool, our_containers, share, until

DURATION = ("-d", "2", "-F", "499")
RUN_ID = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b")


def plan(tool: Tool, host: LabHost, *options: object) -> dict[str, Any]:
    """Give what a run would do."""
    done = tool("run", "-H", host.name, "-C", "api", *DURATION, "--dry-run", "--json", *options)
    assert done.code == 0, done.err
    found: dict[str, Any]
    (found,) = json.loads(done.out)
    return found


@contextmanager
def placed(host: LabHost, files: Mapping[str, str]) -> Iterator[str]:
    """Have files in a directory of a host for a while."""
    directory = host.exec(["mktemp", "-d"]).stdout.decode().strip()
    try:
        for name, text in files.items():
            host.exec(["sh", "-c", 'cat > "$0"', f"{directory}/{name}"], input=text.encode())
        yield directory
    finally:
        host.exec(["rm", "-rf", directory])


def folded(tool: Tool, raw: str) -> Counter[tuple[str, ...]]:
    """Give the stacks of what a sidecar printed."""
    (tool.place / "profile.txt").write_text(raw)
    done = tool("convert", "profile.txt", "--to", "folded")
    assert done.code == 0, done.err + raw[:2000]
    pairs = [line.rpartition(" ") for line in done.out.splitlines()]
    return Counter({tuple(stack.split(";")): int(count) for stack, _, count in pairs})


def test_a_dry_run_changes_nothing_and_shows_what_a_run_deploys(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    planned = plan(tool, host)
    assert stock.left(host, 0) == []
    assert not (tool.place / "results").exists()
    running = tool.start("run", "-H", host.name, "-C", "api", *DURATION)
    running.wait_for(SAMPLING)
    script = "cd /tmp/remote-prof-* && pwd && stat -c %a . && cat compose.yml && cat launcher.sh"
    there = host.exec(["sh", "-c", script]).stdout.decode()
    done = running.end()
    assert done.code == 0, done.err
    files = planned["files"]["compose.yml"] + files_of(planned, "launcher.sh")
    expected = f"{planned['directory']}\n700\n{files}"
    assert RUN_ID.sub("RUN", there) == RUN_ID.sub("RUN", expected)
    assert stock.left(host) == []


def files_of(planned: Mapping[str, Any], name: str) -> str:
    text: str = planned["files"][name]
    return text


def test_a_dry_run_can_be_read(debian13: LabHost, tool: Tool) -> None:
    done = tool("run", "-H", debian13.name, "-C", "shop/web", *DURATION, "--dry-run")
    assert done.code == 0, done.err
    for text in ("target:     web-1", "filter:", "compose.yml", "launcher.sh", "cap_drop: [ALL]"):
        assert text in done.out


@pytest.mark.parametrize("runner", ["compose", "engine"])
def test_the_launcher_works_by_hand(
    runner: str, debian12: LabHost, debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    host = debian12 if runner == "compose" else debian13
    planned = plan(tool, host, "--runner", runner)
    with placed(host, planned["files"]) as directory:
        host.exec(["sh", f"{directory}/launcher.sh"])
        raw = host.exec(["cat", f"{directory}/profile.txt"]).stdout.decode()
        progress = host.exec(["cat", f"{directory}/progress"]).stdout.decode().split()
    assert share(folded(tool, raw), "hot_leaf") > 0.5
    assert progress[0] == "starting"
    assert progress[-2:] == ["done", "0"]
    assert stock.left(host) == []


def test_a_launcher_that_nobody_returns_to_removes_everything(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    planned = plan(tool, debian13, "-d", "1", "--runner", "engine")
    launcher = files_of(planned, "launcher.sh")
    assert launcher.count("3600 * 100") == 1
    files = {"launcher.sh": launcher.replace("3600 * 100", "1 * 100")}
    with placed(debian13, files) as directory:
        debian13.exec(["sh", f"{directory}/launcher.sh", "detached"])
        assert debian13.exec(["test", "-e", directory], check=False).returncode == 1
    assert stock.left(debian13) == []


def test_the_compose_file_works_by_hand(host: LabHost, tool: Tool, stock: Stock) -> None:
    planned = plan(tool, host)
    words = ["docker-compose"] if host.spec.compose == "v1" else ["docker", "compose"]
    pid = host.docker("inspect", "-f", "{{.State.Pid}}", "api")
    with placed(host, {"compose.yml": planned["files"]["compose.yml"]}) as directory:
        compose = ["env", f"TARGET_PID={pid}", *words, "-f", f"{directory}/compose.yml"]
        try:
            up = host.exec([*compose, "up"]).stdout.decode()
        finally:
            host.exec([*compose, "down"])
    assert share(folded(tool, up), "hot_leaf") > 0.5
    assert stock.left(host) == []


def test_json_is_the_manifest_and_nothing_else(debian13: LabHost, tool: Tool) -> None:
    done = tool("run", "-H", debian13.name, "-C", "api", "-d", 1, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == done.run.manifest


def test_ps_shows_the_containers(host: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("ps", "-H", host.name, "--json")
    assert done.code == 0, done.err
    found = {item["name"]: item for item in json.loads(done.out)}
    assert found["api"]["processes"] == 3
    assert found["api"]["cpu_share"] > 0.02
    assert found["web-1"]["service"] == "shop/web"
    assert (found["stopped"]["processes"], found["stopped"]["status"]) == (0, "exited")
    assert stock.left(host) == []


def test_doctor_says_whether_a_run_would_work(host: LabHost, tool: Tool, stock: Stock) -> None:
    good = tool("doctor", "-H", host.name, "-C", "api")
    assert good.code == 0, good.err
    assert f"{host.name}: a run would work" in good.out
    bad = tool("doctor", "-H", host.name, "-C", "api", "--user", "guest")
    assert bad.code == 1
    assert all(all(parts) for parts in bad.parts())
    assert "guest may not use docker" in bad.parts()[0][0]
    away = tool("doctor", "-H", host.name, "--port", 1)
    assert away.code == 4
    assert stock.left(host) == []


def test_a_local_run_needs_no_ssh(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    # The machine's engine is, for this one command, that of a host of the lab.
    client = tool.place / "bin" / "docker"
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\nexec nsenter -t {debian13.anchor.pid} -m -- docker "$@"\n')
    client.chmod(0o755)
    path = f"{client.parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    asked = ("run", "--host", "localhost", "-c", "local", "--container", "api", *DURATION)
    done = tool(*asked, "--runner", "engine", PATH=path, REMOTE_PROF_INVENTORY="")
    assert done.code == 0, done.err
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    assert done.run.record["address"] == "localhost"
    assert our_containers(debian13) == []
    until("no directory of ours", lambda: not list(Path("/tmp").glob("remote-prof-2*")), 5)
    assert stock.left(debian13) == []
