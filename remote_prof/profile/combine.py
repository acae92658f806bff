"""One profile of what several profilers saw of the same processes at the same time.

A sampler in the kernel (``whole``) sees every process and what each had of the CPUs, but of an
interpreter or a VM only its insides. The language's own profiler names the functions, but its
samples are of another kind: a busy thread counts for it also while it waits for a CPU, so that a
throttled process would look ten times as large as it is. So the first tells how much a process
used, the second how that divides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from remote_prof.profile.folder import refold
from remote_prof.profile.model import Frame, FrameKind, IndexStack, Profile
from remote_prof.profile.summary import merge

# Of as many samples as a process has of CPU time: less can be no fair choice of them.
_LEAST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Inside:
    """What a language's profiler saw. The pids in it are those inside the container.

    ``vm_threads`` matches the names of the threads that it does not see, or need not (those of the
    VM itself): they are what a sampler in the kernel saw of them.
    """

    profile: Profile
    vm_threads: re.Pattern[str] | None = None


def combine(
    whole: Profile | None,
    insides: Sequence[Inside],
    host_pids: Mapping[int, int],
    unseen: Collection[int] = (),
) -> Profile:
    """Return ``whole`` with the processes that others saw as these saw them.

    ``host_pids`` are the host's pids by those inside. What nobody knows the host's pid of stays as
    ``whole`` has it, and so does a process of which the other saw next to nothing: a few samples of
    many say not where the time went. A process weighs what it weighs there; without ``whole``, and
    where it is ``unseen`` (by the host's pid) by that, what the others say.
    """
    translated = [replace(i, profile=_translated(i.profile, host_pids)) for i in insides]
    if whole is None:
        return merge(inside.profile for inside in translated)
    rest = whole
    parts = []
    for each in translated:
        inside = replace(each, profile=_of_the_program(each))
        seen = _by_pid(inside.profile)
        enough, notes = _enough(seen, _by_pid(rest, inside.vm_threads))
        rest, taken = _without(rest, enough, inside.vm_threads)
        taken.update({pid: weight for pid, weight in enough.items() if pid in unseen})
        part = _weighing(inside.profile, enough, taken)
        notes = (*part.notes, *notes)
        parts.append(replace(part, frequency_hz=whole.frequency_hz, notes=notes))
    return merge([rest, *parts])


def _of_the_program(inside: Inside) -> Profile:
    """Return a profile without the VM's own threads, which would count twice."""
    frames, vm_threads = inside.profile.frames, inside.vm_threads

    def of_the_vm(stack: IndexStack) -> bool:
        thread = frames[stack[1]] if len(stack) > 1 else None
        return (
            vm_threads is not None
            and thread is not None
            and thread.kind is FrameKind.PROCESS
            and vm_threads.match(thread.name) is not None
        )

    weights = {s: n for s, n in inside.profile.weights.items() if not of_the_vm(s)}
    return replace(inside.profile, weights=weights)


def _by_pid(profile: Profile, but: re.Pattern[str] | None = None) -> Counter[int]:
    found = Counter[int]()
    for stack, weight in profile.weights.items():
        if not (but and stack and but.match(profile.frames[stack[0]].name)):
            found[_pid(profile, stack)] += weight
    return found


def _enough(
    seen: Mapping[int, int], used: Mapping[int, int]
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return the processes that were seen often enough, and a note for each of the others."""
    few = {pid for pid, weight in seen.items() if weight < _LEAST_SHARE * used.get(pid, 0)}
    notes = tuple(
        f"process {pid} is shown as the kernel's sampler saw it: its own profiler took"
        f" {seen[pid]} samples, the kernel's {used[pid]}"
        for pid in sorted(few)
    )
    return {pid: weight for pid, weight in seen.items() if pid not in few}, notes


def _translated(profile: Profile, host_pids: Mapping[int, int]) -> Profile:
    """Return the stacks, each under its own process alone, with the host's pid."""

    def below(stack: IndexStack) -> IndexStack:
        depths = [d for d, n in enumerate(stack) if _is_process(profile.frames[n])]
        return stack[depths[-1] :] if depths else ()

    def known(stack: IndexStack) -> bool:
        return bool(stack) and profile.frames[stack[0]].pid in host_pids

    def on_host(frame: Frame) -> Frame:
        return frame._replace(pid=host_pids.get(frame.pid or 0)) if _is_process(frame) else frame

    stacks = ((below(stack), weight) for stack, weight in profile.weights.items())
    kept = ((stack, weight) for stack, weight in stacks if known(stack))
    return refold(profile, map(on_host, profile.frames), kept)


def _is_process(frame: Frame) -> bool:
    return frame.kind is FrameKind.PROCESS and frame.pid is not None


def _pid(profile: Profile, stack: IndexStack) -> int:
    return (profile.frames[stack[0]].pid if stack else None) or 0


def _without(
    profile: Profile, pids: Mapping[int, int], but: re.Pattern[str] | None
) -> tuple[Profile, Counter[int]]:
    """Return a profile without some processes, and what these weighed; ``but`` are threads kept."""
    taken = Counter[int]()
    kept = {}
    for stack, weight in profile.weights.items():
        pid = _pid(profile, stack)
        if pid in pids and not (but and but.match(profile.frames[stack[0]].name)):
            taken[pid] += weight
        else:
            kept[stack] = weight
    return replace(profile, weights=kept), taken


def _weighing(profile: Profile, seen: Mapping[int, int], wanted: Mapping[int, int]) -> Profile:
    """Return a profile whose processes have other weights: what is left by rounding goes on.

    The remainder is carried from stack to stack of a process, so that its sum is exact.
    """
    carried = Counter[int]()
    weights: dict[IndexStack, int] = {}
    # The large come first: a small stack gets what is left over, and by order, not by chance.
    for stack, weight in sorted(profile.weights.items(), key=lambda item: (-item[1], item[0])):
        pid = _pid(profile, stack)
        if pid not in seen:
            continue
        share, carried[pid] = divmod(carried[pid] + weight * wanted.get(pid, 0), seen[pid])
        if share:
            weights[stack] = share
    return replace(profile, weights=weights)
