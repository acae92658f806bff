"""Files that an engine's sidecar encloses in its standard output: what a profiler wrote by itself.

A sidecar's output is text that the launcher follows. What a runtime hands out as a file of its own
format (pprof, V8's CPU profile, Java's Flight Recorder) stands in it as base64, after a line that
says what it is and of which process, by its pid inside the container::

    @@ file profile-12.cpuprofile 12 node
    eyJub2RlcyI6W3siaWQiOjEsImNhbGxGcmFtZSI6...
    @@ end 0

It ends with the next line that begins with ``@@``. One process may have several: their numbers
follow the pid (``cpu-12-2.pb.gz``). What a process has counted since it began, and not since the
run did, stands there twice: what is in the file that is named ``before-12.pb.gz`` is taken off.
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
    rb"^@@ file (?P<name>[a-z]{1,20}-[0-9]{1,10}(?:-[0-9]{1,6})?"
    rb"\.(?:pb\.gz|cpuprofile|jfr|mojo|txt)) "
    rb"(?P<pid>[0-9]{1,10}) (?P<process>[^\n]{1,200})\n",
    re.MULTILINE,
)
_BEFORE = "before-"


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
    profiles: list[Profile] = []
    before: list[Profile] = []
    notes = []
    for file in _read(raw):
        if not isinstance(file, Enclosed):
            notes.append(file)
            continue
        try:
            profile = _below_process(parse(file.data), file)
            (before if file.name.startswith(_BEFORE) else profiles).append(profile)
        except ParseError as error:
            notes.append(f"{file.name}: {error.what}")
    if notes and not profiles:
        raise ParseError(notes[0], evidence="; ".join(notes[1:]))
    try:
        whole = _less(merge(profiles), merge(before)) if before else merge(profiles)
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


def _less(whole: Profile, before: Profile) -> Profile:
    """Return a profile without what had been counted before.

    Raises ValueError where units differ.
    """
    if whole.weights and before.weights and whole.unit != before.unit:
        raise ValueError(f"profiles of different units: {before.unit}, {whole.unit}")
    number = {frame: place for place, frame in enumerate(whole.frames)}
    weights = dict(whole.weights)
    for stack, weight in before.weights.items():
        same = tuple(number.get(before.frames[place], -1) for place in stack)
        if same in weights:
            weights[same] -= weight
    # A counter that has gone back was begun anew.
    return replace(whole, weights={stack: n for stack, n in weights.items() if n > 0})


def _below_process(profile: Profile, of: Enclosed) -> Profile:
    root = Frame(of.process, FrameKind.PROCESS, pid=of.pid)
    number = len(profile.frames)
    return replace(
        profile,
        frames=(*profile.frames, root),
        weights={(number, *stack): weight for stack, weight in profile.weights.items()},
    )
