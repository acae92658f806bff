"""What earlier runs left on real hosts is fetched, gone on with, or cleaned; the ladder of rights.

The faults that lead there are in ``tests/lab/faults``.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from .faults.images import broken_image
from .model import SIDECAR_IMAGE, LabHost
from .proxy import Proxy
from .tool import SAMPLING, Done, Running, Stock, Tool, our_containers, share, until

RUN = ("run", "-C", "api")


def killed(running: Running, after: str = SAMPLING) -> str:
    """Kill a run with -9 at a stage; give its id."""
    running.wait_for(after)
    running.process.kill()
    done = running.end()
    assert done.code == -signal.SIGKILL
    return done.run.path.name


def launcher(host: LabHost, run: str) -> int:
    return int(host.exec(["cat", f"/tmp/remote-prof-{run}/launcher.pid"]).stdout)


def rows(done: Done) -> list[tuple[str, str, bool | None]]:
    assert done.code == 0, done.err
    found = json.loads(done.out)
    return [(one["kind"], one["state"], one["removed"]) for one in found]


def test_a_run_whose_process_died_is_fetched_to_its_end(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    run = killed(tool.start(*RUN, "-H", host.name, "-d", 3, "-F", 499))
    done = tool("fetch", "last", "-v")
    assert done.code == 0, done.err
    record = done.run.record
    assert (done.run.path.name, record["status"]) == (run, "ok")
    assert record["quality"]["got"] > 0.5 * record["quality"]["expected"] > 25
    assert record["target"]["container"] == "api"
    assert record["sidecars"][0]["exit_code"] == 0
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    assert done.run.differences() == []
    assert stock.left(host) == []
    again = tool("fetch", run)
    assert (again.code, again.out) == (0, "")
    assert "no host holds anything" in again.err


def test_a_run_goes_on_with_the_hosts_that_had_no_result(
    debian12: LabHost, debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    # One was killed in mid-run, the other had not begun.
    pattern = f"{debian12.name},{debian13.name}"
    run = killed(tool.start(*RUN, "-H", pattern, "-d", 1))
    done = tool("run", "--resume", run, "--json")
    assert done.code == 0, done.err
    manifest = json.loads(done.out)
    statuses = {host["name"]: host["status"] for host in manifest["hosts"]}
    assert statuses == {debian12.name: "ok", debian13.name: "ok"}
    assert len(list((done.run.path / "hosts").rglob("flamegraph.svg"))) == 2
    assert not list(done.run.path.rglob("launch.json"))
    assert [stock.left(debian12), stock.left(debian13)] == [[], []]
    done = tool("run", "--resume", run)
    assert "every host has a result" in done.err


def test_a_large_profile_is_sent_once_over_a_link_that_breaks(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    """What has arrived is not sent again: neither over the next link, nor to the next process."""
    image = broken_image(debian13, "large")
    size = 4_000_000
    try:
        with Proxy((debian13.address, debian13.port), bytes_per_s=1_000_000) as proxy:
            path = tool.through(proxy, debian13)
            argv = ("run", "-C", "api", "-d", 1, "-H", debian13.name, "-i", path)
            running = tool.start(*argv, "--image", image)
            running.wait_for("fetching")
            target = running.cwd / "results"

            def arrived() -> int:
                return sum(part.stat().st_size for part in target.rglob(".profile.txt.*.part"))

            until("a quarter is here", lambda: arrived() > size / 4, 60)
            before = arrived()
            assert proxy.drop() == 1
            until("half is here", lambda: arrived() > size / 2, 60)
            assert arrived() > before
            running.process.kill()
            running.end()
            half = arrived()
            done = tool("fetch", "last", "-i", path, "-v")
            # It is no profile of bpftrace's; but it is here, whole, and the host is clean.
            assert done.code in (1, 3), done.err
            raw = next(done.run.path.rglob("profile.txt"))
            assert raw.stat().st_size > size
            assert half < size
            assert "reconnecting" not in done.err
    finally:
        debian13.docker("rmi", image)
    assert stock.left(debian13) == []


def test_what_was_killed_on_the_host_is_found_and_removed(
    host: LabHost, tool: Tool, stock: Stock
) -> None:
    run = killed(tool.start(*RUN, "-H", host.name, "-d", 60))
    host.exec(["kill", "-KILL", str(launcher(host, run))])
    expected = [("directory", "left", None), ("container", "left", None)]
    look = ("clean", "-H", host.name, "--json")
    assert rows(tool(*look, "--dry-run")) == expected
    assert len(our_containers(host)) == 1
    assert rows(tool(*look)) == [(kind, state, True) for kind, state, _ in expected]
    assert stock.left(host) == []
    assert tool("clean", "-H", host.name).out == f"nothing of a run is on {host.name}\n"


def test_a_run_at_work_is_left_alone_until_it_is_named(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    running = tool.start(*RUN, "-H", debian13.name, "-d", 30)
    running.wait_for(SAMPLING)
    look = ("clean", "-H", debian13.name, "--json")
    alive = [("directory", "running", None), ("container", "running", None)]
    assert rows(tool(*look)) == alive
    done = tool("clean", "last", "--json")
    assert [removed for _, _, removed in rows(done)] == [True, True]
    # Whoever followed it has what was sampled until then, if that was printed in time, or is told.
    done = running.end()
    assert done.code in (0, 1), done.err
    assert len(done.parts()) == done.code
    assert done.run.record["timings_s"]["sample"] < 25
    assert stock.left(debian13) == []


def test_what_waits_is_removed_with_other_rights_where_they_were_used(
    debian12: LabHost, tool: Tool, stock: Stock
) -> None:
    argv = ("-H", debian12.name, "--user", "admin")
    run = killed(tool.start(*RUN, *argv, "-d", 1))
    progress = f"/tmp/remote-prof-{run}/progress"
    until(
        "it waits",
        lambda: b"done" in debian12.exec(["cat", progress], check=False).stdout,
        60,
    )
    # It is root's, and another login cannot even look into it.
    assert rows(tool("clean", "-H", debian12.name, "--json")) == [("directory", "foreign", None)]
    assert rows(tool("clean", *argv, "--json")) == [("directory", "waiting", True)]
    assert stock.left(debian12) == []


@pytest.fixture
def picky(debian13: LabHost, tmp_path: Path) -> str:
    """Make an image whose bpftrace works only with CAP_SYS_ADMIN, as where seccomp is stricter."""
    name, making = "lab/bpftrace:picky", "making-picky"
    script = tmp_path / "bpftrace"
    script.write_text(
        """#!/bin/sh
read -r _ caps <<END
$(grep CapEff /proc/self/status)
END
if [ "$1" != --version ] && [ $(( 0x$caps >> 21 & 1 )) = 0 ]; then
  echo "ERROR: failed to create map: 'stacks': Operation not permitted" >&2
  exit 1
fi
exec /usr/bin/bpftrace.real "$@"
"""
    )
    debian13.docker("create", "--name", making, SIDECAR_IMAGE, "true")
    try:
        where = debian13.docker(
            "run", "--rm", "--entrypoint", "sh", SIDECAR_IMAGE, "-c", "command -v bpftrace"
        )
        assert where == "/usr/bin/bpftrace"
        build = (
            "cd $(mktemp -d) && docker cp $0:/usr/bin/bpftrace bpftrace.real &&"
            " docker cp bpftrace.real $0:/usr/bin/bpftrace.real && cat > bpftrace &&"
            " chmod 755 bpftrace && docker cp bpftrace $0:/usr/bin/bpftrace && rm -rf $PWD"
        )
        debian13.exec(["sh", "-c", build, making], input=script.read_bytes())
        debian13.docker("commit", making, name)
    finally:
        debian13.docker("rm", making)
    return name


def test_the_next_rung_is_taken_only_where_the_kernel_refuses_one(
    debian13: LabHost, tool: Tool, stock: Stock, picky: str
) -> None:
    try:
        where = ("-H", debian13.name, "-C", "api", "--image", picky)
        done = tool("run", *where, "-d", 2, "-F", 499)
        assert done.code == 0, done.err
        ((what, evidence, _),) = [p for p in done.parts("warning") if "refuses" in p[0]]
        assert "BPF+PERFMON+SYS_PTRACE+SYSLOG" in what
        assert "Operation not permitted" in evidence
        assert done.run.record["sidecars"][0]["rung"] == "SYS_ADMIN+SYS_PTRACE+SYSLOG"
        assert share(done.run.stacks(), "hot_leaf") > 0.5
        assert done.run.differences() == []
        done = tool("doctor", *where, "--probe")
        assert done.code == 0, done.err
        assert "SYS_ADMIN+SYS_PTRACE+SYSLOG, bpftrace v0.23" in done.out
    finally:
        debian13.docker("rmi", picky)
    assert stock.left(debian13) == []


def test_doctor_proves_the_first_rung(host: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("doctor", "-H", host.name, "-C", "api", "--probe", "--json")
    assert done.code == 0, done.err
    (found,) = json.loads(done.out)
    rung = "BPF+PERFMON" if host.spec.suite == "trixie" else "SYS_ADMIN"
    assert found["facts"]["proven"].startswith(f"{rung}+SYS_PTRACE+SYSLOG, bpftrace v0.")
    assert not done.results.exists()
    assert stock.left(host) == []
