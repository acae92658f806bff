"""Two profiles in one text: folded stacks with two weights, before and after.

Format: that of difffolded.pl (https://github.com/brendangregg/FlameGraph), a line
``root;caller;leaf 31 33`` for each stack of either side, 0 where a side has it not. How names are
read is in ``remote_prof.profile.folded``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from remote_prof.errors import ParseError
from remote_prof.profile.folded import parse_folded
from remote_prof.profile.limits import MOST_LINES, within
from remote_prof.profile.model import Profile

_LINE = re.compile(r"(.+) (\d{1,20}) (\d{1,20})", re.ASCII | re.DOTALL)
_EVIDENCE_CHARS = 120


class DiffFolded(NamedTuple):
    """Both sides. ``may_be_scaled``: before may have been made to add up to what is after."""

    before: Profile
    after: Profile
    may_be_scaled: bool


def parse_diff_folded(data: bytes, *, unit: str = "samples") -> DiffFolded:
    """Parse both sides of folded stacks with two weights; equal stacks are summed.

    Whether the first column is scaled the format does not say. Scaling rounds each weight down, so
    the sum is then at most that of the second column, and short of it by less than one a line.

    Empty lines are skipped. Raises ``ParseError`` with the line number for anything else, and for
    more than ``remote_prof.profile.limits`` allows.
    """
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    within("lines", text.count("\n"), MOST_LINES, f"{len(text)} characters")
    columns: tuple[list[str], list[str]] = ([], [])
    stacks = 0
    for number, line in enumerate(text.split("\n"), start=1):
        match = _LINE.fullmatch(line)
        if not match and line.strip():
            raise ParseError(
                f"line {number} is no folded stack with two weights",
                evidence=f"line {number}: {line[:_EVIDENCE_CHARS]!r}",
                hint="A line is 'root;caller;leaf 31 33': frames, and weights before and after.",
            )
        stacks += match is not None
        for column, weight in zip(columns, (2, 3), strict=True):
            column.append(f"{match[1]} {match[weight]}" if match else "")
    before, after = (parse_folded("\n".join(column), unit=unit) for column in columns)
    return DiffFolded(before, after, 0 <= after.total - before.total <= stacks)
