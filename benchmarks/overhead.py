"""What a run costs beyond the sampling, against the same procedure done by hand.

By hand: scp the two files, ssh ``docker inspect``, ssh the compose run, scp the result, fold it
and draw it (here by ``remote-prof convert`` in a warm process, which costs by-hand nothing: the
usual scripts are slower). Both sides use the same sidecar, the same login and, where a delay is
asked for, the same delaying proxy. They take turns, so that a machine that is slow for a while is
slow for all.

    python -m benchmarks.overhead [--rounds 5] [--duration 5] [--lab DIR]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from remote_prof.render import RENDERERS
from remote_prof.run.convert import read_profiles, report_of
from tests.lab import Lab, LabHost
from tests.lab.control import down, up
from tests.lab.model import HostSpec
from tests.lab.proxy import Proxy

CONTAINER = "api"
PROGRAM = Path(sys.executable).with_name("remote-prof")
# The bounds that the project has set itself, as ratios of by-hand.
WANTED = {("compose", 0): 0.6, ("engine", 0): 0.5, ("compose", 100): 0.4, ("engine", 100): 0.4}
HELP_WANTED = 2.5


class Link:
    """The way to a lab host, perhaps with a delay in it, for ssh and for remote-prof."""

    def __init__(self, lab: Lab, host: LabHost, address: str, port: int, scratch: Path) -> None:
        self.host = host
        known = lab.known_hosts
        entries = [line.split(" ", 1)[1] for line in known.read_text().splitlines() if line]
        keys = scratch / "known_hosts"
        keys.write_text("".join(f"[{address}]:{port} {entry}\n" for entry in entries))
        identity = lab.key
        options = ["-F", "none", "-i", str(identity), "-o", f"UserKnownHostsFile={keys}"]
        options += ["-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
        self.ssh = ["ssh", *options, "-p", str(port), f"ops@{address}"]
        self.scp = ["scp", "-q", *options, "-P", str(port)]
        self.remote = f"ops@{address}"
        inventory = {
            "all": {
                "hosts": {
                    host.name: {
                        "ansible_host": address,
                        "ansible_port": port,
                        "ansible_user": "ops",
                        "ansible_ssh_private_key_file": str(identity),
                        "remote_prof_known_hosts": str(keys),
                    }
                }
            }
        }
        self.inventory = scratch / "inventory.yml"
        self.inventory.write_text(json.dumps(inventory))


@contextmanager
def link(lab: Lab, delay_ms: int) -> Iterator[Link]:
    """Open the way to the lab's one host; ``delay_ms`` is added to each round trip."""
    host = next(iter(lab.hosts.values()))
    target = (host.address, host.port)
    with tempfile.TemporaryDirectory() as scratch:
        if not delay_ms:
            yield Link(lab, host, *target, Path(scratch))
            return
        with Proxy(target, delay_s=delay_ms / 2000) as proxy:
            yield Link(lab, host, proxy.address, proxy.port, Path(scratch))


def by_hand(way: Link, files: Path) -> None:
    """Do what one did before there was a tool: four logins, and the drawing."""
    _call([*way.scp, str(files / "compose.yml"), str(files / "run.sh"), f"{way.remote}:/tmp"])
    pid = _call([*way.ssh, f"docker inspect --format '{{{{.State.Pid}}}}' {CONTAINER}"]).strip()
    _call([*way.ssh, f"cd /tmp && TARGET_PID={pid} sh run.sh"])
    result = files / "profile.txt"
    _call([*way.scp, f"{way.remote}:/tmp/profile.txt", str(result)])
    profile = read_profiles([("profile.txt", result.read_bytes())])
    data = RENDERERS["svg"].render(report_of(profile, [], title="by hand"))
    (files / "flamegraph.svg").write_bytes(data)


def files_by_hand(way: Link, duration_s: float, files: Path) -> None:
    """Write the two files: the compose file of a dry run, and the line that starts it."""
    (plan,) = json.loads(_remote_prof(way, duration_s, "compose", "--dry-run"))
    (files / "compose.yml").write_text(plan["files"]["compose.yml"])
    (files / "run.sh").write_text("docker compose run --rm -T profile > profile.txt\n")


def with_tool(way: Link, duration_s: float, runner: str) -> dict[str, float]:
    """Run the tool; return what its manifest says of the run."""
    manifest = json.loads(_remote_prof(way, duration_s, runner))
    found: dict[str, float] = dict(manifest["hosts"][0]["timings_s"])
    found["round trips"] = manifest["hosts"][0]["round_trips"]
    return found


def _remote_prof(way: Link, duration_s: float, runner: str, *more: str) -> str:
    arguments = ["run", "-i", str(way.inventory), "-H", way.host.name, "-C", CONTAINER, "--json"]
    arguments += ["-d", f"{duration_s:g}", "--runner", runner, "-o", str(way.inventory.parent)]
    return _call([str(PROGRAM), *arguments, *more])


def _call(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\nexit code {done.returncode}\n{done.stderr}")
    return done.stdout


def _beyond(duration_s: float, work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun - duration_s


def measure_link(lab: Lab, delay_ms: int, duration_s: float, rounds: int) -> None:
    """Print the figures of one link."""
    seconds: dict[str, list[float]] = {"by hand": [], "compose": [], "engine": []}
    stages: dict[str, dict[str, float]] = {}
    with link(lab, delay_ms) as way, tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch)
        files_by_hand(way, duration_s, files)

        def run_tool(runner: str) -> None:
            stages[runner] = with_tool(way, duration_s, runner)

        for number in range(rounds + 1):
            taken = {
                "by hand": _beyond(duration_s, lambda: by_hand(way, files)),
                "compose": _beyond(duration_s, lambda: run_tool("compose")),
                "engine": _beyond(duration_s, lambda: run_tool("engine")),
            }
            if number:  # the first round warms caches
                for name, value in taken.items():
                    seconds[name].append(value)
    print(f"\nround trip + {delay_ms} ms: seconds beyond the {duration_s:g} s of sampling")
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(values, seconds["by hand"], strict=True)]
        ratio = statistics.median(ratios)
        wanted = WANTED.get((name, delay_ms))
        goal = f"  wanted {wanted}" if wanted else ""
        print(
            f"  {name:8} median {statistics.median(values):5.2f}"
            f"  min {min(values):5.2f}  max {max(values):5.2f}  ratio {ratio:4.2f}{goal}"
        )
    for runner, stage in stages.items():
        text = ", ".join(f"{name} {value:g}" for name, value in stage.items())
        print(f"  stages of the last run by {runner}: {text}")


def measure_help(rounds: int) -> None:
    """Print what the start of the program costs, against the library that it is made with."""
    commands = {"--help": [str(PROGRAM), "--help"], "typer": [sys.executable, "-c", "import typer"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(4 * rounds + 1):
        for name, argv in commands.items():
            taken = _beyond(0, partial(_call, argv))
            if number:
                seconds[name].append(taken)
    ratios = [a / b for a, b in zip(seconds["--help"], seconds["typer"], strict=True)]
    print(
        f"\nremote-prof --help: median {statistics.median(seconds['--help']):.2f} s, ratio to"
        f" `import typer` {statistics.median(ratios):.2f}  wanted {HELP_WANTED}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=float, default=5.0)
    parser.add_argument("--delays-ms", type=int, nargs="*", default=[0, 100])
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="remote-prof-bench-"))
    try:
        lab = up(directory, [HostSpec.parse("prod-3")], api_load=0.1)
        for delay_ms in given.delays_ms:
            measure_link(lab, delay_ms, given.duration, given.rounds)
        measure_help(given.rounds)
    finally:
        down(directory)


if __name__ == "__main__":
    main()
