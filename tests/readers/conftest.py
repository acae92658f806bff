"""The programs that other people read our files with, installed where they are missing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest

from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.parse.pprof import parse_pprof
from remote_prof.profile.model import Frame, FrameKind, Profile
from remote_prof.profile.quality import measure_quality
from remote_prof.render import Report

RECORDINGS = Path(__file__).parents[1] / "recorded" / "data"
CACHE = Path.home() / ".cache" / "remote-prof" / "readers"
# Each with its version: what is tested is ours, not whether theirs has changed. The Firefox
# Profiler's needs a newer Node.js than Debian has.
NPM_PACKAGES = ("speedscope@1.25.0", "@firefox-devtools/profiler-cli@0.10.0", "node@24")
_INSTALLING_S = 600
_READING_S = 120


@dataclass(frozen=True)
class Go:
    """``go tool pprof``."""

    home: Path

    def pprof(self, *arguments: str) -> str:
        """Return what it prints."""
        own = {"HOME": str(self.home), "PPROF_TMPDIR": str(self.home)}
        return read(["go", "tool", "pprof", "-symbolize=none", *arguments], own)


@dataclass(frozen=True)
class Npm:
    """Packages of npm, and the Node.js among them."""

    modules: Path
    home: Path

    @property
    def program(self) -> str:
        """The path of Node.js."""
        return str(self.modules / ".bin" / "node")

    def node(self, *arguments: str, **own: str) -> str:
        """Return what a script prints; ``own`` is added to its environment."""
        return read([self.program, *arguments], {"HOME": str(self.home)} | own)


def read(command: list[str], own: dict[str, str]) -> str:
    """Run a reader; it has to succeed."""
    done = subprocess.run(
        command, env=os.environ | own, capture_output=True, text=True, timeout=_READING_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Go:
    need("go", "golang-go")
    return Go(tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Npm:
    key = hashlib.sha256(" ".join(NPM_PACKAGES).encode()).hexdigest()[:12]
    where = CACHE / key
    if not where.exists():
        need("npm", "npm")
        CACHE.mkdir(parents=True, exist_ok=True)
        # It appears by a rename, so one that was cut short is never taken for a whole one.
        with tempfile.TemporaryDirectory(dir=CACHE) as made:
            options = ["--no-audit", "--no-fund", "--prefix", f"{made}/packages"]
            install(["npm", "install", *options, *NPM_PACKAGES])
            Path(made, "packages").rename(where)
    return Npm(where / "node_modules", tmp_path_factory.mktemp("node"))


def need(program: str, package: str) -> None:
    """Install a program by Debian's package where there is none."""
    if shutil.which(program):
        return
    if not shutil.which("apt-get"):
        give_up(f"there is no {program}, and no apt-get to install {package}")
    by = [] if os.geteuid() == 0 else ["sudo", "-n"]
    patient = ["-o", "DPkg::Lock::Timeout=300"]
    install([*by, "apt-get", "-qq", *patient, "update"])
    install([*by, "apt-get", "-qq", *patient, "install", "-y", "--no-install-recommends", package])


def install(command: list[str]) -> None:
    """Run a command that installs something."""
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            timeout=_INSTALLING_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        give_up(f"{' '.join(command)}: {error}")
    if done.returncode:
        give_up(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


def give_up(reason: str) -> NoReturn:
    """Say what is missing: a skipped test on somebody's machine, a failed one with CI=true."""
    text = f"a reader cannot be had: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def made_up() -> Profile:
    """Return a profile with what the recordings have not: every kind, two processes, recursion."""
    api, main = Frame("api", FrameKind.PROCESS, pid=12), Frame("main", module="/srv/api")
    deep = Frame("deep", module="/srv/api")
    return Profile.of(
        {
            (api, main): 8,
            (api, main, Frame("clamp", FrameKind.INLINED, "/srv/api")): 4,
            (api, main, Frame("handle", FrameKind.JIT, "/tmp/perf-12.map")): 21,
            (api, main, Frame("cold", FrameKind.INTERPRETED), Frame("naïve 日本")): 5,
            (api, main, deep, Frame("middle"), deep): 2,
            (api._replace(pid=13), main, Frame("write"), Frame("vfs_write", FrameKind.KERNEL)): 18,
            (api._replace(pid=13), Frame("[truncated]", FrameKind.TRUNCATED), deep, deep): 3,
            (Frame("idle", FrameKind.PROCESS, pid=14),): 1,
            (Frame("lone", module="/srv/lone"),): 6,
        },
        frequency_hz=99,
    )


RECORDED = (
    "bpftrace-0.17-offcpu",
    "bpftrace-0.23-kstack_perf",
    "go-bpftrace-0.23",
    "java-bpftrace-0.23-fp-perfmap",
    "go-pprof-cpu",
)


@pytest.fixture(params=["made up", *RECORDED])
def report(request: pytest.FixtureRequest) -> Report:
    """Give a report on each profile in turn."""
    profile = made_up() if request.param == "made up" else recorded(request.param)
    return Report(profile, measure_quality(profile), request.param, facts={"host": "prod-3"})


def recorded(name: str) -> Profile:
    if "-pprof-" in name:
        return parse_pprof((RECORDINGS / "pprof" / f"{name}.pb.gz").read_bytes())
    raw = (RECORDINGS / f"{name}.txt").read_bytes()
    if name.endswith("-offcpu"):
        return replace(parse_bpftrace(raw), unit="us")
    return parse_bpftrace(raw, frequency_hz=99)
