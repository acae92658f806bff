"""Inventories in YAML: groups with ``hosts``, ``vars`` and ``children``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from remote_prof.errors import InventoryError
from remote_prof.inventory.document import Document, Entry
from remote_prof.inventory.files import FileText, Where
from remote_prof.inventory.names import split_port
from remote_prof.inventory.source import (
    GROUP_KEYS,
    Owner,
    RawGroup,
    Source,
    Variables,
)
from remote_prof.inventory.variables import FIELDS


def is_plugin(document: Document) -> bool:
    """Whether a file configures one of Ansible's inventory plugins instead of naming hosts."""
    root = document.root
    return isinstance(root, yaml.MappingNode) and any(
        entry.key == "plugin" for entry in document.entries(root)
    )


def read_yaml(document: Document, source: Source, *, secret: bool = False) -> None:
    """Add an inventory in Ansible's YAML form. Raises InventoryError."""
    _Reader(document, source, secret=secret).read()


def read_mapping(file: FileText, source: Source, owner: Owner) -> Variables:
    """Read a file of variables, as they lie in ``group_vars/``. Raises InventoryError."""
    document = Document(file)
    root = document.root
    if root is None or _is_null(root):
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise InventoryError(
            f"{document.where(root)}: variables are a mapping, and this is {_kind(root)}",
            evidence=f"they are those of {owner.name}",
            hint="write one variable a line: `name: value`",
        )
    return source.variables(_items(document, root), owner)


def _items(document: Document, node: yaml.MappingNode) -> Iterator[tuple[object, Any, Where]]:
    for entry in document.entries(node):
        yield entry.key, document.value(entry.node), entry.where


class _Reader:
    """Walks the nodes of one file; every refusal says file, line and key."""

    def __init__(self, document: Document, source: Source, *, secret: bool) -> None:
        self._document = document
        self._source = source
        self._directory = Path(document.path).parent.absolute()
        self._secret = secret

    def read(self) -> None:
        root = self._document.root
        path = self._document.path
        shape = "it begins with a group: `all:`, and below it `  hosts:` with one host a line"
        if root is None or _is_null(root):
            raise InventoryError(f"{path} is empty", hint=shape)
        if not isinstance(root, yaml.MappingNode):
            raise InventoryError(
                f"{self._document.where(root)}: an inventory is a mapping of groups, "
                f"and this is {_kind(root)}",
                hint=shape,
            )
        entries = self._document.entries(root)
        for entry in entries:
            if entry.key in GROUP_KEYS:
                raise InventoryError(
                    f"{entry.where}: the key {entry.key!r} belongs into a group",
                    hint=f"write `all:` above and indent `{entry.key}:` below it",
                )
            self._group(entry)

    def _group(self, entry: Entry) -> str:
        name = self._name(entry, "group")
        group = self._source.group(name)
        for part in self._group_entries(entry):
            if part.key not in GROUP_KEYS:
                raise self._unknown_key(part, name)
            if _is_null(part.node):
                continue
            if part.key == "vars":
                self._group_variables(group, part)
            elif part.key == "children":
                for child in self._members(part, name):
                    group.children.setdefault(self._group(child), child.where)
            else:
                for member in self._members(part, name):
                    self._hosts(group, member)
        return name

    def _group_entries(self, entry: Entry) -> list[Entry]:
        if _is_null(entry.node):
            return []
        if not isinstance(entry.node, yaml.MappingNode):
            raise InventoryError(
                f"{entry.where}: the group {entry.key!r} is {_kind(entry.node)} "
                f"where a mapping is needed",
                hint="a group holds `hosts:`, `vars:` and `children:`",
            )
        return self._document.entries(entry.node)

    def _unknown_key(self, part: Entry, group: str) -> InventoryError:
        hint = f"it may hold {', '.join(GROUP_KEYS)}"
        close = difflib.get_close_matches(str(part.key), GROUP_KEYS, 1, 0.5)
        if close:
            hint = f"did you mean {close[0]!r}?"
        elif isinstance(part.node, yaml.MappingNode) or _is_null(part.node):
            hint += "; a host belongs under `hosts:`, a group under `children:`"
        elif part.key in FIELDS:
            hint += "; a variable belongs under `vars:`"
        return InventoryError(
            f"{part.where}: the group {group!r} has the unknown key {part.key!r}", hint=hint
        )

    def _members(self, part: Entry, group: str) -> list[Entry]:
        node = part.node
        if isinstance(node, yaml.MappingNode):
            return self._document.entries(node)
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":str"):
            # `hosts: web1` is what Ansible takes for `hosts: {web1: }`.
            nothing = yaml.ScalarNode("tag:yaml.org,2002:null", "", node.start_mark, node.end_mark)
            return [Entry(node.value, self._document.where(node), nothing)]
        raise InventoryError(
            f"{part.where}: {part.key!r} of the group {group!r} is {_kind(node)} "
            "where a mapping is needed",
            hint="write each name in its own line with a colon after it: `web1:`",
        )

    def _hosts(self, group: RawGroup, entry: Entry) -> None:
        written = self._name(entry, "host")
        variables = self._host_variables(entry, split_port(written)[0])
        self._source.add_hosts(group, written, variables, entry.where)

    def _host_variables(self, entry: Entry, host: str) -> Variables:
        if _is_null(entry.node):
            return {}
        if not isinstance(entry.node, yaml.MappingNode):
            raise InventoryError(
                f"{entry.where}: the host {host!r} is {_kind(entry.node)} "
                "where its variables are needed",
                hint=f"did you mean `{host}: {{ansible_host: ...}}`?",
            )
        return self._variables(entry.node, f"the host {host!r}")

    def _group_variables(self, group: RawGroup, part: Entry) -> None:
        if not isinstance(part.node, yaml.MappingNode):
            raise InventoryError(
                f"{part.where}: 'vars' of the group {group.name!r} is {_kind(part.node)} "
                "where a mapping is needed",
                hint="write one variable a line: `name: value`",
            )
        variables = self._variables(part.node, f"the group {group.name!r}")
        self._source.add_group_variables(group, variables)

    def _variables(self, node: yaml.MappingNode, name: str) -> Variables:
        owner = Owner(name, self._directory, self._secret)
        return self._source.variables(_items(self._document, node), owner)

    def _name(self, entry: Entry, kind: str) -> str:
        if isinstance(entry.key, str) and entry.key:
            return entry.key
        raise InventoryError(
            f"{entry.where}: the name of a {kind} is {entry.key!r} in YAML, where text is needed",
            hint="put the name in quotes",
        )


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "empty" if _is_null(node) else "a single value"
