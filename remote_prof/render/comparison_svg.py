"""A comparison as one SVG file: the call tree of both sides, coloured by what changed.

A frame's width is the mean of its shares before and after (where raw counts are compared, of its
weights), so what is new and what is gone both have their place. Its colour tells the direction and
the factor of its change, with all that it calls; what chance alone explains has none. Orange and
blue are told apart with any colour vision that tells colours at all, and neither is alone: what
shrank is hatched, and names begin with a sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from remote_prof.profile.diff import Change, Comparison, Measure, Side, Trend
from remote_prof.profile.diff_tree import PlacedPair, compared_frames, place_pairs
from remote_prof.profile.figures import Figures, is_noise, trend_word
from remote_prof.profile.model import FrameKind
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

UNCHANGED = "#d9dbde"
GREW = ("#fbe0c2", "#f8bf85", "#f09a48", "#dd7420")
SHRANK = ("#d5e6f6", "#a9cdee", "#74b0e2", "#4a92d0")
FACTORS = (1.1, 1.3, 2.0)  # from each on, the next colour
"""Steps, not a continuum: four shades are told apart, and a legend can name them."""

_MARKS = {
    Trend.NEW: "++ ",
    Trend.GREW: "+ ",
    Trend.SHRANK: "\u2212 ",
    Trend.VANISHED: "\u2212\u2212 ",
}
_UNMARKED = frozenset({FrameKind.USER, FrameKind.PROCESS})
# What a browser's script counts with exactly.
_MOST_BITS = 50


def render_diff_svg(comparison: Comparison, drawing: Drawing = USUAL) -> bytes:
    """Draw the call tree of both sides."""
    smallest = max(drawing.smallest_share, comparison.min_share)
    placed = list(islice(place_pairs(comparison, smallest_share=smallest), MOST_FRAMES))
    frames = _Frames(comparison, placed)
    before, after = describe_sides(comparison)
    picture = Picture(
        title=title_of(comparison),
        subtitles={"before": before, "after": after},
        description=(
            before,
            after,
            "Widths are the mean of both sides. Orange and + grew, blue and \u2212 shrank.",
        ),
        legend=_legend(),
        levels=1 + max(each.depth for each in placed),
        total=frames.total,
        nothing="",
        data={
            "weights": tell_weights(frames.spans),
            "sides": " ".join(f"{each.before.total} {each.after.total}" for each in placed),
        },
        definitions=_hatches(),
    )
    return draw_picture(picture, drawing, frames.draw)


def title_of(comparison: Comparison) -> str:
    """Return what a picture of a comparison is called."""
    what = comparison.unit if comparison.counts else f"shares of {comparison.unit}"
    return f"What changed: {what}"


def describe_sides(comparison: Comparison) -> tuple[str, str]:
    """Return a line that says what is before, and one that says what is after."""
    sides = (comparison.before, comparison.after)
    before, after = (
        f"{word}: {side.name} ({side.profile.total:,} {comparison.unit}{_grade(side)})"
        for word, side in zip(("before", "after"), sides, strict=True)
    )
    return before, after


def _grade(side: Side) -> str:
    verdict = side.quality.verdict
    return f", {verdict.grade}" if verdict else ""


class _Span(NamedTuple):
    """Where a frame is on the whole width."""

    start: int
    total: int
    own: int


class _Frames:
    """The frames of both sides at their places."""

    def __init__(self, comparison: Comparison, placed: Sequence[PlacedPair]) -> None:
        self._placed = placed
        self._figures = Figures(comparison)
        self._counts = comparison.counts
        self._unit = escaped(printable(comparison.unit))
        totals = comparison.before.profile.total, comparison.after.profile.total
        # The mean of both shares, in parts of which each sample has a whole number.
        self._parts = (1, 1) if comparison.counts else (totals[1], totals[0])
        whole = self._part(*totals)
        self._grain = 1 << max(0, whole.bit_length() - _MOST_BITS)
        self.spans = [self._span(each) for each in placed]
        self.total = self.spans[0].total
        self._measure = Measure(
            comparison.before, comparison.after, compared_frames(placed), counts=comparison.counts
        )

    def _part(self, before: int, after: int) -> int:
        return before * self._parts[0] + after * self._parts[1]

    def _span(self, each: PlacedPair) -> _Span:
        before, after = each.before, each.after
        start = self._part(before.start, after.start)
        edges = (
            start,
            start + self._part(before.total, after.total),
            start + self._part(before.own, after.own),
        )
        first, end, own = (edge // self._grain for edge in edges)
        return _Span(first, end - first, own - first)

    def draw(self, pen: Pen) -> Iterator[str]:
        """Draw each frame."""
        for each, span in zip(self._placed, self.spans, strict=True):
            change = self._measure((each.before.total, each.after.total))
            shown = one_line(each.name)
            told = Trend.SAME if is_noise(change) else change.trend
            label = _MARKS.get(told, "") + shown if each.depth else shown
            mark = "" if told is Trend.SAME else trend_word(told)
            tooltip = f"{opening(shown, mark)} ({self._tell(each, change)})"
            yield pen.draw(
                span.start, span.total, each.depth, tooltip, label, filled(fill_of(change))
            )

    def _tell(self, each: PlacedPair, change: Change) -> str:
        figures = self._figures
        before, after = figures.weights(change)
        unit = self._unit if self._counts else "points"
        if is_noise(change):
            verdict = f"noise, which reaches {figures.noise(change)}"
        else:
            verdict = figures.factor(change) if change.trend is not Trend.SAME else "the same"
        told = [f"before {before}, after {after}", f"{figures.change(change)} {unit}", verdict]
        if not self._counts:
            told.insert(1, f"{change.before:,} and {change.after:,} {self._unit}")
        if each.before.own or each.after.own:
            own = self._measure((each.before.own, each.after.own))
            told.append("itself {} and {}".format(*figures.weights(own)))
        if each.kind not in _UNMARKED:
            told.append(str(each.kind))
        return "; ".join(told)


def fill_of(change: Change) -> str:
    """Return the fill of a frame by what became of it."""
    if is_noise(change) or change.trend is Trend.SAME:
        return UNCHANGED
    grew = change.change > 0
    step = len(FACTORS)
    if change.factor:
        factor = change.factor if grew else 1 / change.factor
        step = sum(factor >= least for least in FACTORS)
    return GREW[step] if grew else f"url(#shrank{step})"


def _legend() -> tuple[tuple[str, str], ...]:
    between = range(len(FACTORS) - 1, 0, -1)
    return (
        (f"url(#shrank{len(FACTORS)})", "\u2212 less after: half, \u2212\u2212 gone"),
        *((f"url(#shrank{step})", f"1/{FACTORS[step - 1]:g}") for step in between),
        ("url(#shrank0)", "less"),
        (UNCHANGED, "same, or noise"),
        (GREW[0], "more"),
        *((GREW[step], f"x{FACTORS[step - 1]:g}") for step in reversed(between)),
        (GREW[len(FACTORS)], "+ more after: twice, ++ new"),
    )


def _hatches() -> str:
    patterns = "".join(
        f'<pattern id="shrank{step}" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="6" height="6" fill="{colour}"/>'
        f'<rect width="1.5" height="6" fill="#fff" fill-opacity="0.6"/></pattern>\n'
        for step, colour in enumerate(SHRANK)
    )
    return f"<defs>\n{patterns}</defs>\n"
