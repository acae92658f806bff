"""Talk to a host while the launcher works there: progress, artifacts, acknowledgement.

The protocol is lines that begin with ``@@``, as ``templates/launcher/follow.sh.j2`` prints them.
A link that breaks is opened again, and the following goes on where it was.
"""

from __future__ import annotations

import hashlib
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from remote_prof.errors import HostError, LinkLostError, UnreachableError
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.plan import LaunchPlan
from remote_prof.transport import Channel, Connection

_POLL_S = 0.2
_SILENCE_S = 60.0
_RECONNECTS = 4
MAX_ARTIFACT_BYTES = 1 << 30
# What a host may send: its word becomes a file's name here.
_ARTIFACTS = frozenset({"profile.txt", "sidecar.err", "launcher.log"})
_HEADER = re.compile(r"(\S+) (gzip|plain) ([0-9]{1,18}) (\S+) (.+)", re.ASCII)


class CpuReading(NamedTuple):
    """CPU time used so far, and when on the host's clock that was; both in seconds."""

    used_s: float
    at_s: float


@dataclass(slots=True)
class Observed:
    """What came from a host so far. Files are as they were on the host, by name.

    ``cpu_before`` and ``cpu_after`` are readings of the CPU time that the target had used, None
    where the host could not tell. ``exit_code`` is the sidecar's.
    """

    lines: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    cpu_before: CpuReading | None = None
    cpu_after: CpuReading | None = None
    sampling_at: float | None = None
    sampled_at: float | None = None
    exit_code: int | None = None
    target_gone: bool = False
    late: bool = False
    left: list[str] = field(default_factory=list)
    failure: str = ""
    clean: bool = False
    fetched: bool = False


Watch = Callable[[str], None]  # told the name of each stage as it begins
Keep = Callable[[str, bytes], None]  # told each artifact as it arrives


class Follower:
    """Follows one launcher to its end."""

    def __init__(
        self,
        connection: Connection,
        plan: LaunchPlan,
        interrupt: Interrupt,
        *,
        watch: Watch,
        keep: Keep,
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._interrupt = interrupt
        self._watch = watch
        self._keep = keep
        self._stopping = False
        self.observed = Observed()

    def run(self) -> Observed:
        """Deploy, follow, fetch, acknowledge. Raises HostError, LinkLostError."""
        command = self._plan.deploy_command()
        for attempt in range(_RECONNECTS + 1):
            try:
                if attempt:
                    self._reconnect(attempt)
                    command = self._plan.follow_command(self.observed.lines)
                self._follow(self._connection.stream(command))
            except LinkLostError as error:
                if attempt == _RECONNECTS:
                    raise self._given_up(error) from error
                self._watch("reconnecting")
            else:
                return self.observed
        return self.observed

    def _reconnect(self, attempt: int) -> None:
        time.sleep(min(10.0, 0.5 * 2**attempt))
        self._connection.close()
        try:
            self._connection.open()
        except UnreachableError as error:
            raise LinkLostError(error.what, evidence=error.evidence) from error

    def _given_up(self, error: LinkLostError) -> LinkLostError:
        return LinkLostError(
            f"{self._connection.host.name}: the connection broke and did not come back",
            evidence=error.evidence or error.what,
            hint=f"the host ends the run by itself and keeps {self._plan.directory} for a while",
        )

    def _follow(self, channel: Channel) -> None:
        try:
            quiet_since = time.monotonic()
            while True:
                try:
                    line = channel.read_line(_POLL_S)
                except EOFError:
                    break
                # Not before the launcher has begun: it would not see the stop.
                if self._interrupt.requested and self.observed.lines and not self._stopping:
                    self._stop()
                if line is not None:
                    quiet_since = time.monotonic()
                    if self._take(line.decode("utf-8", "replace"), channel):
                        break
                elif time.monotonic() - quiet_since > self._plan.deadline_s + _SILENCE_S:
                    raise LinkLostError("the host has said nothing for too long")
            result = channel.finish(_SILENCE_S)
        finally:
            channel.close()
        if result.exit_code != 0 and not self.observed.fetched:
            said = result.stderr.decode("utf-8", "replace").strip()
            raise HostError(
                f"{self._connection.host.name}: the run could not be started",
                evidence=f"{self.observed.failure} {said[-300:]}".strip(),
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
        if mark == "@@progress":
            self.observed.lines += 1
            self._progress(rest)
        elif mark == "@@artifact":
            name, data = receive(rest, channel)
            self.observed.files[name] = data
            self._keep(name, data)
        elif mark == "@@sent":
            self.observed.fetched = True
            self._watch("cleaning")
            channel.write(b"fetched\n")
        elif mark == "@@failed":
            self.observed.failure = rest
        elif mark == "@@remains":
            self.observed.left.append(rest)
        elif mark == "@@left":
            self.observed.left.append(f"directory {rest}")
        elif mark == "@@clean":
            self.observed.clean = True
        elif mark == "@@gone" and self.observed.fetched:
            self.observed.clean = True  # the link broke after the acknowledgement
        elif mark == "@@gone":
            self.observed.failure = "the run's directory is gone from the host"
        return mark in ("@@clean", "@@left", "@@gone")

    def _progress(self, text: str) -> None:
        stage, _, value = text.partition(" ")
        seen = self.observed
        if stage == "sampling":
            seen.cpu_before, seen.sampling_at = _reading(value), time.monotonic()
        elif stage in ("sampled", "ended"):
            seen.cpu_after, seen.sampled_at = _reading(value), time.monotonic()
        elif stage == "gone":
            seen.target_gone = True
        elif stage == "late":
            seen.late = True
        elif stage == "left":
            seen.left.append(value)
        elif stage == "done":
            seen.exit_code = _number(value)
        self._watch(stage)


def receive(header: str, channel: Channel) -> tuple[str, bytes]:
    """Read one artifact: its header, its bytes, its checksum.

    The header is ``name encoding size algorithm checksum``; the size and checksum are of what is
    sent. Raises HostError when it is damaged, too large, or none that a run has.
    """
    found = _HEADER.fullmatch(header)
    if found is None or found[1] not in _ARTIFACTS:
        raise HostError("the host sends what was not asked for", evidence=repr(header[:100]))
    name, encoding, size_text, algorithm, checksum = found.groups()
    size = int(size_text)
    if size > MAX_ARTIFACT_BYTES:
        raise HostError(f"{name} on the host is {size} bytes: too large to fetch")
    data = channel.read_exactly(size, _SILENCE_S)
    channel.read_line(_SILENCE_S)
    if algorithm == "sha256" and hashlib.sha256(data).hexdigest() != checksum:
        raise HostError(f"{name} arrived damaged: its checksum is not the host's")
    if encoding == "gzip":
        unpacker = zlib.decompressobj(wbits=31)
        try:
            data = unpacker.decompress(data, MAX_ARTIFACT_BYTES)
        except zlib.error as error:
            raise HostError(f"{name} arrived damaged", evidence=str(error)) from error
        if unpacker.unconsumed_tail:
            raise HostError(f"{name} unpacks to more than {MAX_ARTIFACT_BYTES} bytes")
        if not unpacker.eof:
            raise HostError(f"{name} arrived damaged: it ends too early")
    return name, data


def _reading(text: str) -> CpuReading | None:
    # "81639795 254270": microseconds, and hundredths of a second since the boot
    found = re.fullmatch(r"(\d{1,18}) (\d{1,18})", text)
    return CpuReading(int(found[1]) / 1e6, int(found[2]) / 100) if found else None


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None
