"""``group_vars/`` and ``host_vars/``: files of variables beside an inventory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from remote_prof.errors import InventoryError
from remote_prof.inventory.files import load_text
from remote_prof.inventory.read_yaml import read_mapping
from remote_prof.inventory.source import Owner, Source, Variables, VarsFiles
from remote_prof.inventory.vault import Vault

_SUFFIXES = ("", ".yml", ".yaml", ".json")


def read_vars_files(source: Source, vault: Vault) -> None:
    """Add what lies beside the sources for their groups and hosts. Raises InventoryError.

    The same directory beside two sources counts twice, as in Ansible: at the place of the last.
    """
    known: dict[Path, VarsFiles] = {}
    for directory in source.beside:
        if directory not in known:
            known[directory] = VarsFiles(
                _read(directory, "group_vars", "group", source.groups, source, vault),
                _read(directory, "host_vars", "host", source.hosts, source, vault),
            )
        source.files.append(known[directory])


def _read(
    base: Path,
    folder: str,
    kind: str,
    names: Iterable[str],
    source: Source,
    vault: Vault,
) -> dict[str, Variables]:
    directory = base / folder
    if not directory.is_dir():
        return {}
    # Listed once: asking for four names for each of thousands of hosts takes its time.
    there = {path.name for path in _list(directory)}
    found = {}
    for name in names:
        first = next((name + suffix for suffix in _SUFFIXES if name + suffix in there), None)
        if first is None:
            continue
        variables: Variables = {}
        for path in _files(directory / first):
            text = load_text(path, vault)
            owner = Owner(f"the {kind} {name!r}", base.absolute(), text.secret)
            variables |= read_mapping(text, source, owner)
        found[name] = variables
    return found


def _files(path: Path) -> Iterator[Path]:
    """List a file, or those below a directory that count, in their order."""
    if not path.is_dir():
        yield path
        return
    for below in _list(path):
        if below.name.startswith(".") or below.name.endswith("~"):
            continue
        if below.is_dir():
            if not below.suffix:
                yield from _files(below)
        elif below.suffix in _SUFFIXES:
            yield below


def _list(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError as error:
        raise InventoryError(
            f"the directory {directory} cannot be read: {error.strerror or error}"
        ) from None
