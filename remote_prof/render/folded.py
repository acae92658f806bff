"""Folded stacks, for flamegraph.pl, speedscope, inferno and whoever else reads them."""

from __future__ import annotations

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import UNKNOWN, Profile
from remote_prof.render.report import Report


def render_folded(report: Report) -> bytes:
    """Write a line ``root;caller;leaf weight`` for each stack, sorted, in UTF-8.

    Stacks that differ only in what the format cannot hold (pids, modules, offsets) are summed.
    How names are written is in ``remote_prof.profile.folded``.
    """
    weights = fold(report.spelt)
    return "".join(f"{stack} {weights[stack]}\n" for stack in sorted(weights)).encode()


def fold(profile: Profile) -> dict[str, int]:
    """Return the weights by folded stack, without order."""
    written = [format_frame(frame.name, frame.kind) for frame in profile.frames]
    weights: dict[str, int] = {}
    for stack, weight in profile.weights.items():
        # A stack without frames cannot be written, and its weight must not vanish.
        folded = ";".join(map(written.__getitem__, stack)) or UNKNOWN
        weights[folded] = weights.get(folded, 0) + weight
    return weights
