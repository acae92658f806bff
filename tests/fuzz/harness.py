"""A harness: what takes any bytes, and bytes to begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from remote_prof.transport import Channel, Command, Result
from tests.cli.scripted import Script, ScriptedConnection

TESTS = Path(__file__).parents[1]
FACTS = TESTS / "unit" / "data" / "facts"
RECORDINGS = TESTS / "recorded" / "data"
_LARGEST_SEED = 2048  # bytes: mutations of small inputs say more


@dataclass(frozen=True)
class Harness:
    """``one_input`` raises nothing, whatever it is given; if it does, something was found."""

    name: str
    one_input: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def read_seeds(
    directory: Path, pattern: str, largest: int | None = _LARGEST_SEED
) -> tuple[bytes, ...]:
    """Return the recordings that a pattern names, each cut to a size that mutates well."""
    return tuple(path.read_bytes()[:largest] for path in sorted(directory.glob(pattern)))


class Answering(ScriptedConnection):
    """A host that answers everything with the same bytes, and cannot be reached again."""

    def __init__(self, output: bytes) -> None:
        from remote_prof.records import Host

        super().__init__(Host("prod-3", "192.0.2.13"), Script())
        self._output = output
        self._opened = 0

    def open(self) -> None:
        self._opened += 1
        if self._opened > 3:
            from remote_prof.errors import HostError

            raise HostError("enough")
        super().open()

    def run(self, command: Command, timeout_s: float) -> Result:
        del command, timeout_s
        return Result(0, self._output, b"")

    def stream(self, command: Command) -> Channel:
        self._script.rest[self.host.name] = [(command.name, self._output)]
        return super().stream(command)
