"""What a profiled program pays: its pace alone, with each engine and event, and with them by hand.

A container of the lab does one kind of thing as often as it can: computes, switches between two
threads on one CPU, faults pages, allocates, calls the kernel, or runs Python, Node.js, Java or Go.
In turns: alone, profiled by ``remote-prof run``, and by the same tool by hand (bpftrace: a program
of one line; Java: the JDK's own settings; Node.js has no tool that is used from outside).
Printed are the pace as a ratio of that alone, with its spread over the rounds, and what one event
costs more. For the events that count, that is the worst case: a program that does nothing else.
Then how long it takes from the start of a run to the first sample.

    python -m benchmarks.target_overhead [--rounds 5] [--seconds 2]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import Lab, LabHost
from tests.lab.control import down, up
from tests.lab.model import LANGUAGES_IMAGE, SIDECAR_IMAGE, TARGET_IMAGE, HostSpec, enter
from tests.lab.targets import JAVA_OPTIONS
from tests.lab.tool import SAMPLING, Running, Tool

CONTAINER = "bench"
_WAITS = ("/opt/app/waits", "count")
_COMPUTES = (TARGET_IMAGE, *_WAITS, "compute")
_PYTHON = (LANGUAGES_IMAGE, "python3", "/opt/app/app.py", "count")
WORK = {
    "cpu": _COMPUTES,
    "offcpu": (TARGET_IMAGE, *_WAITS, "switch"),
    "wakeup": (TARGET_IMAGE, *_WAITS, "switch"),
    "lock": (TARGET_IMAGE, *_WAITS, "switch"),
    "page-faults": (TARGET_IMAGE, *_WAITS, "fault"),
    "malloc": (TARGET_IMAGE, *_WAITS, "malloc"),
    "syscalls": (TARGET_IMAGE, *_WAITS, "syscall"),
    "perf": _COMPUTES,
    "perf-dwarf": _COMPUTES,
    "pyspy": _PYTHON,
    "austin": _PYTHON,
    "node": (LANGUAGES_IMAGE, "node", "/opt/app/app.js", "count"),
    "java": (LANGUAGES_IMAGE, "java", *JAVA_OPTIONS, "App", "count"),
    "gopprof": (LANGUAGES_IMAGE, "/opt/app/app-go", "6060", "count"),
}
"""The image and the command that each event of bpftrace, or engine, is measured on."""

ENGINES = {
    "perf": ("--engine", "perf"),
    "perf-dwarf": ("--engine", "perf", "--call-graph", "dwarf"),
    **{name: ("--engine", name) for name in ("pyspy", "austin", "node", "java", "gopprof")},
}
"""What asks ``run`` for each that is no event of bpftrace."""

_WAIT = "{ @since[tid] = nsecs; }"
_WAITED = "@[comm, kstack, ustack] = sum(nsecs - @since[tid]); delete(@since[tid]);"
BY_HAND = {
    "cpu": "profile:hz:99 /FILTER/ { @[comm, kstack, ustack] = count(); }",
    "offcpu": "tracepoint:sched:sched_switch { if (FILTER) { @since[args->prev_pid] = nsecs; }"
    " if (@since[args->next_pid]) { @[args->next_comm, kstack, ustack] ="
    " sum(nsecs - @since[args->next_pid]); delete(@since[args->next_pid]); } }",
    "wakeup": "tracepoint:sched:sched_switch /FILTER/ { @since[args->prev_pid] = nsecs; }"
    " tracepoint:sched:sched_waking /@since[args->pid]/ { @[args->comm, comm, kstack, ustack] ="
    " sum(nsecs - @since[args->pid]); delete(@since[args->pid]); }",
    "lock": "tracepoint:syscalls:sys_enter_futex /FILTER/ "
    + _WAIT
    + " tracepoint:syscalls:sys_exit_futex /@since[tid]/ { "
    + _WAITED
    + " }",
    "page-faults": "software:page-faults:1 /FILTER/ { @[comm, kstack, ustack] = count(); }",
    "malloc": "uprobe:/proc/PID/root/opt/app/waits:malloc /FILTER/ { @[ustack] = sum(arg0); }",
    "syscalls": "tracepoint:raw_syscalls:sys_enter /FILTER/"
    " { @[comm, args->id, kstack, ustack] = count(); }",
}
_PERF = (
    "perf record -F 99 -g %s -p PID -o /tmp/x -- sleep SECONDS >/dev/null 2>&1;"
    " perf script --no-inline -i /tmp/x"
)
SCRIPTS_BY_HAND = {
    "perf": _PERF % "",
    "perf-dwarf": _PERF % "--call-graph dwarf,8192",
    "pyspy": "py-spy record --pid 1 --rate 99 --duration SECONDS --format raw --output /dev/stdout",
    "austin": "austin -c -i 10ms -x SECONDS -p 1 | base64",
    "java": """
jattach 1 jcmd "JFR.start name=x settings=profile filename=/tmp/x.jfr" >/dev/null
sleep SECONDS
jattach 1 jcmd "JFR.stop name=x" >/dev/null; rm -f /proc/1/root/tmp/x.jfr
""",
    "gopprof": """exec 3<>/dev/tcp/127.0.0.1/6060
printf 'GET /debug/pprof/profile?seconds=SECONDS HTTP/1.0\\r\\n\\r\\n' >&3; base64 <&3
""",
}
"""What a shell in the sidecar's image runs, by engine; of Node.js there is nothing like it."""

WANTED_CPU = 0.01  # of the pace, at 99 Hz


@contextmanager
def working(host: LabHost, what: str) -> Iterator[int]:
    """Have the container do one kind of thing; give its pid on the host."""
    host.docker("run", "-d", "--name", CONTAINER, "--network", "none", *WORK[what])
    try:
        time.sleep(0.5)
        yield int(host.docker("inspect", "-f", "{{.State.Pid}}", CONTAINER))
    finally:
        host.docker("rm", "-f", CONTAINER)


def pace(host: LabHost, seconds: float) -> float:
    """Return how often a second it is done, over so long."""

    def told() -> tuple[int, int]:
        at_ns, _, done = host.docker("logs", "--tail", "1", CONTAINER).split()
        return int(at_ns), int(done)

    begun_ns, before = told()
    time.sleep(seconds)
    ended_ns, after = told()
    return 1e9 * (after - before) / (ended_ns - begun_ns)


def profiled(tool: Tool, host: LabHost, event: str, seconds: float) -> tuple[float, float]:
    """Return the pace during a run, and the seconds from its start to its first sample."""
    begun = time.monotonic()
    asked = ENGINES.get(event, ("--engine", "bpftrace", "--event", event))
    argv = ("run", "-H", host.name, "-C", CONTAINER, *asked, "--format", "folded")
    running: Running = tool.start(*argv, "-d", seconds + 3)
    running.wait_for(SAMPLING)
    started_s = time.monotonic() - begun
    time.sleep(0.5)
    found = pace(host, seconds)
    done = running.end()
    if done.code:
        raise SystemExit(done.err)
    return found, started_s


def by_hand(host: LabHost, pid: int, event: str, seconds: float) -> float:
    """Return the pace while the same tool runs in a container that was started by hand."""
    argv = ["docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL"]
    argv += ["--cap-add", "SYS_PTRACE"]
    script = SCRIPTS_BY_HAND.get(event, "")
    if event.startswith("perf"):
        argv += ["--pid", "host", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_CHROOT"]
        argv += ["--cap-add", "SYSLOG"]
    elif event == "gopprof":
        argv[argv.index("none")] = f"container:{CONTAINER}"
    elif script:
        argv += ["--pid", f"container:{CONTAINER}"]
    else:
        argv += ["--pid", "host", "--cap-add", "SYS_ADMIN", "--cap-add", "SYSLOG"]
        argv += ["-v", "/sys/kernel/tracing:/sys/kernel/tracing:ro"]
        argv += ["-e", "BPFTRACE_MAX_MAP_KEYS=65536", "--entrypoint", "bpftrace"]
        argv += [SIDECAR_IMAGE, "-e", _program(pid, event, seconds)]
    if script:
        words = script.replace("PID", str(pid)).replace("SECONDS", str(round(seconds + 3)))
        argv += ["--entrypoint", "bash", SIDECAR_IMAGE, "-c", f"echo begun; {words}"]
    with subprocess.Popen(
        [*enter(host.anchor.pid), *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()  # it has begun
        time.sleep(1.0)
        found = pace(host, seconds)
        running.stdout.read()
    if running.returncode:
        raise SystemExit(f"by hand: exit code {running.returncode}")
    return found


def _program(pid: int, event: str, seconds: float) -> str:
    unified = next(
        line[3:]
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        if line.startswith("0::")
    )
    roots = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
    root = next(root for root in roots if (root / "cgroup.controllers").exists())
    group = (root / unified.lstrip("/")).stat().st_ino
    program = BY_HAND[event].replace("FILTER", f"cgroup == {group}").replace("PID", str(pid))
    return f"{program} interval:s:{round(seconds + 3)} {{ exit(); }}"


def measure(lab: Lab, event: str, seconds: float, rounds: int) -> None:
    """Print what an event costs."""
    host = next(iter(lab.hosts.values()))
    ratios: dict[str, list[float]] = {"remote-prof": [], "by hand": []}
    more_ns: dict[str, list[float]] = {"remote-prof": [], "by hand": []}
    starts: list[float] = []
    with tempfile.TemporaryDirectory() as place, working(host, event) as pid:
        tool = Tool(lab, Path(place))
        for _ in range(rounds):
            before = pace(host, seconds)
            ours, started_s = profiled(tool, host, event, seconds)
            between = pace(host, seconds)
            took = {"remote-prof": ours}
            if event in BY_HAND or event in SCRIPTS_BY_HAND:
                took["by hand"] = by_hand(host, pid, event, seconds)
            after = pace(host, seconds)
            starts.append(started_s)
            alone = {"remote-prof": (before + between) / 2, "by hand": (between + after) / 2}
            for name, found in took.items():
                ratios[name].append(found / alone[name])
                more_ns[name].append(1e9 / found - 1e9 / alone[name])
    for name, values in ((name, values) for name, values in ratios.items() if values):
        lost = 1 - statistics.median(values)
        goal = f"  wanted {WANTED_CPU:.0%}" if (event, name) == ("cpu", "remote-prof") else ""
        print(
            f"  {event:12} {name:12} pace {statistics.median(values):6.3f}"
            f"  (min {min(values):.3f}, max {max(values):.3f})  lost {lost:6.1%}"
            f"  {statistics.median(more_ns[name]):8.0f} ns each{goal}"
        )
    print(f"  {event:12} first sample {statistics.median(starts):.2f} s after the start")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--events", nargs="*", default=list(WORK))
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="remote-prof-bench-"))
    try:
        lab = up(directory, [HostSpec.parse("prod-3")], api_load=0.02)
        # The other targets would take turns with what is measured.
        for host in lab.hosts.values():
            host.docker("rm", "-f", *host.docker("ps", "-aq").split())
        print("the pace of a program that does one thing as often as it can, alone = 1:")
        for event in given.events:
            measure(lab, event, given.seconds, given.rounds)
    finally:
        down(directory)


if __name__ == "__main__":
    main()
