"""Folded stacks, for flamegraph.pl, speedscope, inferno and whoever else reads them."""

from __future__ import annotations

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import UNKNOWN, FrameKind, Profile
from remote_prof.render.report import Report


def render_folded(report: Report) -> bytes:
    """Write a line ``root;caller;leaf weight`` for each stack, sorted, in UTF-8.

    Stacks that differ only in what the format cannot hold (pids, modules, offsets) are summed.
    How names are written is in ``remote_prof.profile.folded``.
    """
    weights = fold(report.profile)
    return "".join(f"{stack} {weights[stack]}\n" for stack in sorted(weights)).encode()


def fold(profile: Profile) -> dict[str, int]:
    """Return the weights by folded stack, without order."""
    written: dict[tuple[str, FrameKind], str] = {}
    weights: dict[str, int] = {}
    for stack, weight in profile.stacks.items():
        names = []
        for name, kind, *_ in stack:
            text = written.get((name, kind))
            if text is None:
                text = written[name, kind] = format_frame(name, kind)
            names.append(text)
        # A stack without frames cannot be written, and its weight must not vanish.
        folded = ";".join(names) or UNKNOWN
        weights[folded] = weights.get(folded, 0) + weight
    return weights
