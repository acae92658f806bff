"""The table of functions: as text to be read, and as JSON for scripts."""

from __future__ import annotations

import json
from dataclasses import asdict

from remote_prof.profile.folded import printable
from remote_prof.profile.model import FrameKind, Profile
from remote_prof.profile.quality import quality_text
from remote_prof.profile.summary import FunctionShare, top_functions
from remote_prof.render.report import Report


def render_top(report: Report) -> bytes:
    """Write a line for each function, the largest self weight first, and the quality above them.

    A function is followed by its modules in brackets. How names are written is in
    ``remote_prof.profile.folded``, but without marks of kinds: those have a column.
    """
    profile = report.spelt
    unit = printable(profile.unit)
    modules = _modules(profile)
    total = profile.total or 1
    width = max(len("total"), len(str(profile.total)))
    kind = max(map(len, FrameKind))
    head = [report.title, report.subtitle, *(f"{k}: {v}" for k, v in report.facts.items())]
    lines = [printable(line) for line in head if line]
    lines += [
        printable(f"quality: {quality_text(report.quality, unit)}"),
        "",
        f"{'self':>{width}}  {'':7}  {'total':>{width}}  {'':7}  {'kind':<{kind}}  function",
    ]
    for share in top_functions(profile):
        files = ", ".join(modules.get((share.name, share.kind), ()))
        name = f"{share.name} ({files})" if files else share.name
        lines.append(
            f"{share.self:>{width}}  {_percent(share.self / total)}  "
            f"{share.total:>{width}}  {_percent(share.total / total)}  "
            f"{share.kind:<{kind}}  {printable(name)}"
        )
    return "\n".join([*lines, ""]).encode()


def render_top_json(report: Report) -> bytes:
    """Write the same as one JSON document. Shares are of all weights, 0 to 1."""
    profile = report.spelt
    modules = _modules(profile)
    total = profile.total or 1

    def entry(share: FunctionShare) -> dict[str, object]:
        return {
            "name": share.name,
            "kind": share.kind,
            "modules": modules.get((share.name, share.kind), []),
            "self": share.self,
            "self_share": share.self / total,
            "total": share.total,
            "total_share": share.total / total,
        }

    document = {
        "title": report.title,
        "subtitle": report.subtitle,
        "facts": dict(report.facts),
        "unit": profile.unit,
        "total": profile.total,
        "quality": asdict(report.quality),
        "functions": [entry(share) for share in top_functions(profile)],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1)
    return text.encode("utf-8", "replace") + b"\n"  # a lone surrogate becomes "?"


def _modules(profile: Profile) -> dict[tuple[str, FrameKind], list[str]]:
    """Return the modules in which a function of one name and kind was seen, sorted."""
    modules: dict[tuple[str, FrameKind], set[str]] = {}
    for frame in profile.frames:
        if frame.module:
            modules.setdefault(frame[:2], set()).add(frame.module)
    return {function: sorted(found) for function, found in modules.items()}


def _percent(share: float) -> str:
    return f"{100 * share:>5.1f} %"
