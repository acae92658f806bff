"""From a name to processes: which container is meant, and what is said where that is unclear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_prof.errors import TargetError
from remote_prof.host.containers import Container
from remote_prof.host.facts import HostState, parse_facts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target, TargetSpec, find_several, resolve

FACTS = Path(__file__).parent / "data" / "facts" / "docker-26-hybrid.txt"
STATE = parse_facts(FACTS.read_bytes())
API = "bdc4ab3dbe27a65a9fe2ea7418ee37fe481853d2f49a432f586373407481226f"


def container(name: str, container_id: str, **changes: Any) -> Container:
    made = Container(
        container_id=container_id * (64 // len(container_id)),
        name=name,
        image_id="sha256:1",
        image_name="img",
        status="running",
        pid=100,
        exit_code=0,
        runtime="runc",
        pid_mode="",
    )
    return replace(made, **changes)


def state_with(*containers: Container, processes: tuple[Process, ...] = ()) -> HostState:
    return replace(STATE, containers=containers, processes=processes)


def find(state: HostState = STATE, **spec: Any) -> Target:
    return resolve(TargetSpec(**spec), state)


def fail(state: HostState = STATE, **spec: Any) -> TargetError:
    with pytest.raises(TargetError) as raised:
        find(state, **spec)
    return raised.value


@pytest.mark.parametrize("name", ["api", API, API[:12], API[:3], API[:12].upper()])
def test_a_name_or_the_start_of_an_id(name: str) -> None:
    target = find(container=name)
    assert (target.name, target.scope, target.main_pid) == ("api", "container", 19361)
    assert [p.pid for p in target.processes] == [19361, 19402, 19403]
    assert target.cgroup_ids == (11711,)


def test_two_letters_of_an_id_are_too_few() -> None:
    assert fail(container=API[:2]).what == f"no container matches {API[:2]}"


def test_a_compose_service() -> None:
    assert find(container="shop/web").name == "web-1"


def test_labels() -> None:
    service, project = "com.docker.compose.service", "com.docker.compose.project"
    assert find(labels=((service, "web"),)).name == "web-1"
    assert find(labels=((project, "shop"), (service, "worker"))).name == "web-2"
    error = fail(labels=((project, "shop"),))
    assert error.what == f"label {project}=shop is not one container but 2"
    assert error.evidence == "web-1 (2ab5e07689fa, running), web-2 (5f178a88005a, running)"
    assert fail(labels=((project, "shop"), (service, "db"))).what.startswith("no container")
    assert fail(container="api", labels=((service, "web"),)).what.startswith("no container")


def several(state: HostState = STATE, **spec: Any) -> list[str]:
    return [each.name for each in find_several(TargetSpec(**spec), state)]


def test_a_pattern_a_label_and_a_service_may_mean_several() -> None:
    state = state_with(
        *(container(f"api-{n}", f"a{n}") for n in range(3)),
        container("api-old", "a9", status="exited", pid=0),
        container("remote-prof-1", "b1", labels={"remote-prof.run": "1", "tier": "front"}),
        container("web-1", "b2", labels={"tier": "front", **compose("shop", "web")}),
        container("web-2", "b3", labels={"tier": "front", **compose("shop", "web")}),
    )
    assert several(state, container="api-*") == ["api-0", "api-1", "api-2"]
    assert several(state, container="api-[01]") == ["api-0", "api-1"]
    assert several(state, container="shop/w?b") == ["web-1", "web-2"]
    assert several(state, container="shop/web") == ["web-1", "web-2"]
    assert several(state, labels=(("tier", "front"),)) == ["web-1", "web-2"]
    assert several(state, container="*", labels=(("tier", "front"),)) == ["web-1", "web-2"]
    # What stops there being one that is meant is a mistake, and told as before.
    assert several(state, container="a") == several(state, container="api-?", pid=1) == []
    assert fail(state, container="api-*").what == "api-* is not one container but 4"
    assert find(state, container="*-1", labels=(("tier", "front"),)).name == "web-1"
    # Of one alone it is as if it had been named.
    assert several(state, container="api-0*") == []
    assert find(state, container="api-0*").name == "api-0"
    assert fail(state, container="db-*").what == "no container matches db-*"


def compose(project: str, service: str) -> dict[str, str]:
    return {"com.docker.compose.project": project, "com.docker.compose.service": service}


def test_an_exact_name_wins_over_the_start_of_an_id() -> None:
    state = state_with(container("abc", "1234"), container("x", "abc1"))
    assert find(state, container="abc").container.container_id.startswith("1234")


def test_an_id_that_is_not_unique_is_refused() -> None:
    error = fail(state_with(container("a", "abc1"), container("b", "abc2")), container="abc")
    assert error.what == "abc is not one container but 2"
    assert "choose with --label" in error.hint


def test_the_one_that_runs_is_meant() -> None:
    state = state_with(container("old", "abc1", status="exited", pid=0), container("new", "abc2"))
    assert find(state, container="abc").name == "new"


def test_a_container_that_does_not_run_is_refused() -> None:
    error = fail(container="stopped")
    assert error.what == "container stopped does not run"
    assert error.evidence == "it is exited, exit code 0"
    assert "docker start stopped" in error.hint


def test_a_paused_container_is_a_target() -> None:
    state = state_with(container("a", "abc1", status="paused"))
    assert find(state, container="a").name == "a"


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("apy", "did you mean api?"),
        ("web", "did you mean web-2, web-1, shop/web?"),
        ("WEB-1", "did you mean web-1?"),
        ("shop/wbe", "did you mean shop/web, shop/worker, "),
        ("zzz", "running are: api, idle, web-1, web-2"),
    ],
)
def test_near_misses_are_told(asked: str, hint: str) -> None:
    error = fail(container=asked)
    assert error.what == f"no container matches {asked}"
    assert error.hint.startswith(hint)
    assert error.evidence == "5 containers on the host, 4 of them running"


def test_a_long_list_is_cut() -> None:
    state = state_with(*(container(f"n{n}", f"{n:04d}") for n in range(10)))
    assert fail(state, container="zzz").hint.endswith("n7 and 2 more")


def test_a_host_without_containers_says_so() -> None:
    assert fail(state_with(), container="api").hint == "no container runs on this host"


@pytest.mark.parametrize(
    ("spec", "pids"),
    [
        ({"pid": 19402}, [19402]),
        ({"container_pid": 8}, [19403]),
        ({"container_pid": 1}, [19361]),
        ({"process": "svc"}, [19402, 19403]),
        ({"process": "sh"}, [19361]),
        ({"scope": "process"}, [19361]),
    ],
)
def test_processes_of_a_container(spec: dict[str, Any], pids: list[int]) -> None:
    target = find(container="api", **spec)
    assert [p.pid for p in target.processes] == pids
    assert target.scope == "process"
    assert target.main_pid == pids[0]


def test_a_process_is_also_called_by_its_program() -> None:
    state = state_with(
        container("a", "abc1"),
        processes=(Process(100, "abc1" * 16, 1, 0, "MainThread", "/usr/bin/node app.js"),),
    )
    assert find(state, container="a", process="node").main_pid == 100


def test_a_pid_alone_tells_the_container() -> None:
    target = find(pid=19402)
    assert (target.name, target.main_pid, target.scope) == ("api", 19402, "process")


def test_a_pid_of_no_container_is_refused() -> None:
    error = fail(pid=1)
    assert error.what == "pid 1 is not a process of any container"
    assert error.evidence == "5 containers, 6 processes seen"


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ({"pid": 19710}, "pid 19710"),
        ({"container_pid": 99}, "pid 99 inside"),
        ({"process": "nginx"}, "process nginx"),
    ],
)
def test_a_process_that_is_not_there_is_refused(spec: dict[str, Any], asked: str) -> None:
    error = fail(container="api", **spec)
    assert error.what == f"{asked} is not in container api"
    assert error.evidence == "its processes: 19361 sh, 19402 svc, 19403 svc"


def test_a_spec_reads_as_it_was_asked() -> None:
    assert str(TargetSpec("api")) == "api"
    assert str(TargetSpec("api", labels=(("a", "b"),))) == "api, label a=b"
    assert str(TargetSpec(pid=7)) == "pid 7"


@pytest.mark.parametrize("path", ["/", "/system.slice/containerd.service", "/user.slice/x"])
def test_a_control_group_that_others_share_is_no_filter(path: str) -> None:
    processes = tuple(replace(process, cgroup=path) for process in STATE.processes)
    state = replace(STATE, processes=processes, cgroup_ids={path: 1})
    assert find(state, container="api").cgroup_ids == ()
