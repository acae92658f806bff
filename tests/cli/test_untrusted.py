"""A host, an inventory and a run of somebody else's: their names drive no terminal."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from remote_prof import console
from remote_prof.cli.completion import complete_container, complete_host, remember_containers
from remote_prof.console.progress import progress
from remote_prof.errors import RemoteProfError
from remote_prof.host.facts import parse_facts
from remote_prof.records import Problem, Severity
from remote_prof.transport import Result
from tests.cli.scripted import Script, launched
from tests.cli.test_completion import container, context

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done

DATA = Path(__file__).parents[1] / "unit" / "data" / "facts"
FACTS = (DATA / "docker-26-hybrid.txt").read_bytes()
SVG = "{http://www.w3.org/2000/svg}"
WHERE = ("-i", "prod-3,", "-H", "prod-3")
# Clears the screen, sets the title, turns the writing round, forges a line, a link and a style.
EVIL = "e\x1b[2J\x9b31m\x1b]0;t\x07\x7f\u202e\u2066\u2028\r\nerror: x [link=file:///]y[/link][red]:skull:"
SPELT = (
    r"e\x1b[2J\x9b31m\x1b]0;t\x07\x7f\u202e\u2066\u2028\r\nerror: x "
    "[link=file:///]y[/link][red]:skull:"
)
IN_JSON = json.dumps(EVIL)[1:-1].encode()
# On lines of the kernel or of bpftrace a line break cannot stand.
ON_LINE = EVIL.replace("\r\n", "").replace("\u2028", "")
SPELT_ON_LINE = SPELT.replace(r"\r\n", "").replace(r"\u2028", "")
EVIL_FACTS = (
    FACTS.replace(b'"/api"', b'"/api' + IN_JSON + b'"')
    .replace(b"Name:\tsvc", b"Name:\tsvc" + ON_LINE.encode())
    .replace(b'"quay.io/', b'"' + IN_JSON + b"quay.io/")
    .replace(b'"demo/', b'"' + IN_JSON + b"demo/")
)
PROFILE = (
    "# bpftrace v0.23.2\n@@ sampling\n\n@samples: 400\n"
    f"@stacks_a[19402, svc{ON_LINE}, \n    read+1\n, \n    work{ON_LINE}+2\n    main+3\n]: 300\n"
    "@stacks_a[19402, svc, \n    read+1\n, \n    </script>]]>+2\n    main+3\n]: 100\n\n@@ end 0\n"
).encode()
API = ("-C", "bdc4ab3")


def assert_harmless(*texts: str) -> None:
    for text in texts:
        found = {c for c in text if not c.isprintable() and c != "\n"}
        assert not found, sorted(found)
        assert not re.search("^error: x", text, re.MULTILINE), "a line is forged"
        assert "💀" not in text


def harmless(done: Done) -> str:
    assert_harmless(done.out, done.err)
    return done.out + done.err


def test_ps(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", EVIL_FACTS)]}
    done = cli("ps", *WHERE)
    assert done.code == 0
    assert f"api{SPELT}" in harmless(done)


def test_ps_as_json_is_json(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", EVIL_FACTS)]}
    done = cli("ps", *WHERE, "--json")
    assert_harmless(done.out)
    assert f"api{EVIL}" in [row["name"] for row in json.loads(done.out)]


def test_doctor(cli: Cli, script: Script) -> None:
    facts = EVIL_FACTS.replace(b"PRETTY_NAME", b"").replace(
        b"@@clock\n", b"@@clock\n-" + ON_LINE.encode()
    )
    facts = re.sub(rb"(@@os\n)[^\n]*", rb"\1" + re.escape(ON_LINE.encode()), facts)
    script.hosts = {"prod-3": [("facts", facts)]}
    assert f"api{SPELT}" in harmless(cli("doctor", *WHERE, *API))


def test_a_run_and_what_is_made_of_it_later(cli: Cli, script: Script) -> None:
    output = launched(PROFILE, exit_code=3, errors=EVIL.encode())
    script.hosts = {"prod-3": [("facts", EVIL_FACTS), ("deploy and follow", output)]}
    done = cli("run", *WHERE, *API, "-v")
    text = harmless(done)
    assert done.code == 0
    assert f"work{SPELT_ON_LINE}" in text
    assert f"api{SPELT} on prod-3" in text
    printed: list[tuple[str, ...]] = [("runs",), ("runs", "show", "last"), ("report", "last")]
    for words in printed:
        later = cli(*words)
        assert later.code == 0, later.err
        harmless(later)
    json.loads(cli("runs", "--json").out)
    json.loads(cli("runs", "show", "last", "--json").out)
    (run,) = Path("results").iterdir()
    (place,) = (run / "hosts" / "prod-3").iterdir()
    assert re.fullmatch(r"[A-Za-z0-9_.@:-]+", place.name)
    picture = (place / "flamegraph.svg").read_bytes()
    titles = [title.text or "" for title in ET.fromstring(picture).iter(f"{SVG}title")]
    assert any("[link=file:///]y[/link]" in title for title in titles)
    assert_harmless("".join(titles))
    assert_harmless((place / "profile.folded").read_text())


def test_a_dry_run(cli: Cli, script: Script) -> None:
    evil = EVIL_FACTS.replace(
        b"/usr/bin/docker", b"/usr/bin/\x1b[2J" + "\u202e".encode() + b"docker"
    )
    script.hosts = {"prod-3": [("facts", evil)]}
    done = cli("run", *WHERE, *API, "--dry-run", "--runner", "engine")
    assert done.code == 0
    assert r"/usr/bin/\x1b[2J\u202edocker" in harmless(done)


def test_errors_of_a_host(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", Result(127, b"", EVIL.encode()))]}
    done = cli("ps", *WHERE)
    assert done.code == 1
    assert r"\x1b[2J" in harmless(done)


def test_a_target_that_is_not_there(cli: Cli, script: Script) -> None:
    script.hosts = {"prod-3": [("facts", EVIL_FACTS)]}
    done = cli("doctor", *WHERE, "-C", f"api{EVIL}x")
    assert done.code == 1
    assert "did you mean" in harmless(done)


def test_an_inventory_of_somebody_else(cli: Cli) -> None:
    name = ON_LINE.replace("[", "").replace("]", "").replace(":", "")
    Path("inventory.yml").write_text(json.dumps({"all": {"hosts": {name: {"ansible_host": EVIL}}}}))
    for words in (["hosts"], ["hosts", "all"], ["ps", "-H", f"{EVIL}x"]):
        harmless(cli(*words))


def test_what_is_completed_is_harmless_to_a_shell(cli: Cli) -> None:
    del cli
    evil = [r"\$(touch x)", "`id`", "$(id)", "a;b", "a b", EVIL, "-rf", "'", '"']
    remember_containers("prod-3", [container(name) for name in ["api", "shop/web", *evil]])
    assert complete_container(context(), "") == ["api", "shop/web"]
    hosts: dict[str, object] = {"web-1": {}, "$(id)": {}}
    Path("inventory.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    assert [name for name in complete_host(context(), "") if name not in ("all", "ungrouped")] == [
        "localhost",
        "web-1",
    ]


@pytest.mark.parametrize("as_bytes", [True, False])
def test_documents_keep_their_lines_and_nothing_else(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, as_bytes: bool
) -> None:
    text = f"one\n{ON_LINE}\ntwo \udcff\n"
    if as_bytes:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        console.write_bytes(text.encode("utf-8", "replace"))
    else:
        console.write(text)
    out = capsysbinary.readouterr().out.decode()
    assert_harmless(out)
    assert out.startswith(f"one\n{SPELT_ON_LINE}\ntwo ")


def test_what_goes_into_a_file_is_to_the_letter(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    console.write_bytes(EVIL.encode())
    assert capsysbinary.readouterr().out == EVIL.encode()


def test_every_way_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    console.line(EVIL, style="bold")
    console.note(EVIL)
    console.table(("name", "number"), [(EVIL, EVIL)], right=(1,))
    console.problem(Problem(Severity.WARNING, EVIL, EVIL, EVIL))
    console.error(RemoteProfError(EVIL, evidence=EVIL, hint=EVIL))
    for hosts in (1, 2):
        with progress(1, hosts) as stages:
            stages(EVIL, EVIL)
            stages.ended(EVIL, EVIL, EVIL)
    captured = capsys.readouterr()
    assert_harmless(captured.out, captured.err)
    assert (captured.out + captured.err).count(SPELT) == 17


@pytest.mark.parametrize("hosts", [1, 2])
def test_the_live_progress(monkeypatch: pytest.MonkeyPatch, hosts: int) -> None:
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    live = Console(file=stream, force_terminal=True, color_system=None, width=4000)
    monkeypatch.setattr(console, "stream", lambda *, stderr: live)  # noqa: ARG005
    with progress(1, hosts) as stages:
        stages("failed", EVIL)
        stages.ended("failed", EVIL, EVIL)
        stages(EVIL, EVIL)
    # What drives the terminal is rich's own: cursor, lines.
    text = re.sub(r"\x1b\[[?0-9]*[hlAK]|\r", "", stream.getvalue())
    assert SPELT in text
    assert_harmless(text)


def test_a_name_without_end_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    console.line("a" * 1_000_000)
    console.table(("name",), [("b" * 1_000_000,)])
    out = capsys.readouterr().out
    assert len(out) < 20_000
    assert "... (995904 more characters)" in out


def test_facts_hold_what_was_meant() -> None:
    names = [found.name for found in parse_facts(EVIL_FACTS).containers]
    assert f"api{EVIL}" in names


def test_a_file_that_is_none_is_not_replaced(cli: Cli) -> None:
    Path("a.folded").write_text("a;b 3\n")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = cli("convert", "a.folded", "--to", "folded", "-o", "pipe")
        assert done.code == 0
        assert os.read(reader, 100) == b"a;b 3\n"
    finally:
        os.close(reader)
    assert Path("pipe").is_fifo()


def test_too_little_memory_is_one_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> bytes:
        raise MemoryError(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    done = cli("convert", "huge", "--to", "svg")
    assert done.code == 1
    assert "error: there is not enough memory here for that" in done.err
