"""What bpftrace is asked on which host: the filter, the privileges, the script."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.engines import ENGINES, ProfileRequest
from remote_prof.engines.bpftrace import (
    OLD,
    YOUNG,
    Bpftrace,
    Filter,
    choose_filter,
    generations,
    kernel_version,
    rungs,
)
from remote_prof.host.facts import HostFacts, Image, parse_facts
from remote_prof.host.target import Target, TargetSpec, resolve
from remote_prof.image import recipe
from remote_prof.records import Severity

DATA = Path(__file__).parent / "data"
STATE = parse_facts((DATA / "facts" / "docker-26-hybrid.txt").read_bytes())
FACTS = replace(STATE.facts, tracefs="/sys/kernel/tracing")
API = resolve(TargetSpec("api"), STATE)
REQUEST = ProfileRequest(10.0, 99, "both", "img")


def on(engine: str = "docker", version: str = "26.1.5", kernel: str = "6.1.0") -> HostFacts:
    assert FACTS.engine is not None
    return replace(FACTS, kernel=kernel, engine=replace(FACTS.engine, name=engine, version=version))


def target(spec: TargetSpec | None = None, *, ids: tuple[int, ...] = (), mode: str = "") -> Target:
    found = resolve(spec or TargetSpec("api"), STATE)
    return replace(found, cgroup_ids=ids, container=replace(found.container, pid_mode=mode))


def test_control_groups_are_the_best_filter() -> None:
    chosen = choose_filter(FACTS, target(ids=(11,)))
    assert chosen == Filter("by control group", "cgroup == 11")
    assert str(chosen) == "by control group: cgroup == 11"
    assert chosen.environment() == {"TARGET_FILTER": "cgroup == 11", "TARGET_PID": ""}


def test_a_container_with_control_groups_of_its_own_can_make_more() -> None:
    assert choose_filter(FACTS, target(ids=(11, 12))).kind == "by pid namespace"
    without_btf = choose_filter(replace(FACTS, btf=False), target(ids=(11, 12)))
    several = "cgroup == 11 || cgroup == 12"
    assert without_btf == Filter("by control group", several, complete=False)


@pytest.mark.parametrize("mode", ["", "private"])
def test_without_them_it_is_the_pid_namespace(mode: str) -> None:
    chosen = choose_filter(FACTS, target(mode=mode))
    assert chosen == Filter("by pid namespace", "", pid=19361)
    assert str(chosen) == "by pid namespace: that of process 19361"
    assert chosen.environment() == {"TARGET_FILTER": "", "TARGET_PID": "19361"}


@pytest.mark.parametrize("mode", ["host", "container:abc"])
def test_a_shared_pid_namespace_would_select_too_much(mode: str) -> None:
    chosen = choose_filter(FACTS, target(mode=mode))
    pids = "pid == 19361 || pid == 19402 || pid == 19403"
    assert chosen == Filter("by the pids of now", pids, complete=False)


def test_without_btf_it_is_the_pids() -> None:
    assert not choose_filter(replace(FACTS, btf=False), target()).complete


@pytest.mark.parametrize(
    ("spec", "predicate"),
    [
        (TargetSpec("api", process="svc"), "(pid == 19402 || pid == 19403) && (cgroup == 11)"),
        (TargetSpec("api", pid=19402), "(pid == 19402) && (cgroup == 11)"),
    ],
)
def test_processes_are_told_by_their_pids(spec: TargetSpec, predicate: str) -> None:
    assert choose_filter(FACTS, target(spec, ids=(11,))) == Filter("by pid", predicate)


FINE = ("BPF", "PERFMON", "SYS_PTRACE", "SYSLOG")
WIDE = ("SYS_ADMIN", "SYS_PTRACE", "SYSLOG")


@pytest.mark.parametrize(
    ("facts", "ladder"),
    [
        (on(), [FINE, WIDE]),
        (on(version="23.0.0"), [FINE, WIDE]),
        (on(kernel="5.10.0"), [FINE, WIDE]),
        (on(kernel="5.9.0"), [WIDE]),
        (on(version="20.10.24+dfsg1"), [WIDE]),
        (on(version=""), [WIDE]),
        (on(kernel="5.4.0-150-generic"), [WIDE]),
        (on(kernel="4.18.0-553.el8"), [WIDE]),
        (on(engine="podman", version="24.0"), [WIDE]),
    ],
)
def test_the_ladder_begins_with_the_narrowest_privileges_that_work(
    facts: HostFacts, ladder: list[tuple[str, ...]]
) -> None:
    assert rungs(REQUEST, facts) == [("+".join(names), names) for names in ladder]
    assert [one.capabilities for one in Bpftrace().plan(REQUEST, facts, API)] == ladder


def test_names_of_the_kernel_are_not_asked_for_in_vain() -> None:
    found = rungs(replace(REQUEST, stacks="user"), on())
    assert found[0] == ("BPF+PERFMON+SYS_PTRACE", ("BPF", "PERFMON", "SYS_PTRACE"))
    assert all("SYSLOG" in names for _, names in rungs(replace(REQUEST, stacks="kernel"), on()))


def test_everything_only_when_asked_for() -> None:
    assert rungs(replace(REQUEST, privileged=True), on()) == [("privileged", ())]


@pytest.mark.parametrize(
    ("errors", "denied"),
    [
        ("ERROR: failed to create map: Operation not permitted", True),
        ("perf_event_open(): Permission denied", True),
        ("ERROR: CAP_BPF is required", True),
        ("ERROR: bpftrace currently only supports running as the root user; must be root", True),
        ("docker: Error response from daemon: No such image: img.", False),
        ("stdin:1:1-2: ERROR: syntax error", False),
        ("", False),
    ],
)
def test_a_refusal_of_the_kernel_is_told_from_other_errors(errors: str, denied: bool) -> None:
    assert Bpftrace().denied(errors) is denied


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.0-18-amd64", (6, 1)), ("4.18.0-553.el8", (4, 18)), ("5", (5,)), ("", ())],
)
def test_kernels_have_versions(release: str, version: tuple[int, ...]) -> None:
    assert kernel_version(release) == version


@pytest.mark.parametrize(
    ("kernel", "first"),
    [
        ("4.9.0", OLD),
        ("4.18.0-553.el8_10.x86_64", OLD),
        ("5.4.0-216-generic", OLD),
        ("5.10.0-35-amd64", YOUNG),
        ("5.14.0-570.el9.x86_64", YOUNG),
        ("5.15.0-140-generic", YOUNG),
        ("6.18.2", YOUNG),
    ],
)
def test_the_kernel_says_which_generation_is_tried_first(kernel: str, first: str) -> None:
    tried = generations(on(kernel=kernel))
    assert (tried[0], set(tried)) == (first, {OLD, YOUNG})
    script = Bpftrace().plan(REQUEST, on(kernel=kernel), API)[0].script
    assert f"for program in {tried[0]} {tried[1]} ;" in script


def test_an_image_that_has_no_bpftrace_for_an_old_kernel_is_told_of() -> None:
    assert recipe.OLD == OLD
    labels = {recipe.LABEL: "0.1.0", f"{recipe.LABEL}.bpftrace": "0.23.2-1"}
    young = replace(on(kernel="5.4.0"), image=Image("", (), "amd64", labels=labels))
    (found,) = Bpftrace().problems(REQUEST, young, API)
    assert found.severity is Severity.WARNING
    assert "image build --old-bpftrace" in found.fix
    both = Image("", (), "amd64", labels={**labels, f"{recipe.LABEL}.{OLD}": "0.17.0-1"})
    other = Image("", (), "amd64")  # what it has is not known
    for facts in (
        replace(young, image=both),
        replace(young, image=other),
        replace(young, image=None),
        replace(young, kernel="5.10.0"),
    ):
        assert Bpftrace().problems(REQUEST, facts, API) == []


def test_a_good_host_has_no_problems() -> None:
    assert Bpftrace().problems(REQUEST, FACTS, API) == []


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        (replace(FACTS, lockdown="confidentiality"), "the kernel is locked down"),
        (on(kernel="4.4.0-210-generic"), "kernel 4.4.0-210-generic is too old"),
    ],
)
def test_what_forbids_bpftrace(facts: HostFacts, what: str) -> None:
    (found,) = Bpftrace().problems(REQUEST, facts, API)
    assert found.severity is Severity.ERROR
    assert found.what.startswith(what)
    assert found.evidence
    assert found.fix


@pytest.mark.parametrize("lockdown", ["", "none", "integrity"])
def test_a_lockdown_that_lets_bpf_read_is_none(lockdown: str) -> None:
    assert Bpftrace().problems(REQUEST, replace(FACTS, lockdown=lockdown), API) == []


def test_processes_that_start_later_may_be_missed() -> None:
    facts = replace(FACTS, btf=False)
    (found,) = Bpftrace().problems(REQUEST, facts, target())
    assert (found.severity, found.what) == (
        Severity.WARNING,
        "processes that start during the run may not be sampled",
    )
    assert "by the pids of now: pid == 19361 || " in found.evidence
    assert Bpftrace().problems(REQUEST, facts, target(TargetSpec("api", pid=19402))) == []


def test_the_sidecar_gets_what_the_host_can_limit() -> None:
    sidecar = Bpftrace().plan(REQUEST, FACTS, API)[0]
    assert sidecar.capabilities == ("BPF", "PERFMON", "SYS_PTRACE", "SYSLOG")
    assert not sidecar.privileged
    assert sidecar.security_options == ("no-new-privileges",)
    assert (sidecar.memory_limit_bytes, sidecar.cpu_limit, sidecar.pids_limit) == (1 << 30, 1.0, 64)
    assert (sidecar.host_user_namespace, sidecar.unlimited_locked_memory) == (False, False)
    assert sidecar.filter_text == "by control group: cgroup == 11711"
    assert sidecar == Bpftrace().plan(REQUEST, FACTS, API)[0]


def test_the_sidecar_goes_without_limits_where_there_are_none() -> None:
    assert FACTS.engine is not None
    engine = replace(FACTS.engine, memory_limit=False, cpu_limit=False, pids_limit=False)
    sidecar = Bpftrace().plan(REQUEST, replace(FACTS, engine=engine), API)[0]
    assert (sidecar.memory_limit_bytes, sidecar.cpu_limit, sidecar.pids_limit) == (None,) * 3


def test_the_sidecar_fits_odd_hosts() -> None:
    facts = on(kernel="5.10.0")
    assert facts.engine is not None
    remapped = replace(facts.engine, security_options=("name=userns",))
    sidecar = Bpftrace().plan(
        REQUEST, replace(facts, engine=remapped, selinux_enforcing=True), API
    )[0]
    assert sidecar.security_options == ("no-new-privileges", "label=disable")
    assert sidecar.host_user_namespace
    assert sidecar.unlimited_locked_memory  # before 5.11 maps count as locked memory


@pytest.mark.parametrize(
    ("event", "stacks"),
    [("cpu", "user"), ("cpu", "kernel"), *((event, "both") for event in Bpftrace.events)],
)
def test_the_script_is_as_expected(event: str, stacks: str, bless: bool) -> None:
    """Whole for the usual one, which shows what all share; of the others, what is theirs."""
    sidecar = Bpftrace().plan(replace(REQUEST, event=event, stacks=stacks), FACTS, API)[0]
    usual = Bpftrace().plan(REQUEST, FACTS, API)[0].script
    script = sidecar.script
    if (event, stacks) != ("cpu", "both"):
        lines = difflib.unified_diff(
            usual.splitlines(keepends=True), script.splitlines(keepends=True), n=0
        )
        script = "".join(lines)
    expected = DATA / "sidecar" / f"{event}-{stacks}.{'sh' if script == usual else 'diff'}"
    if bless:
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(script)
    assert expected.exists(), f"{expected} is missing: look at it, then pytest --bless"
    assert script == expected.read_text()


TRACED = {"offcpu", "wakeup", "syscalls", "lock"}


@pytest.mark.parametrize("event", Bpftrace.events)
def test_tracepoints_are_mounted_where_they_are_needed(event: str) -> None:
    facts = replace(FACTS, tracefs="/sys/kernel/debug/tracing")
    request = replace(REQUEST, event=event)
    mounts = {sidecar.mounts for sidecar in Bpftrace().plan(request, facts, API)}
    needed = ("/sys/kernel/debug/tracing", "/sys/kernel/tracing")
    assert mounts == {(needed,) if event in TRACED else ()}
    assert Bpftrace().problems(request, facts, API) == []
    problems = Bpftrace().problems(request, replace(FACTS, tracefs=""), API)
    assert [problem.severity for problem in problems] == [Severity.ERROR] * (event in TRACED)
    for problem in problems:
        assert f"--event {event}" in problem.what
        assert "mount -t tracefs" in problem.fix


def test_functions_of_programs_want_wider_rights() -> None:
    ladder = rungs(replace(REQUEST, event="malloc"), on())
    assert ladder == [("SYS_ADMIN+SYS_PTRACE", ("SYS_ADMIN", "SYS_PTRACE"))]


def test_allocations_have_no_stacks_of_the_kernel() -> None:
    (found,) = Bpftrace().problems(replace(REQUEST, event="malloc", stacks="kernel"), FACTS, API)
    assert (found.severity, found.evidence) == (Severity.ERROR, "--stacks kernel was asked for")


@pytest.mark.parametrize(
    ("stacks", "kept", "key"),
    [
        ("user", ["user"], "@user[args->next_pid]"),
        ("kernel", ["kernel"], "@kernel[args->next_pid]"),
        ("both", ["kernel", "user"], "@kernel[args->next_pid], @user[args->next_pid]"),
    ],
)
def test_only_the_stacks_that_are_asked_for_are_kept(
    stacks: str, kept: list[str], key: str
) -> None:
    script = Bpftrace().plan(replace(REQUEST, event="offcpu", stacks=stacks), FACTS, API)[0].script
    assert f"@comm[args->next_pid], {key}] = sum(" in script
    for name in ("kernel", "user"):
        assert (f"@{name}[" in script) == (name in kept)
        assert (f"clear(@{name})" in script) == (name in kept)


@pytest.mark.parametrize(
    ("duration_s", "interval"), [(1.0, 2), (20.0, 2), (50.0, 5), (100.0, 10), (3600.0, 10)]
)
def test_maps_are_printed_now_and_then(duration_s: float, interval: int) -> None:
    script = Bpftrace().plan(replace(REQUEST, duration_s=duration_s), FACTS, API)[0].script
    assert f"@next = nsecs - @begin + {interval}000000000;" in script
    assert f"< {round(duration_s * 1e9)})" in script
    assert f'timeout -s INT -k 20 {round(duration_s) + 60} "$1"' in script


@pytest.mark.parametrize(
    ("spec", "cached"),
    [
        (TargetSpec("api"), 0),
        (TargetSpec("api", process="svc"), 0),
        (TargetSpec("api", pid=19402), 1),
    ],
)
def test_an_old_cache_is_for_one_process_alone(spec: TargetSpec, cached: int) -> None:
    script = Bpftrace().plan(REQUEST, FACTS, target(spec))[0].script
    assert f"BPFTRACE_CACHE_USER_SYMBOLS={cached};" in script


BPFTRACE = """#!/bin/sh
if [ "$1" = --version ]; then echo "bpftrace v0.23.2"; exit; fi
echo "max: $BPFTRACE_MAX_MAP_KEYS"
cat
exit 3
"""


def run_sidecar(
    directory: Path,
    request: ProfileRequest = REQUEST,
    found: Target = API,
    facts: HostFacts = FACTS,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the script as the sidecar would, with a bpftrace that shows what it was given."""
    return subprocess.run(
        ["sh", "-c", Bpftrace().plan(request, facts, found)[0].script],
        env={"PATH": f"{directory}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def fake(directory: Path, text: str, name: str = YOUNG) -> None:
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)


def test_the_script_gives_bpftrace_its_program(tmp_path: Path) -> None:
    fake(tmp_path, BPFTRACE)
    done = run_sidecar(tmp_path, TARGET_FILTER="cgroup == 7")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (3, "")
    # The process is not there: what the rights do not allow is said before anything is sampled.
    assert "WARNING: the files of the target cannot be read" in lines[0]
    at = lines.index("# bpftrace v0.23.2")
    assert lines[at + 1] == "# filter: cgroup == 7"
    assert "max: 65536" in lines
    assert "profile:hz:99 /cgroup == 7/ {" in lines
    assert lines[-1] == "@@ end 3"


REFUSED = """#!/bin/sh
[ "$1" != --version ] || { echo "bpftrace v0.23.2"; exit; }
cat >/dev/null; echo "ERROR: the kernel does not want it" >&2; sleep 0.1; exit 255
"""
OLDER = """#!/bin/sh
[ "$1" != --version ] || { echo "bpftrace v0.17.0"; exit; }
echo "old: $BPFTRACE_MAP_KEYS_MAX $BPFTRACE_CACHE_USER_SYMBOLS, not: $BPFTRACE_MAX_MAP_KEYS"
cat
"""


def test_the_other_generation_takes_the_place_of_one_that_is_refused(tmp_path: Path) -> None:
    fake(tmp_path, REFUSED)
    fake(tmp_path, OLDER, OLD)
    done = run_sidecar(tmp_path, TARGET_FILTER="cgroup == 7")
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[-1]) == (0, "@@ end 0")
    assert "WARNING: bpftrace v0.23.2 could not begin: the other" in done.stdout
    assert lines.count("profile:hz:99 /cgroup == 7/ {") == 1
    # What depends on the version goes by the one that is used.
    assert "old: 65536 0, not: " in lines
    assert [x for x in lines if x.startswith("# b")] == ["# bpftrace v0.23.2", "# bpftrace v0.17.0"]


def test_an_old_kernel_has_the_old_one_tried_first(tmp_path: Path) -> None:
    fake(tmp_path, BPFTRACE)
    fake(tmp_path, OLDER, OLD)
    done = run_sidecar(tmp_path, facts=on(kernel="5.4.0-216-generic"), TARGET_FILTER="cgroup == 7")
    assert done.returncode == 0
    assert "0.23" not in done.stdout
    assert "# bpftrace v0.17.0" in done.stdout


@pytest.mark.parametrize(
    ("young", "duration_s"),
    [
        (REFUSED.replace("255", "137"), 10.0),  # killed, not refused
        (REFUSED, 0.05),  # it may have sampled for as long as it was told
        (REFUSED.replace("sleep 0.1", "kill -INT $(ps -o ppid= $PPID); sleep 1"), 10.0),
    ],
)
def test_one_that_was_not_refused_is_not_followed_by_the_other(
    tmp_path: Path, young: str, duration_s: float
) -> None:
    fake(tmp_path, young)
    fake(tmp_path, OLDER, OLD)
    request = replace(REQUEST, duration_s=duration_s)
    done = run_sidecar(tmp_path, request, TARGET_FILTER="cgroup == 7")
    assert done.returncode > 0
    assert "0.17" not in done.stdout


def test_both_refused_is_the_failure_of_the_last(tmp_path: Path) -> None:
    fake(tmp_path, REFUSED)
    fake(tmp_path, REFUSED.replace("0.23.2", "0.17.0").replace("255", "1"), OLD)
    done = run_sidecar(tmp_path, TARGET_FILTER="cgroup == 7")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "@@ end 1")


def test_the_script_makes_a_filter_of_a_pid(tmp_path: Path) -> None:
    """Of a process in the sidecar's own pid namespace, so that its pid has to do."""
    fake(tmp_path, BPFTRACE)
    done = run_sidecar(tmp_path, TARGET_FILTER="cgroup == 7", TARGET_PID=str(os.getpid()))
    assert f"# filter: pid == {os.getpid()}" in done.stdout.splitlines()


def test_an_image_without_bpftrace_says_so(tmp_path: Path) -> None:
    fake(tmp_path, "#!/bin/sh\nexit 127\n")
    done = run_sidecar(tmp_path, TARGET_FILTER="cgroup == 7")
    assert (done.returncode, done.stderr) == (127, "no bpftrace in this image\n")


def test_a_pid_that_is_gone_ends_the_script(tmp_path: Path) -> None:
    fake(tmp_path, BPFTRACE)
    done = run_sidecar(tmp_path, TARGET_PID="999999999")
    assert done.returncode == 1
    assert "999999999" in done.stderr


def test_engines_have_names_of_their_own() -> None:
    names = [engine.name for engine in ENGINES]
    assert len(set(names)) == len(names)
    assert "bpftrace" in names


LISTS = """#!/bin/sh
case $1 in
  --version) echo "bpftrace v0.23.2"; exit ;;
  --help) echo "    --no-warnings           disable all warning messages"; exit ;;
  -l) for name in malloc calloc realloc reallocarray memalign posix_memalign \
        'x{system("id")}uprobe:/x:malloc' 'malloc{system("id")}'; do
        printf '%s\\n' "${2%:*}:$name"; done; exit ;;
esac
echo "given: $*"
cat
"""


def with_process(pid: int) -> Target:
    return replace(API, processes=(replace(API.processes[0], pid=pid),))


def test_allocators_are_found_in_what_a_process_has_mapped(tmp_path: Path) -> None:
    fake(tmp_path, LISTS)
    request = replace(REQUEST, event="malloc")
    me = os.getpid()
    done = run_sidecar(tmp_path, request, with_process(me), TARGET_FILTER="cgroup == 7")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "# unit: bytes" in lines
    (probes,) = [line for line in lines if ":malloc /cgroup == 7/ {" in line]
    paths = re.findall(r"uprobe:([^:]+):malloc", probes)
    libc = next(
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if re.search(r"r-xp.*/libc[.-]", line)
    )
    program = Path("/proc/self/exe").readlink()
    # What is static in the program, and what it has from a library.
    assert set(paths) == {f"/proc/{me}/root{program}", f"/proc/{me}/root{libc}"}
    body = "".join(lines)
    assert "= sum(arg0 * arg1); }" in body
    assert "= sum(arg1); }" in body
    assert "= sum(arg2); }" in body
    # What calls each other counts once, and only functions that are known get into the program.
    returns = next(line for line in lines if line.startswith("uretprobe:"))
    assert returns.count("uretprobe:") == 2 * 4
    assert ":posix_memalign" in returns
    # malloc calls none of them, and a probe at its return would cost twice that at its entry.
    assert ":malloc" not in returns
    blocks = body.split("uprobe:")
    deeper = [block.partition("{")[0] for block in blocks if "@depth[tid]++" in block]
    assert deeper
    assert not any(":malloc" in probes for probes in deeper)
    assert "reallocarray" not in body
    assert "system" not in body
    assert "aligned_alloc" not in body  # there is none


def test_a_path_that_is_no_plain_one_is_not_put_into_a_program(tmp_path: Path) -> None:
    """The target chooses the names of its files, and bpftrace's programs run with rights."""
    fake(tmp_path, LISTS)
    odd = tmp_path / 'x:malloc { system("id") } uprobe'
    shutil.copy("/bin/sleep", odd)
    with subprocess.Popen([odd, "60"]) as target:
        try:
            done = run_sidecar(tmp_path, replace(REQUEST, event="malloc"), with_process(target.pid))
        finally:
            target.kill()
    # Where its files lie in memory may be listed at the end: that is no program.
    program = [line for line in done.stdout.splitlines() if not line.startswith("# mapping ")]
    assert not any("system" in line for line in program)
    assert any(f"uprobe:/proc/{target.pid}/root" in line for line in program)  # its C library


def test_a_target_without_an_allocator_is_told(tmp_path: Path) -> None:
    fake(tmp_path, '#!/bin/sh\n[ "$1" != --version ] || echo bpftrace v0.23.2\n')
    request = replace(REQUEST, event="malloc")
    done = run_sidecar(tmp_path, request, with_process(os.getpid()), TARGET_FILTER="cgroup == 7")
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: no allocator with symbols was found in the target: /proc")


def test_an_idle_cpu_has_no_user_s_side_and_that_is_not_said(tmp_path: Path) -> None:
    fake(tmp_path, LISTS)
    done = run_sidecar(tmp_path, replace(REQUEST, event="wakeup"), TARGET_FILTER="cgroup == 7")
    assert "given: --no-warnings -" in done.stdout
    assert "# extra: waker" in done.stdout.splitlines()
    # A bpftrace that has no such option is not given it.
    fake(tmp_path, LISTS.replace("--no-warnings ", ""))
    done = run_sidecar(tmp_path, replace(REQUEST, event="wakeup"), TARGET_FILTER="cgroup == 7")
    assert "given: -" in done.stdout.splitlines()


def test_system_calls_are_told_with_the_machine_that_numbers_them(tmp_path: Path) -> None:
    fake(tmp_path, LISTS)
    done = run_sidecar(tmp_path, replace(REQUEST, event="syscalls"), TARGET_FILTER="cgroup == 7")
    assert f"# extra: syscall {os.uname().machine}" in done.stdout.splitlines()
