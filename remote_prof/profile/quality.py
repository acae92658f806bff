"""How far a profile can be trusted, in figures and in sentences."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import NamedTuple

from remote_prof.profile.model import (
    UNKNOWN,
    Frame,
    FrameKind,
    Grade,
    Profile,
    Quality,
    Verdict,
    is_kernel,
)
from remote_prof.records import Problem, Severity

# A stack with at most so many user frames is shallow. Where frame pointers are missing, the leaf
# is found by the program counter and its "caller" by chance: one frame or two. A thread of even a
# small program has more: its start routine, a loop, and what the loop calls.
SHALLOW_FRAMES = 2


class Limits(NamedTuple):
    """From where on a figure makes a profile rough, and from where on poor."""

    rough: float
    poor: float


# Short stacks are normal for leaf system calls and tiny programs; half of all are not. Where nearly
# all are short, there is nothing but leaves.
SHALLOW = Limits(0.5, 0.9)
# Beyond this, more than one sample in five has no name where it counts, and the order of the top
# functions cannot be relied upon. Vendor libraries without symbols give some per cent. Of more than
# half, whatever is on top may be another function.
UNRESOLVED = Limits(0.2, 0.5)
# Cut stacks have lost their callers, so totals near the root are too small: one per cent is
# the rounding of a share, more is seen in the picture; a fifth turns the order of callers round.
TRUNCATED = Limits(0.01, 0.2)
# The loss is not random: whichever stacks came first had room. Above a per cent it shows; with a
# fifth gone, a function of that share can be missing.
LOST = Limits(0.01, 0.2)
# A clock tick that finds the CPU busy elsewhere costs some per cent; half of all is a fault, and
# what the target did in that half is not known.
EXPECTED_SHARE = 0.5
# With n samples a share of one half is uncertain by 0.98 / sqrt(n) (95 %, normal approximation
# of the binomial distribution): 10 points at 100, 22 points at 20, where no order is left.
FEW_SAMPLES, TOO_FEW_SAMPLES = 100, 20
# Modules that are named; the rest is small, or the binary is stripped of everything.
_MOST_MODULES = 5

_USER_KINDS = frozenset(
    {
        FrameKind.USER,
        FrameKind.JIT,
        FrameKind.INTERPRETED,
        FrameKind.INLINED,
        FrameKind.GO,
        FrameKind.UNRESOLVED,
    }
)


def measure_quality(profile: Profile, expected: int | None = None) -> Quality:
    """Measure ``profile``; ``expected`` is the weight that the profiler should have taken."""
    traits = [_traits(frame) for frame in profile.frames]
    cuts = frozenset(number for number, trait in enumerate(traits) if trait.cut)
    is_user = [trait.user for trait in traits]
    got = truncated = shallow = 0
    nameless: dict[str, int] = {}
    for stack, weight in profile.weights.items():
        got += weight
        module = traits[stack[-1]].nameless_in if stack else None
        if module is not None:
            nameless[module] = nameless.get(module, 0) + weight
        if cuts and not cuts.isdisjoint(stack):
            truncated += weight
        elif profile.whole_stacks:
            continue
        # The callers of nearly all stacks tell that they are not shallow.
        elif sum(map(is_user.__getitem__, stack[: 2 * SHALLOW_FRAMES])) <= SHALLOW_FRAMES:
            shallow += weight * (0 < sum(map(is_user.__getitem__, stack)) <= SHALLOW_FRAMES)
    whole = got or 1
    worst = sorted(nameless.items(), key=lambda item: (-item[1], item[0]))[:_MOST_MODULES]
    quality = Quality(
        expected=expected,
        got=got,
        lost=profile.lost,
        unresolved_share=sum(nameless.values()) / whole,
        truncated_share=truncated / whole,
        shallow_share=shallow / whole,
        distinct_stacks=len(profile.weights),
        unresolved_by_module={module: weight / whole for module, weight in worst},
        build_ids=_builds(profile, [module for module, _ in worst]),
    )
    return replace(quality, verdict=_judge(profile, quality))


def _builds(profile: Profile, modules: Collection[str]) -> dict[str, str]:
    """Return the build ids of files by their names alone, where only one has that name."""
    found: dict[str, set[str]] = {}
    for path, build_id in profile.build_ids.items():
        found.setdefault(path.rpartition("/")[2], set()).add(build_id)
    return {name: found[name].pop() for name in modules if len(found.get(name, ())) == 1}


def _judge(profile: Profile, quality: Quality) -> Verdict:
    """Sum up: the worst finding is the reason."""
    if not quality.got:
        return Verdict(Grade.POOR, f"there are no {profile.unit}")
    found = sorted(_findings(profile, quality), key=lambda finding: not finding.poor)
    if not found:
        return Verdict(Grade.SOUND, "nothing in the figures speaks against it")
    grade = Grade.POOR if found[0].poor else Grade.ROUGH
    return Verdict(grade, found[0].what, found[0].fix)


class _Traits(NamedTuple):
    """What is asked of each frame."""

    user: bool
    nameless_in: str | None  # the module, where it has no name
    cut: bool


def _traits(frame: Frame) -> _Traits:
    return _Traits(
        user=frame.kind in _USER_KINDS and not is_kernel(frame),
        nameless_in=_module(frame) if frame.kind is FrameKind.UNRESOLVED else None,
        cut=frame.kind is FrameKind.TRUNCATED,
    )


def quality_text(quality: Quality, unit: str = "samples") -> str:
    """Return the quality of a profile in one line; ``unit`` is the profile's."""
    grade = f"{quality.verdict.grade}: " if quality.verdict else ""
    expected = "" if quality.expected is None else f" of {quality.expected} expected"
    modules = ", ".join(
        f"{module} {tenths(share)}" for module, share in quality.unresolved_by_module.items()
    )
    return (
        f"{grade}{quality.got}{expected} {unit}, {quality.lost} lost, "
        f"{tenths(quality.unresolved_share)} unresolved{f' ({modules})' if modules else ''}, "
        f"{tenths(quality.truncated_share)} truncated, "
        f"{tenths(quality.shallow_share)} shallow, {quality.distinct_stacks} distinct stacks"
    )


def tenths(share: float) -> str:
    """Write a share in per cent, with one digit."""
    return f"{share * 100:.1f} %"


def _module(frame: Frame) -> str:
    # Where no module is told, the name is that of the file, or says that nothing is known.
    if frame.module:
        return frame.module.rpartition("/")[2]
    return frame.name if frame.name.startswith("[") else UNKNOWN


class _Finding(NamedTuple):
    """Something that makes a profile rough, or poor."""

    poor: bool
    what: str
    fix: str
    evidence: str = ""


def hints(profile: Profile, quality: Quality) -> list[Problem]:
    """Say what ``quality`` means for whoever reads the profile, and what to do about it.

    Empty where the profile is sound. A profile without samples has no hints: it is an error, and
    its cause is not in the data.
    """
    if not quality.got:
        return []
    found = [
        Problem(Severity.WARNING, finding.what, finding.evidence, finding.fix)
        for finding in _findings(profile, quality)
    ]
    told = [Problem(Severity.WARNING, f"the profiler says: {note}") for note in profile.notes]
    return found + told


def _findings(profile: Profile, quality: Quality) -> Iterator[_Finding]:
    found = (
        _few(profile, quality),
        _missing(profile, quality),
        _lost(profile, quality),
        _shallow(profile, quality),
        _unresolved(profile, quality),
        _truncated(profile, quality),
    )
    return (finding for finding in found if finding is not None)


def _few(profile: Profile, quality: Quality) -> _Finding | None:
    # Where weights are no samples, their sum says nothing about how many were taken.
    if profile.unit != "samples" or quality.got >= FEW_SAMPLES:
        return None
    error = min(98 / math.sqrt(quality.got), 100)
    return _Finding(
        quality.got < TOO_FEW_SAMPLES,
        f"only {quality.got} samples: shares are rough, ±{error:.0f} points at worst",
        "profile for longer, at a higher frequency, or while the target is busy",
    )


def _missing(profile: Profile, quality: Quality) -> _Finding | None:
    taken = quality.got + quality.lost
    if not quality.expected or taken >= EXPECTED_SHARE * quality.expected:
        return None
    return _Finding(
        True,
        f"{_percent(taken / quality.expected)} of the expected {profile.unit} were taken",
        "see whether the target ran all the time, and whether the host is overloaded",
        f"{taken} of {quality.expected} {profile.unit}",
    )


def _lost(profile: Profile, quality: Quality) -> _Finding | None:
    taken = quality.got + quality.lost
    share = quality.lost / taken
    if share <= LOST.rough:
        return None
    return _Finding(
        share > LOST.poor,
        f"{_percent(share)} of the {profile.unit} were lost: rare stacks are underrated",
        "profile for a shorter time or at a lower frequency, or raise the profiler's map size",
        f"{quality.lost} of {taken} {profile.unit}",
    )


def _shallow(profile: Profile, quality: Quality) -> _Finding | None:
    if quality.shallow_share < SHALLOW.rough:
        return None
    return _Finding(
        quality.shallow_share >= SHALLOW.poor,
        f"{_percent(quality.shallow_share)} of the stacks have one or two user frames: "
        "the program, or the runtime in it, is built without frame pointers",
        # perf unwinds so, and measures no waits and no allocations.
        ("unwind it by DWARF (--call-graph dwarf), " if profile.unit == "samples" else "")
        + "use the language's own profiler, or rebuild with -fno-omit-frame-pointer",
    )


def _unresolved(profile: Profile, quality: Quality) -> _Finding | None:
    if quality.unresolved_share <= UNRESOLVED.rough:
        return None
    poor = quality.unresolved_share > UNRESOLVED.poor
    what = f"{_percent(quality.unresolved_share)} of the stacks end in a frame without a name"
    where = ", ".join(
        f"{module} {_percent(share)}"
        + (f" (build id {quality.build_ids[module]})" if module in quality.build_ids else "")
        for module, share in quality.unresolved_by_module.items()
    )
    if 2 * _unresolved_kernel_share(profile, quality) > quality.unresolved_share:
        return _Finding(
            poor,
            f"{what}: kernel symbols could not be read",
            "give the sidecar CAP_SYSLOG, and see kernel.kptr_restrict on the host",
            where,
        )
    return _Finding(
        poor,
        f"{what}: a stripped binary, code made at run time (JIT), or a process that has ended",
        # By the build id the right file is found, and only that is taken.
        ("name it afterwards from debug files (report --debug-dir), " if quality.build_ids else "")
        + "use a build with symbols, have the runtime write a perf map, "
        "or use the language's own profiler",
        where,
    )


def _unresolved_kernel_share(profile: Profile, quality: Quality) -> float:
    kernel = 0
    for stack, weight in profile.weights.items():
        leaf = profile.frames[stack[-1]] if stack else None
        if leaf is not None and leaf.kind is FrameKind.UNRESOLVED and is_kernel(leaf):
            kernel += weight
    return kernel / quality.got


def _truncated(profile: Profile, quality: Quality) -> _Finding | None:
    if quality.truncated_share <= TRUNCATED.rough:
        return None
    limit = f" of {profile.max_depth} frames" if profile.max_depth else ""
    return _Finding(
        quality.truncated_share > TRUNCATED.poor,
        f"{_percent(quality.truncated_share)} of the stacks were cut at the profiler's limit"
        f"{limit}: their callers are missing",
        "read these stacks from the leaf, or use the language's own profiler",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"
