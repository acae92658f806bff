"""``remote-prof top``: the hottest functions of a run's hosts, and which hosts differ."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.errors import NoSamplesError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remote_prof.profile.outliers import Standing

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof top last

$ remote-prof top last --weight host --limit 50

$ remote-prof top last --json | jq '.hosts\\[] | select(.is_outlier) | .host'

A host's distance is the share of its samples that is elsewhere than on the others.
"""

_MOST_DIFFERENCES = 3


@flag_sets.shows
def top(
    run: options.RunName,
    limit: Annotated[int, typer.Option(min=1, help="How many functions.")] = 20,
    weight: Annotated[
        str,
        typer.Option(
            metavar="samples|host",
            help="Whether a host with more samples counts for more, or all the same.",
        ),
    ] = "samples",
    output: options.Results = None,
    as_json: options.AsJson = False,
    *,
    shown: flag_sets.ViewFlags,
) -> None:
    """List the hottest functions over all hosts of a run, and the hosts that differ."""
    from remote_prof.cli.invocation import resolve_settings
    from remote_prof.profile.hottest import WEIGHTINGS, hottest
    from remote_prof.profile.outliers import rank_hosts
    from remote_prof.profile.quality import tenths
    from remote_prof.run.directory import RunDirectory
    from remote_prof.run.remake import load_analysis

    weighting = next((each for each in WEIGHTINGS if each == weight), None)
    if weighting is None:
        raise UsageError(f"--weight {weight!r}: it is {' or '.join(WEIGHTINGS)}")
    directory = RunDirectory.find(run, resolve_settings({"results": output}).values.results)
    manifest = directory.load_manifest()
    profiles = {}
    for host in manifest.hosts:
        analysis = load_analysis(
            directory, manifest, host, keep_offsets=shown.offsets, view=shown.view()
        )
        if analysis is not None and analysis.profile.weights:
            profiles[host.name] = analysis.profile
    missing = [host for host in manifest.hosts if host.name not in profiles]
    if not profiles:
        raise NoSamplesError(
            f"run {manifest.run_id} has no samples",
            evidence="; ".join(f"{host.name}: {host.error or host.status}" for host in missing),
            hint=f"remote-prof runs show {manifest.run_id}",
        )
    functions = hottest(profiles, weighting)[:limit]
    standings = rank_hosts(profiles)
    unit = next(iter(profiles.values())).unit
    total = sum(profile.total for profile in profiles.values())
    if as_json:
        document = {
            "run": manifest.run_id,
            "unit": unit,
            "weight": total,
            "functions": [asdict(each) for each in functions],
            "hosts": [asdict(each) for each in standings],
            "without_samples": {host.name: host.error or host.status for host in missing},
        }
        console.write(json.dumps(document, indent=2) + "\n")
        return
    for host in missing:
        console.note(f"{host.name} has no samples: {host.error or host.status}")
    console.line(f"{len(profiles)} hosts, {total} {unit}, by {weighting}", style="bold")
    rows = [
        (
            *(tenths(share) for share in (hot.self, hot.total)),
            f"{hot.hosts}/{len(profiles)}",
            *(tenths(share) for share in (hot.least, hot.middle, hot.most)),
            hot.name,
        )
        for hot in functions
    ]
    header = ("self", "total", "hosts", "least", "median", "most", "function")
    console.table(header, rows, right=range(len(header) - 1))
    show_standings(standings)


def show_standings(standings: Sequence[Standing]) -> None:
    """Print the hosts that differ from the others, and in what."""
    from remote_prof.profile.quality import tenths

    if not standings:
        return
    outliers = [standing for standing in standings if standing.is_outlier]
    console.line("")
    if not outliers:
        console.line(f"no host differs from the others; the farthest: {_far(standings[0])}")
        return
    console.line(f"{len(outliers)} of {len(standings)} hosts differ from the others", style="bold")
    for standing in outliers:
        console.line(_far(standing))
        for difference in standing.differences[:_MOST_DIFFERENCES]:
            console.line(
                f"  {tenths(difference.here):>7} here, {tenths(difference.rest):>7} there:"
                f" {difference.function.name}"
            )


def _far(standing: Standing) -> str:
    from remote_prof.profile.quality import tenths

    noise = f" (chance alone: {tenths(standing.noise)})" if standing.noise is not None else ""
    return f"{standing.host}, {tenths(standing.distance)} of it elsewhere{noise}"
