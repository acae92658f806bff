"""Inventories in INI form: ``[group]``, ``[group:children]``, ``[group:vars]``.

A line of a group is a host and its variables, split as a POSIX shell splits words. A value that is
a Python literal is read as one (``22``, ``True``, ``['a']``); every other is text. So it is for
``:vars``, too, although Ansible's documents say otherwise.
https://docs.ansible.com/ansible/latest/collections/ansible/builtin/ini_inventory.html
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remote_prof.errors import InventoryError
from remote_prof.inventory.files import FileText, Where
from remote_prof.inventory.frozen import freeze
from remote_prof.inventory.names import split_port
from remote_prof.inventory.source import Owner, Source, Variables

_SECTION = re.compile(r"\[(?P<group>[^:\]\s]+)(?::(?P<kind>\w+))?\]\s*(?:#.*)?\Z")
_GROUP = re.compile(r"(?P<group>[^:\]\s]+)\s*(?:#.*)?\Z")
_ANY_SECTION = re.compile(r"^\[[^\[\]:\s]+(:\w+)?\]\s*(#.*)?$", re.MULTILINE)
_MAPPING = re.compile(r"""(---|%YAML|\{|["'].*["']\s*:(\s|$)|[^\s#\[=]+\s*:(\s|$))""")


def looks_like_ini(text: str, *, named_yaml: bool) -> bool:
    """Tell INI from YAML: by a section; else by the file's name; else by how it begins."""
    if _ANY_SECTION.search(text):
        return True
    if named_yaml:
        return False
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    return not _MAPPING.match(first)


def read_ini(file: FileText, source: Source) -> None:
    """Add an inventory in INI form. Raises InventoryError, with file and line."""
    _Reader(file, source).read()


@dataclass(slots=True)
class _Pending:
    """A group that was named and is not declared yet; ``parents`` is empty for one with vars."""

    where: Where
    parents: list[str] = field(default_factory=list)


class _Reader:
    def __init__(self, file: FileText, source: Source) -> None:
        self._file = file
        self._source = source
        self._directory = Path(file.path).parent.absolute()
        self._pending: dict[str, _Pending] = {}
        self._where = Where(file.path, 1)

    def read(self) -> None:
        group, kind = "ungrouped", "hosts"
        for number, written in enumerate(self._file.text.splitlines(), 1):
            self._where = Where(self._file.path, number)
            line = written.strip()
            if not line or line[0] in "#;":
                continue
            section = _SECTION.match(line)
            if section:
                group, kind = section["group"], section["kind"] or "hosts"
                self._begin(group, kind)
            elif line.startswith("[") and line.endswith("]"):
                raise self._error(
                    f"{self._shown(line)} is no section", "write [group], without spaces"
                )
            elif kind == "hosts":
                self._host(group, line)
            elif kind == "vars":
                self._variable(group, line)
            else:
                self._child(group, line)
        self._refuse_pending()

    def _begin(self, group: str, kind: str) -> None:
        if kind not in ("hosts", "vars", "children"):
            raise self._error(
                f"the section [{group}:{kind}] is of an unknown kind",
                "there are [group], [group:vars] and [group:children]",
            )
        known = self._source.groups
        if group not in known:
            if kind == "vars":
                self._pending.setdefault(group, _Pending(self._where))
            self._source.group(group)
        if kind != "vars" and group in self._pending:
            self._declare(group)

    def _declare(self, group: str) -> None:
        """Put a group below those that named it before it was there."""
        pending = self._pending.pop(group)
        for parent in pending.parents:
            self._adopt(parent, group)
            if parent in self._pending and self._pending[parent].parents:
                self._declare(parent)

    def _adopt(self, parent: str, child: str) -> None:
        self._source.group(parent).children.setdefault(child, self._where)

    def _child(self, parent: str, line: str) -> None:
        match = _GROUP.match(line)
        if match is None:
            raise self._error(
                f"{self._shown(line)} is no name of a group",
                f"below [{parent}:children] stands one group a line",
            )
        child = match["group"]
        if child in self._source.groups:
            self._adopt(parent, child)
        else:
            self._pending.setdefault(child, _Pending(self._where)).parents.append(parent)

    def _refuse_pending(self) -> None:
        for group, pending in self._pending.items():
            self._where = pending.where
            if pending.parents:
                raise self._error(
                    f"[{pending.parents[-1]}:children] names {group!r}, and there is no such group",
                    f"declare it: [{group}]",
                )
            raise self._error(
                f"[{group}:vars] is of a group that is not there", f"declare it: [{group}]"
            )

    def _variable(self, group: str, line: str) -> None:
        name, equals, value = line.partition("=")
        if not equals:
            raise self._error(
                f"{self._shown(line)} is no variable",
                f"below [{group}:vars] stands one variable a line: name=value",
            )
        raw = self._source.group(group)
        found = self._variables({name.strip(): value.strip()}, f"the group {group!r}")
        self._source.add_group_variables(raw, found)

    def _host(self, group: str, line: str) -> None:
        try:
            name, *words = shlex.split(line, comments=True)
        except ValueError as error:
            raise self._error(
                f"a host cannot be read: {str(error)[:1].lower()}{str(error)[1:]}",
                "close the quotes of this line",
            ) from None
        if name == "---" or (name.endswith(":") and split_port(name)[1] is None):
            raise self._error(
                f"{self._shown(name)} looks like YAML in a file in INI form",
                "write the whole file in one of the two forms",
            )
        written = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                raise self._error(
                    f"{self._shown(word)} is no variable of the host {name!r}",
                    "after a host stand its variables: name=value, with quotes around spaces",
                )
            written[key] = value
        variables = self._variables(written, f"the host {split_port(name)[0]!r}")
        self._source.add_hosts(self._source.group(group), name, variables, self._where)

    def _variables(self, written: dict[str, str], name: str) -> Variables:
        owner = Owner(name, self._directory, self._file.secret)
        items = [(key, self._literal(key, value), self._where) for key, value in written.items()]
        return self._source.variables(items, owner)

    def _literal(self, name: str, text: str) -> Any:
        try:
            with warnings.catch_warnings():
                # Python muses about escapes such as "\d"; whoever reads this cannot act on it.
                warnings.simplefilter("ignore")
                value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
        except (TypeError, MemoryError, RecursionError):
            raise self._error(
                f"the value of {name} looks like Python and is not", "put quotes around it"
            ) from None
        return freeze(_plain(value))

    def _shown(self, text: str) -> str:
        return "what stands here" if self._file.secret else repr(text[:80])

    def _error(self, what: str, hint: str) -> InventoryError:
        return InventoryError(f"{self._where}: {what}", hint=hint)


def _plain(value: Any) -> Any:
    """Return a literal in the types that variables have."""
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if value is ...:
        return "..."
    return str(value) if isinstance(value, complex) else value
