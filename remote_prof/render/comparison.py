"""A comparison as data: folded stacks with two weights, and one JSON document."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from remote_prof.profile.diff import Comparison, Mover, Side
from remote_prof.profile.model import Quality
from remote_prof.profile.noise import CONFIDENCE
from remote_prof.records import Problem
from remote_prof.render.comparison_html import render_diff_html
from remote_prof.render.comparison_svg import render_diff_svg
from remote_prof.render.folded import fold

DOCUMENT_VERSION = 1


def render_diff_folded(comparison: Comparison) -> bytes:
    """Write a line ``root;caller;leaf 31 33`` for each stack of either side, sorted, in UTF-8.

    The format is that of difffolded.pl (https://github.com/brendangregg/FlameGraph), for
    flamegraph.pl and whoever else reads it. As with its ``-n``, the weights before are scaled to
    the sum of those after, and rounded down; where raw counts are compared they are as they were.
    """
    before, after = fold(comparison.before.profile), fold(comparison.after.profile)
    before_total, after_total = sum(before.values()), sum(after.values())
    if not comparison.counts:
        before = {stack: w * after_total // before_total for stack, w in before.items()}
    lines = (
        f"{stack} {before.get(stack, 0)} {after.get(stack, 0)}\n"
        for stack in sorted(before.keys() | after.keys())
    )
    return "".join(lines).encode()


@dataclass(frozen=True, slots=True)
class SideDocument:
    """One side. ``total`` is the sum of its weights, the rest as in ``profile.diff.Side``."""

    name: str
    total: int
    samples: int | None
    quality: Quality
    frequency_hz: int | None
    duration_s: float | None
    scope: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class ComparisonDocument:
    """A comparison. A field is added freely; one that is renamed or removed raises ``version``.

    ``confidence`` is that of the bounds on noise for all ``comparisons`` together; both are null
    where there are no bounds. ``movers`` are in order: largest change of self first.
    """

    version: int
    compared: Literal["shares", "counts"]
    unit: str
    before: SideDocument
    after: SideDocument
    confidence: float | None
    comparisons: int | None
    warnings: tuple[Problem, ...]
    movers: tuple[Mover, ...]


def render_diff_json(comparison: Comparison) -> bytes:
    """Write the document."""
    document = ComparisonDocument(
        version=DOCUMENT_VERSION,
        compared="counts" if comparison.counts else "shares",
        unit=comparison.unit,
        before=_side(comparison.before),
        after=_side(comparison.after),
        confidence=None if comparison.comparisons is None else CONFIDENCE,
        comparisons=comparison.comparisons,
        warnings=comparison.warnings,
        movers=comparison.movers,
    )
    return (json.dumps(dataclasses.asdict(document), indent=2) + "\n").encode()


def _side(side: Side) -> SideDocument:
    return SideDocument(
        name=side.name,
        total=side.profile.total,
        samples=side.samples,
        quality=side.quality,
        frequency_hz=side.profile.frequency_hz,
        duration_s=side.duration_s,
        scope=side.scope,
        problems=side.problems,
    )


def comparison_schema() -> dict[str, Any]:
    """Return the JSON schema of the document."""
    from pydantic import TypeAdapter

    return TypeAdapter(ComparisonDocument).json_schema()


COMPARISON_RENDERERS: Mapping[str, Callable[[Comparison], bytes]] = MappingProxyType(
    {
        "folded": render_diff_folded,
        "json": render_diff_json,
        "svg": render_diff_svg,
        "html": render_diff_html,
    }
)
