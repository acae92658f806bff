"""``remote-prof run``: what it asks of hosts, what it prints, how it ends."""

from __future__ import annotations

import contextlib
import json
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remote_prof.errors import LinkLostError
from remote_prof.run.directory import RunDirectory
from remote_prof.transport import Command, Result
from tests.cli.scripted import LINK_BREAKS, Script, ScriptedConnection, launched

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

DATA = Path(__file__).parents[1] / "unit" / "data" / "facts"
FACTS = (DATA / "docker-26-hybrid.txt").read_bytes()
DENIED = (DATA / "docker-26-sudo-password.txt").read_bytes()
PROFILE = b"""# bpftrace v0.23.2
@@ sampling

@samples: 40
@stacks_a[19402, svc, 
    vfs_read+1
, 
    work+2
    main+3
]: 40

@@ end 0
"""  # noqa: W291  bpftrace ends these lines in a blank
EMPTY = b"# bpftrace v0.23.2\n@@ sampling\n\n@@ end 0\n"
RUN = ("run", "-i", "prod-3,prod-4,", "-H")
OK = [("facts", FACTS), ("deploy and follow", launched(PROFILE))]


def the_run() -> Path:
    (path,) = Path("results").iterdir()
    return path


def test_a_run(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": OK}
    done = cli(*RUN, "prod-3", "-C", "api")
    assert done.code == 0
    assert "api on prod-3: 40 samples, bpftrace v0.23.2" in done.out
    assert re.search(r"100\.0 % +100\.0 % +vfs_read", done.out)
    assert "quality: poor: 40 of 40 expected samples, 0 lost" in done.out
    graph = the_run() / "hosts/prod-3/api/flamegraph.svg"
    assert f"flame graph: {graph}" in done.out
    assert graph.read_bytes().startswith(b"<?xml")
    report = graph.with_suffix(".html")
    assert f"report: {report}" in done.out
    assert report.read_bytes().startswith(b"<!DOCTYPE html>")
    assert (graph.parent / "profile.txt").read_bytes() == PROFILE
    assert script.written == [b"fetched\n"]
    assert "prod-3: connecting" in done.err
    assert "prod-3: sampling for 10 s" in done.err


def test_json_is_one_document_and_nothing_else(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": OK}
    done = cli(*RUN, "prod-3", "-C", "api", "--json")
    assert done.code == 0
    document = json.loads(done.out)
    assert document == json.loads((the_run() / "run.json").read_text())
    (host,) = document["hosts"]
    assert (host["name"], host["status"], host["quality"]["got"]) == ("prod-3", "ok", 40)
    assert host["round_trips"] == 2
    assert host["target"]["filter"] == "by control group: cgroup == 11711"
    for artifact in host["artifacts"]:
        assert (the_run() / artifact["path"]).stat().st_size == artifact["size_bytes"]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_dry_run_changes_nothing(cli: Cli, script: Script, as_json: bool) -> None:
    script.hosts = {"prod-3": [("facts", FACTS)]}
    done = cli(*RUN, "prod-3", "-C", "api", "--dry-run", *(["--json"] if as_json else []))
    assert done.code == 0
    assert not Path("results").exists()
    if as_json:
        (document,) = json.loads(done.out)
        assert (document["host"], document["target"]) == ("prod-3", "api")
        assert sorted(document["files"]) == ["compose.yml", "launcher.sh"]
    else:
        assert "target:     api (bdc4ab3dbe27)" in done.out
        assert "filter:     by control group: cgroup == 11711" in done.out
        assert "/launcher.sh\n#!/bin/sh\n" in done.out


def test_a_dry_run_of_what_cannot_work(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS)]}
    done = cli(*RUN, "prod-3", "-C", "apy", "--dry-run")
    assert (done.code, done.out) == (1, "")
    assert "error: no container matches apy" in done.err
    assert "next step: did you mean api?" in done.err


DUMP = (
    b"# py-spy 0.4.3\n@@ sampling\n"
    + (DATA.parents[2] / "recorded/data/py-spy-dump/py-spy-0.4-subprocesses.txt").read_bytes()
    + b"@@ end 0\n"
)
DUMPED = ("-C", "api", "--process", "svc", "--engine", "pyspy", "--event", "dump")


def test_what_is_taken_once_has_no_duration_and_no_frequency(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS), ("deploy and follow", launched(DUMP))]}
    # What a file says of all runs is no matter of one that has none.
    Path("remote-prof.toml").write_text("duration = 60\nfrequency = 49\n")
    done = cli(*RUN, "prod-3", *DUMPED)
    assert done.code == 0, done.err
    assert "api on prod-3: 3 threads, py-spy 0.4.3" in done.out
    assert "quality: sound: 3 threads, 0 lost" in done.out
    assert "prod-3: taken (" in done.err
    assert "warning" not in done.err
    record = json.loads((the_run() / "run.json").read_text())
    assert record["request"]["duration_s"] == 0
    (host,) = record["hosts"]
    assert (host["quality"]["expected"], host["cpu_time_s"]) == (None, None)
    picture = (the_run() / "hosts/prod-3/api/flamegraph.svg").read_text()
    assert "all threads at one moment, 3 threads, taken once" in picture
    shown = cli("runs", "show", "last")
    assert "api, pyspy, taken once" in shown.out
    assert "Hz" not in done.out + done.err + picture + shown.out
    assert cli("report", "last").code == 0


def test_a_dump_with_nothing_in_it_is_an_error(cli: Cli, script: Script) -> None:
    nothing = b"# py-spy 0.4.3\n@@ sampling\n@@ end 0\n"
    script.hosts = {"prod-3": [("facts", FACTS), ("deploy and follow", launched(nothing))]}
    done = cli(*RUN, "prod-3", *DUMPED)
    assert done.code == 3
    assert "error: api on prod-3: nothing is in it (all threads at one moment)" in done.err


def test_no_samples_are_an_error_with_a_cause(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS), ("deploy and follow", launched(EMPTY, cpu_us=0))]}
    done = cli(*RUN, "prod-3", "-C", "api")
    assert done.code == 3
    assert "error: api on prod-3 was not on a CPU when it was sampled" in done.err
    assert "evidence: it used 0.00 s of CPU time" in done.err
    assert list(the_run().rglob("profile.txt"))


def test_a_host_that_is_not_reached(cli: Cli, script: Script) -> None:
    script.unreachable = ["prod-3"]
    done = cli(*RUN, "prod-3", "-C", "api", "--json")
    assert done.code == 4
    assert "error: prod-3 does not answer" in done.err
    assert json.loads(done.out)["hosts"][0]["status"] == "unreachable"


def test_a_sidecar_that_fails(cli: Cli, script: Script) -> None:
    failed = launched(b"", exit_code=125, errors=b"docker: Error response: no space\n")
    script.hosts = {"prod-3": [("facts", FACTS), ("deploy and follow", failed)]}
    done = cli(*RUN, "prod-3", "-C", "api")
    assert done.code == 1
    assert "error: prod-3: the sidecar ended before it sampled anything" in done.err
    assert "docker: Error response: no space" in done.err
    assert list(the_run().rglob("sidecar.err"))


@pytest.fixture
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.run.link._PATIENCE_S", -1.0)


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.run.link.time.sleep", lambda _: None)


@pytest.mark.parametrize("asked", [True, False])
def test_an_interrupt_while_a_lock_is_taken_is_an_interrupt(
    cli: Cli, script: Script, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """Where the exception of a signal comes in the middle of threading's own work."""

    def run(self: ScriptedConnection, command: Command, timeout_s: float) -> Result:
        del self, command, timeout_s
        if asked:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        raise RuntimeError("release unlocked lock")

    monkeypatch.setattr(ScriptedConnection, "run", run)
    script.hosts = {"prod-3": []}
    if not asked:
        with pytest.raises(RuntimeError):
            cli(*RUN, "prod-3", "-C", "api")
        return
    done = cli(*RUN, "prod-3", "-C", "api")
    assert done.code == 130
    assert "error: prod-3: interrupted" in done.err
    assert "nothing of the run is on the host" in done.err


@pytest.mark.usefixtures("_no_patience")
def test_a_link_that_stays_away(cli: Cli, script: Script) -> None:
    lost = ("deploy and follow", LinkLostError("gone"))
    script.hosts = {"prod-3": [("facts", FACTS), lost]}
    done = cli(*RUN, "prod-3", "-C", "api")
    assert done.code == 4
    assert "the connection broke and did not come back" in done.err
    assert "the host keeps what was sampled for 60 minutes" in done.err
    assert f"next step: remote-prof fetch {the_run().name}" in done.err
    assert (the_run() / "hosts/prod-3/api/launch.json").is_file()


@pytest.mark.usefixtures("_no_waiting")
def test_a_link_that_comes_back_makes_a_whole_run(cli: Cli, script: Script) -> None:
    output = launched(PROFILE)
    before, sent, after = output.partition(b"@@sent\n")
    headers = re.findall(rb"(?m)^@@artifact \S+ plain (\d+) .*$", before)
    again = b"".join(
        re.sub(rb" 0$", b" %s\n\n" % size, line)
        for line, size in zip(re.findall(rb"(?m)^@@artifact .*$", before), headers, strict=True)
    )
    broken = Result(LINK_BREAKS, before, b"")
    follow = ("follow", again + sent + after)
    script.hosts = {"prod-3": [("facts", FACTS), ("deploy and follow", broken), follow]}
    done = cli(*RUN, "prod-3", "-C", "api", "--json")
    assert done.code == 0, done.err
    (host,) = json.loads(done.out)["hosts"]
    names = [artifact["path"] for artifact in host["artifacts"]]
    assert len(names) == len(set(names))
    assert (host["quality"]["got"], host["round_trips"]) == (40, 3)
    assert not [p for p in host["problems"] if "clean" in p["what"]]
    assert not list(the_run().rglob("launch.json"))
    assert not list(the_run().rglob(".*"))


@pytest.mark.usefixtures("_no_patience")
@pytest.mark.parametrize("command", [("fetch", "last"), ("run", "--resume", "last")])
def test_what_a_host_still_holds_is_fetched(
    cli: Cli, script: Script, command: tuple[str, ...]
) -> None:
    output = launched(PROFILE)
    lost = ("deploy and follow", LinkLostError("gone"))
    script.hosts = {"prod-3": [("facts", FACTS), lost, ("follow", output)]}
    assert cli(*RUN, "prod-3", "-C", "api").code == 4
    done = cli(*command)
    assert done.code == 0, done.err
    assert "api on prod-3: 40 samples, bpftrace v0.23.2" in done.out
    assert "quality: poor: 40 of 40 expected samples" in done.out
    assert (the_run() / "hosts/prod-3/api/flamegraph.svg").is_file()
    assert not list(the_run().rglob("launch.json"))
    manifest = json.loads((the_run() / "run.json").read_text())
    (host,) = manifest["hosts"]
    assert (host["status"], host["error"], host["kernel"]) == ("ok", "", "6.18.44")
    names = [Path(artifact["path"]).name for artifact in host["artifacts"]]
    assert {"facts.json", "profile.txt", "flamegraph.svg"} <= set(names)
    done = cli(*command)
    assert (done.code, done.out) == (0, "")
    assert ("no host holds anything of run" in done.err) or ("is finished" in done.err)


def test_a_run_that_is_resumed_begins_what_had_not_begun(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-4": OK}
    script.unreachable = ["prod-3"]
    assert cli(*RUN, "prod-3,prod-4", "-C", "api").code == 4
    script.hosts = {"prod-3": OK}
    script.rest.clear()
    script.unreachable = []
    done = cli("run", "--resume", "last", "--user", "root")
    assert done.code == 0, done.err
    assert script.connected[-1].user == "root"
    manifest = json.loads((the_run() / "run.json").read_text())
    assert [(h["name"], h["status"]) for h in manifest["hosts"]] == [
        ("prod-3", "ok"),
        ("prod-4", "ok"),
    ]


@pytest.mark.usefixtures("_no_patience")
def test_a_run_that_is_gone_from_its_host_is_told(cli: Cli, script: Script) -> None:
    lost = ("deploy and follow", LinkLostError("gone"))
    script.hosts = {"prod-3": [("facts", FACTS), lost, ("follow", b"@@gone\n")]}
    assert cli(*RUN, "prod-3", "-C", "api").code == 4
    done = cli("fetch", "last")
    assert done.code == 1
    assert "error: prod-3: the run is gone from the host" in done.err
    assert "no host holds anything" in cli("fetch", "last").err


def test_resume_takes_nothing_that_says_what_to_sample(cli: Cli, script: Script) -> None:
    for words in (("-C", "api"), ("-d", "3"), ("--dry-run",), ("-H", "prod-3")):
        done = cli("run", "--resume", "last", *words)
        assert done.code == 5
        assert "--resume goes on with what was asked then" in done.err
    assert script.connected == []


@pytest.mark.parametrize("command", [("fetch", "x"), ("run", "--resume", "x"), ("clean", "x")])
def test_a_run_that_is_not_there(cli: Cli, script: Script, command: tuple[str, ...]) -> None:
    done = cli(*command)
    assert done.code == 5
    assert "there is no run 'x'" in done.err
    assert script.connected == []


def test_a_run_on_which_another_process_is_at_work(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": OK}
    script.unreachable = ["prod-4"]
    assert cli(*RUN, "prod-3,prod-4", "-C", "api").code == 4
    with RunDirectory(the_run()).locked():
        done = cli("run", "--resume", "last")
    assert done.code == 5
    assert "another remote-prof is at work on run" in done.err


def test_problems_are_told_all_at_once_and_nothing_is_changed(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS.replace(b'"amd64"]', b'"arm64"]'))]}
    done = cli(*RUN, "prod-3", "-C", "stopped")
    assert done.code == 1
    assert "container stopped does not run" in done.err
    assert "is for another processor" in done.err


def test_an_engine_that_refuses(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", DENIED)]}
    done = cli(*RUN, "prod-3", "-C", "api")
    assert done.code == 1
    assert "sudo wants a password" in done.err
    assert "--ask-become-pass" in done.err


def test_the_password_of_sudo_comes_from_the_environment(
    cli: Cli, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_PROF_BECOME_PASSWORD", "hunter2")
    script.hosts = {"prod-3": [("facts", DENIED), *OK]}
    done = cli(*RUN, "prod-3", "-C", "api", "-v")
    assert done.code == 0
    assert script.connected[0].become is not None
    assert script.connected[0].become.password == "hunter2"
    assert "hunter2" not in done.out + done.err + (the_run() / "run.json").read_text()


@pytest.mark.parametrize(
    ("second", "unreachable", "code", "statuses"),
    [
        (OK, [], 0, ["ok", "ok"]),
        ([("facts", DENIED)], [], 2, ["ok", "failed"]),
        (None, ["prod-4"], 4, ["ok", "unreachable"]),
        ([("facts", FACTS), ("deploy and follow", launched(EMPTY))], [], 3, ["ok", "no-samples"]),
    ],
)
def test_several_hosts(
    cli: Cli,
    script: Script,
    second: list[tuple[str, bytes]] | None,
    unreachable: list[str],
    code: int,
    statuses: list[str],
) -> None:
    script.hosts = {"prod-3": OK} | ({"prod-4": second} if second else {})
    script.unreachable = unreachable
    done = cli(*RUN, "all", "-C", "api", "--json")
    assert done.code == code
    assert [host["status"] for host in json.loads(done.out)["hosts"]] == statuses


def test_flags_reach_the_host(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": OK}
    connect = ("-u", "joe", "-p", "2222", "--identity", "key")
    done = cli(*RUN, "prod-3", "-C", "api", "-d", "10s", "--format", "folded", *connect, "-v")
    assert done.code == 0
    (host,) = script.connected
    assert (host.user, host.port) == ("joe", 2222)
    assert [Path(name).name for name in host.identity_files] == ["key"]
    assert not list(the_run().rglob("*.svg"))
    assert f"files: {the_run()}/hosts/prod-3/api" in done.out
    assert "2 round trips" in done.err
    assert "sidecar: bpftrace in quay.io/iovisor/bpftrace:v0.23.2 by compose" in done.err


def test_names_from_a_host_do_not_drive_the_terminal(cli: Cli, script: Script) -> None:
    evil = FACTS.replace(b"Name:\tsvc", b"Name:\t\x1b[2Jsvc").replace(
        b'"/api"', b'"/a\\u001b[2Jpi"'
    )
    profile = PROFILE.replace(b"work", b"\x1b[2Jwork")
    script.hosts = {"prod-3": [("facts", evil), ("deploy and follow", launched(profile))]}
    done = cli(*RUN, "prod-3", "-C", "bdc4ab3", "-v")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    script.hosts = {"prod-3": [("facts", evil)]}
    script.rest.clear()
    done = cli(*RUN, "prod-3", "-C", "bdc4ab3", "--dry-run")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["-H", "prod-9", "-C", "api"], "prod-9"),
        (["-H", "prod-3"], "no target is given"),
        (["-C", "api"], "Missing option"),
        (["-H", "prod-3", "-C", "api", "-d", "soon"], "soon"),
        (["-H", "prod-3", "-C", "api", "-F", "0"], "frequency"),
        (["-H", "prod-3", "-C", "api", "-F", "x"], "valid integer"),
        (["-H", "prod-3", "-C", "api", "--stacks", "all"], "all"),
        (["-H", "prod-3", "-C", "api", "--event", "lok"], "auto has no event 'lok'"),
        (["-H", "prod-3", "-C", "api", "--event", "a b"], "event should be the name of an event"),
        (["-H", "prod-3", "-C", "api", "--engine", "perl"], "engine should be 'auto', 'bpftrace'"),
        (
            ["-H", "prod-3", "-C", "api", "--engine", "pyspy", "--event", "lock"],
            "pyspy has no event 'lock'",
        ),
        (
            ["-H", "prod-3", "-C", "api", "--engine", "pyspy", "--stacks", "user"],
            "--engine pyspy has no --stacks",
        ),
        (
            ["-H", "prod-3", "-C", "api", "--engine", "bpftrace", "--native"],
            "--engine bpftrace has no --native",
        ),
        (["-H", "prod-3", "-C", "api", "--event", "lock", "-F", "9"], "it has no frequency"),
        (["-H", "prod-3", "-C", "api", "--event", "dump", "-F", "9"], "it has no frequency"),
        (["-H", "prod-3", "-C", "api", "--event", "heap", "-d", "9"], "it has no duration"),
        (["-H", "prod-3", "-C", "api", "--event", "dump", "--stacks", "user"], "has no --stacks"),
        (
            ["-H", "prod-3", "-C", "api", "--event", "dump", "--async-profiler", "."],
            "--event dump is the JVM's own: it needs no --async-profiler",
        ),
        (
            ["-H", "prod-3", "-C", "api", "--event", "offcpu", "--async-profiler", "."],
            "--engine auto has no --async-profiler",
        ),
        (
            ["-H", "prod-3", "-C", "api", "--async-profiler", "."],
            "there is no async-profiler in .",
        ),
        (["-H", "prod-3", "-C", "api", "--format", "png"], "no format 'png'"),
        (["-H", "prod-3", "-C", "api", "-c", "telnet"], "no connection 'telnet'"),
        (["-H", "prod-3", "--label", "a"], "--label 'a' is not KEY=VALUE"),
        (["-H", "prod-3", "-C", "api", "--pid", "1", "--process", "x"], "exclude each other"),
        (["-H", "prod-3", "-C", "api", "--nonesuch"], "--nonesuch"),
    ],
)
def test_bad_usage_is_told_before_anything_is_done(
    cli: Cli, script: Script, arguments: list[str], what: str
) -> None:
    done = cli("run", "-i", "prod-3,", *arguments)
    assert (done.code, done.out) == (5, "")
    assert what in done.err
    assert done.err.startswith("error: ")
    assert not script.connected
    assert not Path("results").exists()


def test_results_that_cannot_be_written(cli: Cli, script: Script) -> None:
    Path("file").touch()
    done = cli(*RUN, "prod-3", "-C", "api", "-o", "file")
    assert done.code == 1
    assert "the results cannot be written to" in done.err
    assert not script.connected
