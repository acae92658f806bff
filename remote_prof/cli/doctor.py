"""``remote-prof doctor``: everything that speaks against a run, before there is one."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.cli.completion import remember_containers
from remote_prof.errors import ExitCode, NoSamplesError, RemoteProfError, UsageError
from remote_prof.records import Problem, Severity

if TYPE_CHECKING:
    from remote_prof.host.facts import HostFacts
    from remote_prof.run.prepare import HostJob

_PROBE_S = 0.2
EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof doctor --host prod-3

$ remote-prof doctor -H prod-3 -C api

$ remote-prof doctor -H prod-3 -C api --probe

$ remote-prof doctor -H prod-3 -C api && remote-prof run -H prod-3 -C api

Exit codes: 0 a run would work; 1 it would not; 4 the host cannot be reached.
"""


@flag_sets.connects
def doctor(
    host: options.HostPattern,
    container: options.Container = None,
    label: options.Labels = None,
    inventory: options.Inventory = None,
    engine: options.Engine = None,
    image: options.Image = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Try it for a moment: a sidecar with the narrowest rights that the kernel takes.",
        ),
    ] = False,
    as_json: options.AsJson = False,
    *,
    flags: flag_sets.ConnectFlags,
) -> int:
    """Check a host, or a container on it: all problems at once, each with cause, evidence and fix.

    Changes nothing on the host, unless told to probe.
    """
    from remote_prof.cli.invocation import (
        make_jobs,
        resolve_settings,
        select_hosts,
        target_spec,
    )

    settings = resolve_settings(
        flags.settings() | {"inventory": inventory, "engine": engine, "image": image}
    )
    asked = container is not None or bool(label)
    if probe and not asked:
        raise UsageError("--probe needs something to sample", hint="name a container: -C NAME")
    spec = target_spec(container=container, labels=label, scope="container") if asked else None
    examined = [
        _examine(job, probe=probe)
        for job in make_jobs(select_hosts(host, settings.values, flags), spec, settings)
    ]
    if as_json:
        console.write(
            json.dumps([dataclasses.asdict(found) for found in examined], indent=2) + "\n"
        )
    else:
        for found in examined:
            _show(found)
    codes = {found.exit_code for found in examined}
    return ExitCode.ERROR if ExitCode.ERROR in codes else max(codes)


@dataclasses.dataclass(frozen=True, slots=True)
class _Examined:
    host: str
    exit_code: ExitCode
    facts: dict[str, str]
    problems: tuple[Problem, ...]


def _examine(job: HostJob, *, probe: bool) -> _Examined:
    from remote_prof.run.prepare import open_and_prepare
    from remote_prof.run.record import filter_text

    try:
        [(_, prepared)] = open_and_prepare(job)
    except RemoteProfError as error:
        problem = Problem(Severity.ERROR, error.what, error.evidence, error.hint)
        return _Examined(job.host.name, error.exit_code, {}, (problem,))
    remember_containers(job.host.name, prepared.state.containers)
    facts = _describe(prepared.state.facts)
    if prepared.target is not None:
        facts["target"] = f"{prepared.target.name}, {len(prepared.target.processes)} processes"
    if prepared.plan is not None:
        facts["filter"] = filter_text(prepared.plan)
        rungs = dict.fromkeys(s.sidecar.rung for s in prepared.plan.services)
        facts["privileges"] = "; ".join(rungs)
        facts["runner"] = prepared.plan.runner
    code = ExitCode.ERROR if prepared.errors else ExitCode.OK
    found = _Examined(job.host.name, code, facts, prepared.problems)
    return _probe(job, found) if probe and prepared.plan is not None else found


def _probe(job: HostJob, found: _Examined) -> _Examined:
    """Run for a moment, and say what it took; that nothing was on a CPU then does not matter."""
    from remote_prof.fleet.invocation import run_jobs

    request = job.request
    alone = dataclasses.replace(request, hosts=(job.host.name,), duration_s=_PROBE_S, formats=())
    with tempfile.TemporaryDirectory(prefix="remote-prof-") as place:
        outcome = run_jobs(
            [dataclasses.replace(job, request=alone)],
            results=Path(place),
            watch=lambda *_: None,
            command=sys.argv,
        )
    (result,) = outcome.results
    error = result.error
    # How good a profile of a moment is says nothing.
    known = (*found.problems, *(result.analysis.hints if result.analysis else ()))
    problems = found.problems + tuple(p for p in result.record.problems if p not in known)
    if error is not None and not isinstance(error, NoSamplesError):
        problem = Problem(Severity.ERROR, error.what, error.evidence, error.hint)
        return dataclasses.replace(
            found, exit_code=error.exit_code, problems=(*found.problems, problem)
        )
    proven = [f"{s.rung or 'no rights'}, {s.tool}" for s in result.record.sidecars if s.tool]
    return dataclasses.replace(
        found, facts=found.facts | {"proven": "; ".join(proven)}, problems=problems
    )


def _describe(facts: HostFacts) -> dict[str, str]:
    engine, image = facts.engine, facts.image
    parent = facts.work_parent or next(iter(facts.work_parents), "none")
    free = facts.work_parents.get(parent, 0)
    found = {
        "kernel": f"{facts.kernel} {facts.architecture}, BTF {'yes' if facts.btf else 'no'}",
        "system": facts.os_name,
        "login": f"{facts.login} ({', '.join(facts.groups)})",
        "cgroups": facts.cgroup,
        "engine": f"{engine.path} {engine.version} ({engine.access})" if engine else "none",
        "compose": facts.compose or "none",
        "image": image.image_id if image else "not there",
        "directory": f"{parent}, {free >> 20} MiB free",
    }
    settings = ", ".join(f"{name} {value}" for name, value in sorted(facts.sysctls.items()))
    return found | {"sysctls": settings}


def _show(found: _Examined) -> None:
    console.line(found.host, style="bold")
    for name, value in found.facts.items():
        console.line(f"  {name + ':':<12}{value}")
    for problem in found.problems:
        console.problem(problem)
    works = found.exit_code is ExitCode.OK
    console.line(f"{found.host}: a run would {'work' if works else 'not work'}", style="bold")
