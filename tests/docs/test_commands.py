"""The documents are tested: their commands, their options, their links, their excerpts."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer

from remote_prof.cli.app import app
from remote_prof.engines import ENGINES, ProfileRequest
from remote_prof.errors import ExitCode
from remote_prof.host import checks
from remote_prof.host.containers import Container
from remote_prof.host.facts import EngineFacts, HostFacts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target
from remote_prof.inventory import load_inventory
from remote_prof.inventory.variables import FIELDS, NOT_READ
from remote_prof.profile.diff import Trend
from remote_prof.profile.model import Quality
from remote_prof.profile.quality import measure_quality
from remote_prof.records import Problem
from remote_prof.render import RENDERERS, Renderer
from remote_prof.render.comparison import ComparisonDocument
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import (
    MANIFEST_VERSION,
    HostRecord,
    Manifest,
    RequestRecord,
    SidecarRecord,
    Status,
)
from remote_prof.run.plan import Service, make_plan
from remote_prof.run.report import find_engine, profile_request
from remote_prof.settings import NAMES, OTHER_VARIABLES, load_settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "playbooks" / "README.md"])
RECORDING = ROOT / "tests" / "recorded" / "data" / "bpftrace-0.23-ustack.txt"
RUN_ID = "20260131-235959-1a2b3c"  # the run that the documents speak of
WITHOUT_HOST = frozenset({"hosts", "config", "convert", "diff", "runs", "report"})
CLI: Any = typer.main.get_command(app)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
_ENDS_STAGE = frozenset({"|", "&&", "||", ";"})


@dataclass(frozen=True)
class Line:
    """A command line of a document: its words, cut at pipes."""

    page: str
    text: str
    stages: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for name, body in _FENCE.findall(page.read_text()) if name in languages]


def command_lines() -> Iterator[Line]:
    for page in PAGES:
        texts = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
        for block in blocks(page, "console"):
            texts += [text[2:] for text in block.splitlines() if text.startswith("$ ")]
        for text in texts:
            if text.strip() and not text.startswith("#"):
                yield Line(page.name, text, tuple(cut(text)))


def cut(text: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in _ENDS_STAGE:
            yield tuple(words)
            words = []
        else:
            words.append(word)
    yield tuple(words)


def ours(line: Line) -> Iterator[tuple[dict[str, str], list[str], str]]:
    """List the calls of remote-prof in a line: environment, arguments, file of stdout."""
    for stage in line.stages:
        environment = {}
        words = list(stage)
        while words and _ASSIGNMENT.fullmatch(words[0]):
            name, _, environment[name] = words.pop(0).partition("=")
        if words[:1] == ["remote-prof"]:
            target = ""
            if ">" in words:
                at = words.index(">")
                target = words[at + 1]
                del words[at:]
            yield environment, words[1:], target


LINES = list(command_lines())
CALLS = [(line, *call) for line in LINES for call in ours(line)]
IDS = [str(call[0]) for call in CALLS]


def leaf(arguments: list[str]) -> tuple[Any, Any]:
    """Parse arguments as the program does, without running anything."""
    command: Any = CLI
    context = command.make_context("remote-prof", list(arguments))
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        if not rest:
            break
        _, command, rest = command.resolve_command(context, rest)
        context = command.make_context(command.name, rest, parent=context)
    return command, context


def test_there_are_commands_to_test() -> None:
    assert len(CALLS) > 40
    assert {arguments[0] for _, _, arguments, _ in CALLS if arguments} >= set(CLI.commands)


@pytest.mark.parametrize(("line", "environment", "arguments", "target"), CALLS, ids=IDS)
def test_commands_are_understood(
    line: Line, environment: Mapping[str, str], arguments: list[str], target: str
) -> None:
    del target
    command, context = leaf(arguments)
    assert command is not CLI, f"{line} names no command"
    flags = {
        "duration": context.params.get("duration"),
        "frequency": context.params.get("frequency"),
        "stacks": context.params.get("stacks"),
        "runner": context.params.get("runner"),
        "scope": context.params.get("scope"),
        "host_key_checking": context.params.get("host_key_checking"),
    }
    settings = load_settings(Path("/"), environment, flags, user_file=Path("/nonexistent"))
    assert settings.problems == ()


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Give a directory that has what the documents take for granted."""
    raw = RECORDING.read_bytes()
    (tmp_path / "inventory.yml").write_bytes((ROOT / "inventory.example").read_bytes())
    (tmp_path / "profile.txt").write_bytes(raw)
    (tmp_path / "debug").mkdir()
    for name in ("a.folded", "b.folded", "profile.folded"):
        (tmp_path / name).write_bytes(RECORDING.with_suffix(".folded").read_bytes())
    for path in (Path(__file__).parent / "data").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    prepare_run(tmp_path / "results", raw)
    return tmp_path


def prepare_run(results: Path, raw: bytes) -> None:
    directory = RunDirectory.create(results, RUN_ID)
    request = RequestRecord(
        hosts=("prod-3", "prod-4"),
        target="api",
        scope="container",
        engine="bpftrace",
        duration_s=3,
        frequency_hz=99,
        stacks="both",
        image="bpftrace",
        privileged=False,
        runner="auto",
        formats=("folded", "svg", "speedscope"),
    )
    profile = find_engine("bpftrace").parse(raw, profile_request(request))
    hosts = [
        HostRecord(
            name,
            address,
            Status.OK,
            directory=f"hosts/{name}/api",
            quality=measure_quality(profile),
            sidecars=(SidecarRecord("bpftrace", "img", "", (), "", (), "engine", 0, ""),),
            artifacts=(
                directory.write(
                    directory.fresh_directory(name, "api") / "profile.txt", raw, raw=True
                ),
            ),
            timings_s={"sample": 3.0},
        )
        for name, address in (("prod-3", "192.0.2.13"), ("prod-4", "192.0.2.14"))
    ]
    at = "2026-01-31T23:59:59+00:00"
    directory.write_manifest(
        Manifest(MANIFEST_VERSION, RUN_ID, "0.1.0", ("remote-prof",), at, at, request, tuple(hosts))
    )


OFFLINE = [call for call in CALLS if call[2][0] in WITHOUT_HOST]


@pytest.mark.parametrize(
    ("line", "environment", "arguments", "target"), OFFLINE, ids=[str(call[0]) for call in OFFLINE]
)
def test_commands_that_need_no_host_work(
    line: Line,
    environment: Mapping[str, str],
    arguments: list[str],
    target: str,
    prepared: Path,
) -> None:
    kept = {name: value for name, value in os.environ.items() if "REMOTE_PROF" not in name}
    done = subprocess.run(
        [Path(sys.executable).with_name("remote-prof"), *arguments],
        cwd=prepared,
        env=kept | {"HOME": str(prepared), "XDG_CONFIG_HOME": str(prepared)} | dict(environment),
        input=(prepared / "profile.txt").read_bytes(),
        capture_output=True,
    )
    assert done.returncode == ExitCode.OK, done.stderr.decode()
    context = leaf(arguments)[1]
    written = context.params.get("output")
    if arguments[0] in ("convert", "diff") and written != "-":
        assert (prepared / written).stat().st_size > 0
    else:
        assert done.stdout, f"{line} prints nothing"
    assert not target or not Path(target).is_absolute()


def test_the_example_of_a_comparison_is_what_is_printed(prepared: Path) -> None:
    (block,) = [b for b in blocks(DOCS / "comparing.md", "console") if "quality:" in b]
    command, _, expected = block.partition("\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("remote-prof"), *shlex.split(command)[2:]],
        cwd=prepared,
        env=dict(os.environ) | {"HOME": str(prepared), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert [line.rstrip() for line in done.stdout.splitlines()] == expected.splitlines()


def test_make_targets_exist() -> None:
    found = {
        stage[1]
        for line in LINES
        for stage in line.stages
        if stage[:1] == ("make",) and len(stage) > 1
    }
    for page in PAGES:
        prose = _FENCE.sub("", page.read_text())
        found |= set(re.findall(r"`make ([a-z-]+)`", prose))
    assert {"demo", "test"} <= found
    for target in sorted(found):
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_lab_commands_are_understood() -> None:
    from tests.lab.__main__ import parser
    from tests.lab.model import HostSpec

    for line in LINES:
        for stage in line.stages:
            if stage[:3] == ("python", "-m", "tests.lab"):
                given = parser().parse_args(stage[3:])
                for spec in getattr(given, "hosts", ()):
                    HostSpec.parse(spec)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def sections() -> dict[str, str]:
    text = (DOCS / "commands.md").read_text()
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def options(command: Any) -> set[str]:
    found = {text for param in command.params for text in param.opts if text.startswith("--")}
    for below in getattr(command, "commands", {}).values():
        found |= options(below)
    return found - {"--help"}


@pytest.mark.parametrize("name", CLI.commands)
def test_each_command_has_its_section_with_every_option(name: str) -> None:
    section = sections()[f"remote-prof {name}"]
    if "(#how-to-connect)" in section:
        section += sections()["How to connect"]
    prose = _FENCE.sub("", section)
    assert set(_OPTION.findall(prose)) - other_options() >= options(CLI.commands[name])
    for below in getattr(CLI.commands[name], "commands", {}):
        assert f"`{below}`" in prose


@pytest.mark.parametrize("name", CLI.commands)
def test_tables_name_no_option_that_is_not_there(name: str) -> None:
    rows = re.findall(r"^\| (`--[^|]*)\|", sections()[f"remote-prof {name}"], re.MULTILINE)
    told = {option for row in rows for option in _OPTION.findall(row)}
    assert told <= options(CLI.commands[name])


def test_short_options_are_told() -> None:
    text = (DOCS / "commands.md").read_text()
    for name, command in CLI.commands.items():
        for param in command.params:
            long = [opt for opt in param.opts if opt.startswith("--")]
            for short in set(param.opts) - set(long) - {"-h"}:
                if param.param_type_name == "option":
                    assert f"`{long[0]}`, `{short}`" in text, f"{name} {short}"


def other_options() -> set[str]:
    return {"--version", "--help"}


def test_options_of_the_program_are_told() -> None:
    text = (DOCS / "commands.md").read_text()
    assert all(f"`{option}`" in text for option in options_of_program())


def options_of_program() -> set[str]:
    return {text for param in CLI.params for text in param.opts if text.startswith("--")} - {
        "--help"
    }


def test_every_setting_is_told() -> None:
    text = (DOCS / "settings.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+)` \| `(--[a-z-]+)`", text, re.MULTILINE)
    assert [name for name, _ in rows] == list(NAMES)
    for _, flag in rows:
        assert flag in options(CLI.commands["run"])
    assert OTHER_VARIABLES[0] in text


@pytest.mark.parametrize("block", blocks(DOCS / "settings.md", "toml"))
def test_settings_files_are_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "remote-prof.toml").write_text(block)
    resolved = load_settings(tmp_path, {}, {}, user_file=tmp_path / "none")
    assert len(resolved.files) == 1


@pytest.mark.parametrize(
    "block", [*blocks(ROOT / "README.md", "yaml"), *blocks(DOCS / "inventory.md", "yaml")]
)
def test_inventories_are_valid(block: str, tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text(block)
    inventory = load_inventory(path)
    assert inventory.select("all")
    assert inventory.problems == ()


def test_every_inventory_variable_is_told() -> None:
    text = (DOCS / "inventory.md").read_text()
    for name in (*FIELDS, *NOT_READ):
        assert f"`{name}`" in text
    told = set(re.findall(r"remote_prof_\w+", text))
    assert told <= set(FIELDS)


def test_every_field_of_the_manifest_is_told() -> None:
    text = (DOCS / "run-directory.md").read_text()
    for record in records(Manifest):
        for field in dataclasses.fields(record):
            assert f"`{field.name}`" in text, f"{record.__name__}.{field.name}"
    for status in Status:
        assert f"`{status}`" in text


def test_every_field_of_a_comparison_is_told() -> None:
    text = (DOCS / "comparing.md").read_text()
    for record in records(ComparisonDocument) - records(Quality) - {Problem}:
        for field in dataclasses.fields(record):
            assert f"`{field.name}`" in text, f"{record.__name__}.{field.name}"
    for trend in Trend:
        assert f"`{trend}`" in text


def records(kind: Any) -> set[type]:
    """List a dataclass and those in its fields."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return {kind}.union(*(records(hint) for hint in hints.values()))
    return set().union(*(records(argument) for argument in get_args(kind)))


def test_every_exit_code_is_told() -> None:
    text = (ROOT / "README.md").read_text()
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}


def test_every_preflight_check_is_told() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    for what in problem_texts(Path(checks.__file__)):
        assert what in text, what


def problem_texts(source: Path) -> Iterator[str]:
    """List the fixed parts of the messages of a module, the longest of each."""
    for node in ast.walk(ast.parse(source.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        first = {"_error": 0, "Problem": 1}.get(node.func.id)
        if first is None or len(node.args) <= first:
            continue
        message = node.args[first]
        for choice in (
            (message.body, message.orelse) if isinstance(message, ast.IfExp) else [message]
        ):
            parts = [
                part.value
                for part in ast.walk(choice)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
            if parts:
                yield max(parts, key=len).strip()


@pytest.fixture(scope="module")
def rendered() -> str:
    """Give the files of a plan for a current host."""
    engine_facts = EngineFacts(
        "docker",
        "/usr/bin/docker",
        "direct",
        version="26.1.5",
        memory_limit=True,
        cpu_limit=True,
        pids_limit=True,
    )
    facts = HostFacts(
        kernel="6.12.0",
        architecture="x86_64",
        os_name="Debian GNU/Linux 13 (trixie)",
        login="ops",
        uid=1000,
        groups=("docker",),
        clock_s=0,
        btf=True,
        lockdown="none",
        selinux_enforcing=False,
        sysctls={},
        cgroup="v2",
        cgroup_root="/sys/fs/cgroup",
        work_parents={"/tmp": 1 << 40},
        engine=engine_facts,
        compose="v2 2.26.1",
    )
    container = Container("c" * 64, "api", "", "", "running", 4242, 0, "runc", "")
    target = Target(
        container, (Process(4242, "c" * 64, 1, 1, "svc"),), "container", cgroup_ids=(11711,)
    )
    request = ProfileRequest(10, 99, "both", "quay.io/iovisor/bpftrace:v0.23.2")
    plan = make_plan(
        run_id=RUN_ID,
        request=request,
        runner="auto",
        facts=facts,
        target=target,
        services=(Service("bpftrace", ENGINES[0].plan(request, facts, target)[0]),),
        become=False,
    )
    return "\n".join(plan.files.values())


@pytest.mark.parametrize("block", blocks(DOCS / "host.md", "yaml", "bash"))
def test_excerpts_are_what_is_put_on_a_host(block: str, rendered: str) -> None:
    # In the compose file the program is indented, and its dollars are doubled.
    lines = [line.strip().replace("$$", "$") for line in rendered.splitlines()]
    for line in block.splitlines():
        assert line.strip().replace("$$", "$") in lines, f"not rendered any more: {line}"


@pytest.mark.parametrize("renderer", RENDERERS.values(), ids=RENDERERS)
def test_each_format_has_its_row_and_its_file(renderer: Renderer) -> None:
    row = f"| `{renderer.name}` | `{renderer.filename}` |"
    assert (DOCS / "commands.md").read_text().count(row) == 1
    assert renderer.filename in (DOCS / "run-directory.md").read_text()
