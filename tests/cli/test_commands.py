"""The commands that look, and those that work on what lies here."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remote_prof import __version__
from remote_prof.cli import options
from remote_prof.render import RENDERERS
from tests.cli.scripted import Script, launched

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

DATA = Path(__file__).parents[1] / "unit" / "data" / "facts"
FACTS = (DATA / "docker-26-hybrid.txt").read_bytes()
DENIED = (DATA / "docker-26-denied.txt").read_bytes()
RAW = (
    b"# bpftrace v0.23.2\n@@ sampling\n"
    b"@stacks_a[7, svc, \n, \n    work+2\n    main+3\n]: 40\n@@ end 0\n"
)
WHERE = ("-i", "prod-3,prod-4,", "-H")
COMMANDS = (
    "run",
    "fetch",
    "clean",
    "ps",
    "doctor",
    "hosts",
    "report",
    "convert",
    "diff",
    "runs",
    "runs show",
    "config",
)


def rows(text: str) -> dict[str, list[str]]:
    """A table by the first words of its rows, without its header."""
    return {line.split()[0]: line.split() for line in text.splitlines()[2:] if line.strip()}


def test_ps_lists_containers(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS)]}
    done = cli("ps", *WHERE, "prod-3")
    assert done.code == 0
    found = rows(done.out)
    assert list(found) == ["api", "idle", "stopped", "web-1", "web-2"]
    assert found["web-1"][3:5] == ["shop/web", "running"]
    assert "19361 sh, 19402 svc, 19403 svc, by control group" in done.out


def test_ps_as_json(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS)], "prod-4": [("facts", FACTS)]}
    done = cli("ps", *WHERE, "all", "--json")
    documents = json.loads(done.out)
    assert [(d["host"], d["name"]) for d in documents[4:6]] == [
        ("prod-3", "web-2"),
        ("prod-4", "api"),
    ]
    assert documents[0]["cpu_share"] == pytest.approx(0.097, abs=0.001)
    assert documents[2]["cpu_share"] is None


def test_ps_where_the_engine_refuses(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", DENIED)]}
    done = cli("ps", *WHERE, "prod-3")
    assert (done.code, done.out) == (1, "")
    assert "guest may not use docker" in done.err


def test_ps_of_names_that_would_drive_the_terminal(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS.replace(b'"/api"', b'"/a\\u001b]0;x\\u0007pi"'))]}
    done = cli("ps", *WHERE, "prod-3")
    assert done.code == 0
    assert not {"\x1b", "\x07"} & set(done.out + done.err)


def test_doctor_finds_nothing(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS)]}
    done = cli("doctor", *WHERE, "prod-3", "-C", "api")
    assert done.code == 0
    assert "filter:" in done.out
    assert done.out.endswith("prod-3: a run would work\n")


def test_doctor_tries_it_for_a_moment(cli: Cli, script: Script) -> None:
    refused = launched(b"", exit_code=1, errors=b"ERROR: map: Operation not permitted\n")
    script.hosts = {
        "prod-3": [
            ("facts", FACTS),
            ("facts", FACTS),
            ("deploy and follow", refused),
            ("deploy and follow", launched(RAW)),
        ]
    }
    done = cli("doctor", *WHERE, "prod-3", "-C", "api", "--probe")
    assert done.code == 0, done.err
    assert re.search(r"proven: +SYS_ADMIN\+SYS_PTRACE\+SYSLOG, bpftrace v0.23.2", done.out)
    assert "the kernel refuses the sidecar with BPF+PERFMON+SYS_PTRACE+SYSLOG" in done.err
    assert "samples: shares are rough" not in done.err
    assert not Path("results").exists()


def test_doctor_says_when_the_kernel_refuses_every_rung(cli: Cli, script: Script) -> None:
    refused = launched(b"", exit_code=1, errors=b"ERROR: map: Operation not permitted\n")
    rungs = [("deploy and follow", refused)] * 2
    script.hosts = {"prod-3": [("facts", FACTS), ("facts", FACTS), *rungs]}
    done = cli("doctor", *WHERE, "prod-3", "-C", "api", "--probe")
    assert done.code == 1
    assert "refuses the sidecar also with SYS_ADMIN+SYS_PTRACE+SYSLOG" in done.err
    assert "map: Operation not permitted" in done.err
    assert "--privileged" in done.err


def test_doctor_probes_nothing_but_a_container(cli: Cli, script: Script) -> None:
    done = cli("doctor", *WHERE, "prod-3", "--probe")
    assert done.code == 5
    assert script.connected == []


def test_doctor_finds_everything_at_once(cli: Cli, script: Script) -> None:
    bad = FACTS.replace(b'"amd64"]', b'"arm64"]').replace(b"kptr_restrict=0", b"kptr_restrict=2")
    script.hosts = {"prod-3": [("facts", bad)]}
    done = cli("doctor", *WHERE, "prod-3", "-C", "apy", "--json")
    assert done.code == 1
    (document,) = json.loads(done.out)
    assert [p["severity"] for p in document["problems"] if p["severity"] != "note"] == [
        "error",
        "error",
        "warning",
    ]


def test_doctor_of_hosts_of_which_one_is_off(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", FACTS)]}
    script.unreachable = ["prod-4"]
    done = cli("doctor", *WHERE, "all")
    assert done.code == 4
    assert "prod-3: a run would work" in done.out
    assert "prod-4: a run would not work" in done.out


INVENTORY = """
shop:
  hosts:
    shop-[1:2]:
      ansible_user: deploy
    db:
      ansible_host: 10.0.0.9
      ansible_port: 2222
      ansible_become_password: hunter2
"""


def test_hosts_lists_the_inventory(cli: Cli) -> None:
    Path("inventory.yml").write_text(INVENTORY)
    assert list(rows(cli("hosts").out)) == ["shop-1", "shop-2", "db"]
    done = cli("hosts", "shop:!db", "--json")
    assert [host["name"] for host in json.loads(done.out)] == ["shop-1", "shop-2"]
    assert "hunter2" not in cli("hosts", "--json").out


def test_hosts_of_several_sources(cli: Cli) -> None:
    Path("one").write_text("[web]\nw1\n")
    Path("two.yml").write_text("web: {hosts: {w2: {}}}\n")
    done = cli("hosts", "-i", "one", "-i", "two.yml", "-i", "w3,")
    assert list(rows(done.out)) == ["w3", "w1", "w2"]
    limited = cli("hosts", "web", "-i", "one", "-i", "two.yml", "--limit", "!w1")
    assert list(rows(limited.out)) == ["w2"]


def test_hosts_as_ansible_prints_them(cli: Cli) -> None:
    Path("hosts").write_text("[web]\nw1 a=1\nw2\n[site:children]\nweb\n")
    listed = json.loads(cli("hosts", "-i", "hosts", "--list", "w1").out)
    assert listed["_meta"]["hostvars"] == {"w1": {"a": 1}}
    assert listed["web"] == {"hosts": ["w1"]}
    assert cli("hosts", "-i", "hosts", "--graph").out == (
        "@all:\n  |--@ungrouped:\n  |--@site:\n  |  |--@web:\n  |  |  |--w1\n  |  |  |--w2\n"
    )
    assert cli("hosts", "-i", "hosts", "--graph", "web").out == "@web:\n  |--w1\n  |--w2\n"
    done = cli("hosts", "-i", "hosts", "--graph", "wbe")
    assert done.code == 5
    assert "there is no group 'wbe'" in done.err


def test_where_variables_come_from(cli: Cli) -> None:
    Path("hosts").write_text("w1 a=1 ansible_password=hunter2\n")
    Path("group_vars").mkdir()
    Path("group_vars/all.yml").write_text("---\nb: [1, x]\n")
    done = cli("hosts", "-i", "hosts", "--vars", "w1")
    assert [line.split() for line in done.out.splitlines()[2:]] == [
        ["a", "1", "hosts:1"],
        ["ansible_password", "(secret)", "hosts:1"],
        ["b", "[1,", '"x"]', "group_vars/all.yml:2"],
    ]
    (first, *_) = json.loads(cli("hosts", "-i", "hosts", "--vars", "w1", "--json").out)
    assert first == {"name": "a", "value": "1", "source": "hosts:1"}
    assert "there is no host 'w9'" in cli("hosts", "-i", "hosts", "--vars", "w9").err


@pytest.mark.parametrize(
    "arguments", [("--list", "--graph"), ("--graph", "--vars", "a"), ("--graph", "--limit", "a")]
)
def test_views_of_hosts_exclude_each_other(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("hosts", "-i", "a,", *arguments).code == 5


VAULT = Path(__file__).parents[1] / "inventory" / "corpus" / "vault"


def test_a_vault_password_from_a_file_or_a_program(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("hosts", "-i", str(VAULT / "hosts"))
    refused = cli(*where)
    assert refused.code == 5
    assert "--vault-password-file FILE" in refused.err
    done = cli(*where, "--vault-password-file", str(VAULT / "password"))
    assert rows(done.out)["v1"][1] == "192.0.2.77"
    assert "hunter2" not in done.out + done.err
    tool = Path("password-client")
    tool.write_text("#!/bin/sh\n[ \"$*\" = '--vault-id default' ] && echo 'correct horse'\n")
    tool.chmod(0o700)
    assert cli(*where, "--vault-password-file", str(tool)).code == 0
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tool))
    assert cli(*where).code == 0


def test_vault_passwords_that_are_none(cli: Cli) -> None:
    def refused(name: str) -> str:
        done = cli("hosts", "-i", str(VAULT / "hosts"), "--vault-password-file", name)
        assert (done.code, done.out) == (5, "")
        return done.err

    assert "no-such cannot be read" in refused("no-such")
    Path("empty").touch()
    assert "empty gives nothing" in refused("empty")
    Path("wrong").write_text("wrong")
    assert "the vault password does not open it" in refused("wrong")
    Path("tool").write_text("#!/bin/sh\necho sorry >&2\nexit 4\n")
    Path("tool").chmod(0o700)
    said = refused("tool")
    assert "tool ends with exit code 4" in said
    assert "sorry" in said


def test_a_vault_password_is_asked_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_prof.cli.secrets.ask_secret", lambda *_: "correct horse")
    assert cli("hosts", "-i", str(VAULT / "hosts"), "--ask-vault-pass").code == 0


def test_a_limit_from_a_file(cli: Cli, script: Script) -> None:
    Path("failed.retry").write_text("prod-4\n")
    script.hosts = {"prod-4": [("facts", FACTS)]}
    done = cli("ps", *WHERE, "all", "--limit", "@failed.retry", "--json")
    assert {document["host"] for document in json.loads(done.out)} == {"prod-4"}


@pytest.mark.parametrize("command", ["run", "ps", "doctor"])
def test_a_host_that_is_not_in_the_inventory(cli: Cli, script: Script, command: str) -> None:
    Path("inventory.yml").write_text(INVENTORY)
    done = cli(command, "-H", "shop-3", *(["-C", "api"] if command == "run" else []))
    assert (done.code, done.out) == (5, "")
    assert "shop-3" in done.err
    assert "close to it: shop-" in done.err
    assert not script.connected


def test_without_an_inventory(cli: Cli, script: Script) -> None:
    done = cli("run", "-H", "prod-3", "-C", "api")
    assert done.code == 5
    assert "inventory" in done.err
    assert not script.connected


def test_an_inventory_that_is_malformed_says_where(cli: Cli) -> None:
    Path("inventory.yml").write_text("shop:\n  hosts:\n    a: {\n")
    done = cli("hosts")
    assert done.code == 5
    assert "inventory.yml:" in done.err
    assert done.err.startswith("error: ")


@pytest.fixture
def a_run(cli: Cli, script: Script) -> Path:
    """A run that was made."""
    script.hosts = {"prod-3": [("facts", FACTS), ("deploy and follow", launched(RAW))]}
    assert cli("run", *WHERE, "prod-3", "-C", "api", "--format", "folded").code == 0
    (path,) = Path("results").iterdir()
    return path


def test_report_makes_files_again(cli: Cli, a_run: Path) -> None:
    where = a_run / "hosts/prod-3/api"
    (where / "profile.folded").unlink()
    done = cli("report", "last", "--format", "folded", "--format", "svg")
    assert done.code == 0
    assert (where / "profile.folded").read_text() == "svc;main;work 40\n"
    assert "flame graph: " in done.out
    document = json.loads(cli("report", a_run.name[:15], "--json").out)
    assert document["hosts"][0]["quality"]["got"] == 40


def test_report_of_a_run_that_is_not_there(cli: Cli) -> None:
    done = cli("report", "last")
    assert done.code == 5
    assert "there is no run 'last'" in done.err


def test_runs_are_listed_and_shown(cli: Cli, a_run: Path) -> None:
    assert rows(cli("runs").out) == {a_run.name: [a_run.name, "api", "prod-3", "ok", "40"]}
    assert json.loads(cli("runs", "list", "--json").out)[0]["run"] == a_run.name
    assert "prod-3: ok" in cli("runs", "show", "last").out
    assert json.loads(cli("runs", "show", "last", "--json").out)["run_id"] == a_run.name


def test_a_run_that_is_damaged_does_not_hide_others(cli: Cli, a_run: Path) -> None:
    (a_run.parent / "0").mkdir()
    (a_run.parent / "0" / "run.json").write_text("{")
    done = cli("runs")
    assert (done.code, list(rows(done.out))) == (0, [a_run.name])
    assert "0/run.json is not the manifest of a run" in done.err


def test_convert_to_stdout_and_to_a_file(cli: Cli) -> None:
    Path("profile.txt").write_bytes(RAW)
    assert cli("convert", "profile.txt", "--to", "folded").out == "svc;main;work 40\n"
    assert cli("convert", "profile.txt", "--to", "svg", "-o", "a.svg").out == ""
    assert "<svg" in Path("a.svg").read_text()


def test_convert_draws_as_asked(cli: Cli) -> None:
    Path("profile.txt").write_bytes(RAW)
    upright = cli("convert", "profile.txt", "--to", "svg").out
    drawing = ("--width", "640", "--inverted", "--title", "mine", "--subtitle", "second line")
    turned = cli("convert", "profile.txt", "--to", "svg", *drawing).out
    assert 'width="1200"' in upright
    assert 'data-shape="flame"' in upright
    for text in ('<svg version="1.1" width="640"', ">mine</text>", ">second line</text>"):
        assert text in turned
    assert 'data-shape="icicle"' in turned
    two = b"a 99\nb 1\n"
    Path("two.folded").write_bytes(two)
    for minwidth, frames in (("11.7", 3), ("12", 2)):
        picture = cli("convert", "two.folded", "--to", "svg", "--minwidth", minwidth).out
        assert picture.count("<rect x=") - 1 == frames, "the legend has one"


def test_report_draws_as_asked(cli: Cli, a_run: Path) -> None:
    drawing = ("--width", "640", "--inverted", "--title", "mine", "--subtitle", "second line")
    assert cli("report", "last", "--format", "svg", *drawing).code == 0
    picture = next(a_run.rglob("flamegraph.svg")).read_text()
    for text in ('width="640"', ">mine</text>", ">second line</text>", 'data-shape="icicle"'):
        assert text in picture


def test_convert_reads_stdin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(RAW)))
    assert cli("convert", "-", "--to", "folded").out == "svc;main;work 40\n"


def test_convert_takes_the_format_from_the_ending_of_the_output(cli: Cli) -> None:
    Path("a.folded").write_text("a;b 1\n")
    for output, beginning in (("x.svg", "<?xml"), ("x.json", "{"), ("x.folded", "a;b 1")):
        assert cli("convert", "a.folded", "-o", output).code == 0
        assert Path(output).read_text().startswith(beginning)
    assert cli("convert", "a.folded", "--to", "folded", "-o", "y.svg").code == 0
    assert Path("y.svg").read_text() == "a;b 1\n"


def test_convert_adds_up_inputs_of_different_formats(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    perf = b"svc 1  1.000000: cycles: \n\t    1 main (/x)\n\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(perf))))
    Path("profile.txt").write_bytes(RAW)
    Path("a.folded").write_text("svc;main;work 2\nsvc;main 1\n")
    done = cli("convert", "profile.txt", "a.folded", "-", "--to", "folded")
    assert (done.code, done.out) == (0, "svc;main 2\nsvc;main;work 42\n")
    assert done.err == ""


def test_convert_tells_what_it_could_not_read(cli: Cli) -> None:
    Path("a.folded").write_text("a;b 1\nhello\x1b[2J\na;c 2\n")
    done = cli("convert", "a.folded", "--to", "folded")
    assert (done.code, done.out) == (0, "a;b 1\na;c 2\n")
    assert "warning: a.folded: 1 line could not be read: line 2: 'hello\\x1b[2J'" in done.err


def test_convert_reads_what_it_is_told_to(cli: Cli) -> None:
    Path("x").write_text("P1;T0:8;a.py:f:1 10\n")
    assert cli("convert", "x", "--to", "folded").out == "process 1;thread 8;f 10\n"
    done = cli("convert", "x", "--to", "folded", "--from", "folded")
    assert done.out == "P1;T0:8;a.py:f:1 10\n"


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["nonesuch", "--to", "svg"], 5, "nonesuch cannot be read"),
        (["a", "--to", "png"], 5, "no format 'png'"),
        (["a", "--to", "svg"], 1, "a: this is none of the formats that are read"),
        (["good", "--to", "svg", "--from", "perv"], 5, "no input format 'perv'"),
        (["good", "--to", "svg", "--from", "perf"], 1, "good: there is no sample of perf script"),
        (["good"], 5, "the output format is missing"),
        (["good", "-o", "a.png"], 5, "the output format is missing"),
        (["good", "other", "--to", "svg"], 5, "good and other cannot be added up"),
        (["empty", "--to", "svg"], 3, "there are no samples in empty"),
        (["good", "--to", "svg", "-o", "no/where"], 5, "no/where cannot be written"),
        (["good", "--to", "svg", "--width", "20"], 5, "Invalid value for '--width'"),
        (["good", "--to", "svg", "--minwidth", "-1"], 5, "Invalid value for '--minwidth'"),
        ([], 5, "Missing"),
    ],
)
def test_convert_refuses(cli: Cli, arguments: list[str], code: int, what: str) -> None:
    Path("a").write_text("hello\n")
    Path("empty").touch()
    Path("good").write_text("a 1\n")
    Path("other").write_text("# mode: wall\nP1;T0:8;a.py:f:1 10\n")
    done = cli("convert", *arguments)
    assert (done.code, done.out) == (code, "")
    assert what in done.err


def test_config_says_where_settings_come_from(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_PROF_DURATION", "30s")
    Path("remote-prof.toml").write_text("frequency = 49\n")
    documents = {d["name"]: d for d in json.loads(cli("config", "--json").out)}
    assert (documents["duration"]["value"], documents["frequency"]["value"]) == ("30", "49")
    assert documents["duration"]["source"] == "environment REMOTE_PROF_DURATION"
    assert documents["frequency"]["source"].endswith("remote-prof.toml:1")
    assert rows(cli("config").out)["stacks"] == ["stacks", "both", "default"]


def test_a_setting_that_is_wrong_says_where(cli: Cli) -> None:
    Path("remote-prof.toml").write_text("\nfrequencies = 49\n")
    done = cli("config")
    assert done.code == 5
    assert "remote-prof.toml:2" in done.err


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out == f"remote-prof {__version__}\n"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_has_examples(cli: Cli, command: str) -> None:
    done = cli(*command.split(), "--help")
    assert done.code == 0
    assert "Examples" in done.out
    assert f"remote-prof {command}".strip() in done.out.partition("Examples")[2]
    assert cli(*command.split(), "-h").out == done.out


def test_a_command_that_is_not_there(cli: Cli) -> None:
    done = cli("prof")
    assert done.code == 5
    assert "No such command 'prof'" in done.err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command: str) -> None:
    """Typer itself imports pydantic for the options of a command."""
    own = "" if command else ", 'pydantic'"
    program = (
        "import sys\n"
        f"sys.argv = ['remote-prof', *{command.split()!r}, '--help']\n"
        "from remote_prof.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        f"heavy = {{'asyncssh', 'asyncio', 'yaml', 'jinja2', 'google.protobuf'{own}}}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_help_names_every_format_and_does_not_wait_for_what_draws() -> None:
    assert ", ".join(RENDERERS) == options.FORMATS
    script = "import sys, remote_prof.cli.app; print('remote_prof.render' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
