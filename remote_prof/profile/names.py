"""Names as they are written where a format has no other place for a module or an offset."""

from __future__ import annotations

from remote_prof.profile.folder import refold
from remote_prof.profile.model import Frame, FrameKind, Profile


def spell_out(profile: Profile, *, modules: bool) -> Profile:
    """Return a profile whose frames are told apart by their names alone: ``f+12 (libc.so.6)``.

    Offsets are written where they were kept; modules, without their directories, if asked for.
    """
    names = [_spelt(frame, modules=modules) for frame in profile.frames]
    if all(name == frame.name for name, frame in zip(names, profile.frames, strict=True)):
        return profile
    frames = (
        Frame(name, frame.kind, pid=frame.pid)
        for name, frame in zip(names, profile.frames, strict=True)
    )
    return refold(profile, frames, profile.weights.items())


def _spelt(frame: Frame, *, modules: bool) -> str:
    name = frame.name if frame.offset_bytes is None else f"{frame.name}+{frame.offset_bytes}"
    # A frame without a name is called after its module as it is.
    if modules and frame.module and frame.kind is not FrameKind.UNRESOLVED:
        name += f" ({frame.module.rpartition('/')[2]})"
    return name
