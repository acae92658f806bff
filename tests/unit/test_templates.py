"""Quoting by construction: what goes into a template comes out of the language as it was."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.engines import ProfileRequest
from remote_prof.engines.austin import Austin
from remote_prof.engines.bpftrace import Bpftrace
from remote_prof.engines.gopprof import GoPprof
from remote_prof.engines.java import Java
from remote_prof.engines.node import Node
from remote_prof.engines.perf import Perf
from remote_prof.engines.perf_map import perf_map_sidecar
from remote_prof.engines.pyspy import PySpy
from remote_prof.engines.script import Script
from remote_prof.host.facts import HostState, parse_facts
from remote_prof.host.gather import FactsQuery, facts_command
from remote_prof.host.target import TargetSpec, resolve
from remote_prof.records import Become, Library
from remote_prof.run.clean import clean_command
from remote_prof.run.image_build import render_dockerfile
from remote_prof.run.image_fetch import fetch_command
from remote_prof.run.image_hosts import images_command
from remote_prof.run.image_push import push_command
from remote_prof.run.plan import Service, make_plan
from remote_prof.run.receive import Part
from remote_prof.templates import (
    Verbatim,
    data_path,
    load_text,
    quote_bpftrace,
    quote_compose,
    quote_sh,
    render,
)
from remote_prof.transport import Command
from tests.unit.test_image import image

FACTS = Path(__file__).parent / "data" / "facts" / "docker-26-hybrid.txt"
# A shell's words hold no NUL, and its arguments are bytes: surrogates have none.
WORDS = st.text(st.characters(blacklist_characters="\0", codec="utf-8"))
NASTY = (
    "'",
    '"',
    "''\"",
    "$HOME",
    "`id`",
    "$(id)",
    "a b",
    "a\nb",
    "",
    "!x",
    "\\",
    "*",
    "~",
    "-n",
    "é日",
)


def sh(script: str) -> bytes:
    return subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout


@pytest.mark.parametrize("value", NASTY)
def test_sh_words_arrive_as_they_were(value: str) -> None:
    assert sh(f"printf %s {quote_sh(value)}") == value.encode()


@given(st.lists(WORDS, min_size=1, max_size=20))
def test_sh_words_stay_words(values: list[str]) -> None:
    quoted = " ".join(map(quote_sh, values))
    expected = b"".join(value.encode() + b"\0" for value in values)
    assert sh(f"printf '%s\\0' {quoted}") == expected


@given(WORDS)
def test_compose_scalars_survive_yaml_and_substitution(value: str) -> None:
    quoted = quote_compose(value)
    assert json.loads(quoted).replace("$$", "$") == value
    assert yaml.safe_load(f"key: {quoted}") == {"key": value.replace("$", "$$")}


@pytest.mark.parametrize(("value", "quoted"), [(True, "true"), (3, "3"), (0.5, "0.5")])
def test_compose_keeps_numbers_and_booleans(value: object, quoted: str) -> None:
    assert quote_compose(value) == quoted


@given(st.integers())
def test_bpftrace_takes_integers(value: int) -> None:
    assert quote_bpftrace(value) == str(value)


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True))
def test_bpftrace_takes_identifiers(value: str) -> None:
    assert quote_bpftrace(value) == value


@pytest.mark.parametrize(
    "value", ["", "a b", "1a", "a\n", "a;b", "é", '"a"', "a-b", True, None, 1.5, b"a", ["a"]]
)
def test_bpftrace_refuses_everything_else(value: object) -> None:
    with pytest.raises(ValueError, match="not an integer or identifier"):
        quote_bpftrace(value)


@given(st.text(min_size=1).filter(lambda text: not (text.isascii() and text.isidentifier())))
def test_bpftrace_refuses_what_is_no_identifier(value: str) -> None:
    with pytest.raises(ValueError, match="not an integer or identifier"):
        quote_bpftrace(value)


@pytest.mark.parametrize("quote", [quote_sh, quote_compose])
@pytest.mark.parametrize("value", [None, ["a"], b"a", object()])
def test_values_without_a_text_are_refused(quote: Any, value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        quote(value)


@pytest.mark.parametrize("quote", [quote_sh, quote_compose, quote_bpftrace])
def test_text_of_the_language_is_inserted_as_it_is(quote: Any) -> None:
    assert quote(Verbatim("$a 'b'; c")) == "$a 'b'; c"


def test_a_template_quotes_without_being_asked() -> None:
    script = render("launcher/stop.sh.j2", directory="/tmp/a b'; touch x #")
    assert script.splitlines()[-1].endswith(" || : > '/tmp/a b'\"'\"'; touch x #'/stop")


def test_a_name_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="directory"):
        render("launcher/stop.sh.j2")


def test_a_language_that_is_not_known_is_an_error() -> None:
    with pytest.raises(KeyError, match="toml"):
        render("settings.toml.j2")


def test_a_template_that_is_not_there_is_an_error() -> None:
    with pytest.raises(jinja2.TemplateNotFound):
        render("launcher/nonesuch.sh.j2")


@given(
    st.lists(
        st.text(st.characters(min_codepoint=32, max_codepoint=126)).filter(str.strip),
        min_size=1,
        max_size=6,
    )
)
def test_a_script_survives_as_a_yaml_block(lines: list[str]) -> None:
    # A block takes its indentation from its first line.
    lines[0] = lines[0].lstrip()
    text = "\n".join(lines) + "\n"
    made = jinja2.Template("run: |\n    {{ text }}\n", keep_trailing_newline=True).render(
        text=block(text, 4)
    )
    assert yaml.safe_load(made)["run"].replace("$$", "$") == text


def block(text: str, indent: int) -> str:
    """The filter of the templates, as they see it."""
    from remote_prof.templates import _environment

    found: str = _environment("yml").filters["block"](text, indent)
    return found


def state() -> HostState:
    return parse_facts(FACTS.read_bytes())


def scripts() -> dict[str, str]:
    """Every script that goes to a host, by name."""
    host = state()
    request = ProfileRequest(10.0, 99, "both", "quay.io/it's/$x:1")
    found = {}
    for runner in ("compose", "engine"):
        target = resolve(TargetSpec("api"), host)
        plan = make_plan(
            run_id="20260131-235959-1a2b3c",
            request=request,
            runner=runner,
            facts=host.facts,
            target=target,
            services=(Service("bpftrace", Bpftrace().plan(request, host.facts, target)[0]),),
            become=False,
        )
        found[f"launcher {runner}"] = plan.files["launcher.sh"]
        found[f"deploy {runner}"] = plan.deploy_command().script
        python = replace(target, processes=(replace(target.processes[0], name="python3"),))
        found["sidecar perf"] = Perf().plan(request, host.facts, python)[0].script
        own = replace(request, script="# remote-prof: format=folded\necho 'a\"b' $PATH\n")
        found["sidecar script"] = Script().plan(own, host.facts, python)[0].script
        found["sidecar austin"] = (
            Austin().plan(replace(request, event="cpu"), host.facts, python)[0].script
        )
        for event in PySpy.events:
            asked = replace(request, event=event)
            found[f"sidecar pyspy {event}"] = PySpy().plan(asked, host.facts, python)[0].script
        node = replace(target, processes=(replace(target.processes[0], name="node", uid=1, gid=1),))
        found["sidecar node"] = Node().plan(request, host.facts, node)[0].script
        java = replace(target, processes=(replace(target.processes[0], name="java"),))
        library = Library("libasyncProfiler.so", 1, "0" * 64, "x86_64")
        for event in Java.events:
            # Of Java that is async-profiler's alone.
            given = library if event == "wall" else None
            asked = replace(request, event=event, async_profiler=given)
            found[f"sidecar java {event}"] = Java().plan(asked, host.facts, java)[0].script
        framed = replace(java.processes[0], arguments="java -XX:+PreserveFramePointer App")
        maps = perf_map_sidecar(
            [Bpftrace()], request, host.facts, replace(java, processes=(framed,))
        )
        assert maps is not None
        found["sidecar maps"] = maps[0].script
        found[f"launcher maps {runner}"] = make_plan(
            run_id=plan.run_id,
            request=request,
            runner=runner,
            facts=host.facts,
            target=target,
            services=plan.services,
            become=False,
            maps=maps[0],
        ).files["launcher.sh"]
        for event in GoPprof.events:
            asked = replace(request, event=event)
            found[f"sidecar go {event}"] = GoPprof().plan(asked, host.facts, target)[0].script
        found["follow"] = plan.follow_command(3).script
        found["stop"] = plan.stop_command().script
        parts = [Part("profile.txt", "1a" * 32, 7), Part("sidecar.err", "1a", 0)]
        found["follow on"] = plan.follow_command(3, parts).script
        for event in Bpftrace.events:
            asked = replace(request, event=event)
            found[f"sidecar {event}"] = Bpftrace().plan(asked, host.facts, target)[0].script
    for remove in (False, True):
        command = clean_command("/a b/docker", "/a b", run_id=None, remove=remove, become=False)
        found[f"clean {remove}"] = command.script
    local = replace(image(Path("nowhere")), tag="it's/$x:1")
    for parent in ("/a b", None):
        found[f"push {parent}"] = push_command(local, host, parent).script
        found[f"images {parent}"] = images_command(
            host, parent, removing=["it's:1"] if parent else [], parts=["/a b/it's"]
        ).script
    found["fetch"] = fetch_command(Path("/a b"), "arm64", "/it's", old=True).script
    query = FactsQuery("it's", cpu_window_s=0.5, work_parent="/a b", sidecar="it's")
    found["facts"] = facts_command(query, None, by_become=False).script
    for method, password in itertools.product(("sudo", "su", "doas"), (None, "it's")):
        become = Become(method=method, user="o'p", password=password)
        found[f"facts {method}"] = facts_command(query, become, by_become=False).script
        # What comes before the script itself is what gets the rights.
        sent = Command("t", ":", become=True).input(become).decode()
        gets_rights = sent.removeprefix("#script\n0\n").partition("\n#end\n")[0]
        found[f"become {method} {password}"] = gets_rights
    return found


@pytest.mark.parametrize("name", scripts())
def test_scripts_are_posix_sh(name: str) -> None:
    done = subprocess.run(["sh", "-n"], input=scripts()[name].encode(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_every_template_is_rendered_here() -> None:
    loaded: list[str] = []
    loader = jinja2.FileSystemLoader.get_source

    def get_source(self: Any, environment: Any, template: str) -> Any:
        loaded.append(template)
        return loader(self, environment, template)

    from remote_prof.templates import _environment

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.FileSystemLoader, "get_source", get_source)
        _environment.cache_clear()
        scripts()
        render_dockerfile(old=True)
    root = data_path("templates")
    assert sorted(set(loaded)) == sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*.j2")
    )


def test_data_files_are_found() -> None:
    assert load_text("svg/flamegraph.css").strip()
    assert data_path("templates").is_dir()
