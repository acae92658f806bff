"""What is needed to go on with a run in another process: its jobs, and what was put on each host.

``jobs.json`` lies in the run's directory from the start. ``launch.json`` lies in a target's
directory from before anything is put on its host until the host is known to be clean: where there
is one, a host may still hold something. Neither holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from remote_prof.errors import UsageError
from remote_prof.records import Host
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import HostRecord
from remote_prof.run.plan import LaunchPlan
from remote_prof.run.prepare import HostJob

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LAUNCH = "launch.json"
JOBS = "jobs.json"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Launch:
    """What was put on a host for a job, and what was known of it then."""

    job: HostJob
    plan: LaunchPlan
    record: HostRecord


def write_jobs(directory: RunDirectory, jobs: Sequence[HostJob]) -> None:
    """Note the jobs of a run. Raises RemoteProfError."""
    plain = [_without_secrets(job) for job in jobs]
    directory.write(directory.path / JOBS, _jobs_adapter().dump_json(plain, indent=1), raw=False)


def load_jobs(directory: RunDirectory) -> list[HostJob]:
    """Return the jobs of a run, for its directory as it is now. Raises UsageError."""
    path = directory.path / JOBS
    jobs: list[HostJob] = _load(path, _jobs_adapter())
    return [replace(job, directory=directory.path) for job in jobs]


def write_launch(directory: RunDirectory, where: Path, launch: Launch) -> None:
    """Note what is about to be put on a host. Raises RemoteProfError."""
    plain = replace(launch, job=_without_secrets(launch.job))
    directory.write(where / LAUNCH, _launch_adapter().dump_json(plain, indent=1), raw=False)


def find_launch(directory: RunDirectory, host: Host) -> tuple[Path, Launch] | None:
    """Return what may still be on a host, and the directory of its target; None if nothing is.

    Raises UsageError where the note cannot be read.
    """
    for path in sorted(directory.host_path(host.name).glob(f"*/{LAUNCH}")):
        launch: Launch = _load(path, _launch_adapter())
        return path.parent, launch
    return None


def forget_launch(where: Path) -> None:
    """Note that a host is clean, and everything is here."""
    (where / LAUNCH).unlink(missing_ok=True)


def forget_held(directory: RunDirectory, host: Host) -> None:
    """Note that nothing of a run is on a host any more."""
    found = find_launch(directory, host)
    if found is not None:
        forget_launch(found[0])


def _without_secrets(job: HostJob) -> HostJob:
    host = job.host
    become = replace(host.become, password=None) if host.become else None
    # Variables can be anything; what counts of them is in the job.
    plain = replace(host, password=None, key_passphrase=None, become=become, vars={})
    return replace(job, host=plain, directory=None)


def _jobs_adapter() -> TypeAdapter[list[HostJob]]:
    from pydantic import TypeAdapter

    return TypeAdapter(list[HostJob])


def _launch_adapter() -> TypeAdapter[Launch]:
    from pydantic import TypeAdapter

    return TypeAdapter(Launch)


def _load(path: Path, adapter: TypeAdapter[_T]) -> _T:
    from pydantic import ValidationError

    try:
        return adapter.validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read",
            evidence=error.strerror or str(error),
            hint="only a run that this version has begun can be gone on with",
        ) from error
    except ValidationError as error:
        raise UsageError(
            f"{path} is not what a run leaves",
            evidence=str(error).split("\n", 1)[0],
            hint="it was made by another version, or changed since",
        ) from error
