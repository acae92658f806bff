"""A picture of frames above their callers, as one SVG file: what all such graphs have in common.

It needs no network, and is readable with scripts switched off. The layout is that of flamegraph.pl
(https://github.com/brendangregg/FlameGraph): its default sizes, its rounding, its smallest width.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from remote_prof.render.lettering import FONT_PX, cut, edges, fit
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
MOST_FRAMES = 100_000
LONGEST_NAME = 2000  # characters

# XML has no form for most of these; the rest (line breaks, directions of writing) would let a
# name forge what stands around it.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the picture is drawn, sizes in pixels.

    Frames narrower than ``minwidth_px`` are left out. ``inverted`` is the icicle: callers above.
    """

    width_px: int = 1200
    minwidth_px: float = 0.1
    inverted: bool = False

    @property
    def smallest_share(self) -> float:
        """The share of the whole that is as wide as the narrowest frame."""
        return self.minwidth_px / (self.width_px - 2 * PAD_PX)


USUAL = Drawing()


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn, but for the frames.

    ``subtitles`` are lines below the title by what names them in the style sheet. ``legend`` is
    words, each behind a swatch of the given fill. ``total`` is the weight of the whole width, 0
    where there is ``nothing``, which is then said. ``data`` is what the script reads, and no
    picture tells exactly; ``definitions`` are elements that fills refer to.
    """

    title: str
    subtitles: Mapping[str, str]
    description: Sequence[str]
    legend: Sequence[tuple[str, str]]
    levels: int
    total: int
    nothing: str
    data: Mapping[str, str]
    definitions: str = ""


class Pen:
    """Draws frames at their places."""

    def __init__(self, scale: float, rows: range) -> None:
        self._scale = scale
        self._readable = _NARROWEST_TEXT_PX / scale
        self._edges: dict[str, list[float]] = {}
        self._rows = [(f'" y="{y}" width="', f'" y="{y + 10.5}">') for y in rows]

    def draw(self, start: int, weight: int, depth: int, tooltip: str, label: str, fill: str) -> str:
        """Return a group of a tooltip, a rectangle, and the label where it has room.

        ``tooltip`` and ``fill`` are made by ``opening`` and ``filled``; what follows the opening
        in the tooltip is escaped.
        """
        scale = self._scale
        # Both edges are rounded, and the width is what lies between: neighbours touch.
        left = f"{PAD_PX + start * scale:.1f}"
        width = float(f"{PAD_PX + (start + weight) * scale:.1f}") - float(left)
        y, baseline = self._rows[depth]
        text = ""
        if weight >= self._readable and (shown := self._cut(label, weight * scale)):
            x = float(left) + _TEXT_INDENT_PX
            text = f'<text x="{x:.1f}{baseline}{escaped(shown)}</text>'
        return f'{tooltip}</title><rect x="{left}{y}{width:.1f}{fill}{text}</g>\n'

    def _cut(self, text: str, width_px: float) -> str:
        text_edges = self._edges.get(text)
        if text_edges is None:
            text_edges = self._edges[text] = edges(text)
        return cut(text, text_edges, width_px - 2 * _TEXT_INDENT_PX)


def opening(shown: str, mark: str) -> str:
    """Return how the group of a frame begins, up to its name in the tooltip."""
    classes = f' class="{mark}"' if mark else ""
    return f"<g{classes}><title>{escaped(shown)}"


def filled(fill: str) -> str:
    """Return how the rectangle of a frame ends."""
    return f'" height="{FRAME_PX - GAP_PX}" fill="{fill}"/>'


def draw_picture(
    picture: Picture, drawing: Drawing, draw_frames: Callable[[Pen], Iterable[str]]
) -> bytes:
    """Draw the picture; ``draw_frames`` has the frames, callers before what they call."""
    width = drawing.width_px
    top = TOP_PX + SUBTITLE_PX * sum(map(bool, picture.subtitles.values()))
    top += _CONTROLS_ROW_PX if width < _NARROW_PX else 0
    floor = top + picture.levels * FRAME_PX
    legend, legend_rows = _legend(picture.legend, width, floor + BOTTOM_PX)
    size = width, floor + BOTTOM_PX + legend_rows * _LEGEND_ROW_PX
    rows = range(top, floor, FRAME_PX)
    if not drawing.inverted:
        rows = range(floor - FRAME_PX + GAP_PX, top, -FRAME_PX)
    pen = Pen((width - 2 * PAD_PX) / (picture.total or 1), rows)
    data = {
        "shape": "icicle" if drawing.inverted else "flame",
        "top": str(top),
        "floor": str(floor),
        **picture.data,
    }
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    parts = [
        _head(picture, size),
        legend,
        f'<g id="frames"{attributes}>\n',
        *draw_frames(pen),
        "</g>\n",
    ]
    if not picture.total:
        parts.append(_text(picture.nothing, width / 2, floor - GAP_PX, "middle"))
    parts.append(_text("", PAD_PX, floor + BOTTOM_PX / 2, "start", "details"))
    parts.append(f"<script><![CDATA[\n{load_text('svg/flamegraph.js')}]]></script>\n</svg>\n")
    return "".join(parts).encode()


def tell_weights(placed: Iterable[tuple[int, int, int]]) -> str:
    """Write start, total and self weight of each frame as the script reads them."""
    written = []
    before = 0
    for start, total, own in placed:
        written.append(f"{start - before} {total} {own}")
        before = start
    return " ".join(written)


def printable(text: str) -> str:
    """Return ``text`` with what XML cannot hold, and what misleads readers, as U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return ``text`` as it can be shown, and not longer than anybody can read."""
    return printable(text[:LONGEST_NAME]) + (".." if len(text) > LONGEST_NAME else "")


def escaped(text: str) -> str:
    """Return ``text`` for the content of an element."""
    return escape(text, quote=False)


def _head(picture: Picture, size: tuple[int, int]) -> str:
    width, height = size
    beside = 2 * _SEARCH_PX if width >= _NARROW_PX else 0
    title = fit(one_line(picture.title), width - 2 * PAD_PX - beside, _TITLE_FONT_PX)
    description = "\n".join(one_line(line) for line in picture.description if line)
    baseline = 2 * FONT_PX + (0 if beside else _CONTROLS_ROW_PX)
    beginning = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg version="1.1" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'xmlns="http://www.w3.org/2000/svg" role="graphics-document" '
        'aria-labelledby="name" aria-describedby="description">\n'
    )
    parts = [
        beginning,
        f'<title id="name">{escaped(one_line(picture.title))}</title>\n',
        f'<desc id="description">{escaped(description)}</desc>\n',
        picture.definitions,
        f"<style><![CDATA[\n{load_text('svg/flamegraph.css')}]]></style>\n",
        f'<rect id="background" width="{width}" height="{height}"/>\n',
        _text(title, width / 2, baseline, "middle", "title"),
    ]
    for name, text in picture.subtitles.items():
        if text:
            baseline += SUBTITLE_PX
            shown = fit(one_line(text), width - 2 * PAD_PX)
            parts.append(_text(shown, width / 2, baseline, "middle", name))
    return "".join(parts)


def _legend(swatches: Iterable[tuple[str, str]], width: int, y: int) -> tuple[str, int]:
    """Return words, each beside its colour, and the number of rows that they take."""
    parts = ['<g id="legend">\n']
    x, rows = PAD_PX, 0
    for fill, word in swatches:
        rows = rows or 1
        room = round(_SWATCH_PX + 5 + edges(word)[-1] + 15)
        if x > PAD_PX and x + room > width:
            x, rows = PAD_PX, rows + 1
        top = y + (rows - 1) * _LEGEND_ROW_PX
        parts.append(
            f'<rect x="{x}" y="{top}" width="{_SWATCH_PX}" height="{_SWATCH_PX}" fill="{fill}"/>'
        )
        parts.append(_text(word, x + _SWATCH_PX + 5, top + _SWATCH_PX, "start"))
        x += room
    return "".join([*parts, "</g>\n"]), rows


def _text(text: str, x: float, y: float, anchor: str, identity: str = "") -> str:
    mark = f' id="{identity}"' if identity else ""
    return f'<text{mark} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escaped(text)}</text>\n'
