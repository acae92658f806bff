"""The command line. Each command is a file; what is heavy is imported when a command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from remote_prof import __version__, console
from remote_prof.cli import (
    clean,
    config,
    convert,
    diff,
    doctor,
    engines,
    fetch,
    fleet,
    hosts,
    image,
    ps,
    report,
    run,
    runs,
    top,
)
from remote_prof.errors import ExitCode, RemoteProfError

_EPILOG = """
[bold]Examples[/bold]

Profile a container on this machine, for 10 s:

$ remote-prof run --host localhost -c local --container api

Profile one on a host of the inventory, over SSH, and look at the flame graph:

$ remote-prof run --host prod-3 --container api --open

Ask first whether it would work, and what would be done:

$ remote-prof doctor --host prod-3 --container api

$ remote-prof run --host prod-3 --container api --dry-run

[bold]Exit codes[/bold]

0 all well · 1 error · 2 some hosts failed · 3 no usable samples · 4 host unreachable · \
5 bad usage, settings or inventory · 130 interrupted, after the host was cleaned

[bold]Files[/bold]

Settings: remote-prof.toml here or above, over the user's own (`remote-prof config` shows them). \
Inventory: inventory.yml here, or --inventory. Runs: ./results.
"""

app = typer.Typer(
    name="remote-prof",
    help="Profile a container on somebody else's host, and leave nothing behind.\n\n"
    "One command reads the host over SSH, samples the container's stacks in the kernel from a "
    "short-lived sidecar, fetches the result, removes everything, and draws the flame graph here.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        console.write(f"remote-prof {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("run", epilog=run.EXAMPLES)(run.run)
app.command("fetch", epilog=fetch.EXAMPLES)(fetch.fetch)
app.command("clean", epilog=clean.EXAMPLES)(clean.clean)
app.command("ps", epilog=ps.EXAMPLES)(ps.ps)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.command("engines", epilog=engines.EXAMPLES)(engines.engines)
app.command("hosts", epilog=hosts.EXAMPLES)(hosts.hosts)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.command("convert", epilog=convert.EXAMPLES)(convert.convert)
app.command("diff", epilog=diff.EXAMPLES)(diff.diff)
app.command("top", epilog=top.EXAMPLES)(top.top)
app.command("fleet", epilog=fleet.EXAMPLES)(fleet.fleet)
app.add_typer(runs.app, name="runs")
app.add_typer(image.app, name="image")
app.command("config", epilog=config.EXAMPLES)(config.config)


def main() -> None:
    """Run the command line; every failure is one sentence and an exit code."""
    try:
        code = app(standalone_mode=False)
    except RemoteProfError as error:
        console.error(error)
        code = error.exit_code
    except TyperException as error:
        console.error(_usage_error(error))
        code = ExitCode.USAGE
    except (KeyboardInterrupt, Abort):
        console.note("interrupted")
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        code = ExitCode.OK
    except MemoryError:
        console.error(
            RemoteProfError(
                "there is not enough memory here for that",
                hint="look at the size of the raw profile; give less of it at a time",
            )
        )
        code = ExitCode.ERROR
    except OSError as error:
        # Of this machine: a full disk, a directory without rights.
        console.error(RemoteProfError(str(error), hint="is there room, and may you write there?"))
        code = ExitCode.ERROR
    sys.exit(int(code or 0))


def _usage_error(error: TyperException) -> RemoteProfError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "remote-prof"
    format_message = getattr(error, "format_message", None)
    what = format_message() if format_message else str(error)
    return RemoteProfError(what, hint=f"{path} --help")
