"""Deploying, following and fetching, for real: a shell, an engine that imitates one, and a link
that breaks.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from shutil import which
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
from remote_prof.run.link import Link
from remote_prof.run.plan import LaunchPlan, Service, make_plan
from remote_prof.run.receive import Receiver
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
        services=(Service("bpftrace", Bpftrace().plan(request, facts, found)[0]),),
        become=False,
    )


class BreakingChannel:
    """Breaks the link before a line that begins with a mark, or in mid-artifact; else passes on."""

    def __init__(self, inner: Channel, breaks: list[str], headers: list[str]) -> None:
        self._headers = headers
        self._inner = inner
        self._breaks = breaks
        self._blocks = 0

    def read_line(self, timeout_s: float) -> bytes | None:
        line = self._inner.read_line(timeout_s)
        if line and line.startswith(b"@@artifact"):
            self._headers.append(line.decode())
        if line and self._breaks and line.startswith(self._breaks[0].encode()):
            self._break()
        return line

    def read_block(self, limit_bytes: int, timeout_s: float) -> bytes:
        if self._breaks[:1] == ["announced"]:
            self._break()
        data = self._inner.read_block(min(limit_bytes, 100), timeout_s)
        if self._breaks[:1] == ["data"] and self._blocks:
            self._break()
        self._blocks += 1
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
        self.headers: list[str] = []

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
        return BreakingChannel(self._inner.stream(command), self.breaks, self.headers)

    def close(self) -> None:
        self._inner.close()


class Followed:
    """A run that was followed, with everything that was told on the way."""

    def __init__(
        self, connection: BreakingConnection, plan: LaunchPlan, place: Path | None = None
    ) -> None:
        self.stages: list[str] = []
        self.kept: list[tuple[str, bytes]] = []
        self.place = place or Path(plan.directory).parent / "here"
        self.place.mkdir(exist_ok=True)
        self.interrupt = Interrupt()
        self.on_stage: dict[str, bool] = {}
        self.follower = Follower(
            Link(connection, self._watch),
            plan,
            self.interrupt,
            Receiver(self.place, 1 << 20),
            watch=self._watch,
            keep=lambda name, path: self.kept.append((name, path.read_bytes())),
        )

    def _watch(self, stage: str) -> None:
        self.stages.append(stage)
        if self.on_stage.get(stage):
            self.interrupt.requested = True

    def run(self) -> Observed:
        return self.follower.run(deploy=True)


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.run.link.time.sleep", lambda _: None)


def assert_whole(seen: Observed) -> None:
    profile = seen.files["profile.txt"].read_bytes()
    assert profile.startswith(b"# bpftrace v0.23.2\n")
    assert profile.endswith(b"]: 40\n\n@@ end 0\n")
    # Nothing of the transfer is left, and what came stays as it came.
    assert {path.name for path in seen.files["profile.txt"].parent.iterdir()} == set(seen.files)
    assert seen.files["profile.txt"].stat().st_mode & 0o777 == 0o444
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
    # Before the launcher has said anything it may not have been heard: all is sent again.
    again = "deploy and follow" if breaks == ["@@progress starting"] else "follow"
    assert connection.names == ["deploy and follow"] + [again] * len(breaks)
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
def test_a_link_that_stays_away_is_told(
    plan: LaunchPlan, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = dict(plan.files)
    short_lived = files["launcher.sh"].replace("3600 * 100", "1 * 100")
    files["launcher.sh"] = short_lived.replace("sleep 10 &", "sleep 0.2 &")
    short = replace(plan, files=files)
    monkeypatch.setattr("remote_prof.run.link._PATIENCE_S", 0.5)
    connection = BreakingConnection("@@progress sampling", refusals=1_000_000)
    with pytest.raises(LinkLostError, match="did not come back") as raised:
        Followed(connection, short).run()
    assert raised.value.evidence == "EHOSTUNREACH"
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
    assert (seen.exit_code, seen.clean, seen.began_at_s) == (125, True, None)
    assert seen.files["profile.txt"].read_bytes() == b""
    assert seen.files["sidecar.err"].read_bytes() == b"no such image\n"


def test_what_is_left_is_told(plan: LaunchPlan, engine: FakeEngine) -> None:
    engine.behave("trap - EXIT; exit 0")
    (engine.state / "sticky").touch()
    files = dict(plan.files)
    files["launcher.sh"] = files["launcher.sh"].replace("sleep 10 &", "sleep 0.2 &")
    seen = Followed(BreakingConnection(), replace(plan, files=files)).run()
    assert seen.left == ["container 1a2b3c4d5e6f"]
    # The launcher goes on trying, and that is known here.
    assert (seen.fetched, seen.stuck, seen.clean, seen.over) == (True, True, False, True)
    assert Path(plan.directory).exists()
    (engine.state / "sticky").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away")
def test_a_directory_of_somebody_else_is_refused(plan: LaunchPlan) -> None:
    Path(plan.directory).mkdir()
    os.chown(plan.directory, 65534, 65534)
    with pytest.raises(HostError, match="here: the run could not be started") as raised:
        Followed(BreakingConnection(), plan).run()
    assert "File exists" in raised.value.evidence
    assert list(Path(plan.directory).iterdir()) == []


def test_a_link_in_place_of_the_directory_is_refused(plan: LaunchPlan, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Path(plan.directory).symlink_to(elsewhere)
    with pytest.raises(HostError, match="here: the run could not be started"):
        Followed(BreakingConnection(), plan).run()
    assert list(elsewhere.iterdir()) == []


def test_what_was_deployed_already_is_not_started_twice(plan: LaunchPlan) -> None:
    connection = BreakingConnection()
    first = connection.stream(plan.deploy_command())
    first.close()
    assert_whole(Followed(connection, plan).run())


def test_a_directory_that_cannot_be_made_is_told(plan: LaunchPlan, tmp_path: Path) -> None:
    nowhere = replace(plan, directory="/nonesuch/remote-prof")
    with pytest.raises(HostError, match="could not be started") as raised:
        Followed(BreakingConnection(), nowhere, tmp_path).run()
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
    followed = Followed(BreakingConnection(), plan)
    seen = followed.follower.run(deploy=False)
    assert (seen.gone, seen.clean, seen.fetched, seen.over) == (True, True, False, True)


def test_what_is_removed_while_it_is_sent_arrives(
    plan: LaunchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody cleans the host after the size was announced and before the first byte."""
    tail = tmp_path / "bin" / "tail"
    tail.parent.mkdir()
    tail.write_text(
        f'#!/bin/sh\n[ "$1" != -c ] || rm -rf {plan.directory}\nexec {which("tail")} "$@"\n'
    )
    tail.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tail.parent}:{os.environ['PATH']}")
    files = dict(plan.files)
    files["launcher.sh"] = files["launcher.sh"].replace("sleep 10 &", "sleep 0.2 &")
    seen = Followed(BreakingConnection(), replace(plan, files=files)).run()
    assert seen.files["profile.txt"].read_bytes().endswith(b"]: 40\n\n@@ end 0\n")
    assert set(seen.files) == {"profile.txt"}
    assert (seen.fetched, seen.clean) == (True, True)


def test_patience_begins_with_the_break(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that takes ten minutes to arrive is no link that was away for ten minutes."""
    now = 0.0
    monkeypatch.setattr("remote_prof.run.link.time.monotonic", lambda: now)
    monkeypatch.setattr("remote_prof.run.link.time.sleep", lambda _: None)
    link = Link(BreakingConnection(), lambda _: None)
    broke = LinkLostError("the host sent nothing more for 60 s")
    now = 600.0
    link.reconnect(broke)
    now = 655.0
    link.reconnect(broke)
    # It was away for a minute, but for a moment.
    now = 661.0
    with pytest.raises(LinkLostError, match="did not come back for 60 s"):
        link.reconnect(broke)
    # It held while nothing was to be said, and breaks again.
    now = 800.0
    link.reconnect(broke)
    now = 861.0
    link.reconnect(broke)
    # It was heard, and breaks.
    link.heard()
    now = 862.0
    link.reconnect(broke)
    now = 921.0
    link.reconnect(broke)


@pytest.mark.usefixtures("_no_waiting")
def test_a_host_that_only_announces_is_given_up(
    plan: LaunchPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_prof.run.link._PATIENCE_S", 0.5)
    connection = BreakingConnection(*["announced"] * 100_000)
    with pytest.raises(HostError, match="is announced, and does not come"):
        Followed(connection, plan).run()
    connection.breaks.clear()
    assert_whole(Followed(connection, plan).follower.run(deploy=False))


def test_another_process_goes_on_with_what_was_fetched(plan: LaunchPlan) -> None:
    """The half of a profile that one process has fetched is not sent again to the next."""
    connection = BreakingConnection("data")
    dying = Followed(connection, plan)
    dying.follower._link.reconnect = lambda error: sys.exit(str(error))  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        dying.run()
    (part,) = dying.follower._receiver.parts()
    assert 0 < part.size_bytes < 400
    seen = Followed(connection, plan).follower.run(deploy=False)
    assert_whole(seen)
    offsets = [line.split()[-1] for line in connection.headers if " profile.txt " in line]
    assert offsets == ["0", str(part.size_bytes)]
