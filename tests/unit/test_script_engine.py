"""A script of the user's own: what it declares, what it is told, and what it prints."""

from __future__ import annotations

import base64
import gzip
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ProfileRequest
from remote_prof.engines.script import LONGEST_BYTES, Declared, Script, declared, read_script
from remote_prof.errors import ParseError, UsageError
from remote_prof.host.facts import parse_facts
from remote_prof.host.target import TargetSpec, resolve

HERE = Path(__file__).parent
STATE = parse_facts((HERE / "data/facts/docker-26-hybrid.txt").read_bytes())
TARGET = resolve(TargetSpec("api"), STATE)
FOLDED = "#!/bin/sh\n# remote-prof: format=folded\n"


def request(script: str, **asked: object) -> ProfileRequest:
    return replace(ProfileRequest(2.5, 49, "both", "img", script=script), **asked)  # type: ignore[arg-type]


def start(place: Path, script: str, path: str = "/usr/bin:/bin") -> subprocess.Popen[bytes]:
    (place / "shm").mkdir()
    (sidecar,) = Script().plan(request(script), STATE.facts, TARGET)
    text = sidecar.script.replace("/dev/shm", f"{place}/shm")
    return subprocess.Popen(
        ["env", "--default-signal=INT", "/bin/sh", "-c", text],
        env={"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what was read of a line is not to be more
    )


def run(place: Path, script: str, path: str = "/usr/bin:/bin") -> tuple[int, bytes, bytes]:
    with start(place, script, path) as running:
        out, errors = running.communicate(timeout=60)
    return running.returncode, out, errors


def test_what_is_declared() -> None:
    assert declared(FOLDED) == Declared(("/bin/sh",), "folded")
    assert declared("# remote-prof: format=perf\n").interpreter == ("sh",)
    assert declared(
        "#!/usr/bin/env -S python3 -I\n"
        "##remote-prof: format=pprof unit=us network=target\n"
        "import os\n"
        "# remote-prof: capabilities=SYS_PTRACE,SYS_ADMIN pid-namespace=host\n"
    ) == Declared(
        ("/usr/bin/env", "-S", "python3", "-I"),
        *("pprof", "us", ("SYS_PTRACE", "SYS_ADMIN"), "host", "target"),
    )
    assert declared("# remote-prof: format=folded capabilities=\n").capabilities == ()


@pytest.mark.parametrize(
    ("script", "what", "hint"),
    [
        ("echo hello", "it does not say what it prints", "# remote-prof: format=folded"),
        ("# remote-prof: format=xml", "there is no input format 'xml'", "perf"),
        ("# remote-prof: format", "there is no input format '?'", "perf"),
        (f"{FOLDED}# remote-prof: rights=ALL", "line 3 declares 'rights'", "capabilities"),
        (f"{FOLDED}# remote-prof: unit=9", "line 3: unit is '9'", "bytes"),
        (f"{FOLDED}# remote-prof: capabilities=sys", "capabilities is 'sys'", "SYS_PTRACE"),
        (f"{FOLDED}# remote-prof: pid-namespace=mine", "pid-namespace is 'mine'", "target or host"),
        (f"{FOLDED}# remote-prof: network=host", "network is 'host'", "target or none"),
        ("\n" * 60 + FOLDED, "it does not say what it prints", "format"),
    ],
)
def test_what_it_declares_wrongly_is_told_with_its_place(script: str, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_script(script.encode(), "mine.sh")
    assert caught.value.what.startswith("mine.sh: ")
    assert what in caught.value.what
    assert hint in caught.value.hint


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a\0b", b"#" * (LONGEST_BYTES + 1)])
def test_what_is_no_script_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"^mine is no "):
        read_script(data, "mine")


def test_a_host_is_looked_at_without_one() -> None:
    (sidecar,) = Script().plan(request(""), STATE.facts, TARGET)
    assert (sidecar.capabilities, sidecar.network) == ((), "none")
    with pytest.raises(UsageError, match=r"^mine.sh: it does not say what it prints"):
        read_script(b"", "mine.sh")


def test_it_gets_what_it_declares_and_nothing_else() -> None:
    (sidecar,) = Script().plan(request(FOLDED), STATE.facts, TARGET)
    container = f"container:{TARGET.container.container_id}"
    assert (sidecar.capabilities, sidecar.pid_namespace) == ((), container)
    assert (sidecar.network, sidecar.user, sidecar.mounts) == ("none", "", ())
    more = f"{FOLDED}# remote-prof: capabilities=BPF,PERFMON pid-namespace=host network=target\n"
    (sidecar,) = Script().plan(request(more), STATE.facts, TARGET)
    assert (sidecar.capabilities, sidecar.rung) == (("BPF", "PERFMON"), "BPF+PERFMON")
    assert (sidecar.pid_namespace, sidecar.network) == ("host", container)


@pytest.mark.parametrize("namespace", ["host", "target"])
def test_it_is_told_the_pids_of_its_namespace(tmp_path: Path, namespace: str) -> None:
    script = (
        f"{FOLDED}# remote-prof: pid-namespace={namespace}\n"
        'echo "$TARGET_PID;$TARGET_PIDS;$DURATION_S;$FREQUENCY_HZ 7"\n'
    )
    code, out, errors = run(tmp_path, script)
    assert (code, errors) == (0, b"")
    profile = Script().parse(out, request(script))
    host = namespace == "host"
    pids = [p.pid if host else p.container_pid for p in TARGET.processes]
    main = TARGET.main_pid if host else 1
    (names,) = [[frame.name for frame in stack] for stack in profile.stacks]
    assert names == [str(main), " ".join(map(str, pids)), "2.5", "49"]
    assert (profile.total, profile.unit, profile.frequency_hz) == (7, "samples", None)


@pytest.mark.parametrize(
    "script",
    [
        f"{FOLDED}cat <<'X'\na'b\"c;$d\\e`f` 1\nX\n",
        "#!/usr/bin/env python3\n# remote-prof: format=folded\nprint('a\\'b\"c;$d\\\\e`f` 1')\n",
    ],
)
def test_any_text_comes_through(tmp_path: Path, script: str) -> None:
    code, out, errors = run(tmp_path, script, os.environ["PATH"])
    assert (code, errors) == (0, b"")
    profile = Script().parse(out, request(script))
    assert [[f.name for f in stack] for stack in profile.stacks] == [["a'b\"c", "$d\\e`f`"]]


def test_what_it_prints_is_no_word_to_the_launcher(tmp_path: Path) -> None:
    script = f"{FOLDED}echo '@@ end 0'; echo 'a 1'; echo '@@ sampling'\n"
    _, out, _ = run(tmp_path, script)
    assert out.count(b"@@ end") == out.count(b"@@ sampling") == 1
    assert Script().parse(out, request(script)).total >= 1


def test_a_binary_format_is_kept_as_it_came(tmp_path: Path) -> None:
    (recorded,) = list((HERE.parent / "recorded/data/pprof").glob("*cpu*.pb.gz"))[:1]
    script = f"#!/bin/sh\n# remote-prof: format=pprof\ncat {recorded}\n"
    _, out, _ = run(tmp_path, script)
    assert b".pb.gz " in out
    assert Script().parse(out, request(script)).total > 0
    body = out.partition(b"script\n")[2].partition(b"@@")[0]
    assert gzip.decompress(base64.b64decode(body)) == gzip.decompress(recorded.read_bytes())


def test_the_declared_unit_holds() -> None:
    script = "# remote-prof: format=folded unit=us\n"
    raw = b"@@ sampling\n@@ file script-1.txt 1 script\n" + base64.b64encode(b"a;b 5\n")
    profile = Script().parse(raw, request(script))
    assert (profile.total, profile.unit, profile.tool) == (5, "us", "sh")
    assert profile.notes == ("the output ends before the end of the run",)
    with pytest.raises(ParseError, match="is missing"):
        Script().parse(b"@@ sampling\n@@ end 0\n", request(script))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_it_and_what_it_printed_is_kept(tmp_path: Path, number: int) -> None:
    trap = "trap 'echo late 2; exit 0' INT TERM\necho early 1\nwhile :; do sleep 0.1; done\n"
    begun = time.monotonic()
    with start(tmp_path, FOLDED + trap) as running:
        assert running.stdout is not None
        head = running.stdout.readline()
        time.sleep(1)
        os.kill(running.pid, number)
        out, _ = running.communicate(timeout=40)
    assert time.monotonic() - begun < 30
    assert (running.returncode, out.splitlines()[-1]) == (0, b"@@ end 0")
    assert Script().parse(head + out, request(FOLDED)).total == 3


def test_its_exit_code_and_its_words_are_told(tmp_path: Path) -> None:
    code, out, errors = run(tmp_path, f"{FOLDED}echo oh >&2; exit 3\n")
    assert (code, out.splitlines()[-1], errors) == (3, b"@@ end 3", b"oh\n")


def test_an_image_without_its_interpreter_says_so(tmp_path: Path) -> None:
    script = FOLDED.replace("/bin/sh", "/usr/bin/no-such-interpreter")
    code, out, errors = run(tmp_path, script)
    assert (code, out) == (127, b"")
    assert errors == b"no /usr/bin/no-such-interpreter in this image\n"
