"""Inventories that a program prints: executable scripts, and Ansible's own inventory plugins.

Both print the JSON of ``ansible-inventory --list``: groups with ``hosts``, ``vars`` and
``children``, and ``_meta`` with the variables of all hosts. A script without ``_meta`` is asked for
each host.
https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote_prof.errors import HostError, InventoryError
from remote_prof.inventory.files import Where
from remote_prof.inventory.frozen import EncryptedText, UnsafeText, freeze
from remote_prof.inventory.source import Owner, RawGroup, Source, Variables

if TYPE_CHECKING:
    from remote_prof.transport import Result

Run = Callable[[Sequence[str]], "Result"]
"""Starts a program with its arguments and waits for its end. Raises HostError."""

_SHORT = 200


def read_script(path: Path, source: Source, run: Run | None) -> bool:
    """Add what an executable prints; False where it is no program. Raises InventoryError."""
    program = str(path.absolute())
    starts_as_script = _begins_like_a_program(path)
    if run is None:
        if not starts_as_script:
            return False
        raise InventoryError(f"{path} is an inventory script, and none is run here")
    try:
        result = run([program, "--list"])
    except HostError as error:
        # A file system without rights makes everything executable.
        if not starts_as_script:
            return False
        raise _failed(path, error.what, error.evidence) from None
    listing = _parse(path, "--list", result)

    def ask(host: str) -> Mapping[str, Any]:
        try:
            result = run([program, "--host", host])
        except HostError as error:
            raise _failed(path, error.what, error.evidence) from None
        if not result.exit_code and not result.stdout.strip():
            return {}
        return _parse(path, f"--host {host}", result)

    _Reader(path, source, ask).read(listing)
    return True


def read_plugin(path: Path, source: Source, run: Run | None, options: Sequence[str] = ()) -> None:
    """Have Ansible read what only Ansible can, and add that. Raises InventoryError."""
    program = shutil.which("ansible-inventory")
    if program is None or run is None:
        raise InventoryError(
            f"{path} is read by a plugin of Ansible, and there is no ansible-inventory here",
            hint="install ansible-core and the plugin's collection here, or save the hosts "
            f"elsewhere: ansible-inventory -i {path.name} --list --yaml > hosts.yml",
        )
    # With --export, variables stay with their groups: other sources may still win over them.
    try:
        result = run([program, "-i", str(path.absolute()), "--list", "--export", *options])
    except HostError as error:
        raise _failed(path, error.what, error.evidence) from None
    listing = _parse(path, "ansible-inventory", result)
    if not any(isinstance(group, dict) and group.get("hosts") for group in listing.values()):
        said = _last_line(result.stderr)
        if said:
            raise _failed(path, "ansible-inventory finds no hosts", said)
    _Reader(path, source, lambda _: {}).read(listing)


def _begins_like_a_program(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            begin = file.read(4)
    except OSError:
        return True
    return begin.startswith(b"#!") or begin == b"\x7fELF"


def _parse(path: Path, asked: str, result: Result) -> dict[str, Any]:
    if result.exit_code:
        raise _failed(
            path, f"{asked}: it ends with exit code {result.exit_code}", _last_line(result.stderr)
        )
    try:
        found = json.loads(result.stdout.decode(), object_hook=_marked)
    except UnicodeDecodeError:
        raise _failed(path, f"{asked}: what it prints is not UTF-8 text", "") from None
    except (ValueError, RecursionError) as error:
        begin = " ".join(result.stdout[:_SHORT].decode("utf-8", "replace").split())
        said = str(error) if isinstance(error, ValueError) else "it is nested too deep"
        raise _failed(path, f"{asked}: it prints no JSON: {said}", begin[:80]) from None
    if not isinstance(found, dict):
        raise _failed(path, f"{asked}: it prints no mapping of groups", _kind(found))
    return found


def _marked(value: dict[str, Any]) -> Any:
    """Take the two signs that Ansible puts at values for what they mean."""
    if value.keys() == {"__ansible_vault"} and isinstance(value["__ansible_vault"], str):
        return EncryptedText(value["__ansible_vault"])
    if value.keys() == {"__ansible_unsafe"} and isinstance(value["__ansible_unsafe"], str):
        return UnsafeText(value["__ansible_unsafe"])
    return value


def _failed(path: Path, what: str, evidence: str) -> InventoryError:
    return InventoryError(
        f"the inventory script {path}: {what}",
        evidence=evidence,
        hint=f"try it yourself: {path} --list",
    )


def _last_line(text: bytes) -> str:
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines()]
    return next((line[:_SHORT] for line in reversed(lines) if line), "")


def _kind(value: object) -> str:
    # Never the value: it may hold a password.
    return f"it is of the type {type(value).__name__}"


class _Reader:
    def __init__(self, path: Path, source: Source, ask: Callable[[str], Mapping[str, Any]]) -> None:
        self._path = path
        self._source = source
        self._ask = ask
        self._where = Where(str(path), 0)

    def read(self, listing: dict[str, Any]) -> None:
        meta = listing.pop("_meta", None)
        known = self._mapping(meta, "_meta").get("hostvars") if meta is not None else None
        if known is not None or meta is not None:
            known = self._mapping(known, "_meta.hostvars")
        hosts: dict[str, None] = {}
        for name, data in listing.items():
            hosts |= dict.fromkeys(self._group(name, data))
        for host in hosts:
            variables = known.get(host, {}) if known is not None else self._ask(host)
            found = self._variables(self._mapping(variables, host), f"the host {host!r}")
            self._source.hosts[host].update(found)

    def _group(self, name: str, data: Any) -> list[str]:
        group = self._source.group(name)
        if not isinstance(data, dict):
            data = {"hosts": data}
        elif data.keys().isdisjoint(("hosts", "vars", "children")):
            # An old form: a host with its variables.
            data = {"hosts": [name], "vars": data}
        hosts = self._names(data.get("hosts", []), f"{name}.hosts")
        for host in hosts:
            self._source.add_host(group, host, {}, self._where)
        if "vars" in data:
            found = self._mapping(data["vars"], f"{name}.vars")
            self._source.add_group_variables(group, self._variables(found, f"the group {name!r}"))
        self._children(group, data)
        return hosts

    def _children(self, group: RawGroup, data: dict[str, Any]) -> None:
        for child in self._names(data.get("children", []), f"{group.name}.children"):
            self._source.group(child)
            group.children.setdefault(child, self._where)

    def _variables(self, found: Mapping[str, Any], name: str) -> Variables:
        owner = Owner(name, self._path.parent.absolute())
        items = ((key, freeze(value), self._where) for key, value in found.items())
        return self._source.variables(items, owner)

    def _mapping(self, value: Any, name: str) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        raise _failed(self._path, f"{name} is not a mapping", _kind(value))

    def _names(self, value: Any, name: str) -> list[str]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise _failed(self._path, f"{name} is not a list of names", _kind(value))
