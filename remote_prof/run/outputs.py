"""What came of the sidecars of a run: their files here, and what they say of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from remote_prof.errors import RemoteProfError
from remote_prof.run import tell
from remote_prof.run.follow import Observed
from remote_prof.run.manifest import SidecarRecord
from remote_prof.run.report import find_engine, has_sampled

# EBADF: old versions close the table of stacks too early, now and then, where what they name ends.
_UNREAD = re.compile(r"failed to look up stack id .*: -9$", re.IGNORECASE)


@dataclass(slots=True)
class Outputs:
    """The files that have arrived, by the names that they had on the host."""

    files: dict[str, Path] = field(default_factory=dict)

    def denied(self, sidecar: SidecarRecord) -> bool:
        """Say whether its rights were too narrow, so that it sampled nothing."""
        return (
            not has_sampled(self.raw(sidecar))
            and sidecar.exit_code not in (0, None)
            and find_engine(sidecar.engine).denied(self._errors(sidecar))
        )

    def raw(self, sidecar: SidecarRecord) -> bytes:
        """Return its raw profile, as far as it came."""
        path = self.files.get(sidecar.profile)
        return path.read_bytes() if path else b""

    def _errors(self, sidecar: SidecarRecord) -> str:
        path = self.files.get(sidecar.errors)
        return path.read_bytes()[-65536:].decode("utf-8", "replace") if path else ""

    def last_error(self, sidecar: SidecarRecord) -> str:
        """Return the line that says best what went wrong."""
        lines = [line.strip() for line in self._errors(sidecar).splitlines() if line.strip()]
        # Compose 1 ends with the exit code, and with nothing else in the line.
        told = [line for line in lines if "RLIMIT_MEMLOCK" not in line and not line.isdigit()]
        # What follows an error is where in the program it is.
        errors = [line for line in told if "ERROR" in line]
        return (errors or told or [""])[-1][:300]

    def unread_stacks(self, sidecar: SidecarRecord) -> list[str]:
        """Return what bpftrace says of stacks that it had counted and could not read."""
        return [line for line in self._errors(sidecar).splitlines() if _UNREAD.search(line)]

    def failure(self, host: str, sidecar: SidecarRecord, seen: Observed) -> RemoteProfError:
        """Return why a sidecar sampled nothing."""
        last_error = self.last_error(sidecar)
        if self.denied(sidecar):
            return tell.all_rights_refused(host, sidecar, last_error)
        return tell.sidecar_failed(host, sidecar, seen, last_error)
