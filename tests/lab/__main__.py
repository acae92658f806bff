"""``python -m tests.lab up|down|status|build``: the lab's command line."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from . import control, machine
from .build import build
from .model import DEFAULT_HOSTS, HostSpec, LabError, default_dir


def parser() -> argparse.ArgumentParser:
    """Give the parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--dir", type=Path, default=default_dir(), help="default: %(default)s")
    hosts = argparse.ArgumentParser(add_help=False)
    hosts.add_argument(
        "--hosts", nargs="+", metavar="SPEC", default=[], help=HostSpec.parse.__doc__
    )
    starts = commands.add_parser(
        "up", parents=[place, hosts], help="start a lab; the last line printed is its inventory"
    )
    starts.add_argument("--api-load", type=float, help="cores that api uses on each host")
    commands.add_parser("down", parents=[place], help="take a lab down without a trace")
    commands.add_parser("status", parents=[place], help="say what is up")
    commands.add_parser("build", parents=[hosts], help="fill the build cache and stop")
    commands.add_parser("check", help="say what this machine lacks for a lab")
    return made


def act(given: argparse.Namespace) -> int:
    """Do what the command line asks for and give the exit code."""
    if given.command == "down":
        if not control.down(given.dir):
            print(f"no lab in {given.dir}", file=sys.stderr)
    elif given.command == "status":
        print("\n".join(control.status(given.dir)))
    elif given.command == "check":
        lacking = machine.missing()
        print("\n".join(lacking) or "nothing is missing")
        return 1 if lacking else 0
    else:
        specs = [HostSpec.parse(text) for text in given.hosts]
        if given.command == "build":
            machine.provide()
            build(specs or DEFAULT_HOSTS)
        else:
            print(control.up(given.dir, specs, given.api_load).inventory)
    return 0


def main() -> int:
    """Run the command line; SIGTERM takes the same way out as Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return act(parser().parse_args())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
