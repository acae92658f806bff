"""A comparison as one page: the report's page, with the weights of both sides in it.

The page colours frames and judges them as ``render/comparison_svg.py`` does. It draws other trees
too (without the kernel's frames, of callers, recursion collapsed), so the bounds on noise stand in
it as tables: of so many samples of both sides together, how many chance puts after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from remote_prof.profile.diff import Comparison, Measure, Side, compared_weights
from remote_prof.profile.diff_tree import compared_frames, place_pairs
from remote_prof.profile.figures import Figures, is_noise
from remote_prof.profile.model import Frame, Grade
from remote_prof.profile.noise import CONFIDENCE
from remote_prof.render.comparison_svg import (
    FACTORS,
    GREW,
    SHRANK,
    UNCHANGED,
    describe_sides,
    title_of,
)
from remote_prof.render.html import (
    MOST_ROWS,
    Page,
    frames_and_stacks,
    quality_figures,
    told_problems,
    write_page,
)


def render_diff_html(comparison: Comparison) -> bytes:
    """Write the page."""
    figures = Figures(comparison)
    movers = comparison.movers[:MOST_ROWS]
    before, after = describe_sides(comparison)
    title = title_of(comparison)
    changed = [
        f"{mover.name} {figures.change(mover.self)}"
        for mover in movers[:5]
        if mover.self.change and not is_noise(mover.self)
    ]
    most = f"Most changed: {', '.join(changed)}." if changed else "Nothing changed but for noise."
    return write_page(
        Page(
            title=title,
            subtitle=f"{before}. {after}",
            summary=f"{title}. {before}. {after}. {most}",
            document=_document(comparison, title),
            columns=("Before", "After", "Change", "Factor", "Noise to", "Function (self)"),
            rows=(
                (
                    *figures.weights(mover.self),
                    figures.change(mover.self),
                    figures.factor(mover.self),
                    figures.noise(mover.self),
                    mover.name,
                )
                for mover in movers
            ),
        )
    )


def _document(comparison: Comparison, title: str) -> dict[str, Any]:
    before, after = comparison.before, comparison.after
    worst = max((before, after), key=_grade)
    verdict = worst.quality.verdict
    words = (("before", before), ("after", after))
    reasons = (
        f"{word}: {side.quality.verdict.reason}" for word, side in words if side.quality.verdict
    )
    problems = [
        *told_problems(comparison.warnings),
        *(
            (severity, f"{word}: {what}", evidence, fix)
            for word, side in words
            for severity, what, evidence, fix in told_problems(side.problems)
        ),
    ]
    return {
        "title": title,
        "subtitle": "",
        "unit": comparison.unit,
        "facts": list(_facts(comparison)),
        "grade": verdict.grade if verdict else "",
        "reason": "; ".join(reasons),
        "remedy": verdict.remedy if verdict else "",
        "figures": _both(quality_figures(before.quality), quality_figures(after.quality)),
        "problems": problems,
        "compared": {
            "counts": comparison.counts,
            "names": [before.name, after.name],
            "lines": list(describe_sides(comparison)),
            "totals": [before.profile.total, after.profile.total],
            "factors": FACTORS,
            "colours": [*reversed(SHRANK), UNCHANGED, *GREW],
            "frames": _bounds(comparison, compared_frames(place_pairs(comparison))),
            "functions": _bounds(comparison, compared_weights(comparison.movers)),
        },
        **frames_and_stacks(
            [Frame(*function) for function in comparison.functions], comparison.stacks.items()
        ),
    }


def _grade(side: Side) -> int:
    verdict = side.quality.verdict
    return list(Grade).index(verdict.grade) if verdict else 0


def _both(
    before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return what is told of each side as one list."""
    one, other = dict(before), dict(after)
    names = dict.fromkeys((*one, *other))
    return [(name, f"{one.get(name, '-')} → {other.get(name, '-')}") for name in names]


def _facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    before, after = comparison.before, comparison.after
    yield "before", before.name
    yield "after", after.name
    yield "compared", comparison.unit if comparison.counts else "shares"
    known = comparison.comparisons is not None
    bound = f"what chance alone gives, with {100 * CONFIDENCE:.0f} % confidence for all together"
    yield "noise", bound if known else "unknown"
    for name, one, other in (
        ("sampled for", _told(before.duration_s, " s"), _told(after.duration_s, " s")),
        (
            "frequency",
            _told(before.profile.frequency_hz, " Hz"),
            _told(after.profile.frequency_hz, " Hz"),
        ),
        ("scope", before.scope, after.scope),
    ):
        if one or other:
            yield name, one if one == other else f"{one or '-'} → {other or '-'}"


def _told(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:g}{unit}"


def _bounds(
    comparison: Comparison, pairs: Iterator[tuple[int, int]]
) -> list[tuple[int, int, int]] | None:
    measure = Measure(comparison.before, comparison.after, pairs, counts=comparison.counts)
    if measure.noise is None:
        return None
    return measure.noise.tabulate(comparison.before.profile.total + comparison.after.profile.total)
