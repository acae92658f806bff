"""The sidecar's image: built here, and brought to a host that has none over SSH alone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from remote_prof.image import recipe

from . import build, machine
from .leftovers import snapshot
from .model import SIDECAR_IMAGE, Lab, LabHost
from .proxy import SENT, Proxy
from .rights import rights_of
from .test_run_by_hand import folded, placed
from .tool import SAMPLING, Done, Stock, Tool, share
from .webproxy import web_proxy

NAME = "remote-prof/sidecar"
_SMALL = "/mnt/small"
_MB = 1_000_000
STARTS = (
    "bpftrace --version && perf --version && python3 -c 'import json, socket, hashlib' "
    "&& py-spy --version && austin --version && austinp --version && "
    "test -x /usr/bin/jattach && echo x | awk '{ print }' | grep -q x"
)
"""Each program of the image starts: no library is missing."""

_LISTED = (
    "test -s /usr/share/remote-prof/contents.json && test -s /usr/share/doc/bpftrace/copyright"
)


@pytest.fixture(scope="module")
def store(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image, really built, in a data directory that the tests of this module share."""
    place = tmp_path_factory.mktemp("image")
    built = Tool(lab, place, {"XDG_DATA_HOME": str(place)}).start("image", "build", "--json")
    done = built.end(400)
    assert done.code == 0, done.err
    return place


@pytest.fixture(scope="module")
def both(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an image that has both generations of bpftrace."""
    place = tmp_path_factory.mktemp("both")
    tool = Tool(lab, place, {"XDG_DATA_HOME": str(place)})
    done = tool.start("image", "build", "--old-bpftrace", "--json").end(400)
    assert done.code == 0, done.err
    return place


@pytest.fixture
def mine(lab: Lab, tmp_path: Path, store: Path) -> Tool:
    """The command line with the built image."""
    return Tool(lab, tmp_path, {"XDG_DATA_HOME": str(store)})


@pytest.fixture
def bare(debian13: LabHost, stock: Stock) -> Iterator[LabHost]:
    """A host that has none of our images; at the end it has none again, and nothing else."""
    images = snapshot(debian13).images
    yield debian13
    for line in _names(debian13):
        debian13.docker("rmi", line)
    assert snapshot(debian13).images == images
    assert stock.left(debian13) == []


def _names(host: LabHost) -> list[str]:
    listed = host.docker("images", "--format", "{{.Repository}}:{{.Tag}}", NAME)
    return listed.split()


def _record(store: Path) -> tuple[Path, dict[str, Any]]:
    (path,) = (store / "remote-prof/images").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return path, found


def _sent(store: Path, tenths: int) -> str:
    """Give what is told when some tenths of the image have been sent."""
    _, record = _record(store)
    return f"{record['archive_bytes'] * tenths / 10 / 1e6:.0f} of"


def _copy(store: Path, place: Path, **changed: object) -> tuple[Path, Path]:
    """Make a data directory with the same image, some of its record changed; give its archive."""
    path, record = _record(store)
    images = place / "data/remote-prof/images"
    images.mkdir(parents=True)
    (images / path.name).write_text(json.dumps(record | changed))
    archive = images / path.with_suffix(".tar.gz").name
    archive.hardlink_to(path.with_suffix(".tar.gz"))
    return place / "data", archive


def _pushed(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    (document,) = json.loads(done.out)
    assert isinstance(document, dict)
    return document


def test_what_is_built_says_what_is_in_it(mine: Tool, store: Path) -> None:
    _, record = _record(store)
    found = {package["name"]: package for package in record["packages"]}
    assert found["bpftrace"]["licences"] == ["Apache-2.0", "BSD-3-Clause", "MIT"]
    assert found["py-spy"]["origin"] == "pypi"
    assert found["libgcc-s1"]["licences"], "its documentation is a link to another package's"
    assert sum(not package["licences"] for package in found.values()) < len(found) / 8
    listed = mine("image", "list", "--contents")
    assert listed.code == 0
    assert "libllvm19" in listed.out
    assert record["labels"]["remote-prof.sidecar.bpftrace"] == found["bpftrace"]["version"]


def test_a_host_that_has_none_gets_it_and_keeps_it(mine: Tool, bare: LabHost, store: Path) -> None:
    _, record = _record(store)
    first = _pushed(mine("image", "push", "-H", bare.name, "--json"))
    assert (first["present"], first["sent_bytes"]) == (False, record["archive_bytes"])
    assert (
        bare.docker("image", "inspect", "--format", "{{.Id}}", NAME + ":0.1.0")
        == (record["image_id"])
    )
    again = _pushed(mine("image", "push", "-H", bare.name, "--json"))
    assert (again["present"], again["sent_bytes"]) == (True, 0)
    there = mine("image", "list", "-H", bare.name)
    assert "as here" in there.out
    bare.docker(
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        f"{NAME}:0.1.0",
        "sh",
        "-c",
        f"{STARTS} && {_LISTED}",
    )
    removed = mine("image", "remove", "-H", bare.name)
    assert removed.code == 0, removed.err
    assert _names(bare) == []
    assert SIDECAR_IMAGE in bare.docker("images", "--format", "{{.Repository}}:{{.Tag}}")


def test_a_run_has_it_pushed(mine: Tool, bare: LabHost) -> None:
    argv = ("run", "-H", bare.name, "-C", "api", "-d", "2")
    refused = mine(*argv, "--image", "nobody/has:this")
    assert refused.code == 1
    assert "the image nobody/has:this is not on the host" in refused.err
    assert _names(bare) == []
    done = mine(*argv, "--image-policy", "push")
    assert done.code == 0, done.err
    assert done.run.record["sidecars"][0]["image"] == f"{NAME}:0.1.0"
    assert "push image" in done.run.record["timings_s"]
    assert share(done.run.stacks(), "hot_leaf") > 0.5
    time.sleep(1)  # another run begins in another second
    again = mine(*argv, "--image-policy", "push")
    assert again.code == 0, again.err
    assert "push image" not in again.run.record["timings_s"]


def test_where_the_named_image_is_missing_ours_takes_its_place(mine: Tool, bare: LabHost) -> None:
    inventory = mine.inventory(bare, remote_prof_image="nobody/has:this")
    argv = ("run", "-i", inventory, "-H", bare.name, "-C", "api", "-d", "1")
    never = mine(*argv, "--image-policy", "never")
    assert never.code == 1
    assert "remote-prof image build" in never.err
    planned = mine(*argv, "--dry-run")
    assert planned.code == 0, planned.err
    assert "is pushed first" in planned.out
    assert _names(bare) == []
    assert mine(*argv).code == 0
    # Now it is there, and who has built none can use it.
    assert mine(*argv, "--image-policy", "never").code == 0


@contextmanager
def calling_itself(host: LabHost, kernel: str) -> Iterator[None]:
    """Have a host tell another version of its kernel for a while."""
    path = "/usr/local/bin/uname"
    text = f'#!/bin/sh\n[ "$1" = -srm ] && echo "Linux {kernel} $(/usr/bin/uname -m)"\n'
    host.exec(["tee", path], input=text.encode())
    host.exec(["chmod", "755", path])
    try:
        yield
    finally:
        host.exec(["rm", path])


def test_the_older_bpftrace_goes_along_when_asked_for(
    lab: Lab, bare: LabHost, both: Path, tmp_path: Path
) -> None:
    tool = Tool(lab, tmp_path, {"XDG_DATA_HOME": str(both)})
    _, record = _record(both)
    versions = {(p["name"], p["origin"]): p["version"] for p in record["packages"]}
    old = versions["bpftrace", "debian bookworm"]
    assert old != versions["bpftrace", "debian"]
    assert record["labels"]["remote-prof.sidecar.bpftrace-old"] == old
    licences = {p["name"]: p["licences"] for p in record["packages"] if "bookw" in p["origin"]}
    assert set(licences) == set(recipe.OLD_PACKAGES)
    assert all(licences.values())
    assert "libllvm14" in tool("image", "list", "--contents").out
    _pushed(tool("image", "push", "-H", bare.name, "--json"))
    locked = ("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL")
    said = bare.docker(*locked, f"{NAME}:0.1.0", "sh", "-c", f"{STARTS} && bpftrace-old --version")
    assert said.splitlines()[-1] == "bpftrace v0.17.0"


FINE, WIDE = {"BPF", "PERFMON", "SYS_PTRACE", "SYSLOG"}, {"SYS_ADMIN", "SYS_PTRACE", "SYSLOG"}


def test_a_young_kernel_has_the_younger_one(
    lab: Lab, bare: LabHost, both: Path, tmp_path: Path
) -> None:
    tool = Tool(lab, tmp_path, {"XDG_DATA_HOME": str(both)})
    argv = ("run", "-H", bare.name, "-C", "api", "-d", "3", "--image-policy", "push")
    running = tool.start(*argv)
    running.wait_for(SAMPLING)
    rights_of(bare).check(FINE)
    done = running.end()
    assert done.code == 0, done.err
    assert done.run.record["sidecars"][0]["tool"] == "bpftrace v0.23.2"
    assert share(done.run.stacks(), "hot_leaf") > 0.5


# As kernels before 5.10 answer to BPF_PROG_TEST_RUN of raw tracepoints: EINVAL.
REFUSES = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": ["bpf"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 22,
            "args": [{"index": 0, "value": 10, "op": "SCMP_CMP_EQ"}],
        }
    ],
}


@pytest.mark.parametrize(
    ("kernel", "tried"),
    [
        ("4.18.0-553.el8_10.x86_64", ["# bpftrace v0.17.0"]),
        # One that nobody would think to be so old: the younger one is refused.
        ("5.10.0-35-amd64", ["# bpftrace v0.23.2", "# bpftrace v0.17.0"]),
    ],
)
def test_an_old_kernel_has_the_older_one(
    lab: Lab, bare: LabHost, both: Path, tmp_path: Path, kernel: str, tried: list[str]
) -> None:
    """The host tells of a kernel, and what is planned for that runs where there is no test run."""
    tool = Tool(lab, tmp_path, {"XDG_DATA_HOME": str(both)})
    _pushed(tool("image", "push", "-H", bare.name, "--json"))
    argv = ("run", "-H", bare.name, "-C", "api", "-d", "3", "-F", "199", "--runner", "engine")
    with calling_itself(bare, kernel):
        done = tool(*argv, "--image", f"{NAME}:0.1.0", "--dry-run", "--json")
    assert done.code == 0, done.err
    (planned,) = json.loads(done.out)
    launcher = planned["files"]["launcher.sh"]
    narrow = set(re.findall(r"--cap-add ([A-Z_]+)", launcher))
    assert narrow == (WIDE if len(tried) == 1 else FINE)
    # Kernels before 5.11 want the limit raised. Where the lab runs, an engine may not do that.
    assert launcher.count(" --ulimit memlock=-1:-1") == 1
    with placed(bare, {"refuses.json": json.dumps(REFUSES)}) as directory:
        launcher = launcher.replace(
            " --ulimit memlock=-1:-1", f" --security-opt seccomp={directory}/refuses.json"
        )
        # Without a test run the older one takes more than the narrowest rights.
        launcher = launcher.replace("--cap-add PERFMON", "--cap-add SYS_ADMIN")
        bare.exec(["tee", f"{directory}/launcher.sh"], input=launcher.encode())
        bare.exec(["sh", f"{directory}/launcher.sh"])
        raw = bare.exec(["cat", f"{directory}/profile.txt"]).stdout.decode()
    assert re.findall("^# bpftrace.*$", raw, re.MULTILINE) == tried
    assert share(folded(tool, raw), "hot_leaf") > 0.5


def test_a_cut_link_goes_on_where_it_was(mine: Tool, bare: LabHost, store: Path) -> None:
    _, record = _record(store)
    with Proxy((bare.address, bare.port)) as proxy:
        inventory = mine.through(proxy, bare)
        proxy.cut_after(SENT, 40 * _MB)
        running = mine.start("image", "push", "-i", inventory, "-H", bare.name, "--json")
        running.wait_for("reconnecting")
        running.wait_for("going on with the image")
        done = running.end()
    pushed = _pushed(done)
    # What was on its way when the link broke is sent again, and no more than that.
    assert record["archive_bytes"] <= pushed["sent_bytes"] < record["archive_bytes"] + 8 * _MB
    assert _names(bare) == [f"{NAME}:0.1.0"]


def test_another_process_goes_on_after_an_interrupt(mine: Tool, bare: LabHost, store: Path) -> None:
    _, record = _record(store)
    with Proxy((bare.address, bare.port), bytes_per_s=20 * _MB) as proxy:
        inventory = mine.through(proxy, bare)
        running = mine.start("image", "push", "-i", inventory, "-H", bare.name)
        running.wait_for(_sent(store, 3))
        running.process.send_signal(signal.SIGINT)
        assert running.end().code == 130
    assert _names(bare) == []
    listed = mine("image", "list", "-H", bare.name)
    assert "unfinished push" in listed.out
    pushed = _pushed(mine("image", "push", "-H", bare.name, "--json"))
    assert pushed["resumed_bytes"] > 20 * _MB
    assert pushed["sent_bytes"] == record["archive_bytes"] - pushed["resumed_bytes"]


def test_what_an_unfinished_push_left_can_be_removed(
    mine: Tool, bare: LabHost, store: Path
) -> None:
    for command in (("image", "remove"), ("clean",)):
        with Proxy((bare.address, bare.port), bytes_per_s=20 * _MB) as proxy:
            inventory = mine.through(proxy, bare)
            running = mine.start("image", "push", "-i", inventory, "-H", bare.name)
            running.wait_for(_sent(store, 1))
            running.process.send_signal(signal.SIGTERM)
            assert running.end().code != 0
        # The host's end may be a moment from knowing it.
        deadline = time.monotonic() + 20
        while (done := mine(*command, "-H", bare.name)).code == 0 and time.monotonic() < deadline:
            if "unfinished" not in mine("image", "list", "-H", bare.name).out:
                break
        assert done.code == 0, done.err
        assert "unfinished" not in mine("image", "list", "-H", bare.name).out


def test_damaged_bytes_are_noticed(mine: Tool, bare: LabHost, store: Path) -> None:
    data, archive = _copy(store, mine.place)
    whole = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(whole[:-500] + b"x" + whole[-499:])
    done = mine("image", "push", "-H", bare.name, XDG_DATA_HOME=str(data))
    assert done.code == 1
    assert "arrived damaged, twice" in done.err
    assert _names(bare) == []


def test_another_processor_is_refused(mine: Tool, bare: LabHost, store: Path) -> None:
    data, _ = _copy(store, mine.place, architecture="arm64")
    done = mine("image", "push", "-H", bare.name, XDG_DATA_HOME=str(data))
    assert done.code == 1
    assert "there is no image for its processor" in done.err
    assert "image build --arch amd64" in done.err


def test_too_little_room_is_said_before(mine: Tool, bare: LabHost) -> None:
    bare.exec(
        ["sh", "-c", f"mkdir -p {_SMALL} && mount -t tmpfs -o mode=1777,size=50m lab {_SMALL}"]
    )
    try:
        inventory = mine.inventory(bare, remote_prof_tmp=_SMALL)
        done = mine("image", "push", "-i", inventory, "-H", bare.name)
    finally:
        bare.exec(["umount", _SMALL])
    assert done.code == 1
    ((what, evidence, _),) = done.parts()
    assert "there is no room for the image" in what
    assert f"{_SMALL} has 50 MiB" in evidence


@pytest.mark.parametrize("user", ["admin"])
def test_other_logins(mine: Tool, bare: LabHost, user: str) -> None:
    inventory = mine.inventory(bare, ansible_user=user, ansible_port=bare.logins[user].port)
    pushed = _pushed(mine("image", "push", "-i", inventory, "-H", bare.name, "--json"))
    assert not pushed["present"]


def test_an_archive_that_is_signed_by_others_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "keys.gpg").write_bytes(b"")
    tool = Tool(lab, tmp_path, {"XDG_DATA_HOME": str(tmp_path / "data")})
    done = tool("image", "build", "--keyring", tmp_path / "keys.gpg")
    assert done.code == 1
    assert "its signature is not good" in done.err
    assert list((tmp_path / "data/remote-prof/images").iterdir()) == []


def test_the_dockerfile_builds_on_a_base_that_was_imported(
    mine: Tool, bare: LabHost, tmp_path: Path
) -> None:
    """A host without a network builds it through here: Debian's mirror, an index of wheels."""
    base = "lab/base:1"
    (tmp_path / "wheels").mkdir()
    for wheel in recipe.WHEELS:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q"]
        pip += ["-d", str(tmp_path / "wheels"), f"{wheel.name}=={wheel.version}"]
        subprocess.run(pip, check=True, capture_output=True)
    with tempfile.TemporaryFile() as tar:
        root = build.base(recipe.SUITE)
        subprocess.run(["tar", "--numeric-owner", "-C", root, "-c", "."], stdout=tar, check=True)
        tar.seek(0)
        subprocess.run(
            [*bare.ssh_argv(), "docker", "import", "-", base], stdin=tar, check=True, timeout=120
        )
    printed = mine("image", "build", "--dockerfile", "--old-bpftrace")
    with web_proxy(tmp_path / "wheels") as port:
        here = f"http://127.0.0.1:{port}"
        argv = ["docker", "build", "--network", "host", "-t", f"{NAME}:dockerfile"]
        given = {"BASE": base, "MIRROR": machine.mirror(), "INDEX": f"{here}/simple"}
        given |= {"http_proxy": here}
        for name, value in given.items():
            argv += ["--build-arg", f"{name}={value}"]
        done = subprocess.run(
            [*bare.ssh_argv("ops", "-R", f"{port}:127.0.0.1:{port}"), *argv, "-"],
            input=printed.out.encode(),
            capture_output=True,
            timeout=300,
        )
    try:
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        starts = ("sh", "-c", f"{STARTS} && bpftrace-old --version")
        said = bare.docker("run", "--rm", "--network", "none", f"{NAME}:dockerfile", *starts)
        assert said.splitlines()[-1] == "bpftrace v0.17.0"
        # A run takes it as any other that is named.
        asked = ("-H", bare.name, "-C", "api", "-d", "1", "--image", f"{NAME}:dockerfile")
        assert mine("run", *asked).code == 0
    finally:
        for words in (("rmi", f"{NAME}:dockerfile"), ("image", "prune", "-f"), ("rmi", base)):
            bare.exec(["docker", *words], check=False)
