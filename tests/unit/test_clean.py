"""Cleaning, for real: a shell, directories, processes, and an engine that imitates one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.errors import HostError
from remote_prof.host.facts import HostState, parse_facts
from remote_prof.host.gather import FactsQuery
from remote_prof.records import Host
from remote_prof.run import clean
from remote_prof.run.clean import Remnant, clean_host, parse_remnants
from remote_prof.transport import Connection
from remote_prof.transport.local import LocalConnection

pytestmark = pytest.mark.usefixtures("nothing_left")

DATA = Path(__file__).parent / "data"
STATE = parse_facts((DATA / "facts" / "docker-26-hybrid.txt").read_bytes())
RUN = "20260131-235959-1a2b3c"
OTHER = "20260201-000000-ffffff"
ENGINE = """#!/bin/sh
cd {state}/containers || exit 1
[ ! -e ../down ] || exit 1
case $1 in
ps)
  for id in *; do
    [ -e "$id" ] || continue
    read -r run rest < "$id"
    launch=${{rest##* }}
    case "$*" in
      *"label=remote-prof.run=$run"|*"label=remote-prof.run") echo "$id" ;;
      *"label=remote-prof.launch=$launch") echo "$id" ;;
    esac
  done ;;
inspect)
  shift
  [ "$1" != --format ] || shift 2
  for id; do [ -e "$id" ] || exit 1; echo "$id $(cat "$id")"; done ;;
rm) shift 2; [ -e ../sticky ] || rm -f "$@" ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "engine" / "containers").mkdir(parents=True)
    program = tmp_path / "engine" / "docker"
    program.write_text(ENGINE.format(state=tmp_path / "engine"))
    program.chmod(0o755)
    return tmp_path / "engine"


@pytest.fixture
def parent(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where runs put their directories."""
    assert STATE.facts.engine is not None
    engine = replace(STATE.facts.engine, path=str(state / "docker"))
    here = replace(STATE, facts=replace(STATE.facts, engine=engine))

    def gathered(connection: Connection, query: FactsQuery) -> HostState:
        del connection, query
        return here

    monkeypatch.setattr(clean, "gather_state", gathered)
    monkeypatch.setattr(clean, "WORK_PARENTS", (str(tmp_path / "work"),))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = tmp_path / "work"
    place.mkdir()
    return place


def look(*, remove: bool = False, run_id: str | None = None) -> list[Remnant]:
    host = Host("here", "here", connection="local")
    return clean_host(LocalConnection(host), FactsQuery("img"), run_id=run_id, remove=remove)


def directory(parent: Path, run_id: str = RUN, progress: str = "starting\ndone 0\n") -> Path:
    """What a launcher has when it died."""
    path = parent / f"remote-prof-{run_id}"
    path.mkdir()
    (path / "launcher.sh").write_text(f"#!/bin/sh\n# The launcher of remote-prof run {run_id}: x\n")
    (path / "progress").write_text(progress)
    return path


def container(
    state: Path, run_id: str = RUN, status: str = "exited", *, launch: str = "", number: int = 0
) -> str:
    name = f"{number:x}123456789ab"
    launch = launch or run_id
    (state / "containers" / name).write_text(f"{run_id} {status} /remote-prof-{launch} {launch}\n")
    return name


@pytest.fixture
def launcher() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that stand for launchers; those that are alive are ended."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def launch(path: Path, started: list[subprocess.Popen[bytes]], name: str = "launcher.pid") -> None:
    script = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
    process = subprocess.Popen(["sh", "-c", script], cwd=path)
    started.append(process)
    (path / name).write_text(f"{process.pid}\n")


def test_a_clean_host_has_nothing(parent: Path) -> None:
    assert parent.is_dir()
    assert look() == look(remove=True) == []


def test_what_a_dead_run_left_is_found_and_removed(parent: Path, state: Path) -> None:
    path, name = directory(parent), container(state)
    (path / "launcher.pid").write_text(f"{os.getpid()}\n")  # a pid that somebody else has by now
    dead = [
        Remnant(RUN, "directory", str(path), "left"),
        Remnant(RUN, "container", f"{name} /remote-prof-{RUN}", "left"),
    ]
    assert look() == dead
    assert path.is_dir()
    assert look(remove=True) == [replace(one, removed=True) for one in dead]
    assert look() == []
    assert list(parent.iterdir()) == []


def test_what_waits_is_removed_with_its_launcher(
    parent: Path, launcher: list[subprocess.Popen[bytes]]
) -> None:
    path = directory(parent)
    launch(path, launcher)
    assert [one.state for one in look()] == ["waiting"]
    assert [one.removed for one in look(remove=True)] == [True]
    assert launcher[0].wait(10) == 0
    assert not path.exists()


@pytest.mark.parametrize("stage", ["running", "fetching"])
def test_what_is_at_work_is_left_alone_unless_it_is_named(
    parent: Path, state: Path, launcher: list[subprocess.Popen[bytes]], stage: str
) -> None:
    path = directory(parent, progress="starting\n" + ("done 0\n" if stage == "fetching" else ""))
    name = container(state, status="running")
    launch(path, launcher)
    if stage == "fetching":
        launch(path, launcher, "follower.pid")
    found = look(remove=True)
    assert [(one.kind, one.state, one.removed) for one in found] == [
        ("directory", stage, None),
        ("container", stage, None),
    ]
    assert look(remove=True, run_id=OTHER) == []
    assert (path.is_dir(), (state / "containers" / name).exists()) == (True, True)
    assert [one.removed for one in look(remove=True, run_id=RUN)] == [True, True]
    assert (path.exists(), (state / "containers" / name).exists()) == (False, False)
    for process in launcher:
        process.wait(10)


def test_each_launch_of_a_run_is_as_alive_as_its_own_launcher(
    parent: Path, state: Path, launcher: list[subprocess.Popen[bytes]]
) -> None:
    paths, names = {}, {}
    for number, word in enumerate(("0a1b2c3d", "89abcdef")):
        paths[word] = parent / f"remote-prof-{RUN}-{word}"
        directory(parent).rename(paths[word])
        names[word] = container(state, status="running", launch=f"{RUN}-{word}", number=number)
    alive, dead = paths
    (paths[alive] / "progress").write_text("starting\n")
    launch(paths[alive], launcher)
    assert {(one.run_id, one.state, one.name.partition(" ")[0]) for one in look(remove=True)} == {
        (RUN, "running", str(paths[alive])),
        (RUN, "running", names[alive]),
        (RUN, "left", str(paths[dead])),
        (RUN, "left", names[dead]),
    }
    assert [path.exists() for path in paths.values()] == [True, False]
    assert [path.name for path in (state / "containers").iterdir()] == [names[alive]]
    assert [one.removed for one in look(remove=True, run_id=RUN)] == [True, True]
    launcher[0].wait(10)


def test_a_launcher_in_another_place_is_found(
    parent: Path, tmp_path: Path, launcher: list[subprocess.Popen[bytes]]
) -> None:
    assert parent.is_dir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = directory(elsewhere)
    launch(path, launcher)
    assert [one.name for one in look(run_id=RUN)] == [str(path)]


def test_a_deployment_that_was_cut_short_is_removed(parent: Path) -> None:
    path = parent / f"remote-prof-{RUN}"
    path.mkdir()
    (path / "compose.yml").touch()
    assert [one.removed for one in look(remove=True)] == [True]


def test_what_is_not_ours_is_never_touched(parent: Path, state: Path, tmp_path: Path) -> None:
    strange = directory(parent, OTHER)
    (strange / "launcher.sh").write_text("#!/bin/sh\n# something else\n")
    full = parent / "remote-prof-20260101-000000-aaaaaa"
    full.mkdir()
    (full / "thesis.tex").touch()
    target = tmp_path / "precious"
    target.mkdir()
    (parent / "remote-prof-20260101-000000-bbbbbb").symlink_to(target)
    for name in ("remote-prof-notes", "remote-prof-20260101", "remote-profile", "x"):
        (parent / name).mkdir()
    (parent / "remote-prof-20260101-000000-cccccc").touch()
    container(state, OTHER)
    before = sorted(parent.rglob("*"))
    assert {(one.state, one.removed) for one in look(remove=True)} == {("foreign", None)}
    assert sorted(parent.rglob("*")) == before
    assert target.is_dir()
    assert len(list((state / "containers").iterdir())) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away")
def test_a_run_of_another_login_is_left_alone(parent: Path, state: Path) -> None:
    path = directory(parent)
    container(state, status="running")
    os.chown(path, 65534, 65534)
    found = look(remove=True, run_id=RUN)
    assert [(one.kind, one.state, one.removed) for one in found] == [
        ("directory", "foreign", None),
        ("container", "foreign", None),
    ]
    assert path.is_dir()


def test_a_sidecar_without_a_launcher_in_sight(parent: Path, state: Path) -> None:
    assert parent.is_dir()
    container(state, status="running")
    assert [(one.state, one.removed) for one in look(remove=True)] == [("running", None)]
    assert [one.removed for one in look(remove=True, run_id=RUN)] == [True]
    container(state, status="created")
    assert [(one.state, one.removed) for one in look(remove=True)] == [("left", True)]


def test_what_cannot_be_removed_is_told(parent: Path, state: Path) -> None:
    assert parent.is_dir()
    container(state)
    (state / "sticky").touch()
    assert [one.removed for one in look(remove=True)] == [False]


def test_an_engine_that_does_not_answer_is_told(parent: Path, state: Path) -> None:
    path = directory(parent)
    (state / "down").touch()
    with pytest.raises(HostError, match="what is left cannot be told"):
        look()
    assert path.is_dir()


def test_lines_of_another_form_are_skipped() -> None:
    noise = [
        "",
        "@@found",
        "@@found x y z",
        "@@removed directory r /tmp/x",
        "@@found disk r left /",
    ]
    assert parse_remnants(noise) == []
