"""The report as one page: an interactive flame graph with all that is known of its profile.

The page is a single file that asks for nothing, see ``render/page_file.py``. The profile stands in
it as JSON.

The stacks are numbers (varints as in protobuf: seven bits a byte, the lowest first) in base64. For
each stack, in the order of its frames: how many frames it shares with the stack before, how many
more it has, their numbers, and its weight (in a comparison both weights). Frames are numbered in
the order of their names. There is no compression: numbers of frames have little to give, and the
page can read them at once.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from typing import Any

from remote_prof.profile.folded import format_frame
from remote_prof.profile.model import (
    Frame,
    FrameKind,
    IndexStack,
    Profile,
    Quality,
    is_kernel,
)
from remote_prof.profile.quality import hints
from remote_prof.profile.summary import FunctionShare, top_functions
from remote_prof.records import Problem
from remote_prof.render.page_file import heads_of, row_of, short_name, text_of, write_file
from remote_prof.render.report import Report
from remote_prof.render.svg import colour

# In the order in which they are joined: a script uses what stands before it.
SCRIPTS = (
    "page/elements",
    "report/profile",
    "report/groups",
    "report/tree",
    "report/compared",
    "report/sandwich",
    "report/chart",
    "report/pointer",
    "report/table",
    "report/export",
    "report/frames",
    "report/state",
    "page/address",
    "report/search",
    "report/view",
    "report/words",
    "page/theme",
    "report/controls",
)
MOST_ROWS = 30  # where scripts are off
_SUMMARY_FUNCTIONS = 5
_KINDS = {kind: number for number, kind in enumerate(FrameKind)}


@dataclass(frozen=True, slots=True)
class Page:
    """What stands in a page: texts, what its scripts read, and rows for where scripts are off.

    ``columns`` are the heads of the rows.
    """

    title: str
    subtitle: str
    summary: str
    document: Mapping[str, Any]
    columns: Sequence[str]
    rows: Iterable[Sequence[str]]


def render_html(report: Report) -> bytes:
    """Write the page. Its size goes with the distinct stacks, some 2 bytes a frame of the tree."""
    profile = report.profile
    functions = top_functions(profile, MOST_ROWS)
    whole = profile.total or 1
    return write_page(
        Page(
            title=report.title or "flame graph",
            subtitle=report.subtitle,
            summary=_summary(profile, functions),
            document=report_document(report),
            columns=("Self", "Total", "Function"),
            rows=(
                (f"{share.self / whole:.1%}", f"{share.total / whole:.1%}", share.name)
                for share in functions
            ),
        )
    )


def write_page(page: Page) -> bytes:
    """Write a page: one file with everything in it."""
    return write_file(
        "report/report.html",
        SCRIPTS,
        page.document,
        title=text_of(page.title),
        subtitle=text_of(page.subtitle),
        summary=text_of(page.summary),
        columns=heads_of(page.columns),
        rows="".join(row_of(escape(short_name(cell)) for cell in row) for row in page.rows),
    )


def report_document(report: Report) -> dict[str, Any]:
    """Return a report as the page's scripts read it."""
    profile, quality = report.profile, report.quality
    problems = dict.fromkeys((*hints(profile, quality), *report.problems))
    verdict = quality.verdict
    return {
        "title": report.title,
        "subtitle": report.subtitle,
        "unit": profile.unit,
        "facts": list(report.facts.items()),
        "grade": verdict.grade if verdict else "",
        "reason": verdict.reason if verdict else "",
        "remedy": verdict.remedy if verdict else "",
        "figures": quality_figures(quality),
        "problems": told_problems(problems),
        "compared": None,
        **frames_and_stacks(
            profile.frames, ((stack, (weight,)) for stack, weight in profile.weights.items())
        ),
    }


def told_problems(problems: Iterable[Problem]) -> list[tuple[str, ...]]:
    """Return problems as the page's scripts read them."""
    return [(p.severity, p.what, p.evidence, p.fix) for p in problems]


def frames_and_stacks(
    all_frames: Sequence[Frame], stacks: Iterable[tuple[IndexStack, tuple[int, ...]]]
) -> dict[str, Any]:
    """Return the stacks with their weights, one or two each, and the frames that are in them."""
    stacks = list(stacks)
    used = set(chain.from_iterable(stack for stack, _ in stacks))
    numbers = sorted(used, key=lambda number: _order(all_frames[number]))
    frames = [all_frames[number] for number in numbers]
    functions: dict[tuple[str, FrameKind], int] = {}
    modules: dict[str, int] = {}
    columns = {
        "module": [
            -1 if frame.module is None else modules.setdefault(frame.module, len(modules))
            for frame in frames
        ],
        "offset": [-1 if frame.offset_bytes is None else frame.offset_bytes for frame in frames],
        "pid": [-1 if frame.pid is None else frame.pid for frame in frames],
    }
    function = [functions.setdefault(frame[:2], len(functions)) for frame in frames]
    ranks = [0] * len(all_frames)
    for rank, number in enumerate(numbers):
        ranks[number] = rank
    data, nodes = _packed(stacks, ranks)
    return {
        "kinds": list(_KINDS),
        "modules": list(modules),
        "functions": told_functions(functions),
        "frames": {
            "function": function,
            "kernel": "".join("01"[is_kernel(frame)] for frame in frames),
            # What no frame has is left out.
            **{name: column for name, column in columns.items() if set(column) - {-1}},
        },
        "nodes": nodes,
        "stacks": b64encode(data).decode(),
    }


def told_functions(functions: Collection[tuple[str, FrameKind]]) -> dict[str, Any]:
    """Return functions with their colours; others stand in the page as their numbers."""
    return {
        "name": [name for name, _ in functions],
        "kind": [_KINDS[kind] for _, kind in functions],
        "colour": "".join(colour(name, kind)[1:] for name, kind in functions),
    }


def _order(frame: Frame) -> tuple[str, str, str, str]:
    more = f"{frame.module} {frame.offset_bytes} {frame.pid}"
    return format_frame(frame.name, frame.kind), frame.name, frame.kind, more


def _packed(
    weighed: Iterable[tuple[IndexStack, tuple[int, ...]]], ranks: list[int]
) -> tuple[bytes, int]:
    """Return the stacks as they stand in the page, and how many nodes their tree has."""
    stacks = sorted((tuple(map(ranks.__getitem__, stack)), weights) for stack, weights in weighed)
    longest = max((len(stack) for stack, _ in stacks), default=0)
    numbers = [_varint(number) for number in range(max(len(ranks), longest) + 1)]
    written: list[bytes] = []
    before: tuple[int, ...] = ()
    nodes = 0
    for stack, weights in stacks:
        shared = _shared(before, stack)
        more = stack[shared:]
        written += (numbers[shared], numbers[len(more)])
        written.extend(map(numbers.__getitem__, more))
        written.extend(map(_varint, weights))
        nodes += len(more)
        before = stack
    return b"".join(written), nodes


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def quality_figures(quality: Quality) -> list[tuple[str, str]]:
    """Return what was measured of a profile, by name."""
    expected = f" of {quality.expected:,} expected" if quality.expected is not None else ""
    return [
        ("collected", f"{quality.got:,}{expected}"),
        ("lost", f"{quality.lost:,}"),
        ("unresolved", f"{quality.unresolved_share:.1%}"),
        *((f"in {name}", f"{part:.1%}") for name, part in quality.unresolved_by_module.items()),
        ("truncated", f"{quality.truncated_share:.1%}"),
        ("shallow", f"{quality.shallow_share:.1%}"),
        ("distinct stacks", f"{quality.distinct_stacks:,}"),
    ]


def _summary(profile: Profile, functions: list[FunctionShare]) -> str:
    """Say in sentences what the picture shows, for those who do not see it."""
    whole = profile.total or 1
    widest = ", ".join(
        f"{short_name(share.name)} {share.self / whole:.1%}"
        for share in functions[:_SUMMARY_FUNCTIONS]
    )
    return (
        f"Flame graph of {profile.total:,} {profile.unit} in {len(profile.weights):,} distinct "
        f"stacks." + (f" Most self: {widest}." if widest else "")
    )
