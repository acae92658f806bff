"""``remote-prof fetch``: what hosts still hold of a run."""

from __future__ import annotations

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.errors import ExitCode

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof fetch last

$ remote-prof fetch 20260131-235959-1a2b3c --json | jq .hosts[0].quality

`remote-prof run --resume RUN` does this too, and begins what had not begun.
"""


@flag_sets.connects
def fetch(
    run: options.RunName,
    inventory: options.Inventory = None,
    output: options.Results = None,
    max_artifact_size: options.MaxArtifactSize = None,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    *,
    flags: flag_sets.ConnectFlags,
) -> int:
    """Get what hosts still hold of a run, clean them, and draw the flame graphs.

    For a run whose link was lost, or whose own process has died. Hosts keep what was sampled for
    an hour; a sampling that still goes on is followed to its end.
    """
    from remote_prof.cli.invocation import resolve_settings
    from remote_prof.cli.resuming import resumed_jobs
    from remote_prof.cli.running import finish, listening
    from remote_prof.fleet.invocation import held_jobs, resume_jobs
    from remote_prof.run.directory import RunDirectory

    settings = resolve_settings(
        flags.settings()
        | {"inventory": inventory, "results": output, "max_artifact_size": max_artifact_size}
    )
    directory = RunDirectory.find(run, settings.values.results)
    resumed = resumed_jobs(directory, settings, flags)
    jobs = [held for job in resumed for held in held_jobs(job, directory)]
    if not jobs:
        console.note(f"no host holds anything of run {directory.path.name}")
        return ExitCode.OK
    with listening(jobs) as told:
        outcome = resume_jobs(jobs, directory, told.stage, ended=told.host, parted=told.targets)
    return finish(outcome, as_json=as_json, verbose=verbose)
