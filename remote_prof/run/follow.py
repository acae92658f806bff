"""Talk to a host while the launcher works there: progress, artifacts, acknowledgement.

The protocol is lines that begin with ``@@``, as ``templates/launcher/follow.sh.j2`` prints them.
A link that breaks is opened again, and the following goes on where it was.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from remote_prof.errors import HostError, LinkLostError, UnreachableError
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.plan import LaunchPlan
from remote_prof.run.receive import Receiver
from remote_prof.transport import Channel, Command, Connection

_POLL_S = 0.2
_MOST_LEFT = 100  # things that a host says are left there; one that lies could go on for ever
_SILENCE_S = 60.0
# How long a link may stay away before it is given up; what the host holds can be fetched later.
_PATIENCE_S = 60.0
_LONGEST_PAUSE_S = 8.0


class CpuReading(NamedTuple):
    """CPU time used so far, and when on the host's clock that was; both in seconds."""

    used_s: float
    at_s: float


@dataclass(slots=True)
class Observed:
    """What came from a host so far. ``files`` are as they were on the host, by name.

    ``began_at_s`` and ``ended_at_s`` are when the sampling did, in seconds since the host's boot.
    ``cpu_before`` and ``cpu_after`` are readings of the CPU time that the target had used, None
    where the host could not tell. ``exit_code`` is the sidecar's. ``stuck``: the host goes on
    trying to remove what it could not.
    """

    lines: int = 0
    files: dict[str, Path] = field(default_factory=dict)
    cpu_before: CpuReading | None = None
    cpu_after: CpuReading | None = None
    began_at_s: float | None = None
    ended_at_s: float | None = None
    exit_code: int | None = None
    target_gone: bool = False
    late: bool = False
    disk_full: bool = False
    cut: bool = False
    left: list[str] = field(default_factory=list)
    failure: str = ""
    fetched: bool = False
    clean: bool = False
    gone: bool = False
    stuck: bool = False

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
        connection: Connection,
        plan: LaunchPlan,
        interrupt: Interrupt,
        receiver: Receiver,
        *,
        watch: Watch,
        keep: Keep,
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._interrupt = interrupt
        self._receiver = receiver
        self._watch = watch
        self._keep = keep
        self._stopping = False
        self._alive_at = time.monotonic()
        self.observed = Observed()

    def run(self, *, deploy: bool) -> Observed:
        """Follow, fetch, acknowledge; ``deploy`` puts the files there and starts it all first.

        Raises HostError, LinkLostError.
        """
        pause_s = 0.5
        self._alive_at = time.monotonic()
        while True:
            try:
                self._follow(self._connection.stream(self._command(deploy=deploy)))
            except LinkLostError as error:
                if time.monotonic() - self._alive_at > _PATIENCE_S:
                    raise self._given_up(error) from error
                if time.monotonic() - self._alive_at < 1.0:
                    pause_s = 0.5
                self._watch("reconnecting")
                pause_s = self._reconnect(pause_s)
            else:
                if self.observed.fetched:
                    self._receiver.discard_parts()
                return self.observed

    def _command(self, *, deploy: bool) -> Command:
        parts = self._receiver.parts()
        # What has begun is never started again; a host that has said nothing may have heard
        # nothing: deploying twice starts it once.
        if deploy and not self.observed.lines:
            return self._plan.deploy_command(parts)
        return self._plan.follow_command(self.observed.lines, parts)

    def _reconnect(self, pause_s: float) -> float:
        """Open the link again, with pauses that grow; return the next one."""
        while True:
            time.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
            self._connection.close()
            try:
                self._connection.open()
            except UnreachableError as error:
                if time.monotonic() - self._alive_at > _PATIENCE_S:
                    raise self._given_up(error) from error
            else:
                return pause_s

    def _given_up(self, error: UnreachableError) -> LinkLostError:
        return LinkLostError(
            f"{self._connection.host.name}: the connection broke and did not come back"
            f" for {_PATIENCE_S:.0f} s",
            evidence=error.evidence or error.what,
        )

    def _follow(self, channel: Channel) -> None:
        try:
            while True:
                try:
                    line = channel.read_line(_POLL_S)
                except EOFError:
                    break
                # Not before the launcher has begun: it would not see the stop.
                if self._interrupt.requested and self.observed.lines and not self._stopping:
                    self._stop()
                if line is not None:
                    self._alive_at = time.monotonic()
                    if self._take(line.decode("utf-8", "replace"), channel):
                        break
                elif time.monotonic() - self._alive_at > self._plan.deadline_s + _SILENCE_S:
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
        self._stopping = True

    def _take(self, line: str, channel: Channel) -> bool:
        """Take one line; return whether it was the last."""
        mark, _, rest = line.partition(" ")
        seen = self.observed
        if mark == "@@progress":
            seen.lines += 1
            self._progress(rest)
        elif mark == "@@artifact":
            name, path = self._receiver.receive(rest, channel)
            self._alive_at = time.monotonic()
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
            seen.clean, seen.gone = seen.fetched, True
        return mark in ("@@clean", "@@left", "@@stuck", "@@gone")

    def _progress(self, text: str) -> None:
        stage, _, value = text.partition(" ")
        seen = self.observed
        if stage == "sampling":
            seen.began_at_s, seen.cpu_before = _reading(value)
        elif stage in ("sampled", "ended"):
            seen.ended_at_s, seen.cpu_after = _reading(value)
        elif stage == "gone":
            seen.target_gone = True
        elif stage == "late":
            seen.late = True
        elif stage == "full":
            seen.disk_full = True
        elif stage == "cut":
            seen.cut = True
        elif stage == "left":
            seen.left.append(value)
        elif stage == "done":
            seen.exit_code = int(value) if re.fullmatch("[0-9]{1,9}", value) else None
        if stage:
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
