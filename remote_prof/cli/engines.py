"""``remote-prof engines``: which profilers there are, and which would work on a host."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.cli.completion import remember_containers
from remote_prof.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remote_prof.engines import Engine
    from remote_prof.records import Problem

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof engines

$ remote-prof engines -H prod-3 -C api

$ remote-prof engines -H prod-3 -C api --json | jq '.[] | select(.works).engine'

Exit codes: 0 each engine was looked at; 1 none of them would work; 4 the host cannot be reached.
"""


@flag_sets.connects
def engines(
    host: options.AnyHostPattern = None,
    container: options.Container = None,
    label: options.Labels = None,
    inventory: options.Inventory = None,
    image: options.Image = None,
    as_json: options.AsJson = False,
    *,
    flags: flag_sets.ConnectFlags,
) -> int:
    """List the engines: what for, what they can measure, and whether they would work on a host.

    Changes nothing on the host.
    """
    from remote_prof.engines import ENGINES

    if host is None and (container is not None or label):
        raise UsageError("a container is on a host", hint="name that too: --host")
    documents: list[dict[str, object]] = [
        {"engine": engine.name, "events": list(engine.events), "purpose": engine.purpose}
        for engine in ENGINES
    ]
    if host is not None:
        there = _there(host, container, label, inventory, image, flags)
        for document, problems in zip(documents, there, strict=True):
            document["works"] = not any(p.severity == "error" for p in problems)
            document["problems"] = [dataclasses.asdict(problem) for problem in problems]
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    elif host is None:
        console.table(
            ("engine", "what for", "events"),
            [(e.name, e.purpose, ", ".join(e.events)) for e in ENGINES],
        )
    else:
        console.table(
            ("engine", "what for", "there"),
            [(e.name, e.purpose, _verdict(e, p)) for e, p in zip(ENGINES, there, strict=True)],
        )
        for problem in dict.fromkeys(problem for problems in there for problem in problems):
            console.problem(problem)
    works = host is None or any(document["works"] for document in documents)
    return ExitCode.OK if works else ExitCode.ERROR


def _there(
    host: str,
    container: str | None,
    label: list[str] | None,
    inventory: list[str] | None,
    image: str | None,
    flags: flag_sets.ConnectFlags,
) -> list[tuple[Problem, ...]]:
    """Return the problems of each engine on one host."""
    from remote_prof.cli.invocation import make_jobs, resolve_settings, select_hosts, target_spec
    from remote_prof.run.prepare import examine_engines

    settings = resolve_settings(flags.settings() | {"inventory": inventory, "image": image})
    hosts = select_hosts(host, settings.values, flags)
    if len(hosts) != 1:
        raise UsageError(
            f"{host} is not one host but {len(hosts)}", hint="look at them one after the other"
        )
    asked = container is not None or bool(label)
    spec = target_spec(container=container, labels=label, scope="container") if asked else None
    (job,) = make_jobs(hosts, spec, settings)
    found = examine_engines(job)
    remember_containers(job.host.name, found[0].state.containers)
    return [prepared.problems for prepared in found]


def _verdict(engine: Engine, problems: Sequence[Problem]) -> str:
    errors = [problem.what for problem in problems if problem.severity == "error"]
    return f"no: {errors[0]}" if errors else f"works, if {engine.program} is in the image"
