"""From one ``-i`` to its reader: a list of hosts, a directory, a program, YAML or INI."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from remote_prof.errors import InventoryError
from remote_prof.inventory.document import Document
from remote_prof.inventory.files import Where, load_text
from remote_prof.inventory.names import split_port
from remote_prof.inventory.read_ini import looks_like_ini, read_ini
from remote_prof.inventory.read_script import Run, read_plugin, read_script
from remote_prof.inventory.read_yaml import is_plugin, read_yaml
from remote_prof.inventory.source import Source
from remote_prof.inventory.vault import Vault

_NO_SOURCES = ("group_vars", "host_vars", "vars_plugins")
_NO_SUFFIXES = (
    *(".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst"),
    *(".orig", ".cfg", ".retry"),
)


@dataclass(frozen=True, slots=True)
class Tools:
    """What reading may need of the outside: programs (none without ``run``), vault passwords.

    ``ansible_options`` are for Ansible's own program, where that is called.
    """

    run: Run | None = None
    ansible_options: tuple[str, ...] = ()
    vault: Vault = field(default_factory=Vault)


def is_host_list(given: str) -> bool:
    """Whether this names hosts and no file, as ``host1,host2,`` does."""
    return "," in given and not Path(given).exists()


def read_source(given: str, source: Source, tools: Tools) -> None:
    """Add what one ``-i`` names. Raises InventoryError."""
    if is_host_list(given):
        _read_list(given, source)
        return
    path = Path(given)
    _read_path(path, source, tools)
    source.beside.append(path if path.is_dir() else path.parent)


def _read_list(listed: str, source: Source) -> None:
    names = [item.strip() for item in listed.split(",") if item.strip()]
    if not names:
        raise InventoryError(
            f"the list of hosts {listed!r} is empty", hint="write it as host1,host2,"
        )
    group = source.group("ungrouped")
    for written in names:
        name, port = split_port(written)
        if "[" in name:
            # Ansible expands no ranges here.
            name, port = written, None
        if port is not None and not 1 <= port <= 65535:
            raise InventoryError(f"the port in {written!r} should be from 1 to 65535")
        source.add_host(group, name, {}, Where(listed, 0), port)


def _read_path(path: Path, source: Source, tools: Tools) -> None:
    if path.is_dir():
        _read_directory(path, source, tools)
    elif not (path.is_file() and os.access(path, os.X_OK)) or not read_script(
        path, source, tools.run
    ):
        _read_file(path, source, tools)


def _read_directory(directory: Path, source: Source, tools: Tools) -> None:
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        raise InventoryError(
            f"the directory {directory} cannot be read: {error.strerror or error}"
        ) from None
    for path in paths:
        if path.name.startswith(".") or path.name in _NO_SOURCES:
            continue
        if not path.name.endswith(_NO_SUFFIXES) and not _is_empty(path):
            _read_path(path, source, tools)


def _is_empty(path: Path) -> bool:
    # What only keeps a place in a directory is no mistake.
    return path.is_file() and not path.stat().st_size


def _read_file(path: Path, source: Source, tools: Tools) -> None:
    if path.suffix == ".toml":
        read_plugin(path, source, tools.run, tools.ansible_options)
        return
    file = load_text(path, tools.vault)
    if file.text.startswith("#!"):
        raise InventoryError(
            f"{path} is an inventory script that may not be executed",
            hint=f"chmod +x {path}; to have it read as text, remove its first line",
        )
    if path.suffix == ".json" or not _is_ini(path, file.text):
        document = Document(file)
        if is_plugin(document):
            read_plugin(path, source, tools.run, tools.ansible_options)
        else:
            read_yaml(document, source, secret=file.secret)
    else:
        read_ini(file, source)


def _is_ini(path: Path, text: str) -> bool:
    return looks_like_ini(text, named_yaml=path.suffix in (".yml", ".yaml"))
