"""Talk to a host while the launcher works there: progress, artifacts, acknowledgement.

The protocol is lines that begin with ``@@``, as ``templates/launcher/follow.sh.j2`` prints them.
A link that breaks is opened again, and the following goes on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from remote_prof.errors import HostError, LinkLostError
from remote_prof.run.interrupt import Stop
from remote_prof.run.link import Link
from remote_prof.run.plan import LaunchPlan
from remote_prof.run.receive import Receiver
from remote_prof.transport import Channel, Command

_POLL_S = 0.2
_MOST_LINES = 10_000  # of progress; a launcher has about ten
_MOST_LEFT = 100  # things that a host says are left there; one that lies could go on for ever
_SILENCE_S = 60.0


# Lines of progress that say one thing once: the field of ``Observed`` that notes it.
_FACTS = {
    "gone": "target_gone",
    "late": "late",
    "full": "disk_full",
    "deaf": "engine_hung",
    "cut": "cut",
}


class CpuReading(NamedTuple):
    """CPU time used so far, and when on the host's clock that was; both in seconds."""

    used_s: float
    at_s: float


@dataclass(slots=True)
class Observed:
    """What came from a host so far. ``files`` are as they were on the host, by name.

    ``began_at_s`` and ``ended_at_s`` are when the sampling did, in seconds since the host's boot.
    ``cpu_before`` and ``cpu_after`` are readings of the CPU time that the target had used, None
    where the host could not tell. ``exit_code`` is the sidecar's; of several it is that of one that
    failed, and ``exit_codes`` are by engine. ``stuck``: the host goes on
    trying to remove what it could not.
    """

    lines: int = 0
    files: dict[str, Path] = field(default_factory=dict)
    cpu_before: CpuReading | None = None
    cpu_after: CpuReading | None = None
    began_at_s: float | None = None
    ended_at_s: float | None = None
    exit_code: int | None = None
    exit_codes: dict[str, int] = field(default_factory=dict)
    target_gone: bool = False
    late: bool = False
    disk_full: bool = False
    engine_hung: bool = False
    cut: bool = False
    left: list[str] = field(default_factory=list)
    failure: str = ""
    fetched: bool = False
    clean: bool = False
    gone: bool = False
    stuck: bool = False

    @property
    def sampled_s(self) -> float:
        """How long the sampling lasted, 0 where it did not begin or end."""
        return (self.ended_at_s or 0.0) - (self.began_at_s or self.ended_at_s or 0.0)

    @property
    def over(self) -> bool:
        """Whether the host holds nothing more that could be fetched."""
        return self.clean or self.gone or (self.fetched and self.stuck)


Watch = Callable[[str], None]  # told the name of each stage as it begins
Keep = Callable[[str, Path], None]  # told each artifact when it has arrived


class Follower:
    """Follows one launcher to its end."""

    def __init__(
        self,
        link: Link,
        plan: LaunchPlan,
        stop: Stop,
        receiver: Receiver,
        *,
        watch: Watch,
        keep: Keep,
    ) -> None:
        self._link = link
        self._connection = link.connection
        self._plan = plan
        self._wish = stop
        self._receiver = receiver
        self._watch = watch
        self._keep = keep
        self.stopping = False
        self.observed = Observed()

    def run(self, *, deploy: bool) -> Observed:
        """Follow, fetch, acknowledge; ``deploy`` puts the files there and starts it all first.

        Raises HostError, LinkLostError.
        """
        try:
            while True:
                try:
                    self._follow(self._connection.stream(self._command(deploy=deploy)))
                except LinkLostError as error:
                    self._link.reconnect(error)
                else:
                    return self.observed
        finally:
            if self.observed.fetched:
                self._receiver.discard_parts()

    def _command(self, *, deploy: bool) -> Command:
        parts = self._receiver.parts()
        # What has begun is never started again; a host that has said nothing may have heard
        # nothing: deploying twice starts it once.
        if deploy and not self.observed.lines:
            return self._plan.deploy_command(parts)
        return self._plan.follow_command(self.observed.lines, parts)

    def _follow(self, channel: Channel) -> None:
        try:
            while True:
                try:
                    line = channel.read_line(_POLL_S)
                except EOFError:
                    break
                self._wish.check()
                # Not before the launcher has begun: it would not see the stop.
                if self._wish.requested and self.observed.lines and not self.stopping:
                    self._stop()
                if line is not None:
                    self._link.heard()
                    if self._take(line.decode("utf-8", "replace"), channel):
                        break
                elif self._link.silence_s > self._plan.deadline_s + _SILENCE_S:
                    raise HostError("the host has said nothing for too long")
            result = channel.finish(_SILENCE_S)
        finally:
            channel.close()
        if self.observed.over:
            return
        said = result.stderr.decode("utf-8", "replace").strip()
        raise HostError(
            f"{self._connection.host.name}: the run could not be "
            + ("followed to its end" if self.observed.lines else "started"),
            evidence=f"{self.observed.failure} {said[-300:]}".strip()
            or f"exit code {result.exit_code}",
            hint="-v shows more; remote-prof doctor looks for causes",
        )

    def _stop(self) -> None:
        self._watch("stopping")
        self._connection.run(self._plan.stop_command(), _SILENCE_S)
        # Not before it was heard: if the link breaks here, it is asked again over the next one.
        self.stopping = True

    def _take(self, line: str, channel: Channel) -> bool:
        """Take one line; return whether it was the last."""
        mark, _, rest = line.partition(" ")
        seen = self.observed
        if mark == "@@progress":
            seen.lines += 1
            if seen.lines > _MOST_LINES:
                raise HostError("the host says more than a launcher has to say", evidence=line[:80])
            self._progress(rest)
        elif mark == "@@artifact":
            name, path = self._receiver.receive(rest, channel)
            self._link.heard()
            seen.files[name] = path
            self._keep(name, path)
        elif mark == "@@sent":
            seen.fetched = True
            self._watch("cleaning")
            channel.write(b"fetched\n")
        elif mark == "@@failed":
            seen.failure = rest
        elif mark == "@@remains":
            seen.left.append(rest)
        elif mark == "@@left":
            seen.left.append(f"directory {rest}")
        del seen.left[_MOST_LEFT:]
        seen.clean = seen.clean or mark in ("@@clean", "@@left")
        seen.stuck = seen.stuck or mark == "@@stuck"
        if mark == "@@gone":
            # After the acknowledgement it is what was hoped for.
            seen.clean, seen.gone = not seen.left, True
        return mark in ("@@clean", "@@left", "@@stuck", "@@gone")

    def _progress(self, text: str) -> None:
        stage, _, value = text.partition(" ")
        seen = self.observed
        if stage == "sampling":
            seen.began_at_s, seen.cpu_before = _reading(value)
        elif stage in ("sampled", "ended"):
            seen.ended_at_s, seen.cpu_after = _reading(value)
        elif stage in _FACTS:
            setattr(seen, _FACTS[stage], True)
        elif stage == "left":
            seen.left.append(value)
        elif stage == "done":
            seen.exit_code = int(value) if re.fullmatch("[0-9]{1,9}", value) else None
        elif found := re.fullmatch(r"exit ([a-z]{1,20}) ([0-9]{1,9})", text):
            seen.exit_codes[found[1]] = int(found[2])
        if stage and stage != "exit":
            self._watch(stage)


def _reading(text: str) -> tuple[float | None, CpuReading | None]:
    """Parse ``254275 81639795 254270``: now, the CPU time in microseconds, when that was read.

    Times are hundredths of a second since the boot; the last two are missing where they could not
    be read.
    """
    found = re.fullmatch(r"([0-9]{1,18})(?: ([0-9]{1,18}) ([0-9]{1,18}))? ?", text)
    if found is None:
        return None, None
    cpu = CpuReading(int(found[2]) / 1e6, int(found[3]) / 100) if found[2] else None
    return int(found[1]) / 100, cpu
