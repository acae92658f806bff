"""The flame graph as one SVG file: no network, and readable with scripts switched off.

Layout after flamegraph.pl (https://github.com/brendangregg/FlameGraph), so that the same stacks
give the same rectangles: its default sizes, its order of siblings, its rounding, its smallest
width. It differs where flamegraph.pl splits a function that calls others and has siblings whose
names start with its own: here that is one rectangle.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from colorsys import hls_to_rgb
from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import NamedTuple

from remote_prof.profile.model import FrameKind, Profile
from remote_prof.profile.tree import Placed, place
from remote_prof.render.lettering import FONT_PX, cut, edges, fit
from remote_prof.render.report import Report
from remote_prof.templates import load_text

PAD_PX = 10  # left and right
FRAME_PX = 16
GAP_PX = 1  # between frames
TOP_PX = 3 * FONT_PX  # the title's room
SUBTITLE_PX = 2 * FONT_PX
BOTTOM_PX = 2 * FONT_PX + 10  # the details' room
_LEGEND_ROW_PX = 18
_SWATCH_PX = 10
_TITLE_FONT_PX = FONT_PX + 5
_TEXT_INDENT_PX = 3
_NARROWEST_TEXT_PX = 21  # less tells nothing
# The script puts buttons left of the title and the search field right of it; a picture without room
# for all three in one row has a row more.
_SEARCH_PX = 390
_NARROW_PX = 900
_CONTROLS_ROW_PX = 24
# Limits that no sound profile reaches: beyond them a browser shows nothing any more.
_MOST_FRAMES = 100_000
_LONGEST_NAME = 2000  # characters

# XML has no form for most of these; the rest (line breaks, directions of writing) would let a
# name forge what stands around it.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufffe\uffff]"
)


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
    FrameKind.UNRESOLVED: _Colour((0, 0), (0.76, 0.82), 0.0),
    FrameKind.TRUNCATED: _Colour((0, 0), (0.64, 0.66), 0.0),
}


_WORDS = {
    FrameKind.JIT: "JIT",
    FrameKind.TRUNCATED: "callers cut off",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the picture is drawn, sizes in pixels.

    Frames narrower than ``minwidth_px`` are left out. ``inverted`` is the icicle: callers above.
    """

    width_px: int = 1200
    minwidth_px: float = 0.1
    inverted: bool = False


def render_svg(report: Report, drawing: Drawing = Drawing()) -> bytes:
    """Draw the flame graph: callers below, callees above, width is weight."""
    total = report.profile.total
    scale = (drawing.width_px - 2 * PAD_PX) / (total or 1)
    smallest = min(drawing.minwidth_px / scale, total)  # the root is always there
    placed = _placed(report.spelt, smallest) if total else []
    levels = 1 + max((each.depth for each in placed), default=0)
    top = TOP_PX + (SUBTITLE_PX if report.subtitle else 0)
    top += _CONTROLS_ROW_PX if drawing.width_px < _NARROW_PX else 0
    floor = top + levels * FRAME_PX
    legend, legend_rows = _legend(placed, drawing.width_px, floor + BOTTOM_PX)
    size = drawing.width_px, floor + BOTTOM_PX + legend_rows * _LEGEND_ROW_PX
    rows = range(top, floor, FRAME_PX)
    if not drawing.inverted:
        rows = range(floor - FRAME_PX + GAP_PX, top, -FRAME_PX)
    pen = _Pen(scale, rows, total, report.profile.unit)
    parts = [
        _head(report, size),
        legend,
        _opening(placed, report, top, floor, "icicle" if drawing.inverted else "flame"),
        *map(pen.draw, placed),
        "</g>\n",
    ]
    if not placed:
        parts.append(
            _text(f"no {report.profile.unit}", drawing.width_px / 2, floor - GAP_PX, "middle")
        )
    parts.append(_text("", PAD_PX, floor + BOTTOM_PX / 2, "start", "details"))
    parts.append(f"<script><![CDATA[\n{load_text('svg/flamegraph.js')}]]></script>\n</svg>\n")
    return "".join(parts).encode()


def _placed(profile: Profile, smallest: float) -> list[Placed]:
    total = profile.total
    while True:
        found = list(islice(place(profile, smallest=smallest), _MOST_FRAMES + 1))
        # Where even the widest are too many, the stacks are of a depth that nobody can look at.
        if len(found) <= _MOST_FRAMES or smallest >= total:
            return found[:_MOST_FRAMES]
        smallest = min(8 * smallest, total)


def printable(text: str) -> str:
    """Return ``text`` with what XML cannot hold, and what misleads readers, as U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


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


def _head(report: Report, size: tuple[int, int]) -> str:
    width, height = size
    beside = 2 * _SEARCH_PX if width >= _NARROW_PX else 0
    title = fit(_line(report.title), width - 2 * PAD_PX - beside, _TITLE_FONT_PX)
    subtitle = fit(_line(report.subtitle), width - 2 * PAD_PX)
    baseline = 2 * FONT_PX + (0 if beside else _CONTROLS_ROW_PX)
    opening = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg version="1.1" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'xmlns="http://www.w3.org/2000/svg" role="graphics-document" '
        'aria-labelledby="name" aria-describedby="description">\n'
    )
    parts = [
        opening,
        f'<title id="name">{_escaped(_line(report.title))}</title>\n',
        f'<desc id="description">{_escaped(_description(report))}</desc>\n',
        f"<style><![CDATA[\n{load_text('svg/flamegraph.css')}]]></style>\n",
        f'<rect id="background" width="{width}" height="{height}"/>\n',
        _text(title, width / 2, baseline, "middle", "title"),
    ]
    if report.subtitle:
        parts.append(_text(subtitle, width / 2, baseline + SUBTITLE_PX, "middle", "subtitle"))
    return "".join(parts)


def _description(report: Report) -> str:
    lines = [report.title, report.subtitle, *(f"{k}: {v}" for k, v in report.facts.items())]
    return "\n".join(_line(line) for line in lines if line)


def _line(text: str) -> str:
    return printable(text[:_LONGEST_NAME]) + (".." if len(text) > _LONGEST_NAME else "")


def _legend(placed: Iterable[Placed], width: int, y: int) -> tuple[str, int]:
    """Return the kinds of frames that occur, each beside its colour, and the number of rows."""
    kinds = {each.kind for each in placed if each.depth}
    parts = ['<g id="legend">\n']
    x, rows = PAD_PX, 1
    for kind in (kind for kind in FrameKind if kind in kinds):
        word = _WORDS.get(kind, kind.value)
        room = round(_SWATCH_PX + 5 + edges(word)[-1] + 15)
        if x > PAD_PX and x + room > width:
            x, rows = PAD_PX, rows + 1
        top = y + (rows - 1) * _LEGEND_ROW_PX
        parts.append(
            f'<rect x="{x}" y="{top}" width="{_SWATCH_PX}" height="{_SWATCH_PX}" '
            f'fill="{_shade(_COLOURS[kind], 0.5, 0.5)}"/>'
        )
        parts.append(_text(word, x + _SWATCH_PX + 5, top + _SWATCH_PX, "start"))
        x += room
    return "".join([*parts, "</g>\n"]), rows if kinds else 0


def _opening(placed: list[Placed], report: Report, top: int, floor: int, shape: str) -> str:
    # What the script reads, and no picture tells exactly: of each frame how far it starts behind
    # the one before, its total, its self weight.
    unit = escape(printable(report.profile.unit))
    weights = []
    before = 0
    for each in placed:
        weights.append(f"{each.start - before} {each.total} {each.own}")
        before = each.start
    return (
        f'<g id="frames" data-shape="{shape}" data-top="{top}" data-floor="{floor}" '
        f'data-unit="{unit}" data-weights="{" ".join(weights)}">\n'
    )


class _Pen:
    """Draws frames; what several have in common is written once."""

    def __init__(self, scale: float, rows: range, total: int, unit: str):
        self._scale = scale
        self._readable = _NARROWEST_TEXT_PX / scale
        self._edges: dict[str, list[float]] = {}
        self._rows = [(f'" y="{y}" width="', f'" y="{y + 10.5}">') for y in rows]
        self._total = total
        self._unit = _escaped(printable(unit))
        self._functions: dict[tuple[str, FrameKind], tuple[str, str, str]] = {}
        self._figures: dict[int, str] = {}

    def draw(self, placed: Placed) -> str:
        """Return a group of a tooltip, a rectangle, and the name where it has room."""
        name, kind, _, weight, depth, start = placed
        opening, shown, fill = self._functions.get((name, kind)) or self._function(name, kind)
        figures = self._figures.get(weight) if depth else f" ({weight:,} {self._unit}, 100%)"
        scale = self._scale
        # Both edges are rounded, and the width is what lies between: neighbours touch.
        left = f"{PAD_PX + start * scale:.1f}"
        width = float(f"{PAD_PX + (start + weight) * scale:.1f}") - float(left)
        y, baseline = self._rows[depth]
        text = ""
        if weight >= self._readable and (label := self._label(shown, weight * scale)):
            x = float(left) + _TEXT_INDENT_PX
            text = f'<text x="{x:.1f}{baseline}{_escaped(label)}</text>'
        return (
            f'{opening}{figures or self._figure(weight)}</title><rect x="{left}{y}{width:.1f}'
            f"{fill}{text}</g>\n"
        )

    def _label(self, text: str, width_px: float) -> str:
        text_edges = self._edges.get(text)
        if text_edges is None:
            text_edges = self._edges[text] = edges(text)
        return cut(text, text_edges, width_px - 2 * _TEXT_INDENT_PX)

    def _function(self, name: str, kind: FrameKind) -> tuple[str, str, str]:
        mark = "" if kind is FrameKind.USER else f' class="{kind}"'
        shown = _line(name)
        made = (
            f"<g{mark}><title>{_escaped(shown)}",
            shown,
            f'" height="{FRAME_PX - GAP_PX}" fill="{colour(name, kind)}"/>',
        )
        self._functions[name, kind] = made
        return made

    def _figure(self, weight: int) -> str:
        share = f"{100 * weight / self._total:.2f}"
        made = self._figures[weight] = f" ({weight:,} {self._unit}, {share}%)"
        return made


def _text(text: str, x: float, y: float, anchor: str, identity: str = "") -> str:
    mark = f' id="{identity}"' if identity else ""
    return f'<text{mark} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{_escaped(text)}</text>\n'


def _escaped(text: str) -> str:
    return escape(text, quote=False)
