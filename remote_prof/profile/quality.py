"""How far a profile can be trusted, in figures and in sentences."""

from __future__ import annotations

import math
from typing import NamedTuple

from remote_prof.profile.model import Frame, FrameKind, Profile, Quality, is_kernel
from remote_prof.records import Problem, Severity

# A stack with at most so many user frames is shallow. Where frame pointers are missing, the leaf
# is found by the program counter and its "caller" by chance: one frame or two. A thread of even a
# small program has more: its start routine, a loop, and what the loop calls.
SHALLOW_FRAMES = 2
# Short stacks are normal for leaf system calls and tiny programs; half of all are not.
SHALLOW_SHARE = 0.5
# Beyond this, more than one sample in five has no name where it counts, and the order of the top
# functions cannot be relied upon. Vendor libraries without symbols give some per cent.
UNRESOLVED_SHARE = 0.2
# Cut stacks have lost their callers, so totals near the root are too small: one per cent is
# the rounding of a share, more is seen in the picture.
TRUNCATED_SHARE = 0.01
# The loss is not random: whichever stacks came first had room. Above a per cent it shows.
LOST_SHARE = 0.01
# A clock tick that finds the CPU busy elsewhere costs some per cent; half of all is a fault.
EXPECTED_SHARE = 0.5
# With n samples a share of one half is uncertain by 0.98 / sqrt(n) (95 %, normal approximation
# of the binomial distribution): 10 points at 100.
FEW_SAMPLES = 100

_USER_KINDS = frozenset(
    {
        FrameKind.USER,
        FrameKind.JIT,
        FrameKind.INTERPRETED,
        FrameKind.INLINED,
        FrameKind.UNRESOLVED,
    }
)


def measure_quality(profile: Profile, expected: int | None = None) -> Quality:
    """Measure ``profile``; ``expected`` is the weight that the profiler should have taken."""
    traits = [_traits(frame) for frame in profile.frames]
    cuts = frozenset(number for number, trait in enumerate(traits) if trait.cut)
    is_user = [trait.user for trait in traits]
    got = unresolved = truncated = shallow = 0
    for stack, weight in profile.weights.items():
        got += weight
        if stack and traits[stack[-1]].nameless:
            unresolved += weight
        if not cuts.isdisjoint(stack):
            truncated += weight
        elif 0 < sum(map(is_user.__getitem__, stack)) <= SHALLOW_FRAMES:
            shallow += weight
    whole = got or 1
    return Quality(
        expected=expected,
        got=got,
        lost=profile.lost,
        unresolved_share=unresolved / whole,
        truncated_share=truncated / whole,
        shallow_share=shallow / whole,
    )


class _Traits(NamedTuple):
    """What is asked of each frame."""

    user: bool
    nameless: bool
    cut: bool


def _traits(frame: Frame) -> _Traits:
    return _Traits(
        user=frame.kind in _USER_KINDS and not is_kernel(frame),
        nameless=frame.kind is FrameKind.UNRESOLVED,
        cut=frame.kind is FrameKind.TRUNCATED,
    )


def quality_text(quality: Quality, unit: str = "samples") -> str:
    """Return the quality of a profile in one line; ``unit`` is the profile's."""
    expected = "" if quality.expected is None else f" of {quality.expected} expected"
    return (
        f"{quality.got}{expected} {unit}, {quality.lost} lost, "
        f"{_tenths(quality.unresolved_share)} unresolved, "
        f"{_tenths(quality.truncated_share)} truncated, "
        f"{_tenths(quality.shallow_share)} shallow"
    )


def _tenths(share: float) -> str:
    return f"{share * 100:.1f} %"


def hints(profile: Profile, quality: Quality) -> list[Problem]:
    """Say what ``quality`` means for whoever reads the profile, and what to do about it.

    Empty where the profile is sound. A profile without samples has no hints: it is an error, and
    its cause is not in the data.
    """
    if not quality.got:
        return []
    found = (
        _few(profile, quality),
        _missing(profile, quality),
        _lost(profile, quality),
        _shallow(quality),
        _unresolved(profile, quality),
        _truncated(profile, quality),
    )
    told = [Problem(Severity.WARNING, f"the profiler says: {note}") for note in profile.notes]
    return [problem for problem in found if problem is not None] + told


def _few(profile: Profile, quality: Quality) -> Problem | None:
    # Where weights are no samples, their sum says nothing about how many were taken.
    if profile.unit != "samples" or quality.got >= FEW_SAMPLES:
        return None
    error = min(98 / math.sqrt(quality.got), 100)
    return Problem(
        Severity.WARNING,
        f"only {quality.got} samples: shares are rough, ±{error:.0f} points at worst",
        fix="profile for longer, at a higher frequency, or while the target is busy",
    )


def _missing(profile: Profile, quality: Quality) -> Problem | None:
    taken = quality.got + quality.lost
    if not quality.expected or taken >= EXPECTED_SHARE * quality.expected:
        return None
    return Problem(
        Severity.WARNING,
        f"{_percent(taken / quality.expected)} of the expected {profile.unit} were taken",
        evidence=f"{taken} of {quality.expected} {profile.unit}",
        fix="see whether the target ran all the time, and whether the host is overloaded",
    )


def _lost(profile: Profile, quality: Quality) -> Problem | None:
    share = quality.lost / (quality.got + quality.lost)
    if share <= LOST_SHARE:
        return None
    return Problem(
        Severity.WARNING,
        f"{_percent(share)} of the {profile.unit} were lost: rare stacks are underrated",
        evidence=f"{quality.lost} of {quality.got + quality.lost} {profile.unit}",
        fix="profile for a shorter time or at a lower frequency, or raise the profiler's map size",
    )


def _shallow(quality: Quality) -> Problem | None:
    if quality.shallow_share < SHALLOW_SHARE:
        return None
    return Problem(
        Severity.WARNING,
        f"{_percent(quality.shallow_share)} of the stacks have one or two user frames: "
        "the program, or the runtime in it, is built without frame pointers",
        fix="use perf with DWARF unwinding or the language's own profiler, "
        "or rebuild with -fno-omit-frame-pointer",
    )


def _unresolved(profile: Profile, quality: Quality) -> Problem | None:
    if quality.unresolved_share <= UNRESOLVED_SHARE:
        return None
    nameless = kernel = 0
    for stack, weight in profile.weights.items():
        leaf = profile.frames[stack[-1]] if stack else None
        if leaf is not None and leaf.kind is FrameKind.UNRESOLVED:
            nameless += weight
            kernel += weight if is_kernel(leaf) else 0
    what = f"{_percent(quality.unresolved_share)} of the stacks end in a frame without a name"
    if 2 * kernel > nameless:
        return Problem(
            Severity.WARNING,
            f"{what}: kernel symbols could not be read",
            fix="give the sidecar CAP_SYSLOG, and see kernel.kptr_restrict on the host",
        )
    return Problem(
        Severity.WARNING,
        f"{what}: a stripped binary, code made at run time (JIT), or a process that has ended",
        fix="use a build with symbols, have the runtime write a perf map, "
        "or use the language's own profiler",
    )


def _truncated(profile: Profile, quality: Quality) -> Problem | None:
    if quality.truncated_share <= TRUNCATED_SHARE:
        return None
    limit = f" of {profile.max_depth} frames" if profile.max_depth else ""
    return Problem(
        Severity.WARNING,
        f"{_percent(quality.truncated_share)} of the stacks were cut at the profiler's limit"
        f"{limit}: their callers are missing",
        fix="read these stacks from the leaf, or use the language's own profiler",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"
