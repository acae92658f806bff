"""``remote-prof runs``: what earlier runs left here."""

from __future__ import annotations

import json

import typer

from remote_prof import console
from remote_prof.cli import options
from remote_prof.errors import UsageError

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof runs

$ remote-prof runs show last

$ remote-prof runs show 20260131 --json | jq .hosts[0].timings_s
"""

app = typer.Typer(help="List earlier runs, or show one.", epilog=EXAMPLES)


@app.callback(invoke_without_command=True)
def _runs(
    context: typer.Context, output: options.Results = None, as_json: options.AsJson = False
) -> None:
    if context.invoked_subcommand is None:
        list_(output, as_json)
    elif output is not None or as_json:
        raise UsageError(
            "options of a subcommand come after it",
            hint=f"remote-prof runs {context.invoked_subcommand} --help",
        )


@app.command("list", epilog=EXAMPLES)
def list_(output: options.Results = None, as_json: options.AsJson = False) -> None:
    """List the runs, oldest first."""
    from remote_prof.cli.invocation import resolve_settings
    from remote_prof.run.directory import list_runs

    results = resolve_settings({"results": output}).values.results
    rows, documents = [], []
    for directory in list_runs(results):
        try:
            manifest = directory.load_manifest()
        except UsageError as error:
            console.error(error)
            continue
        statuses = [f"{host.name} {host.status}" for host in manifest.hosts]
        samples = sum(host.quality.got for host in manifest.hosts if host.quality)
        rows.append((manifest.run_id, manifest.request.target, ", ".join(statuses), str(samples)))
        documents.append(
            {
                "run": manifest.run_id,
                "target": manifest.request.target,
                "hosts": {host.name: host.status for host in manifest.hosts},
                "samples": samples,
            }
        )
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    else:
        console.table(("run", "target", "hosts", "samples"), rows, right=(3,))


@app.command("show", epilog=EXAMPLES)
def show(
    run: options.RunName, output: options.Results = None, as_json: options.AsJson = False
) -> None:
    """Show one run: what was asked, what came of it, which files there are."""
    from remote_prof.cli import summary
    from remote_prof.cli.invocation import resolve_settings
    from remote_prof.run.directory import RunDirectory
    from remote_prof.run.manifest import dump_manifest

    results = resolve_settings({"results": output}).values.results
    directory = RunDirectory.find(run, results)
    manifest = directory.load_manifest()
    if as_json:
        console.write(dump_manifest(manifest).decode())
    else:
        summary.show_manifest(manifest, directory)
