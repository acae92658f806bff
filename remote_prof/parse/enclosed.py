"""Files that an engine's sidecar encloses in its standard output: what a profiler wrote by itself.

A sidecar's output is text that the launcher follows. What a runtime hands out as a file of its own
format (pprof, V8's CPU profile, Java's Flight Recorder) stands in it as base64, after a line that
says what it is and of which process, by its pid inside the container::

    @@ file profile-12.cpuprofile 12 node
    eyJub2RlcyI6W3siaWQiOjEsImNhbGxGcmFtZSI6...
    @@ end 0

It ends with the next line that begins with ``@@``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from remote_prof.errors import ParseError
from remote_prof.profile.model import Frame, FrameKind, Profile
from remote_prof.profile.summary import merge

_HEAD = re.compile(
    rb"^@@ file (?P<name>[a-z]{1,20}-[0-9]{1,10}\.(?:pb\.gz|cpuprofile|jfr|txt)) "
    rb"(?P<pid>[0-9]{1,10}) (?P<process>[^\n]{1,200})\n",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file: its name, which process it is of (pid inside the container), and its content."""

    name: str
    pid: int
    process: str
    data: bytes


def has_enclosed(raw: bytes) -> bool:
    """Tell whether there is a file in a sidecar's output, or in the beginning of one."""
    return _HEAD.search(raw) is not None


def enclosed(raw: bytes) -> list[Enclosed]:
    """Return the files in a sidecar's output, but for those that are damaged."""
    return [file for file in _read(raw) if isinstance(file, Enclosed)]


def parse_enclosed(raw: bytes, parse: Callable[[bytes], Profile]) -> Profile:
    """Parse each enclosed file, and put what is in it under its process.

    What cannot be read of one is noted, and the others are not lost. Raises ParseError where none
    can be read, or where they are of different kinds.
    """
    profiles, notes = [], []
    for file in _read(raw):
        if not isinstance(file, Enclosed):
            notes.append(file)
            continue
        try:
            profiles.append(_below_process(parse(file.data), file))
        except ParseError as error:
            notes.append(f"{file.name}: {error.what}")
    if notes and not profiles:
        raise ParseError(notes[0], evidence="; ".join(notes[1:]))
    try:
        whole = merge(profiles)
    except ValueError as error:
        raise ParseError("the enclosed files do not add up", evidence=str(error)) from error
    return replace(whole, notes=(*whole.notes, *notes))


def _read(raw: bytes) -> Iterator[Enclosed | str]:
    """Yield the files, and a sentence for each that is damaged."""
    for head in _HEAD.finditer(raw):
        end = raw.find(b"\n@@", head.end() - 1)
        name = head["name"].decode()
        try:
            data = base64.b64decode(raw[head.end() : end if end >= 0 else None], validate=False)
        except binascii.Error as error:
            yield f"{name} is damaged in the raw profile: {error}"
            continue
        process = head["process"].decode("utf-8", "replace")
        yield Enclosed(name, int(head["pid"]), process, data)


def _below_process(profile: Profile, of: Enclosed) -> Profile:
    root = Frame(of.process, FrameKind.PROCESS, pid=of.pid)
    number = len(profile.frames)
    return replace(
        profile,
        frames=(*profile.frames, root),
        weights={(number, *stack): weight for stack, weight in profile.weights.items()},
    )
