"""What ``docker compose up`` puts before each line of a container's output."""

from __future__ import annotations

import re

# v2 clears the line before it, also where it writes to a file; both give it a colour on a terminal.
_ESCAPES = rb"(?:\x1b\[[0-9;]*[A-Za-z])*"
_PREFIX = re.compile(rb"^" + _ESCAPES + rb"[\w.-]+ *\|" + _ESCAPES + rb" ?", re.MULTILINE)
_SAMPLE_BYTES = 1 << 16


def without_prefixes(data: bytes) -> bytes:
    """Drop the prefixes, if most of the first lines have one."""
    head = data[:_SAMPLE_BYTES]
    if 2 * len(_PREFIX.findall(head)) <= head.count(b"\n"):
        return data
    return _PREFIX.sub(b"", data)
