"""The flame graph as one SVG file: no network, and readable with scripts switched off.

Layout after flamegraph.pl (https://github.com/brendangregg/FlameGraph), so that the same stacks
give the same rectangles: its default sizes, its order of siblings, its rounding, its smallest
width. It differs where flamegraph.pl splits a function that calls others and has siblings whose
names start with its own: here that is one rectangle.
"""

from __future__ import annotations

import re
import zlib
from colorsys import hls_to_rgb
from html import escape
from itertools import islice
from typing import NamedTuple

from remote_prof.profile.model import FrameKind, Profile
from remote_prof.profile.tree import Placed, place
from remote_prof.render.report import Report
from remote_prof.templates import load_text

WIDTH_PX = 1200
PAD_PX = 10  # left and right
FONT_PX = 12
CHARACTER_PX = FONT_PX * 0.59  # mean width of Verdana
FRAME_PX = 16
GAP_PX = 1  # between frames
TOP_PX = 3 * FONT_PX  # the title's room
SUBTITLE_PX = 2 * FONT_PX
BOTTOM_PX = 2 * FONT_PX + 10  # the details' room
SMALLEST_PX = 0.1  # narrower frames are left out
_TITLE_FONT_PX = FONT_PX + 5
_TEXT_INDENT_PX = 3
_FEWEST_CHARACTERS = 3  # shorter texts tell nothing
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


def render_svg(report: Report) -> bytes:
    """Draw the flame graph: callers below, callees above, width is weight."""
    total = report.profile.total
    scale = (WIDTH_PX - 2 * PAD_PX) / (total or 1)
    placed = _placed(report.profile, SMALLEST_PX / scale) if total else []
    levels = 1 + max((each.depth for each in placed), default=0)
    top = TOP_PX + (SUBTITLE_PX if report.subtitle else 0)
    height = levels * FRAME_PX + top + BOTTOM_PX
    floor = height - BOTTOM_PX
    unit = report.profile.unit
    opening = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg version="1.1" width="{WIDTH_PX}" height="{height}" '
        f'viewBox="0 0 {WIDTH_PX} {height}" xmlns="http://www.w3.org/2000/svg">\n'
    )
    parts = [
        opening,
        _head(report, height),
        '<g id="frames">\n',
    ]
    parts.extend(_frame(each, scale, floor, total, unit) for each in placed)
    parts.append("</g>\n")
    if not placed:
        parts.append(_text(f"no {unit}", WIDTH_PX / 2, floor - GAP_PX, "middle"))
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


def fit(text: str, width_px: float, character_px: float = CHARACTER_PX) -> str:
    """Cut ``text`` to a width; two dots stand for what is cut. Empty where too little is left."""
    room = int(width_px / character_px)
    if room < _FEWEST_CHARACTERS:
        return ""
    return text if len(text) <= room else text[: room - 2] + ".."


def colour(name: str, kind: FrameKind) -> str:
    """Return the fill of a frame: the kind gives the family, the name the shade."""
    family = _COLOURS[kind]
    seed = zlib.crc32(name.encode("utf-8", "replace"))
    hue = _between(family.hue, seed & 0xFFFF)
    lightness = _between(family.lightness, seed >> 16)
    red, green, blue = hls_to_rgb(hue / 360, lightness, family.saturation)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _between(ends: tuple[float, float], seed: int) -> float:
    return ends[0] + (ends[1] - ends[0]) * seed / 0xFFFF


def _head(report: Report, height: int) -> str:
    title_width = WIDTH_PX - 2 * (PAD_PX + 100)  # beside it stand "Reset zoom" and "Search"
    title = fit(printable(report.title), title_width, _TITLE_FONT_PX * 0.59)
    subtitle = fit(printable(report.subtitle), WIDTH_PX - 2 * PAD_PX)
    middle = WIDTH_PX / 2
    baseline = height - BOTTOM_PX / 2
    parts = [
        f"<desc>{_escaped(_description(report))}</desc>\n",
        f"<style><![CDATA[\n{load_text('svg/flamegraph.css')}]]></style>\n",
        f'<rect id="background" width="{WIDTH_PX}" height="{height}"/>\n',
        _text(title, middle, 2 * FONT_PX, "middle", "title"),
        _text("Reset zoom", PAD_PX, 2 * FONT_PX, "start", "unzoom"),
        _text("Search", WIDTH_PX - PAD_PX, 2 * FONT_PX, "end", "search"),
        _text("", PAD_PX, baseline, "start", "details"),
        _text("", WIDTH_PX - PAD_PX, baseline, "end", "matched"),
    ]
    if subtitle:
        parts.append(_text(subtitle, middle, 4 * FONT_PX, "middle", "subtitle"))
    return "".join(parts)


def _description(report: Report) -> str:
    lines = [report.title, report.subtitle, *(f"{k}: {v}" for k, v in report.facts.items())]
    return "\n".join(printable(line[:_LONGEST_NAME]) for line in lines if line)


def _frame(placed: Placed, scale: float, floor: int, total: int, unit: str) -> str:
    # Both edges are rounded, and the width is what lies between: neighbours touch.
    left = round(PAD_PX + placed.start * scale, 1)
    right = round(PAD_PX + (placed.start + placed.total) * scale, 1)
    y = floor - (placed.depth + 1) * FRAME_PX + GAP_PX
    name = printable(placed.name[:_LONGEST_NAME])
    if len(placed.name) > _LONGEST_NAME:
        name += ".."
    label = fit(name, right - left)
    return (
        f'<g data-s="{placed.start}" data-w="{placed.total}">'
        f"<title>{_escaped(_tooltip(name, placed, total, unit))}</title>"
        f'<rect x="{left:.1f}" y="{y}" width="{right - left:.1f}" height="{FRAME_PX - GAP_PX}" '
        f'fill="{colour(placed.name, placed.kind)}" rx="2"/>'
        f'<text x="{left + _TEXT_INDENT_PX:.1f}" y="{y + 10.5}">{_escaped(label)}</text></g>\n'
    )


def _tooltip(name: str, placed: Placed, total: int, unit: str) -> str:
    weight = placed.total
    share = f"{100 * weight / total:.2f}" if placed.depth else "100"
    return f"{name} ({weight:,} {unit}, {share}%)"


def _text(text: str, x: float, y: float, anchor: str, identity: str = "") -> str:
    mark = f' id="{identity}"' if identity else ""
    return f'<text{mark} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{_escaped(text)}</text>\n'


def _escaped(text: str) -> str:
    return escape(text, quote=False)
