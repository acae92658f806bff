"""A histogram of a JVM's heap (``jcmd GC.class_histogram``, ``jmap -histo``), made a profile.

The weight of a class is the bytes of its objects; how many there are stays in the text::

     num     #instances         #bytes  class name (module)
    -------------------------------------------------------
       1:          2667         129616  [B (java.base@17.0.19)
    Total         31253        1234567
"""

from __future__ import annotations

import re

from remote_prof.profile.folder import Folder
from remote_prof.profile.model import Frame, Profile

UNIT = "bytes"
_RECOGNISED = re.compile(rb"^ *num +#instances +#bytes +class name", re.MULTILINE)
_ROW = re.compile(r" *\d{1,18}: +\d{1,18} +(\d{1,18})  (\S.*?)(?: \(([^()]*)\))?")
_ADDRESS = re.compile(r"[/+]0x[0-9a-f]{1,16}")
# As the JVM spells types in the names of arrays (JVMS 4.3.2).
_PRIMITIVES = {
    "B": "byte",
    "C": "char",
    "D": "double",
    "F": "float",
    "I": "int",
    "J": "long",
    "S": "short",
    "Z": "boolean",
}


def recognises_java_heap(head: bytes) -> bool:
    """Tell whether there is a histogram of a JVM's heap in this, after whatever."""
    return _RECOGNISED.search(head) is not None


def parse_java_heap(data: bytes, *, keep_offsets: bool = False) -> Profile:
    """Parse a histogram: one frame a class, called as in Java's source (``byte[]``).

    Raises ParseError where it is too much (``remote_prof.profile.limits``).
    """
    del keep_offsets  # there are none
    folder = Folder()
    for line in data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        row = _ROW.fullmatch(line)
        if row:
            module = (row[3] or "").partition("@")[0] or None
            name = _in_source(_ADDRESS.sub("", row[2]))
            number = folder.number(Frame(name, module=module), name[:100])
            folder.add((number,), int(row[1]), name[:100])
    return folder.profile(unit=UNIT, whole_stacks=True)


def _in_source(name: str) -> str:
    of = name.lstrip("[")
    dimensions = len(name) - len(of)
    if not dimensions:
        return name
    if of.startswith("L") and of.endswith(";"):
        of = of[1:-1]
    return _PRIMITIVES.get(of, of) + "[]" * dimensions
