"""The exception tree: every failure says what happened, the evidence, and the next step.

::

    RemoteProfError             exit code 1
    ├── UsageError              5   bad flags, inventory, settings or playbook
    │   └── InventoryError      5   an inventory file is wrong, or selects no host
    ├── UnreachableError        4   the host cannot be reached or does not let us in
    │   ├── LoginError          4   it answers, and does not let us in, or is not the one we know
    │   └── LinkLostError       4   it was reached, and then the connection broke
    ├── TargetError             1   the container or process cannot be resolved
    │   └── MissingTargetError  1   there is no such container
    ├── PreflightError          1   the host or target cannot be profiled as asked
    ├── HostError               1   a step on the host failed
    ├── NoSamplesError          3   it ran, and there is nothing to show
    ├── InterruptedRunError     130 the user left before it was over
    └── ParseError              1   a profiler's output is not what it should be
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a shell sees; the numbers mean what they mean in Ansible where it has them."""

    OK = 0
    ERROR = 1
    SOME_FAILED = 2
    NO_SAMPLES = 3
    UNREACHABLE = 4
    USAGE = 5
    INTERRUPTED = 130


class RemoteProfError(Exception):
    """A failure that a user is told about in three parts.

    ``what`` is one sentence with the cause; ``evidence`` is what was seen (a path and line, the
    last line that a program printed); ``hint`` is the next step. Either may be empty.
    """

    exit_code: ExitCode = ExitCode.ERROR

    def __init__(self, what: str, *, evidence: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not pickle by themselves, and host jobs
        # travel through executors.
        return _rebuild, (type(self), self.what, self.evidence, self.hint)


def _rebuild(kind: type[RemoteProfError], what: str, evidence: str, hint: str) -> RemoteProfError:
    return kind(what, evidence=evidence, hint=hint)


class UsageError(RemoteProfError):
    """Bad flags, settings, inventory or playbook: nothing was tried."""

    exit_code = ExitCode.USAGE


class InventoryError(UsageError):
    """An inventory cannot be read, or does not hold what was asked for."""


class UnreachableError(RemoteProfError):
    """No session on the host: name, route, port, host key or login."""

    exit_code = ExitCode.UNREACHABLE


class LoginError(UnreachableError):
    """The host answers: its key, or what it says to our login, ends it, and would again."""


class LinkLostError(UnreachableError):
    """The connection broke. What runs on the host goes on by itself."""


class TargetError(RemoteProfError):
    """The container or process that was asked for is not there, not running, or not unique."""


class MissingTargetError(TargetError):
    """There is no container that is called so: on some hosts of a fleet that may be expected."""


class PreflightError(RemoteProfError):
    """Facts of the host or target say that the run cannot work."""


class HostError(RemoteProfError):
    """Something that was run on the host failed."""


class NoSamplesError(RemoteProfError):
    """The run worked, and nothing was sampled."""

    exit_code = ExitCode.NO_SAMPLES


class InterruptedRunError(RemoteProfError):
    """The user did not wait for the end."""

    exit_code = ExitCode.INTERRUPTED


class ParseError(RemoteProfError):
    """Output of a profiler, or a file given to be converted, is not what it claims to be."""
