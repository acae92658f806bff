"""The plan of a run: which runner, which files, and that both ways of starting say the same."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from remote_prof.engines import ProfileRequest
from remote_prof.engines.bpftrace import Bpftrace
from remote_prof.errors import PreflightError
from remote_prof.host.facts import EngineFacts, HostFacts, parse_facts
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.run.plan import LaunchPlan, Service, make_plan

DATA = Path(__file__).parent / "data"
STATE = parse_facts((DATA / "facts" / "docker-26-hybrid.txt").read_bytes())
FACTS = STATE.facts
RUN = "20260131-235959-1a2b3c"
REQUEST = ProfileRequest(10.0, 99, "both", "quay.io/a/b:1")


def target(spec: TargetSpec | None = None) -> Target:
    return resolve(spec or TargetSpec("api"), STATE)


def plan(
    facts: HostFacts = FACTS,
    *,
    runner: str = "auto",
    request: ProfileRequest = REQUEST,
    on: Target | None = None,
    become: bool = False,
) -> LaunchPlan:
    chosen = on or target()
    return make_plan(
        run_id=RUN,
        request=request,
        runner=runner,
        facts=facts,
        target=chosen,
        services=(Service("bpftrace", Bpftrace().plan(request, facts, chosen)[0]),),
        become=become,
    )


def with_engine(**changes: Any) -> HostFacts:
    assert FACTS.engine is not None
    return replace(FACTS, engine=replace(FACTS.engine, **changes))


@pytest.mark.parametrize(
    ("compose", "runner", "expected", "command"),
    [
        ("v2 2.26.1", "auto", "compose", '"$engine" compose --project-name'),
        ("v2 2.26.1", "compose", "compose", '"$engine" compose --project-name'),
        ("v2 2.26.1", "engine", "engine", '"$engine" run --rm'),
        ("v1", "auto", "compose", "docker-compose --project-name"),
        ("standalone 2.30.0", "auto", "compose", "docker-compose --project-name"),
        ("", "auto", "engine", '"$engine" run --rm'),
        ("", "engine", "engine", '"$engine" run --rm'),
    ],
)
def test_the_runner_is_what_the_host_has(
    compose: str, runner: str, expected: str, command: str
) -> None:
    made = plan(replace(FACTS, compose=compose), runner=runner)
    assert made.runner == expected
    starts = ['"$engine" compose --', "docker-compose --", '"$engine" run --']
    found = [start for start in starts if start in made.files["launcher.sh"]]
    assert len(found) == 1
    assert command in made.files["launcher.sh"]


def test_compose_that_is_missing_is_refused_where_it_is_wanted() -> None:
    with pytest.raises(PreflightError, match="no compose on the host") as raised:
        plan(replace(FACTS, compose=""), runner="compose")
    assert "--runner engine" in raised.value.hint


def test_the_directory_is_in_the_first_place_with_room() -> None:
    assert plan().directory == f"/tmp/remote-prof-{RUN}"
    facts = replace(FACTS, work_parents={"/full": 1, "/srv/tmp/": 1 << 30, "/tmp": 1 << 31})
    assert plan(facts).directory == f"/srv/tmp/remote-prof-{RUN}"
    with pytest.raises(PreflightError, match="no directory"):
        plan(replace(FACTS, work_parents={}))


def test_the_deadline_leaves_time_to_start_and_print() -> None:
    assert plan().deadline_s == 85
    assert f"deadline=$(( {plan().deadline_s} * 100 ))" in plan().files["launcher.sh"]


@pytest.mark.parametrize("compose", ["v2 2.26.1", "v1", ""])
def test_the_same_input_makes_the_same_bytes(compose: str) -> None:
    facts = replace(FACTS, compose=compose)
    one, two = plan(facts), plan(facts)
    assert one == two
    assert one.deploy_command() == two.deploy_command()


@pytest.mark.parametrize("become", [True, False])
def test_every_command_has_the_same_rights(become: bool) -> None:
    made = plan(become=become)
    commands = (made.deploy_command(), made.follow_command(0), made.stop_command())
    assert {command.become for command in commands} == {become}


def test_following_goes_on_after_the_lines_that_came() -> None:
    assert "-le 7 ]" in plan().follow_command(7).script
    assert plan().follow_command(0).script in plan().deploy_command().script


def process_stat(script: str) -> list[str]:
    return re.findall(r"/proc/(\d+)/stat ", script)


def test_cpu_time_is_the_control_group_s() -> None:
    script = plan().files["launcher.sh"]
    container_id = target().container.container_id
    assert f"< /sys/fs/cgroup/unified/docker/{container_id}/cpu.stat" in script
    assert process_stat(script) == []


def test_cpu_time_is_cpuacct_s_on_version_1() -> None:
    facts = replace(FACTS, cgroup="v1", cgroup_root="")
    container_id = target().container.container_id
    path = f"< /sys/fs/cgroup/cpuacct/docker/{container_id}/cpuacct.usage"
    assert path in plan(facts).files["launcher.sh"]


def test_cpu_time_is_the_processes_where_nothing_else_tells() -> None:
    found = target()
    bare = tuple(replace(p, cgroup="/", cpuacct="") for p in found.processes)
    script = plan(on=replace(found, processes=bare)).files["launcher.sh"]
    assert process_stat(script) == ["19361", "19402", "19403"]
    script = plan(on=target(TargetSpec("api", pid=19402))).files["launcher.sh"]
    assert process_stat(script) == ["19402"]
    # A pid alone may be another process by now: what the kernel says of its container counts.
    assert f"*{found.container.container_id}*) return 0" in script
    assert "< /proc/19402/cgroup" in script
    assert "[ -d /proc/" in plan(on=replace(found, processes=bare)).files["launcher.sh"]


def test_files_say_what_they_are() -> None:
    made = plan()
    assert sorted(made.files) == ["compose.yml", "launcher.sh"]
    for text in made.files.values():
        assert RUN in "".join(text.splitlines()[:2])
        assert "by hand" in text.lower()
        assert all(line == line.rstrip() and len(line) < 200 for line in text.splitlines())
    assert f'"remote-prof.run": "{RUN}"' in made.files["compose.yml"]
    assert f"label=remote-prof.launch={RUN}\n" in made.files["launcher.sh"]


def test_a_container_s_name_cannot_leave_its_comment() -> None:
    found = target()
    odd = replace(found, container=replace(found.container, name="a\nrm -rf /; \x1b[2J é"))
    script = plan(on=odd).files["launcher.sh"]
    assert "rm -rf /" not in script
    assert "\x1b" not in script


FLAGS = {
    "--name": "container_name",
    "--network": "network_mode",
    "--pid": "pid",
    "--userns": "userns_mode",
    "--memory": "mem_limit",
    "--cpus": "cpus",
    "--pids-limit": "pids_limit",
    "--ulimit": "ulimits",
    "--cap-add": "cap_add",
    "--cap-drop": "cap_drop",
    "--security-opt": "security_opt",
    "--label": "labels",
    "--env": "environment",
    "--log-driver": "logging",
    "--entrypoint": "entrypoint",
    "--pull": "pull_policy",
}
SWITCHES = {"--privileged": "privileged", "--read-only": "read_only"}


def run_arguments(directory: Path, made: LaunchPlan) -> list[str]:
    """What the launcher really hands to the engine: an engine that notes it is run."""
    (directory / "launcher.sh").write_text(made.files["launcher.sh"])
    done = subprocess.run(["sh", "launcher.sh"], cwd=directory, timeout=60)
    assert done.returncode == 0
    return (directory / "argv").read_text().split("\0")[:-1]


def by_engine(arguments: list[str]) -> dict[str, Any]:
    """The arguments of ``docker run`` in compose's words."""
    assert arguments[:2] == ["run", "--rm"]
    service: dict[str, Any] = {}
    rest = iter(arguments[2:])
    for flag in rest:
        if flag in SWITCHES:
            service[SWITCHES[flag]] = True
        elif flag in FLAGS:
            service.setdefault(FLAGS[flag], []).append(next(rest))
        else:
            assert not flag.startswith("-")
            service["image"] = flag
            break
    option, script = rest
    assert option == "-c"
    for key in ("labels", "environment"):
        service[key] = dict(text.split("=", 1) for text in service[key])
    service["script"] = script + "\n"  # which the shell takes away
    return service


def by_compose(text: str) -> dict[str, Any]:
    """The service of a compose file in the words of ``by_engine``; its ``$`` substituted."""
    document = yaml.safe_load(text)
    (service,) = document["services"].values()
    substituted = re.sub(
        r"\$(\$)|\$\{\w+:-([^}]*)\}", lambda m: m[1] or m[2] or "", json.dumps(service)
    )
    found: dict[str, Any] = json.loads(substituted)
    found["script"] = found.pop("command")[0]
    shell, option = found["entrypoint"]
    assert (shell, option) == ("sh", "-c")
    found["entrypoint"] = [shell]
    found["logging"] = [found["logging"]["driver"]]
    if "ulimits" in found:
        found["ulimits"] = [f"{name}={n}:{n}" for name, n in found["ulimits"].items()]
    for key in ("container_name", "network_mode", "pid", "pull_policy", "userns_mode"):
        if key in found:
            found[key] = [found[key]]
    for key in ("mem_limit", "cpus", "pids_limit"):
        if key in found:
            found[key] = [str(found[key])]
    found["security_opt"] = [text.replace(":", "=") for text in found["security_opt"]]
    return found


def odd_host() -> HostFacts:
    assert FACTS.engine is not None
    engine = EngineFacts(
        "docker", "/usr/bin/docker", "direct", version="20.10", security_options=("name=userns",)
    )
    return replace(
        FACTS, engine=engine, kernel="5.4", cgroup="v1", selinux_enforcing=True, btf=False
    )


@pytest.mark.parametrize(
    ("facts", "request_"),
    [
        (FACTS, REQUEST),
        (FACTS, replace(REQUEST, privileged=True)),
        (FACTS, replace(REQUEST, image="it's/$(odd):1", stacks="user")),
        (odd_host(), REQUEST),
    ],
    ids=["usual", "privileged", "user", "odd"],
)
def test_compose_and_engine_start_the_same(
    facts: HostFacts, request_: ProfileRequest, tmp_path: Path
) -> None:
    engine = tmp_path / "docker"
    engine.write_text(f'#!/bin/sh\n[ "$1" != run ] || printf \'%s\\0\' "$@" > {tmp_path}/argv\n')
    engine.chmod(0o755)
    assert facts.engine is not None
    facts = replace(facts, engine=replace(facts.engine, path=str(engine)))
    made = plan(facts, runner="engine", request=request_)
    started = by_engine(run_arguments(tmp_path, made))
    assert started == by_compose(made.files["compose.yml"])
    assert started["image"] == request_.image
    assert started["script"] == made.services[0].sidecar.script
    assert started["read_only"] is True
    assert started["network_mode"] == ["none"]
    assert started["pid"] == ["host"]
    assert started["pull_policy"] == ["never"]
    assert ("privileged" in started) == request_.privileged
    assert ("cap_drop" in started) != request_.privileged


def test_compose_v1_is_told_its_version() -> None:
    text = plan(replace(FACTS, compose="v1")).files["compose.yml"]
    assert yaml.safe_load(text)["version"] == "2.4"
    assert "pull_policy" not in text
    assert "version" not in yaml.safe_load(plan().files["compose.yml"])


def test_by_hand_another_process_can_be_given() -> None:
    environment = yaml.safe_load(plan().files["compose.yml"])["services"]["profile"]["environment"]
    assert environment["TARGET_PID"] == "${TARGET_PID:-}"
    assert environment["TARGET_FILTER"] == "${TARGET_FILTER:-cgroup == 11711}"
