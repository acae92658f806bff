"""What of a profile is shown, and under which roots: a profile goes in, a profile comes out.

The words are pprof's: ``focus`` and ``ignore`` choose stacks, ``root_at`` cuts their callers off
(pprof's ``show_from``). Patterns are regular expressions that are searched for in functions' names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from remote_prof.errors import NoSamplesError, UsageError
from remote_prof.profile.folder import refold
from remote_prof.profile.model import Frame, FrameKind, IndexStack, Profile

GroupBy = Literal["process", "thread", "pid", "host"]
GROUPINGS: tuple[GroupBy, ...] = ("process", "thread", "pid", "host")
OTHER = "[other]"
"""Stands for the calls that are less than ``min_share``."""

_LONGEST_PATTERN = 1000


@dataclass(frozen=True, slots=True)
class View:
    """What is shown. The default is all, as the profiler grouped it.

    ``focus`` keeps the stacks with a matching function, ``ignore`` drops them, ``root_at`` begins
    each stack at its outermost matching function and drops those without one.
    ``collapse_recursion`` makes one frame of a function that calls itself. ``group_by`` says what
    stands at the root. ``min_share`` (0 to 1, of what is shown) makes one frame ``[other]`` of all
    that a function calls with less. ``modules`` writes the file that a function is in behind its
    name, where a format has no other place for it (see ``spell_out``).
    """

    focus: str | None = None
    ignore: str | None = None
    root_at: str | None = None
    collapse_recursion: bool = False
    group_by: GroupBy | None = None
    min_share: float = 0.0
    modules: bool = False

    def __str__(self) -> str:
        """Say in words what is not shown as it is; empty where all is."""
        words = [
            f"{name} {value!r}"
            for name, value in (
                ("focus", self.focus),
                ("ignore", self.ignore),
                ("root at", self.root_at),
            )
            if value is not None
        ]
        words += ["recursion collapsed"] if self.collapse_recursion else []
        words += [f"by {self.group_by}"] if self.group_by else []
        words += [f"at least {100 * self.min_share:g} %"] if self.min_share else []
        words += ["with modules"] if self.modules else []
        return ", ".join(words)


ALL = View()


def check_view(view: View) -> View:
    """Return a view whose patterns are such, and whose numbers make sense. Raises UsageError."""
    for option, pattern in (
        ("--focus", view.focus),
        ("--ignore", view.ignore),
        ("--root-at", view.root_at),
    ):
        if pattern is not None:
            _compiled(option, pattern)
    if view.group_by is not None and view.group_by not in GROUPINGS:
        raise UsageError(
            f"--group-by {view.group_by!r} is none of what can be grouped by",
            hint=f"there are {', '.join(GROUPINGS)}",
        )
    if not 0 <= view.min_share < 1:
        raise UsageError(
            f"--min-share is a share in percent, from 0 to below 100, not {100 * view.min_share:g}"
        )
    return view


def apply_view(
    profile: Profile,
    view: View,
    *,
    host: str = "",
    process_names: Mapping[int, str] | None = None,
) -> Profile:
    """Return what is shown of a profile; its other fields stay as they are.

    ``host`` is its name; ``process_names`` are those of processes by pid, where they are known: for
    others it is the name of the thread that has the most weight. Raises UsageError for a pattern
    that is none, and where the profile does not tell what is to be grouped by, and NoSamplesError
    where nothing of it is left.
    """
    whole = profile.total
    if view.group_by is not None:
        profile = _grouped(profile, view.group_by, host, process_names or {})
    if view.collapse_recursion:
        profile = _changed(profile, _once)
    if view.ignore is not None:
        ignored = _matching(profile, "--ignore", view.ignore)
        profile = _kept(profile, ignored.isdisjoint)
    if view.focus is not None:
        focused = _matching(profile, "--focus", view.focus)
        profile = _kept(profile, lambda stack: not focused.isdisjoint(stack))
    if view.root_at is not None:
        roots = _matching(profile, "--root-at", view.root_at)
        profile = _kept(profile, lambda stack: not roots.isdisjoint(stack))
        profile = _changed(profile, lambda stack: _from(stack, roots))
    if whole and not profile.weights:
        raise NoSamplesError(
            f"nothing that was sampled is shown: {view}",
            evidence=f"there are {whole} {profile.unit} without that",
            hint="patterns are searched for in functions' names: see them with --to top",
        )
    if view.min_share:
        profile = _without_small(profile, view.min_share * profile.total)
    return profile


def under(profile: Profile, name: str) -> Profile:
    """Return a profile all of whose stacks stand under one more root."""
    root = len(profile.frames)
    return refold(
        profile,
        (*profile.frames, Frame(name, FrameKind.PROCESS)),
        (((root, *stack), weight) for stack, weight in profile.weights.items()),
    )


def _compiled(option: str, pattern: str) -> re.Pattern[str]:
    if len(pattern) > _LONGEST_PATTERN:
        raise UsageError(f"the pattern of {option} is longer than {_LONGEST_PATTERN} characters")
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"{option} {pattern!r} is no regular expression",
            evidence=str(error),
            hint="put a \\ before a character that is meant as it is, such as ( or [ or *",
        ) from error


def _matching(profile: Profile, option: str, pattern: str) -> frozenset[int]:
    found = _compiled(option, pattern).search
    return frozenset(number for number, frame in enumerate(profile.frames) if found(frame.name))


def _kept(profile: Profile, wanted: Callable[[IndexStack], bool]) -> Profile:
    chosen = ((stack, weight) for stack, weight in profile.weights.items() if wanted(stack))
    return refold(profile, profile.frames, chosen)


def _changed(profile: Profile, change: Callable[[IndexStack], IndexStack]) -> Profile:
    changed = ((change(stack), weight) for stack, weight in profile.weights.items())
    return refold(profile, profile.frames, changed)


def _once(stack: IndexStack) -> IndexStack:
    callers = (-1, *stack)
    return tuple(frame for frame, caller in zip(stack, callers, strict=False) if frame != caller)


def _from(stack: IndexStack, roots: frozenset[int]) -> IndexStack:
    return next(stack[depth:] for depth, frame in enumerate(stack) if frame in roots)


def _grouped(profile: Profile, by: GroupBy, host: str, names: Mapping[int, str]) -> Profile:
    if by == "host":
        if not host:
            raise UsageError(
                "--group-by host: the profile does not tell of which host it is",
                hint="group the runs that hosts were profiled in; or leave it away",
            )
        return under(profile, host)
    processes = [frame for frame in profile.frames if frame.kind is FrameKind.PROCESS]
    if not processes or (by != "thread" and all(frame.pid is None for frame in processes)):
        raise UsageError(
            f"--group-by {by}: the profile does not tell its processes and threads",
            evidence="folded stacks, for one, hold nothing but names",
            hint="give what the profiler itself printed, or leave --group-by away",
        )
    if by == "thread":
        return refold(profile, map(_without_pid, profile.frames), profile.weights.items())
    known = {**_heaviest(profile), **names}

    def root(frame: Frame) -> Frame:
        if frame.kind is not FrameKind.PROCESS or frame.pid is None:
            return frame
        name = known.get(frame.pid, frame.name)
        if by == "process":
            return Frame(name, FrameKind.PROCESS)
        return Frame(f"{name} ({frame.pid})", FrameKind.PROCESS, pid=frame.pid)

    return refold(profile, map(root, profile.frames), profile.weights.items())


def _without_pid(frame: Frame) -> Frame:
    return frame._replace(pid=None) if frame.kind is FrameKind.PROCESS else frame


def _heaviest(profile: Profile) -> dict[int, str]:
    """Return for each pid the name of the thread that has the most weight."""
    by_frame: dict[int, int] = {}
    for stack, weight in profile.weights.items():
        if stack:
            by_frame[stack[0]] = by_frame.get(stack[0], 0) + weight
    found: dict[int, str] = {}
    order = sorted(by_frame, key=lambda n: (-by_frame[n], profile.frames[n].name))
    for number in order:
        frame = profile.frames[number]
        if frame.kind is FrameKind.PROCESS and frame.pid is not None:
            found.setdefault(frame.pid, frame.name)
    return found


def _without_small(profile: Profile, least: float) -> Profile:
    """Cut each stack at its first call with less than ``least``; ``[other]`` takes its place."""
    other = len(profile.frames)
    cut: list[tuple[IndexStack, int]] = []
    waiting = [(0, list(profile.weights.items()))]
    while waiting:
        depth, members = waiting.pop()
        called: dict[int, list[tuple[IndexStack, int]]] = {}
        for member in members:
            if len(member[0]) > depth:
                called.setdefault(member[0][depth], []).append(member)
            else:
                cut.append(member)
        for group in called.values():
            if sum(weight for _, weight in group) >= least:
                waiting.append((depth + 1, group))
            else:
                cut += [((*stack[:depth], other), weight) for stack, weight in group]
    return refold(profile, (*profile.frames, Frame(OTHER, FrameKind.UNRESOLVED)), cut)
