"""Lengths of time as people type them: ``30``, ``30s``, ``2m``, ``1h30m``, ``500ms``."""

from __future__ import annotations

import re

from remote_prof.errors import UsageError

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_BARE = re.compile(_NUMBER)
_WITH_UNITS = re.compile(
    r"\s*".join(rf"(?:(?P<{unit}>{_NUMBER})\s*{unit}(?![a-z]))?" for unit in ("h", "m", "s", "ms"))
)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def parse_duration(text: str) -> float:
    """Parse a duration into seconds; a number without a unit is in seconds.

    Units are ``h``, ``m``, ``s`` and ``ms``, each at most once and in this order. Raises
    UsageError for everything else, and for a duration of 0.
    """
    compact = text.strip().lower()
    match = _WITH_UNITS.fullmatch(compact)
    seconds = 0.0
    if _BARE.fullmatch(compact):
        seconds = float(compact)
    elif match is not None:
        seconds = sum(_SECONDS[unit] * float(n) for unit, n in match.groupdict("0").items())
    if seconds <= 0:
        raise UsageError(
            f"{text!r} is not a length of time", hint="write it as 30, 30s, 2m, 1h30m or 500ms"
        )
    return seconds
