"""YAML files read with the place of every key, and refused with it where something is wrong.

YAML 1.1 as Ansible reads it (``yes`` is a boolean). Unlike Ansible, a key that is written twice in
one mapping is an error: the first one would be lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from remote_prof.errors import InventoryError
from remote_prof.inventory.files import FileText, Where
from remote_prof.inventory.frozen import EncryptedText, UnsafeText, freeze

MAX_DEPTH = 60
"""Levels that mappings and lists may be nested; the parser recurses in C beyond any limit."""

MAX_EXPANSION = 200_000
"""Nodes that a document may grow to by its aliases."""

_MERGE_TAG = "tag:yaml.org,2002:merge"
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping with its value's node."""

    key: Any
    where: Where
    node: yaml.Node


class Document:
    """A YAML file that was read, checked for size and duplicate keys, and not yet interpreted."""

    def __init__(self, file: FileText) -> None:
        """Compose a file's text. Raises InventoryError for all that keeps it from being YAML."""
        self.path = file.path
        self.text = file.text
        self._values = _Values("")
        self.root = self._compose()
        if self.root is not None:
            _Sizes(self).check(self.root)
            self._refuse_duplicates(self.root)

    def where(self, node: yaml.Node) -> Where:
        """Tell where a node begins."""
        return Where(self.path, node.start_mark.line + 1, node.start_mark.column + 1)

    def entries(self, node: yaml.MappingNode) -> list[Entry]:
        """List the keys of a mapping in their order, with ``<<`` merged in."""
        try:
            self._values.flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            raise self.marked_error(error) from None
        found: dict[Any, Entry] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node)
            # A merged key comes first, and the mapping's own takes its place.
            found[key] = Entry(key, self.where(key_node), value_node)
        return list(found.values())

    def value(self, node: yaml.Node) -> Any:
        """Build the read-only value of a node: None, text, numbers, tuples, mappings."""
        try:
            return freeze(self._values.construct_object(node, deep=True))
        except yaml.MarkedYAMLError as error:
            raise self.marked_error(error) from None
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError):
            # PyYAML lets these out for scalars such as the date 2024-13-45.
            kind = node.tag.rpartition(":")[2]
            raise InventoryError(
                f"{self.where(node)}: a value that looks like a {kind} is not one",
                hint="put it in quotes to make it text",
            ) from None

    def marked_error(self, error: yaml.MarkedYAMLError) -> InventoryError:
        """Put what YAML's parser says into one sentence with the place."""
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = (error.problem or "the file is not YAML").strip()
        if error.context:
            said += f", {error.context.strip()}"
            if error.context_mark is not None and error.context_mark.line + 1 != line:
                said += f" that begins in line {error.context_mark.line + 1}"
        return InventoryError(
            f"{self.path}:{line}:{column}: {said}", hint=self._hint(line, str(error))
        )

    def _hint(self, line: int, said: str) -> str:
        lines = self.text.splitlines()
        source = lines[line - 1] if line <= len(lines) else ""
        if "\t" in source:
            return "indent with spaces: YAML does not allow tabs"
        if re.search(r"[:-]\s*\{\{", source):
            return "a value that begins with {{ has to be put in quotes"
        if "could not determine a constructor" in said:
            return "of the tags only YAML's own, !vault and !unsafe are known"
        return "check the indentation and the quotes of this line and of the one before"

    def _compose(self) -> yaml.Node | None:
        try:
            self._refuse_depth()
            node: yaml.Node | None = yaml.compose(self.text, Loader=_LOADER)
        except yaml.reader.ReaderError as error:
            raise self._unreadable_character(error) from None
        except yaml.MarkedYAMLError as error:
            # The parser reads ahead of its events, and newer ones have a bound of their own.
            if "nesting depth" in (error.problem or ""):
                mark = error.problem_mark
                raise self._too_deep(mark.line if mark else 0) from None
            raise self.marked_error(error) from None
        return node

    def _refuse_depth(self) -> None:
        depth = 0
        for event in yaml.parse(self.text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                raise self._too_deep(event.start_mark.line if event.start_mark else 0)

    def _too_deep(self, line: int) -> InventoryError:
        return InventoryError(f"{self.path}:{line + 1}: nested more than {MAX_DEPTH} levels deep")

    def _unreadable_character(self, error: yaml.reader.ReaderError) -> InventoryError:
        code = error.character if isinstance(error.character, int) else ord(error.character[:1])
        line = self.text.count("\n", 0, error.position) + 1
        return InventoryError(
            f"{self.path}:{line}: the character 0x{code:02x} may not be in a YAML file",
            hint="is this an inventory? It should be a text file in YAML",
        )

    def _refuse_duplicates(self, root: yaml.Node) -> None:
        pending = [root]
        seen: set[int] = set()
        while pending:
            node = pending.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            pending += _children(node)
            if isinstance(node, yaml.MappingNode):
                self._refuse_duplicates_in(node)

    def _refuse_duplicates_in(self, node: yaml.MappingNode) -> None:
        first: dict[Any, Where] = {}
        for key_node, _ in node.value:
            if key_node.tag == _MERGE_TAG:
                continue
            where = self.where(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise InventoryError(
                    f"{where}:{where.column}: a key is a list or a mapping, where text is needed",
                    hint=self._hint(where.line, ""),
                )
            key = self.value(key_node)
            if key in first:
                raise InventoryError(
                    f"{where}: the key {key!r} is here for the second time",
                    evidence=f"the first one is at {first[key]}",
                    hint="merge the two, or remove one of them",
                )
            first[key] = where


class _Values(yaml.SafeLoader):
    """Builds values of composed nodes; knows the two tags that Ansible adds."""


def _encrypted(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> EncryptedText:
    return EncryptedText(loader.construct_scalar(node))


def _unsafe(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return UnsafeText(loader.construct_scalar(node))
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


_Values.add_constructor("!vault", _encrypted)
_Values.add_constructor("!vault-encrypted", _encrypted)
_Values.add_constructor("!unsafe", _unsafe)


class _Sizes:
    """Counts the nodes that each node stands for once its aliases are written out."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def check(self, root: yaml.Node) -> None:
        total = self._measure(root, 0)
        # A plain document has as many nodes as were read, however long it is.
        if total > MAX_EXPANSION and total > 10 * len(self._sizes):
            raise InventoryError(
                f"{self._document.path}: its aliases stand for more than {MAX_EXPANSION} values",
                hint="write the values out, or use group variables instead of anchors",
            )

    def _measure(self, node: yaml.Node, depth: int) -> int:
        known = self._sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in self._open:
            where = self._document.where(node)
            raise InventoryError(f"{where}: an alias leads back into its own anchor")
        if depth > MAX_DEPTH:
            where = self._document.where(node)
            raise InventoryError(f"{where}: aliases nest it more than {MAX_DEPTH} levels deep")
        self._open.add(id(node))
        size = 1 + sum(self._measure(child, depth + 1) for child in _children(node))
        self._open.remove(id(node))
        self._sizes[id(node)] = size
        return size


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
