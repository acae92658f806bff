"""The call tree of a profile: what drawing and summing by callers need.

Nothing here recurses: stacks of thousands of frames are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import Frame, FrameKind, Profile

NodeKey = tuple[str, FrameKind]


@dataclass(slots=True)
class Node:
    """A frame under its callers. ``own`` is its self weight, ``total`` with all it calls.

    Frames of one name and kind under the same callers are one node: pids, modules and offsets
    are not told apart.
    """

    name: str
    kind: FrameKind
    own: int = 0
    total: int = 0
    children: dict[NodeKey, Node] = field(default_factory=dict)


class Placed(NamedTuple):
    """A node with its place: ``depth`` 0 is the root, ``start`` is in units of weight."""

    node: Node
    depth: int
    start: int


ROOT_NAME = "all"


def build_tree(profile: Profile) -> Node:
    """Merge the stacks of ``profile`` into a tree under one root named ``all``."""
    root = Node(ROOT_NAME, FrameKind.PROCESS)
    for stack, weight in profile.stacks.items():
        node = root
        node.total += weight
        for frame in stack:
            node = _child(node, frame)
            node.total += weight
        node.own += weight
    return root


def _child(node: Node, frame: Frame) -> Node:
    key = (frame.name, frame.kind)
    child = node.children.get(key)
    if child is None:
        child = node.children[key] = Node(frame.name, frame.kind)
    return child


def place(root: Node, *, smallest: float = 0.0) -> Iterator[Placed]:
    """Walk the tree, callers before callees, siblings in the order of flamegraph.pl.

    That order is the alphabetical one of the folded lines, hence a node's self weight comes first
    (leftmost) and its children follow. Nodes with a total below ``smallest`` are left out with
    all they call, their room stays empty.
    """
    waiting = [Placed(root, 0, 0)]
    while waiting:
        placed = waiting.pop()
        if placed.node.total < smallest:
            continue
        yield placed
        start = placed.start + placed.node.own
        children = []
        for child in sorted(placed.node.children.values(), key=_order):
            children.append(Placed(child, placed.depth + 1, start))
            start += child.total
        waiting.extend(reversed(children))


def _order(node: Node) -> str:
    # In a folded line a name is followed by a space where it is the leaf, else by a semicolon;
    # of two names where one starts with the other, these decide.
    return format_frame(node.name, node.kind) + (" " if node.own else ";")
