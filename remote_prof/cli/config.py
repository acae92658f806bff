"""``remote-prof config``: each setting, and where it came from."""

from __future__ import annotations

import json

from remote_prof import console
from remote_prof.cli import options

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof config

$ REMOTE_PROF_DURATION=30s remote-prof config

Later ones win: defaults, the user's remote-prof.toml, the project's, REMOTE_PROF_*, flags.
"""


def config(as_json: options.AsJson = False) -> None:
    """Show the settings that hold here."""
    from remote_prof.cli.invocation import resolve_settings

    resolved = resolve_settings({})
    rows = [(s.name, _text(s.value), s.source) for s in resolved.settings]
    if as_json:
        documents = [{"name": n, "value": v, "source": source} for n, v, source in rows]
        console.write(json.dumps(documents, indent=2) + "\n")
    else:
        console.table(("setting", "value", "from"), rows)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= 1 << 20 and value % (1 << 20) == 0:
        return f"{value >> 20}MiB"
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)
