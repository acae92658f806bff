"""Deploying, following and fetching, for real: a shell, an engine that imitates one, and a link
that breaks.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.bpftrace import Bpftrace
from remote_prof.errors import HostError, LinkLostError, UnreachableError
from remote_prof.host.facts import parse_facts
from remote_prof.host.target import TargetSpec, resolve
from remote_prof.records import Host
from remote_prof.run.follow import Follower, Observed
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.plan import LaunchPlan, make_plan
from remote_prof.transport import Channel, Command, Result
from remote_prof.transport.local import LocalConnection

if TYPE_CHECKING:
    from tests.unit.conftest import FakeEngine

pytestmark = pytest.mark.usefixtures("nothing_left")

DATA = Path(__file__).parent / "data"
STATE = parse_facts((DATA / "facts" / "docker-26-hybrid.txt").read_bytes())
RUN = "20260131-235959-1a2b3c"


@pytest.fixture
def plan(tmp_path: Path, engine: FakeEngine) -> LaunchPlan:
    """Profiles this very process, which lives as long as the test."""
    found = resolve(TargetSpec("api"), STATE)
    process = replace(found.processes[0], pid=os.getpid(), cgroup="/", cpuacct="")
    found = replace(found, processes=(process,), scope="process")
    assert STATE.facts.engine is not None
    facts = replace(
        STATE.facts,
        engine=replace(STATE.facts.engine, path=str(engine.path)),
        compose="",
        work_parents={str(tmp_path): 1 << 40},
    )
    request = ProfileRequest(0.3, 99, "both", "img")
    return make_plan(
        run_id=RUN,
        request=request,
        runner="auto",
        facts=facts,
        target=found,
        sidecar=Bpftrace().plan(request, facts, found),
        become=False,
    )


class BreakingChannel:
    """Breaks the link before a line that begins with a mark, or in mid-artifact; else passes on."""

    def __init__(self, inner: Channel, breaks: list[str]) -> None:
        self._inner = inner
        self._breaks = breaks

    def read_line(self, timeout_s: float) -> bytes | None:
        line = self._inner.read_line(timeout_s)
        if line and self._breaks and line.startswith(self._breaks[0].encode()):
            self._break()
        return line

    def read_exactly(self, size_bytes: int, timeout_s: float) -> bytes:
        data = self._inner.read_exactly(size_bytes, timeout_s)
        if self._breaks[:1] == ["data"]:
            self._break()
        return data

    def write(self, data: bytes) -> None:
        self._inner.write(data)

    def finish(self, timeout_s: float) -> Result:
        return self._inner.finish(timeout_s)

    def close(self) -> None:
        self._inner.close()

    def _break(self) -> None:
        self._breaks.pop(0)
        raise LinkLostError("the connection broke")


class BreakingConnection:
    """A link that breaks where it is told to, and that can refuse to come back."""

    def __init__(self, *breaks: str, refusals: int = 0) -> None:
        self.host = Host("here", "here", connection="local")
        self._inner = LocalConnection(self.host)
        self.breaks = list(breaks)
        self.refusals = refusals
        self.names: list[str] = []

    @property
    def exchanges(self) -> int:
        return self._inner.exchanges

    @exchanges.setter
    def exchanges(self, value: int) -> None:
        self._inner.exchanges = value

    def open(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise UnreachableError("no route", evidence="EHOSTUNREACH")

    def run(self, command: Command, timeout_s: float) -> Result:
        self.names.append(command.name)
        return self._inner.run(command, timeout_s)

    def stream(self, command: Command) -> Channel:
        self.names.append(command.name)
        return BreakingChannel(self._inner.stream(command), self.breaks)

    def close(self) -> None:
        self._inner.close()


class Followed:
    """A run that was followed, with everything that was told on the way."""

    def __init__(self, connection: BreakingConnection, plan: LaunchPlan) -> None:
        self.stages: list[str] = []
        self.kept: list[tuple[str, bytes]] = []
        self.interrupt = Interrupt()
        self.on_stage: dict[str, bool] = {}
        self.follower = Follower(
            connection,
            plan,
            self.interrupt,
            watch=self._watch,
            keep=lambda name, data: self.kept.append((name, data)),
        )

    def _watch(self, stage: str) -> None:
        self.stages.append(stage)
        if self.on_stage.get(stage):
            self.interrupt.requested = True

    def run(self) -> Observed:
        return self.follower.run()


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.run.follow.time.sleep", lambda _: None)


def assert_whole(seen: Observed) -> None:
    assert seen.files["profile.txt"].startswith(b"# bpftrace v0.23.2\n")
    assert seen.files["profile.txt"].endswith(b"]: 40\n\n@@ end 0\n")
    assert set(seen.files) == {"profile.txt", "sidecar.err", "launcher.log"}
    assert (seen.fetched, seen.clean, seen.left, seen.exit_code) == (True, True, [], 0)
    assert (seen.failure, seen.target_gone, seen.late) == ("", False, False)


def test_a_run_from_deploy_to_clean_up(plan: LaunchPlan) -> None:
    connection = BreakingConnection()
    followed = Followed(connection, plan)
    seen = followed.run()
    assert_whole(seen)
    assert followed.stages == ["starting", "sampling", "sampled", "done", "cleaning"]
    assert [name for name, _ in followed.kept] == ["profile.txt", "sidecar.err", "launcher.log"]
    assert connection.names == ["deploy and follow"]
    assert connection.exchanges == 1
    assert seen.lines == 4
    assert seen.cpu_before is not None
    assert seen.cpu_after is not None
    assert seen.cpu_after.at_s >= seen.cpu_before.at_s
    assert not Path(plan.directory).exists()


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize(
    "breaks",
    [
        ["@@progress starting"],
        ["@@progress sampling"],
        ["@@progress sampled"],
        ["data"],
        ["@@progress done"],
        ["@@artifact launcher.log"],
        ["@@sent"],
        ["@@progress sampling", "@@progress sampled", "data", "@@sent"],
    ],
    ids=" ".join,
)
def test_a_link_that_breaks_loses_nothing(plan: LaunchPlan, breaks: list[str]) -> None:
    connection = BreakingConnection(*breaks)
    followed = Followed(connection, plan)
    assert_whole(followed.run())
    assert connection.names == ["deploy and follow"] + ["follow"] * len(breaks)
    told = [stage for stage in followed.stages if stage not in ("reconnecting", "cleaning")]
    assert told == ["starting", "sampling", "sampled", "done"]
    assert followed.stages.count("reconnecting") == len(breaks)
    # What is sent twice is the same both times.
    assert len(set(followed.kept)) == 3
    assert not Path(plan.directory).exists()


@pytest.mark.usefixtures("_no_waiting")
def test_a_link_that_breaks_after_the_acknowledgement_is_no_doubt(plan: LaunchPlan) -> None:
    seen = Followed(BreakingConnection("@@clean"), plan).run()
    assert_whole(seen)


@pytest.mark.usefixtures("_no_waiting")
def test_a_link_may_take_several_attempts(plan: LaunchPlan) -> None:
    connection = BreakingConnection("@@progress sampling", refusals=3)
    assert_whole(Followed(connection, plan).run())
    assert connection.names == ["deploy and follow", "follow"]


@pytest.mark.usefixtures("_no_waiting")
def test_a_link_that_stays_away_is_told(plan: LaunchPlan, engine: FakeEngine) -> None:
    files = dict(plan.files)
    files["launcher.sh"] = files["launcher.sh"].replace("sleep 900 &", "sleep 0.2 &")
    short = replace(plan, files=files)
    connection = BreakingConnection("@@progress sampling", refusals=99)
    with pytest.raises(LinkLostError, match="did not come back") as raised:
        Followed(connection, short).run()
    assert raised.value.evidence == "EHOSTUNREACH"
    assert plan.directory in raised.value.hint
    del engine  # its host ends by itself: see nothing_left


def test_an_interrupt_ends_the_sampling_early(plan: LaunchPlan, engine: FakeEngine) -> None:
    engine.samples_until_asked()
    connection = BreakingConnection()
    followed = Followed(connection, plan)
    followed.on_stage["sampling"] = True
    assert_whole(followed.run())
    assert connection.names == ["deploy and follow", "stop"]
    assert followed.stages.count("stopping") == 1


def test_an_interrupt_before_the_start_is_not_lost(plan: LaunchPlan, engine: FakeEngine) -> None:
    engine.samples_until_asked()
    followed = Followed(BreakingConnection(), plan)
    followed.interrupt.requested = True
    assert_whole(followed.run())


def test_an_engine_that_refuses_is_told(plan: LaunchPlan, engine: FakeEngine) -> None:
    engine.refuses("no such image")
    seen = Followed(BreakingConnection(), plan).run()
    assert (seen.exit_code, seen.clean, seen.sampling_at) == (125, True, None)
    assert seen.files["profile.txt"] == b""
    assert seen.files["sidecar.err"] == b"no such image\n"


def test_what_is_left_is_told(plan: LaunchPlan, engine: FakeEngine) -> None:
    engine.behave("trap - EXIT; exit 0")
    (engine.state / "sticky").touch()
    assert Followed(BreakingConnection(), plan).run().left == ["container 1a2b3c4d5e6f"]


def test_a_directory_that_is_there_already_is_refused(plan: LaunchPlan) -> None:
    Path(plan.directory).mkdir()
    with pytest.raises(HostError, match="here: the run could not be started") as raised:
        Followed(BreakingConnection(), plan).run()
    assert "File exists" in raised.value.evidence
    assert Path(plan.directory).exists()  # it is not ours


def test_a_directory_that_cannot_be_made_is_told(plan: LaunchPlan) -> None:
    nowhere = replace(plan, directory="/nonesuch/remote-prof")
    with pytest.raises(HostError, match="could not be started") as raised:
        Followed(BreakingConnection(), nowhere).run()
    assert "deploy" in raised.value.evidence


def test_a_launcher_that_dies_is_told(plan: LaunchPlan, engine: FakeEngine) -> None:
    engine.behave('kill -9 "$(cat launcher.pid)"; exit 1')
    connection = BreakingConnection()
    followed = Followed(connection, plan)
    seen = followed.run()
    assert seen.failure == "the launcher on the host ended before its time"
    assert seen.fetched  # what there was is here
    assert seen.clean


def test_what_a_dead_launcher_leaves_is_removed(plan: LaunchPlan, engine: FakeEngine) -> None:
    engine.behave('trap - EXIT; kill -9 "$(cat launcher.pid)"; exit 1')
    seen = Followed(BreakingConnection(), plan).run()
    assert (seen.left, seen.clean) == ([], True)
    assert not (engine.state / "running").exists()


def test_what_a_dead_launcher_leaves_for_good_is_told(plan: LaunchPlan, engine: FakeEngine) -> None:
    engine.behave('trap - EXIT; kill -9 "$(cat launcher.pid)"; exit 1')
    (engine.state / "sticky").touch()
    assert Followed(BreakingConnection(), plan).run().left == ["container 1a2b3c4d5e6f"]


def test_a_directory_that_is_gone_is_told(plan: LaunchPlan) -> None:
    connection = BreakingConnection()
    followed = Followed(connection, replace(plan, files={"launcher.sh": 'rm -rf "$PWD"\n'}))
    connection.names.clear()
    gone = followed.follower._connection.stream(plan.follow_command(0))
    assert gone.read_line(30.0) == b"@@gone"
    followed.follower._take("@@gone", gone)
    gone.close()
    assert followed.follower.observed.failure == "the run's directory is gone from the host"
    assert not followed.follower.observed.clean
