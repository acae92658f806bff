"""``remote-prof top``: the hottest functions of a run's hosts, and which hosts differ."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.errors import NoSamplesError

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof top last

$ remote-prof top last --weight host --limit 50

$ remote-prof top last --json | jq '.hosts\\[] | select(.is_outlier) | .host'

A host's distance is the share of its samples that is elsewhere than on the others.
"""


@flag_sets.shows
def top(
    run: options.RunName,
    limit: Annotated[int, typer.Option(min=1, help="How many functions.")] = 20,
    weight: options.Weight = "samples",
    output: options.Results = None,
    as_json: options.AsJson = False,
    *,
    shown: flag_sets.ViewFlags,
) -> None:
    """List the hottest functions over all hosts of a run, and the hosts that differ."""
    from remote_prof.cli.fleet_summary import show_standings
    from remote_prof.cli.invocation import resolve_settings
    from remote_prof.fleet.files import count_hosts, load_fleet
    from remote_prof.profile.quality import tenths
    from remote_prof.run.directory import RunDirectory

    weighting = options.check_weight(weight)
    directory = RunDirectory.find(run, resolve_settings({"results": output}).values.results)
    manifest = directory.load_manifest()
    fleet = load_fleet(
        directory, manifest, weight_by=weighting, keep_offsets=shown.offsets, view=shown.view()
    )
    hosts = fleet.functions
    missing = [host for host in manifest.hosts if host.name not in hosts]
    if not hosts:
        raise NoSamplesError(
            f"run {manifest.run_id} has no samples",
            evidence="; ".join(f"{host.name}: {host.error or host.status}" for host in missing),
            hint=f"remote-prof runs show {manifest.run_id}",
        )
    functions, standings = fleet.hottest(limit), fleet.standings()
    unit = next(iter(hosts.values())).unit
    total = sum(each.weight for each in hosts.values())
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
    console.line(f"{count_hosts(hosts)}, {total} {unit}, by {weighting}", style="bold")
    rows = [
        (
            *(tenths(share) for share in (hot.self, hot.total)),
            f"{hot.hosts}/{len(hosts)}",
            *(tenths(share) for share in (hot.least, hot.middle, hot.most)),
            hot.name,
        )
        for hot in functions
    ]
    header = ("self", "total", "hosts", "least", "median", "most", "function")
    console.table(header, rows, right=range(len(header) - 1))
    show_standings(standings, manifest.noun)
