"""The flame graph as one SVG file: no network, and readable with scripts switched off.

Layout after flamegraph.pl (https://github.com/brendangregg/FlameGraph), so that the same stacks
give the same rectangles: its default sizes, its order of siblings, its rounding, its smallest
width. It differs where flamegraph.pl splits a function that calls others and has siblings whose
names start with its own: here that is one rectangle.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from colorsys import hls_to_rgb
from itertools import islice
from typing import NamedTuple

from remote_prof.profile.model import FrameKind, Profile
from remote_prof.profile.tree import Placed, place
from remote_prof.render.picture import (
    MOST_FRAMES,
    USUAL,
    Drawing,
    Pen,
    Picture,
    draw_picture,
    escaped,
    filled,
    one_line,
    opening,
    printable,
    tell_weights,
)
from remote_prof.render.report import Report


class _Colour(NamedTuple):
    """Ranges from which a name's hash picks: hue in degrees, the others 0 to 1."""

    hue: tuple[float, float]
    lightness: tuple[float, float]
    saturation: float


_COLOURS = {
    FrameKind.PROCESS: _Colour((215, 225), (0.80, 0.84), 0.25),
    FrameKind.USER: _Colour((8, 46), (0.60, 0.70), 0.85),
    FrameKind.KERNEL: _Colour((255, 275), (0.74, 0.82), 0.60),
    FrameKind.JIT: _Colour((95, 125), (0.60, 0.70), 0.50),
    FrameKind.INTERPRETED: _Colour((155, 175), (0.60, 0.70), 0.45),
    FrameKind.INLINED: _Colour((188, 200), (0.62, 0.72), 0.60),
    FrameKind.GO: _Colour((322, 340), (0.70, 0.78), 0.60),
    FrameKind.UNRESOLVED: _Colour((0, 0), (0.76, 0.82), 0.0),
    FrameKind.TRUNCATED: _Colour((0, 0), (0.64, 0.66), 0.0),
}


_WORDS = {
    FrameKind.JIT: "JIT",
    FrameKind.GO: "Go",
    FrameKind.TRUNCATED: "callers cut off",
}


def render_svg(report: Report, drawing: Drawing = USUAL) -> bytes:
    """Draw the flame graph: callers below, callees above, width is weight."""
    total, unit = report.profile.total, report.profile.unit
    # The root is always there.
    smallest = min(drawing.smallest_share * total, total)
    placed = _placed(report.spelt, smallest) if total else []
    facts = (f"{name}: {value}" for name, value in report.facts.items())
    picture = Picture(
        title=report.title,
        subtitles={"subtitle": report.subtitle},
        description=(report.title, report.subtitle, *facts),
        legend=tuple(_legend(placed)),
        levels=1 + max((each.depth for each in placed), default=0),
        total=total,
        nothing=f"no {unit}",
        data={
            "unit": printable(unit),
            "weights": tell_weights((each.start, each.total, each.own) for each in placed),
        },
    )
    return draw_picture(picture, drawing, _Frames(placed, total, unit).draw)


def _placed(profile: Profile, smallest: float) -> list[Placed]:
    total = profile.total
    while True:
        found = list(islice(place(profile, smallest=smallest), MOST_FRAMES + 1))
        # Where even the widest are too many, the stacks are of a depth that nobody can look at.
        if len(found) <= MOST_FRAMES or smallest >= total:
            return found[:MOST_FRAMES]
        smallest = min(8 * smallest, total)


def colour(name: str, kind: FrameKind) -> str:
    """Return the fill of a frame: the kind gives the family, the name the shade."""
    family = _COLOURS[kind]
    seed = zlib.crc32(name.encode("utf-8", "replace"))
    return _shade(family, (seed & 0xFFFF) / 0xFFFF, (seed >> 16) / 0xFFFF)


def _shade(family: _Colour, hue: float, lightness: float) -> str:
    red, green, blue = hls_to_rgb(
        _between(family.hue, hue) / 360, _between(family.lightness, lightness), family.saturation
    )
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _between(ends: tuple[float, float], where: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * where


def _legend(placed: Iterable[Placed]) -> Iterator[tuple[str, str]]:
    """Tell the kinds of frames that occur, with their colours."""
    kinds = {each.kind for each in placed if each.depth}
    for kind in FrameKind:
        if kind in kinds:
            yield _shade(_COLOURS[kind], 0.5, 0.5), _WORDS.get(kind, kind.value)


class _Frames:
    """The frames of a flame graph; what several have in common is written once."""

    def __init__(self, placed: list[Placed], total: int, unit: str):
        self._placed = placed
        self._total = total
        self._unit = escaped(printable(unit))
        self._functions: dict[tuple[str, FrameKind], tuple[str, str, str]] = {}
        self._figures: dict[int, str] = {}

    def draw(self, pen: Pen) -> Iterator[str]:
        for name, kind, _, weight, depth, start in self._placed:
            begin, shown, fill = self._functions.get((name, kind)) or self._function(name, kind)
            figures = self._figures.get(weight) if depth else f" ({weight:,} {self._unit}, 100%)"
            tooltip = begin + (figures or self._figure(weight))
            yield pen.draw(start, weight, depth, tooltip, shown, fill)

    def _function(self, name: str, kind: FrameKind) -> tuple[str, str, str]:
        shown = one_line(name)
        mark = "" if kind is FrameKind.USER else str(kind)
        made = opening(shown, mark), shown, filled(colour(name, kind))
        self._functions[name, kind] = made
        return made

    def _figure(self, weight: int) -> str:
        share = f"{100 * weight / self._total:.2f}"
        made = self._figures[weight] = f" ({weight:,} {self._unit}, {share}%)"
        return made
