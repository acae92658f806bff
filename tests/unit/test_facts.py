"""Facts from what hosts really printed, from what others would print, and from nonsense."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.host.facts import EngineFacts, HostState, Image, parse_facts
from remote_prof.host.gather import FactsQuery, facts_command

DATA = Path(__file__).parent / "data" / "facts"
RECORDINGS = sorted(DATA.glob("*.txt"))
API = "bdc4ab3dbe27a65a9fe2ea7418ee37fe481853d2f49a432f586373407481226f"
DENIED = "permission denied while trying to connect to the Docker daemon socket"


def recorded(name: str) -> bytes:
    return (DATA / f"{name}.txt").read_bytes()


def parse(name: str) -> HostState:
    return parse_facts(recorded(name))


def replaced(name: str, **sections: str) -> HostState:
    """A recording with some sections replaced, or added."""
    parts = recorded(name).decode().split("@@")
    for section, text in sections.items():
        at = [n for n, part in enumerate(parts) if part.startswith(section + "\n")]
        parts[at[0] if at else 1 : at[0] + 1 if at else 1] = [f"{section}\n{text}\n"]
    return parse_facts("@@".join(parts).encode())


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_this_machine_is_as_its_kernel_says(shell: str) -> None:
    """The kernel gives some of its files to no shell that reads them sign by sign."""
    script = facts_command(FactsQuery("img", engine="/nowhere"), None, by_become=False).script
    done = subprocess.run([shell], input=script.encode(), capture_output=True, check=True)
    facts = parse_facts(done.stdout).facts
    system = os.uname()
    assert (facts.kernel, facts.architecture) == (system.release, system.machine)
    assert facts.sysctls == {
        path.name: int(path.read_text())
        for path in map(Path("/proc/sys/kernel").joinpath, parse("docker-26-hybrid").facts.sysctls)
        if path.exists()
    }
    free = shutil.disk_usage("/tmp").free
    parent, free_bytes = next(iter(facts.work_parents.items()))
    assert parent == "/tmp"
    assert 0.5 * free < free_bytes < 2 * free


def test_facts_of_a_host_with_docker() -> None:
    facts = parse("docker-26-hybrid").facts
    assert (facts.kernel, facts.architecture) == ("6.18.44", "x86_64")
    assert facts.os_name == "Debian GNU/Linux 13 (trixie)"
    assert (facts.login, facts.uid, facts.groups) == ("ops", 1000, ("ops", "docker"))
    assert facts.clock_s == 1795440605
    assert (facts.btf, facts.lockdown, facts.selinux_enforcing) == (True, "", False)
    assert facts.sysctls == {
        "perf_event_paranoid": 2,
        "kptr_restrict": 0,
        "perf_event_max_stack": 127,
    }
    assert (facts.cgroup, facts.cgroup_root) == ("hybrid", "/sys/fs/cgroup/unified")
    assert list(facts.work_parents) == ["/tmp", "/var/tmp", "/dev/shm", "/home/ops"]
    assert facts.work_parents["/tmp"] == 12342044 * 1024
    assert facts.compose == "v2 2.26.1-4"
    assert facts.image == Image(
        "sha256:50b5532cdbd0e1c85c415290bdc4c1de781cc77729f87869a2f88663f62bd411", (), "amd64"
    )
    assert facts.engine == EngineFacts(
        "docker",
        "/usr/bin/docker",
        "direct",
        version="26.1.5+dfsg1",
        security_options=("name=seccomp,profile=builtin",),
        memory_limit=True,
        cpu_limit=True,
        pids_limit=True,
    )
    assert facts.engine.version_tuple == (26, 1, 5)


def test_containers_and_their_processes() -> None:
    state = parse("docker-26-hybrid")
    assert [c.name for c in state.containers] == ["api", "idle", "stopped", "web-1", "web-2"]
    api, web = state.containers[0], state.containers[3]
    assert (api.container_id, api.pid, api.image_name) == (API, 19361, "lab/target:latest")
    assert (api.status, api.running, api.runtime, api.pid_mode) == ("running", True, "lab-runc", "")
    assert (web.service, api.service) == ("shop/web", "")
    assert not state.containers[2].running
    members = [p for p in state.processes if p.container_id == API]
    assert [(p.pid, p.container_pid, p.parent_pid, p.name) for p in members] == [
        (19361, 1, 19338, "sh"),
        (19402, 7, 19361, "svc"),
        (19403, 8, 19361, "svc"),
    ]
    assert members[1].arguments == "/opt/app/svc serve 188"
    assert {(p.cgroup, p.cpuacct) for p in members} == {(f"/docker/{API}", f"/docker/{API}")}
    assert state.cgroup_ids[f"/docker/{API}"] == 11711
    assert {p.language for p in members} == {"native"}
    # 3679.37 - 3679.06 s passed, and the second and third used 1 and 2 ticks of 10 ms.
    assert [p.cpu_share and round(p.cpu_share, 3) for p in members] == [0.0, 0.032, 0.065]


def test_cpu_use_is_not_known_where_it_was_not_asked_for() -> None:
    assert {p.cpu_share for p in parse("docker-26-sudo").processes} == {None}


def test_facts_of_an_old_docker_by_root() -> None:
    state = parse("docker-20.10-root")
    assert state.facts.engine is not None
    assert (state.facts.engine.version_tuple, state.facts.compose) == ((20, 10, 24), "v1")
    assert (state.facts.uid, state.become) == (0, False)
    assert next(c.name for c in state.containers if c.running) == "api"


def test_an_engine_behind_sudo_wants_the_launcher_to_become() -> None:
    state = parse("docker-26-sudo")
    assert state.become
    assert state.facts.engine is not None
    assert (state.facts.engine.access, state.facts.engine.answers) == ("sudo", True)
    assert [c.name for c in state.containers] == ["api"]


@pytest.mark.parametrize(
    ("name", "access"),
    [("docker-26-sudo-password", "sudo-password"), ("docker-26-denied", "denied")],
)
def test_an_engine_that_refuses_says_why(name: str, access: str) -> None:
    state = parse(name)
    engine = state.facts.engine
    assert engine is not None
    assert (engine.access, engine.answers, state.become) == (access, False, False)
    assert engine.error.startswith(DENIED)
    assert (state.containers, state.processes, state.facts.image) == ((), (), None)
    assert state.facts.work_parents  # what could be read was read


def test_an_engine_that_is_missing_is_none() -> None:
    state = parse("no-engine")
    assert state.facts.engine is None
    assert state.facts.kernel == "6.18.44"


def test_control_groups_of_version_2() -> None:
    path = f"/system.slice/docker-{API}.scope"
    state = replaced(
        "docker-26-hybrid",
        cgroup="v2 /sys/fs/cgroup",
        membership=f"/proc/19361/cgroup:0::{path}",
        paths=f"/proc/19361/cgroup:0::{path}",
        cgroupids=f" 5678 /sys/fs/cgroup{path}",
    )
    assert (state.facts.cgroup, state.facts.cgroup_root) == ("v2", "/sys/fs/cgroup")
    (process,) = state.processes
    assert (process.container_id, process.cgroup, process.cpuacct) == (API, path, "")
    assert state.cgroup_ids == {path: 5678}


def test_control_groups_of_version_1_alone() -> None:
    state = replaced(
        "docker-26-hybrid",
        cgroup="v1",
        membership=f"/proc/19361/cgroup:12:pids:/docker/{API}",
        paths=f"/proc/19361/cgroup:4:cpu,cpuacct:/docker/{API}",
        cgroupids="",
    )
    assert (state.facts.cgroup, state.facts.cgroup_root) == ("v1", "")
    (process,) = state.processes
    assert (process.cgroup, process.cpuacct) == ("", f"/docker/{API}")
    assert state.cgroup_ids == {}


def test_a_nested_engine_belongs_to_the_outer_container() -> None:
    state = replaced(
        "docker-26-hybrid", membership=f"/proc/19361/cgroup:0::/docker/{API}/docker/{'c' * 64}"
    )
    assert [p.container_id for p in state.processes] == [API]


@pytest.mark.parametrize(("rootless", "options"), [(True, ("name=rootless",)), (False, ())])
def test_podman_tells_the_same_in_other_words(rootless: bool, options: tuple[str, ...]) -> None:
    info = {
        "host": {
            "cgroupControllers": ["cpu", "memory"],
            "security": {"rootless": rootless, "seccompEnabled": True},
        },
        "version": {"Version": "4.9.4"},
    }
    state = replaced("docker-26-hybrid", engine="/usr/bin/podman", info=json.dumps(info))
    assert state.facts.engine == EngineFacts(
        "podman",
        "/usr/bin/podman",
        "direct",
        version="4.9.4",
        security_options=options,
        memory_limit=True,
        cpu_limit=True,
        pids_limit=False,
    )


@pytest.mark.parametrize(
    ("mounted", "found"),
    [
        ("", ""),
        ("/sys/kernel/tracing", "/sys/kernel/tracing"),
        ("/sys/kernel/debug/tracing", "/sys/kernel/debug/tracing"),
        ("/sys/kernel/debug/tracing\n/sys/kernel/tracing", "/sys/kernel/tracing"),
        ("/mnt/a\\040b\n/mnt,ro", ""),
    ],
)
def test_tracepoints_are_seen_where_their_file_system_is_mounted(mounted: str, found: str) -> None:
    assert replaced("docker-26-hybrid", tracefs=mounted).facts.tracefs == found


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("none [integrity] confidentiality", "integrity"),
        ("none integrity [confidentiality]", "confidentiality"),
        ("[none] integrity confidentiality", "none"),
        ("", ""),
    ],
)
def test_lockdown_is_what_stands_in_brackets(line: str, mode: str) -> None:
    assert replaced("docker-26-hybrid", lockdown=line).facts.lockdown == mode


def test_selinux_enforces_or_not() -> None:
    assert replaced("docker-26-hybrid", selinux="1").facts.selinux_enforcing


@pytest.mark.parametrize(
    ("name", "arguments", "language"),
    [
        ("python3.11", "/usr/bin/python3.11 app.py", "Python"),
        ("MainThread", "/usr/local/bin/node server.js", "Node.js"),
        ("java", "", "Java"),
        ("ruby", "puma: cluster worker", "Ruby"),
        ("svc", "/opt/python/svc", "native"),
    ],
)
def test_a_language_is_guessed(name: str, arguments: str, language: str) -> None:
    state = replaced(
        "docker-26-hybrid",
        status=f"/proc/19361/status:Name:\t{name}",
        arguments=f"19361 {arguments}",
    )
    assert [p.language for p in state.processes] == [language]


def test_a_name_may_hold_anything() -> None:
    output = recorded("docker-26-hybrid").decode().replace("19361 (sh)", "19361 (a) b 1)")
    before, middle, after = output.rpartition("@@uptime\n")
    text = before + middle + after.replace("0 0 0 1 3 0 0", "0 0 0 17 18 0 0")
    process = parse_facts(text.encode()).processes[0]
    assert process.cpu_share == pytest.approx(1.0)


@given(st.sampled_from(RECORDINGS), st.data())
def test_truncated_output_is_parsed_as_far_as_it_goes(path: Path, data: st.DataObject) -> None:
    output = path.read_bytes()
    cut = data.draw(st.integers(0, len(output)))
    whole, part = parse_facts(output), parse_facts(output[:cut])
    assert {c.container_id for c in part.containers} <= {c.container_id for c in whole.containers}
    assert {p.pid for p in part.processes} <= {p.pid for p in whole.processes}


@given(st.sampled_from(RECORDINGS), st.data())
def test_damaged_output_never_crashes(path: Path, data: st.DataObject) -> None:
    lines = path.read_bytes().split(b"\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        start = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(start, len(line)))
        junk = data.draw(st.binary(max_size=6) | st.sampled_from([b"null", b"{}", b"[1]", b'"x"']))
        lines[at] = line[:start] + junk + line[end:]
    state = parse_facts(b"\n".join(lines))
    assert isinstance(state, HostState)


SECTIONS = sorted({line for p in RECORDINGS for line in p.read_text().splitlines() if "@@" in line})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=11) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=15,
)
KEYS = ("host", "version", "security", "SecurityOptions", "cgroupControllers", "ServerVersion")
JUNK = (
    st.text(max_size=30)
    | VALUES.map(json.dumps)
    | st.dictionaries(st.sampled_from(KEYS), VALUES).map(json.dumps)
    | st.lists(VALUES, min_size=10, max_size=10).map(json.dumps)
    | st.sampled_from(
        ["/proc/²/cgroup:0::/" + "a" * 64, "² x", "0 direct", "1 ", "/usr/bin/docker"]
    )
)


@given(st.lists(st.tuples(st.sampled_from(SECTIONS), st.lists(JUNK, max_size=4)), max_size=12))
def test_nonsense_never_crashes(sections: list[tuple[str, list[str]]]) -> None:
    text = "\n".join("\n".join([name, *lines]) for name, lines in sections)
    assert isinstance(parse_facts(text.encode("utf-8", "replace")), HostState)


@given(st.binary(max_size=200))
def test_any_bytes_never_crash(output: bytes) -> None:
    assert isinstance(parse_facts(output), HostState)
