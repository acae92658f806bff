"""Ansible's host patterns: ``web:&staging:!web3``, ``db[0:2]``, ``~(web|db)[0-9]+``, ``*.example``.

Pure: patterns are evaluated over names. All unions come first, then all intersections (``&``),
then all exclusions (``!``), whatever the order they are written in, as Ansible does it.
https://docs.ansible.com/ansible/latest/inventory_guide/intro_patterns.html

Stricter than Ansible where a mistake would widen or silently shrink the selection: a plain name
that is neither host nor group, and a pattern without any name in it, are errors.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from remote_prof.errors import InventoryError
from remote_prof.inventory.names import LOCALHOSTS, is_address

_SUBSCRIPT = re.compile(
    r"(?P<name>.+)\[(?:(?P<index>-?[0-9]{1,9})|(?P<start>[0-9]{1,9})[:-](?P<end>[0-9]{0,9}))\]\Z"
)
_PIECE = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Names:
    """What patterns are matched against.

    ``hosts`` are in the order of the inventory, ``groups`` map each group to all its hosts (those
    of its children, too) in the group's order. ``localhost`` is the host that each name of this
    machine stands for where no host has that name; "" where the first such name is to decide.
    """

    hosts: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    localhost: str = ""


def split_pattern(pattern: str) -> list[str]:
    """Split a pattern at commas, or at colons where it has no comma and is not an address."""
    if "," in pattern:
        pieces = pattern.split(",")
    elif is_address(pattern):
        pieces = [pattern]
    else:
        pieces = _PIECE.findall(pattern)
    return [piece.strip() for piece in pieces if piece.strip()]


def match_pattern(pattern: str, names: Names) -> list[str]:
    """List the hosts that a pattern selects, each once, in Ansible's order; perhaps none.

    Raises InventoryError for a pattern without a name, an unknown plain name, a subscript that is
    out of range, and a malformed regular expression.
    """
    pieces = split_pattern(pattern)
    if not pieces:
        raise InventoryError(
            f"the host pattern {pattern!r} names no host",
            hint="use 'all' to select every host; is a variable of the shell empty?",
        )
    return match_pieces(pieces, names)


def match_pieces(pieces: Iterable[str], names: Names) -> list[str]:
    """Evaluate the single patterns of a split pattern, or the lines of a limit file."""
    unions, intersections, exclusions = _ordered(pieces)
    names = _with_localhost(names, [*unions, *intersections, *exclusions])
    selected: dict[str, None] = {}
    known = frozenset(names.hosts)
    for piece in unions or ["all"]:
        selected |= dict.fromkeys([piece] if piece in known else _match(piece, names))
    for piece in intersections:
        kept = frozenset(_match(piece[1:], names))
        selected = {host: None for host in selected if host in kept}
    for piece in exclusions:
        gone = frozenset(_match(piece[1:], names))
        selected = {host: None for host in selected if host not in gone}
    return list(selected)


def _with_localhost(names: Names, pieces: Iterable[str]) -> Names:
    """Choose the one host that all names of this machine stand for, listed or not."""
    mentioned = (piece.lstrip("!&").partition("[")[0] for piece in pieces)
    chosen = next((name for name in (*names.hosts, *mentioned) if name in LOCALHOSTS), "")
    return replace(names, localhost=chosen)


def _ordered(pieces: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    kinds: tuple[list[str], list[str], list[str]] = ([], [], [])
    for piece in pieces:
        kinds[{"&": 1, "!": 2}.get(piece[0], 0)].append(piece)
    return kinds


def _match(piece: str, names: Names) -> list[str]:
    if not piece:
        raise InventoryError("a host pattern has '!' or '&' with no name after it")
    if piece.startswith("~"):
        # A regular expression may end in brackets of its own: it takes no subscript.
        return _enumerate(piece, names)
    match = _SUBSCRIPT.match(piece)
    if match is None:
        return _enumerate(piece, names)
    hosts = _enumerate(match["name"], names)
    if not hosts:
        return hosts
    if match["index"]:
        return _at(hosts, int(match["index"]), piece)
    start, end = int(match["start"]), int(match["end"]) if match["end"] else len(hosts)
    # Ansible takes an end of 0 for none: web[2:0] is web[2].
    return hosts[start : end + 1] if end else _at(hosts, start, piece)


def _at(hosts: list[str], index: int, piece: str) -> list[str]:
    try:
        return [hosts[index]]
    except IndexError:
        raise InventoryError(
            f"the host pattern {piece!r} is out of range",
            evidence=f"{piece.rpartition('[')[0]!r} has {len(hosts)} hosts, and counting is from 0",
        ) from None


def _enumerate(name: str, names: Names) -> list[str]:
    matches = _matcher(name)
    wild = name.startswith("~") or not _WILD.isdisjoint(name)
    groups = [group for group in names.groups if matches(group)]
    # Duplicates stay: Ansible counts subscripts of wild patterns over them, too.
    hosts = [host for group in groups for host in names.groups[group]]
    if not groups or wild or "." in name:
        hosts += [host for host in names.hosts if matches(host)]
    if not hosts and name in LOCALHOSTS:
        return [names.localhost]
    if not hosts and not groups and not wild and name != "all":
        raise _unknown(name, names)
    return hosts


def _matcher(name: str) -> Callable[[str], object]:
    expression = name[1:] if name.startswith("~") else fnmatch.translate(name)
    try:
        with warnings.catch_warnings():
            # Python muses about sets that other languages nest; whoever typed it cannot act on it.
            warnings.simplefilter("ignore")
            return re.compile(expression).match
    except (re.error, RecursionError, OverflowError) as error:
        raise InventoryError(
            f"the host pattern {name!r} is not a regular expression: {error}"
        ) from None


def _unknown(name: str, names: Names) -> InventoryError:
    groups = [group for group in names.groups if group != "ungrouped"]
    close = difflib.get_close_matches(name, [*names.hosts, *groups], 4, 0.5)
    hosts = frozenset(names.hosts)
    if close:
        listed = ", ".join(f"{n} ({'host' if n in hosts else 'group'})" for n in close)
        evidence = f"close to it: {listed}"
    else:
        listed = ", ".join(sorted(groups)[:8]) + (", ..." if len(groups) > 8 else "")
        evidence = f"the inventory has {len(names.hosts)} hosts, and the groups {listed}"
    return InventoryError(
        f"no host or group is called {name!r}",
        evidence=evidence,
        hint="`remote-prof hosts` lists all of them",
    )
