"""``diff``: what a side may be, what is printed, and what is refused."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from pydantic import TypeAdapter

from remote_prof.cli.app import app
from remote_prof.cli.completion import complete_profile
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import (
    MANIFEST_VERSION,
    HostRecord,
    Manifest,
    RequestRecord,
    SidecarRecord,
    Status,
    TargetRecord,
)

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done

BEFORE = "svc;main;parse 600\nsvc;main;write 300\nsvc;old 100\n"
AFTER = "svc;main;parse 300\nsvc;main;write 1500\nsvc;fresh 200\n"

SIDECAR = SidecarRecord("bpftrace", "img", "", (), "", (), "engine", 0, "")


@pytest.fixture
def files(cli: Cli) -> Cli:
    Path("before.folded").write_text(BEFORE)
    Path("after.folded").write_text(AFTER)
    return cli


def raw(parse: int, write: int) -> bytes:
    stacks = "".join(
        f"@stacks_a[7, svc, \n, \n    {name}+2\n    main+3\n]: {weight}\n"
        for name, weight in (("parse", parse), ("write", write))
    )
    return f"# bpftrace v0.23.2\n@@ sampling\n{stacks}@@ end 0\n".encode()


def make_run(
    name: str, hosts: dict[str, tuple[str, bytes | None]], **request: object
) -> RunDirectory:
    """A run of hosts, each with its target and what it printed; None where it failed."""
    directory = RunDirectory.create(Path("results"), name)
    records = []
    for host, (target, data) in hosts.items():
        place = directory.fresh_directory(host, target)
        artifacts = (
            () if data is None else (directory.write(place / "profile.txt", data, raw=True),)
        )
        status = Status.UNREACHABLE if data is None else Status.OK
        container = TargetRecord(target, "c" * 64, "img", "i", "container", "", (), (), "")
        records.append(
            HostRecord(
                host,
                host,
                status,
                target=container,
                sidecars=(SIDECAR,),
                artifacts=artifacts,
                error="" if data else "no route",
                cpu_time_s=10.0 if data else None,
            )
        )
    asked = {
        "hosts": tuple(hosts),
        "target": "api",
        "scope": "container",
        "engine": "bpftrace",
        "duration_s": 10.0,
        "frequency_hz": 99,
        "stacks": "both",
        "image": "img",
        "privileged": False,
        "runner": "auto",
        "formats": ("folded",),
    }
    asked |= request
    made = TypeAdapter(RequestRecord).validate_python(asked)
    at = "2026-01-31T23:59:59+00:00"
    manifest = Manifest(MANIFEST_VERSION, name, "0.1", ("run",), at, at, made, tuple(records))
    directory.write_manifest(manifest)
    return directory


@pytest.fixture
def runs(cli: Cli) -> Cli:
    make_run("20260101-a", {"prod-3": ("api", raw(600, 400)), "prod-4": ("api", raw(900, 100))})
    make_run("20260102-b", {"prod-3": ("api", raw(400, 600)), "prod-4": ("web", None)})
    return cli


def rows(text: str) -> dict[str, list[str]]:
    """Rows of the first table by the function's name; a mark is two words."""
    found: dict[str, list[str]] = {}
    for line in text.split("in itself (self)")[1].splitlines()[2:]:
        if not line.strip() or line.startswith("not shown"):
            break
        words = line.replace(" %", "").split()
        found[words[-1]] = words[:-1]
    return found


def test_what_changed_is_printed(files: Cli) -> None:
    done = files("diff", "before.folded", "after.folded")
    assert (done.code, done.err) == (0, "")
    head = done.out.splitlines()
    assert head[0] == "before: before.folded"
    assert head[1].startswith("  quality: sound: 1000 samples, 0 lost")
    assert head[2] == "after:  after.folded"
    assert head[3].startswith("  quality: sound: 2000 samples, 0 lost")
    assert "compared: shares; noise: what chance alone gives, with 95 % confidence" in head[4]
    found = rows(done.out)
    assert list(found) == ["parse", "write", "fresh", "old"]
    assert found["parse"][:6] == ["-", "shrank", "60.00", "15.00", "-45.00", "x0.25"]
    assert found["write"][:6] == ["+", "grew", "30.00", "75.00", "+45.00", "x2.50"]
    assert found["fresh"][:6] == ["+", "new", "0.00", "10.00", "+10.00", "new"]
    assert found["old"][:6] == ["-", "gone", "10.00", "0.00", "-10.00", "gone"]
    for name, sign in (("parse", "-"), ("write", "+")):
        assert found[name][6].startswith(sign)
        assert 2 < abs(float(found[name][6])) < 10
    assert "nothing changed with what it calls (total), but for noise" in done.out
    assert "not shown: 2 the same or noise (--all)" in done.out  # svc, main


def test_noise_is_folded_away_and_shown_with_all(cli: Cli) -> None:
    Path("a").write_text("main;x 50\nmain;y 50\n")
    Path("b").write_text("main;x 53\nmain;y 47\n")
    done = cli("diff", "a", "b")
    assert "nothing changed in itself (self), but for noise" in done.out
    assert "not shown: 2 the same or noise (--all)" in done.out
    found = rows(cli("diff", "a", "b", "--all").out)
    assert found["x"][:2] == ["~", "noise"]
    assert found["y"][:2] == ["~", "noise"]


def test_raw_counts(files: Cli) -> None:
    done = files("diff", "before.folded", "after.folded", "--counts")
    assert rows(done.out)["write"][:6] == ["+", "grew", "300", "1,500", "+1,200", "x5.00"]
    assert "compared: samples" in done.out


def test_many_changes_are_cut_short(cli: Cli) -> None:
    Path("a").write_text("".join(f"main;old{i} 1000\n" for i in range(30)))
    Path("b").write_text("".join(f"main;new{i} 1000\n" for i in range(30)))
    done = cli("diff", "a", "b")
    assert len(rows(done.out)) == 20
    assert "not shown: 40 that changed less (--all)" in done.out
    assert len(rows(cli("diff", "a", "b", "--all").out)) == 60


def test_colour_and_mark_both_tell_growth(files: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in files("diff", "before.folded", "after.folded").out
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    out = files("diff", "before.folded", "after.folded").out
    colours = {
        word: next(line.split("m")[0] for line in out.splitlines() if word in line)
        for word in ("+ grew", "+ new", "- shrank", "- gone")
    }
    assert colours["+ grew"] == colours["+ new"] != colours["- shrank"] == colours["- gone"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "38;5" not in files("diff", "before.folded", "after.folded").out


def test_names_that_would_drive_the_terminal(cli: Cli) -> None:
    Path("a").write_text("main;\x1b]0;x\x07pi 100\n")
    Path("b").write_text("main;b 100\n")
    done = cli("diff", "a", "b", "--all")
    assert done.code == 0
    assert not {"\x1b", "\x07"} & set(done.out + done.err)


def test_json_is_one_document(files: Cli) -> None:
    done = files("diff", "before.folded", "after.folded", "--json")
    document = json.loads(done.out)
    assert (document["before"]["name"], document["after"]["samples"]) == ("before.folded", 2000)
    assert [mover["name"] for mover in document["movers"]][:2] == ["parse", "write"]
    assert document["movers"][0]["self"]["change"] == -0.45
    assert document["movers"][0]["self"]["is_noise"] is False


def test_folded_goes_out_and_comes_in(files: Cli) -> None:
    done = files("diff", "before.folded", "after.folded", "--format", "folded")
    assert done.out.splitlines()[1] == "svc;main;parse 1200 300"
    arguments = ("diff", "before.folded", "after.folded", "--counts", "--format", "folded")
    assert files(*arguments, "-o", "both.folded").out == ""
    assert Path("both.folded").read_text() == (
        "svc;fresh 0 200\nsvc;main;parse 600 300\nsvc;main;write 300 1500\nsvc;old 100 0\n"
    )
    again = files("diff", "both.folded")
    assert "before: both.folded, first column" in again.out
    assert rows(again.out) == rows(files("diff", "before.folded", "after.folded").out)


def test_columns_that_were_scaled_have_no_bound(files: Cli) -> None:
    files("diff", "before.folded", "after.folded", "--format", "folded", "-o", "both.folded")
    done = files("diff", "both.folded")
    assert "noise: unknown, the number of samples is not known" in done.out
    assert rows(done.out)["write"][-1] == "unknown"


def test_standard_input_is_a_side(files: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (("-", "after.folded"), ("before.folded", "-")):
        text = BEFORE if arguments[0] == "-" else AFTER
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        done = files("diff", *arguments)
        assert rows(done.out) == rows(files("diff", "before.folded", "after.folded").out)


def document(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_runs_are_sides_and_their_hosts_are_added_up(runs: Cli) -> None:
    found = document(runs("diff", "20260101", "last", "--json"))
    assert found["before"]["name"] == "api on prod-3, prod-4, run 20260101-a"
    assert found["before"]["total"] == 2000
    assert found["before"]["quality"]["expected"] == 1980
    assert found["before"]["scope"] == "container, bpftrace cpu, both stacks"
    assert (found["before"]["frequency_hz"], found["before"]["duration_s"]) == (99, 10.0)
    assert found["after"]["name"] == "api on prod-3, run 20260102-b"
    assert found["after"]["total"] == 1000
    problem, shallow = found["after"]["problems"]
    assert "one or two user frames" in shallow["what"]
    assert problem["what"] == "prod-4 has no samples and is left out"
    assert problem["evidence"] == "no route"
    assert "after: prod-4 has no samples and is left out" in runs("diff", "20260101", "last").err


@pytest.mark.parametrize(
    "name",
    [
        "20260101-a/prod-3",
        "20260101/prod-3/api",
        "results/20260101-a/prod-3",
        "results/20260101-a/prod-3/api",
        "./results/20260101-a/prod-3/",
    ],
)
def test_a_host_of_a_run_is_a_side(runs: Cli, name: str) -> None:
    found = document(runs("diff", name, "last/prod-3", "--json"))
    assert found["before"]["name"] == "api on prod-3, run 20260101-a"
    assert found["before"]["total"] == 1000


def test_runs_elsewhere(runs: Cli) -> None:
    Path("results").rename("elsewhere")
    assert runs("diff", "20260101-a", "last").code == 5
    assert runs("diff", "20260101-a", "last", "--results", "elsewhere").code == 0


def test_a_host_that_was_idle_is_left_out(runs: Cli) -> None:
    idle = b"# bpftrace v0.23.2\n@@ sampling\n@@ end 0\n"
    make_run("20260103-c", {"prod-3": ("api", raw(60, 40)), "prod-4": ("api", idle)})
    found = document(runs("diff", "20260101", "20260103", "--json"))
    assert found["after"]["name"] == "api on prod-3, run 20260103-c"
    assert found["after"]["problems"][0]["what"] == "prod-4 has no samples and is left out"
    assert runs("diff", "20260101", "20260103/prod-4").code == 3


def test_a_file_comes_before_a_run_of_that_name(runs: Cli) -> None:
    Path("last").write_text(BEFORE)
    assert document(runs("diff", "last", "20260101-a", "--json"))["before"]["name"] == "last"


def test_runs_that_are_unlike(runs: Cli) -> None:
    make_run("20260103-c", {"prod-3": ("api", raw(1200, 800))}, duration_s=20.0, stacks="user")
    done = runs("diff", "20260101-a/prod-3", "20260103-c")
    assert "the sides were sampled for different times: shares stay comparable" in done.err
    assert "10 s before, 20 s after" in done.err
    assert "the sides are of different scopes" in done.err
    done = runs("diff", "20260101-a/prod-3", "20260103-c", "--counts")
    assert "counts differ for that reason alone" in done.err
    assert "noise: unknown, counts of different exposure" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["before.folded", "nothing"], 5, "nothing is no file, and there is no run 'nothing'"),
        (["before.folded", "/no/such"], 5, "/no/such is neither a file nor a run"),
        (["before.folded", "2026"], 5, "2026 is no file, and 2 runs begin with '2026'"),
        (["before.folded", "last/db"], 5, "run 20260102-b has no host 'db'"),
        (["before.folded", "last/prod-3/db"], 5, "prod-3 of run 20260102-b has no target 'db'"),
        (["before.folded", "last/prod-3/api/x"], 5, "has no host 'prod-3/api/x'"),
        (["before.folded", "last/prod-4"], 3, "last/prod-4 has no samples"),
        (["before.folded", "empty"], 3, "there are no samples after: empty"),
        (["empty", "before.folded"], 3, "there are no samples before: empty"),
        (["before.folded", "garbage"], 1, "garbage: this is none of the formats that are read"),
        (["before.folded"], 1, "line 1 is no folded stack with two weights"),
        (["last"], 5, "last is to be compared with what?"),
        (["-", "-"], 5, "both sides cannot be standard input"),
        (["before.folded", "after.folded", "--format", "png"], 5, "there is no format 'png'"),
        (["before.folded", "after.folded", "-o", "x"], 5, "the output format is missing"),
        (["before.folded", "after.folded", "--json", "-o", "no/x"], 5, "no/x cannot be written"),
        ([], 5, "Missing"),
    ],
)
def test_what_is_refused(runs: Cli, files: Cli, arguments: list[str], code: int, what: str) -> None:
    del files
    Path("empty").touch()
    Path("garbage").write_text("hello\n")
    done = runs("diff", *arguments)
    assert (done.code, done.out) == (code, "")
    assert what in done.err


def test_sides_are_completed(runs: Cli, files: Cli) -> None:
    del runs, files
    context = typer.Context(typer.main.get_command(app))
    assert complete_profile(context, "2026") == ["20260102-b", "20260101-a"]
    assert complete_profile(context, "la") == ["last"]
    assert complete_profile(context, "be") == ["before.folded"]
    assert complete_profile(context, "res") == ["results/"]
    assert complete_profile(context, "20260101-a/") == ["20260101-a/prod-3", "20260101-a/prod-4"]
    assert complete_profile(context, "last/prod-3") == ["last/prod-3"]
    assert complete_profile(context, "results/20260102") == ["results/20260102-b/"]
    assert complete_profile(context, "nothing/") == []
    context.params["results"] = "elsewhere"
    assert complete_profile(context, "2026") == []
