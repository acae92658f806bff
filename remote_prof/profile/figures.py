"""Weights and changes of a comparison, as people read them."""

from __future__ import annotations

from remote_prof.profile.diff import Change, Comparison, Trend

_TRENDS = {Trend.VANISHED: "gone"}


class Figures:
    """Writes weights and changes as a comparison has them: as shares, or as counts."""

    def __init__(self, comparison: Comparison) -> None:
        self._counts = comparison.counts
        self._wholes = comparison.before.profile.total, comparison.after.profile.total

    def weights(self, change: Change) -> tuple[str, str]:
        """Return the weights before and after."""
        before, after = self._wholes
        return self._weight(change.before, before), self._weight(change.after, after)

    def _weight(self, weight: int, whole: int) -> str:
        return f"{weight:,}" if self._counts else f"{100 * weight / whole:.2f} %"

    def change(self, change: Change) -> str:
        """Return the change, with its sign; shares in points."""
        return self._difference(change.change)

    def noise(self, change: Change) -> str:
        """Return how far chance alone goes in the direction of the change."""
        bound = change.noise_high if change.change >= 0 else change.noise_low
        return "unknown" if bound is None else self._difference(bound)

    def _difference(self, difference: float) -> str:
        return f"{difference:+,.0f}" if self._counts else f"{100 * difference:+.2f}"

    def factor(self, change: Change) -> str:
        """Return what before was multiplied by, or what there is instead of a factor."""
        if change.trend in (Trend.NEW, Trend.VANISHED):
            return trend_word(change.trend)
        return "" if change.factor is None else f"x{change.factor:.2f}"


def trend_word(trend: Trend) -> str:
    """Return the one word that a trend is told by."""
    return _TRENDS.get(trend, str(trend))


def is_noise(change: Change) -> bool:
    """Tell a difference that chance explains; no difference at all is none."""
    return bool(change.is_noise) and change.trend is not Trend.SAME
