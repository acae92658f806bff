"""When it cannot work: cause, evidence and next step, the right exit code, an untouched host."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from .model import SIDECAR_IMAGE, Lab, LabHost
from .proxy import Proxy
from .tool import Done, Stock, Tool

RUN = ("run", "-C", "api", "-d", 1)


def refused(done: Done, code: int, what: str, evidence: str, next_step: str) -> None:
    """See that a run ended with one error of three parts, and what it noted here."""
    assert done.code == code, done.err
    assert len(done.parts()) == 1, done.err
    ((said, seen, advice),) = done.parts()
    assert what in said
    assert evidence in seen
    assert next_step in advice
    assert done.out == ""
    runs = list(done.results.glob("*"))
    if code == 5:
        assert runs == []
        return
    assert len(runs) == 1
    record = done.run.record
    assert record["status"] == ("unreachable" if code == 4 else "failed")
    assert record["error"] == said
    assert (record["artifacts"], done.run.differences()) == ([], [])
    assert not (runs[0] / "hosts").exists()


# The inventory


def test_an_unknown_host(debian13: LabHost, tool: Tool) -> None:
    wrong = debian13.name.replace("o", "0")
    refused(tool(*RUN, "-H", wrong), 5, repr(wrong), f"{debian13.name} (host)", "remote-prof hosts")


def test_no_inventory(tool: Tool) -> None:
    done = tool(*RUN, "-H", "prod-1", REMOTE_PROF_INVENTORY="")
    refused(done, 5, "there is no inventory", str(tool.place / "inventory.yml"), "-i FILE")


def test_an_inventory_that_is_not_there(tool: Tool) -> None:
    done = tool(*RUN, "-H", "prod-1", "-i", "nowhere.yml")
    refused(done, 5, "nowhere.yml", "", "")


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("all:\n  hosts:\n    prod-1:\n      ansible_port: many\n", 4, "ansible_port"),
        ("all:\n  hosts:\n    prod-1: {}\n  childen:\n    web: {}\n", 4, "childen"),
        ("all:\n  hosts:\n    prod-1: [\n", 4, ""),
    ],
    ids=["value", "key", "syntax"],
)
def test_a_malformed_inventory(text: str, line: int, key: str, tool: Tool) -> None:
    path = tool.place / "site.yml"
    path.write_text(text)
    done = tool(*RUN, "-H", "prod-1", "-i", path)
    assert done.code == 5, done.err
    said = " ".join(part for parts in done.parts() for part in parts)
    assert f"{path}:{line}" in said
    assert key in said
    assert not done.results.exists()


# The way to the host


def test_a_name_that_does_not_resolve(debian13: LabHost, tool: Tool) -> None:
    path = tool.inventory(debian13, ansible_host="no-such-host.invalid")
    done = tool(*RUN, "-H", debian13.name, "-i", path)
    refused(done, 4, "no-such-host.invalid", "not known", "ansible_host")


def test_a_refused_connection(debian13: LabHost, tool: Tool) -> None:
    with socket.create_server((debian13.address, 0)) as free:
        port = free.getsockname()[1]
    done = tool(*RUN, "-H", debian13.name, "--port", port)
    refused(done, 4, "refuses the connection", "Connection refused", "--port")


@contextmanager
def full_listener() -> Iterator[tuple[str, int]]:
    """Give an address where a connection is never made: the queue of the listener is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()[:2]
        waiting = [socket.socket() for _ in range(8)]
        try:
            for client in waiting:
                client.setblocking(False)
                with suppress(BlockingIOError):
                    client.connect(address)
            yield address
        finally:
            for client in waiting:
                client.close()


def test_a_host_that_does_not_answer(debian13: LabHost, tool: Tool) -> None:
    with full_listener() as (address, port):
        path = tool.inventory(debian13, ansible_host=address, ansible_port=port)
        done = tool(*RUN, "-H", debian13.name, "-i", path, "--connect-timeout", 1)
    refused(done, 4, "does not answer within 1 s", "timed out", "--connect-timeout")


def test_a_host_that_falls_silent_before_the_login(debian13: LabHost, tool: Tool) -> None:
    with Proxy((debian13.address, debian13.port)) as proxy:
        proxy.stall()
        path = tool.inventory(debian13, ansible_host=proxy.address, ansible_port=proxy.port)
        done = tool(*RUN, "-H", debian13.name, "-i", path, "--connect-timeout", 1)
    refused(done, 4, f"{debian13.name} ({proxy.address}:{proxy.port})", " ", f"ssh -p {proxy.port}")


def test_a_wrong_key(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    key = str(tool.place / "id_other")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    done = tool(*RUN, "-H", debian13.name, "--identity", key)
    refused(done, 4, "refuses the login of ops", key, "--identity")
    assert stock.left(debian13) == []


def test_an_unknown_host_key(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    nothing = tool.place / "known_hosts"
    nothing.touch()
    path = tool.inventory(debian13, remote_prof_known_hosts=str(nothing))
    done = tool(*RUN, "-H", debian13.name, "-i", path)
    name = f"[{debian13.address}]:{debian13.port}"
    refused(done, 4, "host key", f"{name} in {nothing}", "--host-key-checking accept-new")
    assert nothing.read_text() == ""
    assert stock.left(debian13) == []


def test_an_unknown_host_key_is_remembered_when_asked(debian13: LabHost, tool: Tool) -> None:
    file = tool.place / "known_hosts"
    path = tool.inventory(debian13, remote_prof_known_hosts=str(file))
    asked = ("doctor", "-H", debian13.name, "-i", path)
    assert tool(*asked, "--host-key-checking", "accept-new").code == 0
    assert f"[{debian13.address}]:{debian13.port} " in file.read_text()
    assert tool(*asked).code == 0


def test_a_changed_host_key(
    debian12: LabHost, debian13: LabHost, lab: Lab, tool: Tool, stock: Stock
) -> None:
    file = tool.place / "known_hosts"
    mine, other = (f"[{host.address}]:{host.port}" for host in (debian13, debian12))
    lines = [line for line in lab.known_hosts.read_text().splitlines() if line.startswith(other)]
    file.write_text("\n".join(lines).replace(other, mine) + "\n")
    path = tool.inventory(debian13, remote_prof_known_hosts=str(file))
    for checking in ("yes", "accept-new"):
        shutil.rmtree(tool.place / "results", ignore_errors=True)
        done = tool(*RUN, "-H", debian13.name, "-i", path, "--host-key-checking", checking)
        refused(done, 4, "another host key", "SHA256:", f"ssh-keygen -R '{mine}'")
    assert stock.left(debian13) == []


# The engine


def test_no_engine(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    path = tool.inventory(debian13, remote_prof_engine="/opt/no/docker")
    done = tool(*RUN, "-H", debian13.name, "-i", path)
    refused(done, 1, "no container engine", "/opt/no/docker", "remote_prof_engine")
    assert stock.left(debian13) == []


@pytest.mark.parametrize("user", ["guest", "secure"])
def test_no_permission_to_use_the_engine(
    user: str, host: LabHost, tool: Tool, stock: Stock
) -> None:
    done = tool(*RUN, "-H", host.name, "--user", user)
    refused(done, 1, f"{user} may not use docker", "permission denied", "--ask-become-pass")
    assert stock.left(host) == []


def test_an_absent_image(host: LabHost, tool: Tool, stock: Stock) -> None:
    image = "quay.io/iovisor/bpftrace:v0.0.1"
    done = tool(*RUN, "-H", host.name, "--image", image)
    refused(done, 1, f"the image {image} is not on the host", "finds nothing", "docker save")
    assert stock.left(host) == []


def test_an_image_without_the_tool(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool(*RUN, "-H", debian13.name, "--image", "lab/target:latest")
    assert done.code == 1, done.err
    ((what, evidence, next_step),) = done.parts()
    assert what == f"{debian13.name}: the image lab/target:latest lacks the profiler"
    assert "no bpftrace in this image" in evidence
    assert "--image" in next_step
    assert done.run.record["status"] == "failed"
    assert done.run.differences() == []
    assert stock.left(debian13) == []


def test_all_problems_are_told_at_once(debian13: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("doctor", "-H", debian13.name, "-C", "stopped", "--image", "no/such:1")
    assert done.code == 1
    whats = [what for what, _, _ in done.parts()]
    assert whats == ["container stopped does not run", "the image no/such:1 is not on the host"]
    assert stock.left(debian13) == []


# The target


@pytest.mark.parametrize(
    ("asked", "what", "evidence", "next_step"),
    [
        (("-C", "appi"), "no container matches appi", "containers on the host", "mean api"),
        (("-C", "shop/wep"), "no container matches shop/wep", "on the host", "shop/web"),
        (("-C", "stopped"), "stopped does not run", "exited, exit code 0", "docker start stopped"),
        (("-C", "exiting"), "exiting does not run", "", "docker start exiting"),
        (("-C", "api", "--pid", "1"), "pid 1 is not in container api", " svc", "remote-prof ps"),
        (("--pid", "1"), "pid 1 is not a process of any container", "containers", "ps"),
        (("-C", "api", "--container-pid", "4000000"), "4000000 inside", " svc", "remote-prof ps"),
        (("-C", "api", "--process", "nginx"), "process nginx", " svc", "remote-prof ps"),
    ],
)
def test_a_target_that_cannot_be_had(
    asked: tuple[str, ...],
    what: str,
    evidence: str,
    next_step: str,
    debian13: LabHost,
    tool: Tool,
    stock: Stock,
) -> None:
    done = tool("run", "-H", debian13.name, *asked, "-d", 1)
    refused(done, 1, what, evidence, next_step)
    assert stock.left(debian13) == []


def test_an_idle_target(host: LabHost, tool: Tool, stock: Stock) -> None:
    done = tool("run", "-H", host.name, "-C", "idle", "-d", 1)
    assert done.code == 3, done.err
    ((what, evidence, next_step),) = done.parts()
    assert "was not on a CPU" in what
    assert evidence.startswith("it used 0.0")
    assert "--duration" in next_step
    record = done.run.record
    assert (record["status"], record["quality"]["got"]) == ("no-samples", 0)
    assert done.run.differences() == []
    assert stock.left(host) == []


def test_an_error_as_json_is_the_manifest(debian13: LabHost, tool: Tool) -> None:
    done = tool("run", "-H", debian13.name, "-C", "none", "--json")
    assert done.code == 1
    assert json.loads(done.out) == done.run.manifest
    assert done.run.manifest["request"]["image"] == SIDECAR_IMAGE
