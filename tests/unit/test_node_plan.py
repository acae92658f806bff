"""What is planned for Node, and what is made of what its sidecar prints."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

from remote_prof.engines import ProfileRequest
from remote_prof.engines.node import Node
from remote_prof.host.facts import parse_facts
from remote_prof.host.processes import Process
from remote_prof.host.target import Target, TargetSpec, resolve

STATE = parse_facts((Path(__file__).parent / "data/facts/docker-26-hybrid.txt").read_bytes())
REQUEST = ProfileRequest(10.0, 100, "both", "img")


def process(inside: int, name: str = "node", uid: int | None = 1000) -> Process:
    """A process whose pid on the host is 100 more than inside."""
    return Process(100 + inside, "c" * 64, inside, 1, name, uid=uid, gid=uid)


def target(*processes: Process, scope: str = "container") -> Target:
    return replace(resolve(TargetSpec("api"), STATE), processes=processes, scope=scope)


def test_it_needs_no_right_but_to_be_the_target_s_user() -> None:
    found = target(process(1), process(7), process(8, "sh", 0))
    (sidecar,) = Node().plan(REQUEST, STATE.facts, found)
    container = f"container:{found.container.container_id}"
    assert (sidecar.capabilities, sidecar.user) == ((), "1000:1000")
    assert (sidecar.pid_namespace, sidecar.network) == (container, container)
    assert "timeout -s INT -k 75 100 python3 -I - 10 100 1 7 <<" in sidecar.script
    assert len(sidecar.script) < 64 << 10
    assert Node().problems(REQUEST, STATE.facts, found) == []


def test_what_cannot_work_is_told_beforehand() -> None:
    for found, what in (
        (target(process(1, "sh")), "no Node.js runs in api"),
        (target(process(1), process(2, uid=0)), "run as different users"),
        (target(process(1, uid=None)), "it is not known as which user"),
    ):
        (problem,) = Node().problems(REQUEST, STATE.facts, found)
        assert what in problem.what


def test_times_become_samples() -> None:
    call = {"functionName": "serve", "url": "a.js", "lineNumber": 0}
    document = {
        "nodes": [{"id": 1, "callFrame": call}],
        "samples": [1, 1, 1],
        "timeDeltas": [5, 20000, 11000],
    }
    encoded = base64.encodebytes(json.dumps(document).encode())
    raw = b"# node v20.0.0 (v8 11.3)\n@@ sampling\n@@ file profile-7.cpuprofile 7 node app.js\n"
    profile = Node().parse(raw + encoded + b"@@ end 0\n", REQUEST)
    ((root, leaf),) = profile.stacks
    assert (root.name, root.pid, leaf.name, profile.total) == ("node app.js", 7, "serve", 3)
    assert (profile.unit, profile.frequency_hz) == ("samples", 100)
    assert profile.tool == "node v20.0.0 (v8 11.3)"
