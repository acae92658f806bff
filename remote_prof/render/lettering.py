"""How much of a name has room in a frame, without a font at hand.

Widths are those of DejaVu Sans, rounded up; Verdana's are the same within a twentieth.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

FONT_PX = 12
_DOTS = ".."
_WIDTHS_PX = {
    3.5: "'ijl",
    4: " ,.IJ",
    4.5: "-/:;\\f|",
    5: "!()[]rt",
    6: '"*_`',
    6.5: "?sz",
    7: "FLck",
    7.5: "PTYaeovxy",
    8: "0123456789$EKSbdghnpqu{}",
    8.5: "ABCRVXZ",
    9: "NU",
    9.5: "&DGHOQ",
    10: "w",
    10.5: "#+<=>M^~",
    11.5: "%",
    12: "@Wm",
}


class _Widths(dict[str, float]):
    def __missing__(self, character: str) -> float:
        # Letters; syllables and ideographs; pictures.
        return 9 if character < "\u1100" else FONT_PX if character < "\U0001f000" else 16


_WIDTH_PX = _Widths((each, width) for width, those in _WIDTHS_PX.items() for each in those)


def edges(text: str) -> list[float]:
    """Return where each character ends, in pixels, in a font of ``FONT_PX``."""
    return list(accumulate(map(_WIDTH_PX.__getitem__, text)))


def cut(text: str, text_edges: list[float], width_px: float) -> str:
    """Cut ``text`` to a width; two dots stand for what is cut. Empty where nothing else fits."""
    if not text or text_edges[-1] <= width_px:
        return text
    fitting = bisect_right(text_edges, width_px - 2 * _WIDTH_PX["."])
    return text[:fitting] + _DOTS if fitting else ""


def fit(text: str, width_px: float, font_px: float = FONT_PX) -> str:
    """Cut ``text`` to a width in a font of any size."""
    return cut(text, edges(text), width_px * FONT_PX / font_px)
