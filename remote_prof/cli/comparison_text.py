"""What a person reads of a comparison: which side is which, what changed, what is noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remote_prof import console
from remote_prof.profile.diff import Change, Comparison, Mover, Side, Trend
from remote_prof.profile.figures import Figures, is_noise
from remote_prof.profile.noise import CONFIDENCE
from remote_prof.profile.quality import quality_text

_TOP = 20
_HEADER = ("", "before", "after", "change", "factor", "noise to")
# A sign and a word beside the colour, which not everybody can tell and not every terminal has.
# Orange and blue are told apart with any colour vision that tells colours at all.
_MARKS = {
    Trend.NEW: ("+ new", "dark_orange"),
    Trend.GREW: ("+ grew", "dark_orange"),
    Trend.VANISHED: ("- gone", "deep_sky_blue1"),
    Trend.SHRANK: ("- shrank", "deep_sky_blue1"),
    Trend.SAME: ("= same", "dim"),
}
_NOISE = ("~ noise", "dim")


def show_problems(comparison: Comparison) -> None:
    """Print what there is to say of each side, and what makes them unlike."""
    for word, side in (("before", comparison.before), ("after", comparison.after)):
        for problem in side.problems:
            console.problem(replace(problem, what=f"{word}: {problem.what}"))
    for warning in comparison.warnings:
        console.problem(warning)


def show(comparison: Comparison, *, everything: bool) -> None:
    """Print the comparison: both sides, then functions by self, then by total.

    Noise is folded away, and so is what follows the largest changes, unless ``everything``.
    """
    _show_side("before", comparison.before)
    _show_side("after", comparison.after)
    console.line(_method(comparison))
    figures = Figures(comparison)
    own = [(mover, mover.self) for mover in comparison.movers]
    total = [(mover, mover.total) for mover in comparison.movers if not _all_its_own(mover)]
    total.sort(key=lambda pair: -abs(pair[1].change))
    _show_table("in itself (self)", own, figures, everything=everything)
    _show_table("with what it calls (total)", total, figures, everything=everything)


def _show_side(word: str, side: Side) -> None:
    console.line(f"{word + ':':8}{side.name}", style="bold")
    console.line(f"  quality: {quality_text(side.quality, side.profile.unit)}")


def _method(comparison: Comparison) -> str:
    what = comparison.unit if comparison.counts else "shares"
    if comparison.comparisons is None:
        why = (
            "counts of different exposure"
            if comparison.before.samples is not None and comparison.after.samples is not None
            else "the number of samples is not known"
        )
        return f"compared: {what}; noise: unknown, {why}"
    return (
        f"compared: {what}; noise: what chance alone gives, with {100 * CONFIDENCE:.0f} % "
        "confidence for all functions together"
    )


def _all_its_own(mover: Mover) -> bool:
    """Tell whether the change of total is that of self, which is shown already."""
    own, total = mover.self, mover.total
    return (own.before, own.after) == (total.before, total.after)


def _row(mover: Mover, change: Change, figures: Figures) -> tuple[tuple[str, ...], str]:
    """Return the cells of a row, and its style."""
    mark, style = _NOISE if is_noise(change) else _MARKS[change.trend]
    cells = (
        mark,
        *figures.weights(change),
        figures.change(change),
        figures.factor(change),
        figures.noise(change),
        mover.name,
    )
    return cells, style


def _show_table(
    title: str,
    pairs: Sequence[tuple[Mover, Change]],
    figures: Figures,
    *,
    everything: bool,
) -> None:
    console.line("")
    # A function that is on neither side itself has no self to speak of.
    told = [(m, change) for m, change in pairs if change.before or change.after]
    changed = [pair for pair in told if not _nothing(pair[1])]
    shown = told if everything else changed[:_TOP]
    if shown:
        rows = [_row(*pair, figures) for pair in shown]
        console.table(
            (*_HEADER, title),
            (cells for cells, _ in rows),
            right=range(1, len(_HEADER)),
            styles=(style for _, style in rows),
        )
    else:
        console.line(f"nothing changed {title}, but for noise")
    _show_rest(len(changed) - len(shown), len(told) - len(changed), everything=everything)


def _nothing(change: Change) -> bool:
    return change.trend is Trend.SAME or bool(change.is_noise)


def _show_rest(more: int, noise: int, *, everything: bool) -> None:
    if everything or not (more or noise):
        return
    parts = [f"{more} that changed less"] if more else []
    parts += [f"{noise} the same or noise"] if noise else []
    console.line(f"not shown: {', '.join(parts)} (--all)")
