"""Shell completion of names that are known without asking a host.

Hosts come from the inventory, containers from what earlier commands saw on a host. A completion
never fails: where something is wrong, it knows no names. Hosts and inventories of others can call
things what they like, and zsh evaluates what is completed: only names of harmless characters are
offered.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from remote_prof.host.containers import Container

_MOST_HOSTS = 500
_HARMLESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@/+-]*")


def complete_host(context: typer.Context, incomplete: str) -> list[str]:
    """Return hosts and groups of the inventory that begin with what was typed."""
    from remote_prof.errors import RemoteProfError
    from remote_prof.inventory import resolve_inventory
    from remote_prof.settings import load_settings

    try:
        flags = {"inventory": context.params.get("inventory")}
        settings = load_settings(Path.cwd(), os.environ, flags).values
        # Nothing is run and nobody is asked while a name is typed.
        inventory = resolve_inventory(settings.inventory, Path.cwd())
    except RemoteProfError:
        return []
    names = [host.name for host in inventory.hosts] + list(inventory.groups) + ["localhost"]
    return sorted(set(_offered(names, incomplete)))


def complete_container(context: typer.Context, incomplete: str) -> list[str]:
    """Return containers that were seen on the host of the command line, or on any."""
    known = _load()
    host = context.params.get("host")
    lists = [known[host]] if host in known else list(known.values())
    return sorted(set(_offered([name for names in lists for name in names], incomplete)))


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of the runs in the results directory, newest first."""
    return _offered(_runs(_results(context.params.get("output"))), incomplete)


def complete_profile(context: typer.Context, incomplete: str) -> list[str]:
    """Return runs, or the hosts of a run once its name and a slash stand there, and files."""
    from remote_prof.errors import RemoteProfError
    from remote_prof.run.directory import RunDirectory

    results = _results(context.params.get("results"))
    begun, slash, _ = incomplete.rpartition("/")
    if not slash:
        return _offered([*_runs(results), *_files(Path())], incomplete)
    try:
        manifest = RunDirectory.find(begun, results or Path()).load_manifest()
    except RemoteProfError:
        return _offered(_files(Path(begun)), incomplete)
    return _offered([f"{begun}/{host.name}" for host in manifest.hosts], incomplete)


def _results(flag: str | None) -> Path | None:
    from remote_prof.errors import RemoteProfError
    from remote_prof.settings import load_settings

    try:
        return load_settings(Path.cwd(), os.environ, {"results": flag}).values.results
    except RemoteProfError:
        return None


def _runs(results: Path | None) -> list[str]:
    from remote_prof.run.directory import list_runs

    if results is None:
        return []
    return [*(run.path.name for run in reversed(list_runs(results))), "last"]


def _files(directory: Path) -> list[str]:
    try:
        found = sorted(directory.iterdir())
    except OSError:
        return []
    return [f"{path}/" if path.is_dir() else str(path) for path in found]


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and _HARMLESS.fullmatch(name)]


def remember_containers(host: str, containers: Iterable[Container]) -> None:
    """Note which containers a host has; a place that cannot be written to is no error."""
    from remote_prof.run.directory import write_atomically

    known = _load()
    known.pop(host, None)
    known[host] = sorted({container.name for container in containers})
    for oldest in list(known)[: -_MOST_HOSTS or None]:
        del known[oldest]
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_file(), json.dumps(known).encode())
    except OSError:
        return


def _file() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("remote-prof") / "containers.json"


def _load() -> dict[str, list[str]]:
    try:
        found = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        host: [name for name in names if isinstance(name, str)]
        for host, names in found.items()
        if isinstance(names, list)
    }
