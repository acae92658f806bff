"""What the kernel says of a sidecar at work: no more rights than docs/security.md tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from .model import SIDECAR_IMAGE, Lab, LabHost
from .rights import FILTERED, OF_MEMORY, OF_THE_ENGINE, Rights, rights_of
from .tool import SAMPLING, Stock, Tool

RUNGS = {
    "bookworm": {"SYS_ADMIN", "SYS_PTRACE", "SYSLOG"},
    "trixie": {"BPF", "PERFMON", "SYS_PTRACE", "SYSLOG"},
}
MEMORY_BYTES, CPUS, PIDS = 1 << 30, 1.0, 64


@dataclass(frozen=True)
class Seen:
    """What /proc and the control groups said of the sidecar's first process."""

    host: LabHost
    rights: Rights
    memory: str
    cpu: list[str]
    pids: str


def read_limit(pid: str, unified: str, controller: str, legacy: list[str]) -> list[str]:
    """Read the files of a limit in the group of a process, in whichever hierarchy has it."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            places = [Path(f"/sys/fs/cgroup/{controllers}{path}/{name}") for name in legacy]
            return [place.read_text().strip() for place in places]
    roots = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]
    root = next(root for root in roots if (root / "cgroup.controllers").exists())
    return (root / path.lstrip("/") / unified).read_text().split()


@pytest.fixture(
    scope="module",
    params=[(suite, runner) for suite in sorted(RUNGS) for runner in ("engine", "compose")],
    ids="-".join,
)
def seen(
    lab: Lab,
    stock: Stock,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Seen:
    """Look at a sidecar in mid-run."""
    suite, runner = request.param
    generation = {"bookworm": "debian12", "trixie": "debian13"}[suite]
    host: LabHost = request.getfixturevalue(generation)
    tool = Tool(lab, tmp_path_factory.mktemp("rights"))
    running = tool.start("run", "-H", host.name, "-C", "api", "-d", 4, "--runner", runner)
    try:
        running.wait_for(SAMPLING)
        rights = rights_of(host)
        pid = rights.pid
        found = Seen(
            host,
            rights,
            memory=read_limit(pid, "memory.max", "memory", ["memory.limit_in_bytes"])[0],
            cpu=read_limit(pid, "cpu.max", "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]),
            pids=read_limit(pid, "pids.max", "pids", ["pids.max"])[0],
        )
    finally:
        done = running.end()
    assert done.code == 0, done.err
    assert done.run.record["sidecars"][0]["runner"] == runner
    assert set(done.run.record["sidecars"][0]["capabilities"]) == RUNGS[suite]
    assert stock.left(host) == []
    return found


def test_it_has_the_capabilities_of_its_rung_and_no_others(seen: Seen) -> None:
    seen.rights.check(RUNGS[seen.host.spec.suite])
    assert int(seen.rights.status["CapInh"], 16) == int(seen.rights.status["CapAmb"], 16) == 0


def test_the_engine_s_seccomp_filter_holds_and_no_new_privileges_come(seen: Seen) -> None:
    assert (seen.rights.status["Seccomp"], seen.rights.status["NoNewPrivs"]) == (FILTERED, "1")
    assert int(seen.rights.status["Seccomp_filters"]) >= 1


def test_it_can_talk_to_nobody(seen: Seen) -> None:
    assert seen.rights.interfaces == {"lo"}
    assert seen.rights.namespaces["net"] != str(Path("/proc/self/ns/net").readlink())
    assert seen.rights.namespaces["net"] != str(
        Path(f"/proc/{seen.host.anchor.pid}/ns/net").readlink()
    )


def test_it_shares_the_pid_namespace_of_the_host_alone(seen: Seen) -> None:
    for name, own in seen.rights.namespaces.items():
        of_host = str(Path(f"/proc/{seen.host.anchor.pid}/ns/{name}").readlink())
        assert (own == of_host) == (name == "pid"), name


def test_nothing_of_the_host_is_mounted_and_nothing_is_writable(seen: Seen) -> None:
    (root,) = [mount for mount in seen.rights.mounts if mount.at == "/"]
    assert "ro" in root.options
    for mount in seen.rights.mounts:
        if mount.at == "/" or mount.kind in OF_MEMORY:
            continue
        assert mount.at in OF_THE_ENGINE, mount
        assert "ro" in mount.options, mount


def test_memory_cpu_and_processes_are_limited(seen: Seen) -> None:
    quota_us, period_us = map(int, seen.cpu)
    assert int(seen.memory) == MEMORY_BYTES
    assert quota_us / period_us == CPUS
    assert int(seen.pids) == PIDS


@pytest.mark.parametrize("suite", sorted(RUNGS))
def test_these_rights_make_the_image_as_strong_as_root(
    suite: str, request: pytest.FixtureRequest
) -> None:
    """The claim against ourselves: who makes the image can read all files of the host."""
    host: LabHost = request.getfixturevalue({"bookworm": "debian12", "trixie": "debian13"}[suite])
    rights = [word for name in sorted(RUNGS[suite]) for word in ("--cap-add", name)]
    script = f"head -n 1 /proc/{host.anchor.pid}/root/etc/shadow"
    out = host.docker(
        *("run", "--rm", "--pid", "host", "--network", "none", "--read-only"),
        *("--cap-drop", "ALL", *rights, "--security-opt", "no-new-privileges"),
        *("--entrypoint", "sh", SIDECAR_IMAGE, "-c", script),
    )
    assert out.startswith("root:")
