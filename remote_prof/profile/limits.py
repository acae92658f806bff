"""What a parser takes at most: input may be hostile, and this machine's memory is finite.

No profiler comes near these numbers (bpftrace prints at most 65536 stacks of 254 frames at a time).
Within them a parser needs some 2 GB at the very worst, and ends in a minute or two. Where one is
reached, the raw file is still there as it came.
"""

from __future__ import annotations

from remote_prof.errors import ParseError

MOST_LINES = 20_000_000  # of folded text, or entries of maps
MOST_STACKS = 1_000_000  # distinct ones
MOST_NAMES = 1_000_000  # distinct ones
MOST_FRAMES = 20_000_000  # of all distinct stacks together
LONGEST_STACK = 10_000  # frames
MOST_UNPACKED_BYTES = 1 << 30  # of a file that is compressed


class Budget:
    """Counts what a parser keeps. Raises ParseError where it is too much."""

    def __init__(self) -> None:
        self._stacks = 0
        self._frames = 0

    def stack(self, frames: int, where: str) -> None:
        """Count one more distinct stack of so many frames; ``where`` it stands is told."""
        self._stacks += 1
        self._frames += frames
        # Asked for each stack of a profile: one comparison more is felt.
        if frames <= LONGEST_STACK and self._stacks <= MOST_STACKS and self._frames <= MOST_FRAMES:
            return
        within("frames in one stack", frames, LONGEST_STACK, where)
        within("different stacks", self._stacks, MOST_STACKS, where)
        within("frames in all stacks", self._frames, MOST_FRAMES, where)


def within(what: str, number: int, most: int, where: str) -> None:
    """Raise ParseError where a number is beyond what is taken."""
    if number > most:
        raise ParseError(
            f"there are more than {most} {what}",
            evidence=where,
            hint="no profiler prints that much; look at the raw file, which is kept as it came",
        )
