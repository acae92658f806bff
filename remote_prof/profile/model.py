"""The folded-stack model: frames, stacks, and how far a profile can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class FrameKind(StrEnum):
    """Where the code of a frame runs, or why there is no name for it."""

    PROCESS = "process"  # the root frame: a process's or thread's name (comm)
    USER = "user"
    KERNEL = "kernel"
    JIT = "jit"
    INTERPRETED = "interpreted"
    INLINED = "inlined"
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


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the data is. Shares are of the samples that were got, 0 to 1.

    ``expected`` is what the profiler should have taken (None where nobody knows), ``got`` is the
    sum of the weights, ``lost`` is what the profiler took and could not store or print.
    ``unresolved_share``: samples whose leaf user or kernel frame has no name.
    ``truncated_share``: samples whose stack was cut at the profiler's depth limit.
    ``shallow_share``: samples with user frames, but only one or two of them (the sign of a
    program built without frame pointers).
    """

    expected: int | None
    got: int
    lost: int
    unresolved_share: float
    truncated_share: float
    shallow_share: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Stacks and their weights. ``unit`` names the weight: ``samples``, ``us``, ``bytes``...

    ``frequency_hz`` is the sampling frequency (None where weights are no samples),
    ``max_depth`` the profiler's limit of frames a stack, ``lost`` weights that were taken and are
    not in ``stacks``, ``tool`` the profiler's name and version as it printed them, ``notes``
    what the profiler warned of (each once).
    """

    stacks: Mapping[Stack, int]
    unit: str = "samples"
    frequency_hz: int | None = None
    max_depth: int | None = None
    lost: int = 0
    tool: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def total(self) -> int:
        """Sum of all weights."""
        return sum(self.stacks.values())
