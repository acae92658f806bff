"""speedscope's own format: https://www.speedscope.app/file-format-schema.json."""

from __future__ import annotations

import json

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import Frame, IndexStack, Profile, is_kernel
from remote_prof.render.report import Report

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
# speedscope's names of the units that it can show; it shows others as bare numbers.
_UNITS = {"us": "microseconds", "ms": "milliseconds", "ns": "nanoseconds", "bytes": "bytes"}
_KERNEL_FILE = "[kernel]"


def render_speedscope(report: Report) -> bytes:
    """Write one profile of type ``sampled``: stacks with weights, without times.

    The stacks are sorted, so that equal callers stand side by side in the time order view too.
    A frame's ``file`` is its module, which tells modules apart by colour.
    """
    profile = report.profile
    identities = [_identity(frame) for frame in profile.frames]
    frames: dict[tuple[str, str | None], int] = {}
    samples = []
    weights = []
    for stack in in_order(profile):
        samples.append([frames.setdefault(identities[i], len(frames)) for i in stack])
        weights.append(profile.weights[stack])
    document = {
        "$schema": _SCHEMA,
        "exporter": "remote-prof",
        "name": report.title,
        "activeProfileIndex": 0,
        "shared": {"frames": [_frame(name, file) for name, file in frames]},
        "profiles": [
            {
                "type": "sampled",
                "name": report.subtitle or report.title,
                "unit": _UNITS.get(report.profile.unit, "none"),
                "startValue": 0,
                "endValue": sum(weights),
                "samples": samples,
                "weights": weights,
            }
        ],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"  # a lone surrogate becomes "?"


def in_order(profile: Profile) -> list[IndexStack]:
    """Return the stacks as their folded lines sort, whatever the frames' numbers are."""
    # The second part tells frames of one name apart: pids, modules, offsets.
    order = [
        (format_frame(f.name, f.kind), f"{f.pid} {f.module} {f.offset_bytes} {f.name}")
        for f in profile.frames
    ]
    ranks = [0] * len(order)
    for rank, number in enumerate(sorted(range(len(order)), key=order.__getitem__)):
        ranks[number] = rank
    return sorted(profile.weights, key=lambda stack: list(map(ranks.__getitem__, stack)))


def _identity(frame: Frame) -> tuple[str, str | None]:
    return frame.name, _KERNEL_FILE if is_kernel(frame) else frame.module


def _frame(name: str, file: str | None) -> dict[str, str]:
    return {"name": name} if file is None else {"name": name, "file": file}
