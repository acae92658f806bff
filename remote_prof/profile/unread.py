"""What a reader could not read, told without losing the rest."""

from __future__ import annotations

from remote_prof.errors import ParseError

_FIRST = 3  # places that are told; of the rest only how many there are
_SHOWN = 80  # characters of each


class Unread:
    """The first few places that could not be read, and how many there are.

    ``one`` and ``many`` are what they are called: a line, a sample.
    """

    def __init__(self, one: str = "line", many: str = "lines") -> None:
        self._one = one
        self._many = many
        self._first: list[str] = []
        self.count = 0

    @property
    def wanted(self) -> bool:
        """Whether the next place would be told: only then it needs a number."""
        return self.count < _FIRST

    def tell(self, where: str, text: str) -> None:
        """Count one more; ``where`` it stands and its ``text`` are kept of the first few."""
        if self.wanted:
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
            self._first.append(f"{where}: {shown!r}" if text else where)
        self.count += 1

    @property
    def notes(self) -> tuple[str, ...]:
        """Return one sentence for whoever reads the profile, or nothing."""
        if not self.count:
            return ()
        what = self._one if self.count == 1 else self._many
        first = "; ".join(self._first) + ("; ..." if self.count > _FIRST else "")
        return (f"{self.count} {what} could not be read: {first}",)

    def error(self, what: str, hint: str) -> ParseError:
        """Return what is raised where nothing at all could be read."""
        return ParseError(what, evidence="".join(self.notes) or "it is empty", hint=hint)
