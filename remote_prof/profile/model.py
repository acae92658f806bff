"""The folded-stack model: frames, stacks, and how far a profile can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple


class FrameKind(StrEnum):
    """Where the code of a frame runs, or why there is no name for it."""

    PROCESS = "process"  # the root frame: a process's or thread's name (comm)
    USER = "user"
    KERNEL = "kernel"
    JIT = "jit"
    INTERPRETED = "interpreted"
    INLINED = "inlined"
    GO = "go"  # compiled by Go, whose names begin with a package
    UNRESOLVED = "unresolved"  # an address without a name
    TRUNCATED = "truncated"  # stands for the callers that the profiler cut off

    # Enum hashes in Python code, str in C: stacks are hashed frame by frame, and often.
    __hash__ = str.__hash__


class Frame(NamedTuple):
    """One level of a stack. A NamedTuple because profiles hash millions of them.

    ``offset_bytes`` is the distance from the function's start, kept only on request: it splits
    one function into many frames. ``pid`` is set on PROCESS frames where the profiler tells it.
    """

    name: str
    kind: FrameKind = FrameKind.USER
    module: str | None = None
    offset_bytes: int | None = None
    pid: int | None = None


Stack = tuple[Frame, ...]  # root first
IndexStack = tuple[int, ...]  # the same, as indexes into the frames of a profile

# Names of frames that no profiler gives. They are spelt as perf's own collapser spells them, so
# that folded files of all origins merge.
UNKNOWN = "[unknown]"  # an address of user space without a name
UNKNOWN_KERNEL = "[kernel]"  # an address of the kernel without a name
TRUNCATED_CALLERS = "[truncated]"  # the callers beyond the profiler's depth limit


def is_kernel(frame: Frame) -> bool:
    """Tell whether the frame is the kernel's, with a name or (``[kernel]``) without."""
    if frame.kind is FrameKind.UNRESOLVED:
        return UNKNOWN_KERNEL in (frame.name, frame.module)
    return frame.kind is FrameKind.KERNEL


class Grade(StrEnum):
    """What a profile is good for."""

    SOUND = "sound"  # all of it can be believed
    ROUGH = "rough"  # the large can be believed, the small cannot
    POOR = "poor"  # what it shows may be wrong


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a profile can be trusted, why, and what would make it better (empty if nothing)."""

    grade: Grade
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the data is. Shares are of the samples that were got, 0 to 1.

    ``expected`` is what the profiler should have taken (None where nobody knows), ``got`` is the
    sum of the weights, ``lost`` is what the profiler took and could not store or print.
    ``unresolved_share``: samples whose leaf user or kernel frame has no name.
    ``truncated_share``: samples whose stack was cut at the profiler's depth limit.
    ``shallow_share``: samples with user frames, but only one or two of them (the sign of a
    program built without frame pointers).
    ``distinct_stacks`` is their number. ``unresolved_by_module`` says of which files those nameless
    frames are, the worst first, as shares of all samples, and ``build_ids`` which builds of these
    files, where that is known. ``verdict`` is the sum of it all.
    """

    expected: int | None
    got: int
    lost: int
    unresolved_share: float
    truncated_share: float
    shallow_share: float
    distinct_stacks: int = 0
    unresolved_by_module: Mapping[str, float] = field(default_factory=dict)
    build_ids: Mapping[str, str] = field(default_factory=dict)
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Stacks and their weights. ``unit`` names the weight: ``samples``, ``us``, ``bytes``...

    ``frames`` holds each distinct frame once. ``weights`` has the weight of each distinct stack,
    which is a tuple of indexes into ``frames``, root first: so equal frames cost nothing again, and
    what is asked of a frame is asked once, not in each stack. ``stacks`` is the same, spelt out.

    ``frequency_hz`` is the sampling frequency (None where weights are no samples),
    ``max_depth`` the profiler's limit of frames a stack, ``lost`` weights that were taken and are
    not in ``weights``, ``tool`` the profiler's name and version as it printed them, ``notes``
    what the profiler warned of (each once). ``whole_stacks``: it knows where a stack begins, and
    a short one lacks nothing. ``build_ids`` are those of modules, in hexadecimal, by their paths.

    Two profiles are equal if their stacks are, in whatever order, and all the rest.
    """

    frames: tuple[Frame, ...]
    weights: Mapping[IndexStack, int]
    unit: str = "samples"
    frequency_hz: int | None = None
    max_depth: int | None = None
    lost: int = 0
    tool: str = ""
    notes: tuple[str, ...] = field(default=())
    whole_stacks: bool = False
    build_ids: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, stacks: Mapping[Stack, int], **more: Any) -> Profile:
        """Make a profile of stacks of frames; ``more`` are fields by name."""
        numbers: dict[Frame, int] = {}
        weights = {
            tuple(numbers.setdefault(frame, len(numbers)) for frame in stack): weight
            for stack, weight in stacks.items()
        }
        return cls(tuple(numbers), weights, **more)

    @property
    def stacks(self) -> dict[Stack, int]:
        """The weight of each stack of frames. For small profiles: it is made at each call."""
        frame = self.frames.__getitem__
        return {tuple(map(frame, stack)): weight for stack, weight in self.weights.items()}

    @property
    def total(self) -> int:
        """Sum of all weights."""
        return sum(self.weights.values())

    def __eq__(self, other: object) -> bool:
        """Compare what the profiles say, not how their frames are numbered."""
        if not isinstance(other, Profile):
            return NotImplemented
        same = (
            getattr(self, each.name) == getattr(other, each.name)
            for each in fields(self)
            if each.name not in ("frames", "weights")
        )
        return all(same) and self.stacks == other.stacks

    __hash__ = None  # type: ignore[assignment]  # it holds a mapping
