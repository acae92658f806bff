"""speedscope's own format: https://www.speedscope.app/file-format-schema.json."""

from __future__ import annotations

import json

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import Frame, Stack, is_kernel
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
    frames: dict[tuple[str, str | None], int] = {}
    samples = []
    weights = []
    stacks = report.profile.stacks
    for stack in sorted(stacks, key=_order):
        samples.append([frames.setdefault(_identity(frame), len(frames)) for frame in stack])
        weights.append(stacks[stack])
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


def _order(stack: Stack) -> tuple[list[str], tuple[str, ...]]:
    # The second part makes stacks of one name (pids, modules) come in a fixed order.
    return (
        [format_frame(frame.name, frame.kind) for frame in stack],
        tuple(f"{frame.pid} {frame.module} {frame.offset_bytes} {frame.name}" for frame in stack),
    )


def _identity(frame: Frame) -> tuple[str, str | None]:
    return frame.name, _KERNEL_FILE if is_kernel(frame) else frame.module


def _frame(name: str, file: str | None) -> dict[str, str]:
    return {"name": name} if file is None else {"name": name, "file": file}
