"""A job that is worked off on another machine: what goes there, and what comes back.

No secret goes along: a task graph is kept by its scheduler, and shown on its page. There they come
from that machine's own environment, agent and keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from remote_prof.errors import UsageError
from remote_prof.records import Host
from remote_prof.run.directory import RunDirectory
from remote_prof.run.launch import (
    LAUNCH,
    Launch,
    find_launch,
    forget_launch,
    without_secrets,
    write_launch,
)
from remote_prof.run.prepare import HostJob
from remote_prof.run.result import HostResult
from remote_prof.settings import SECRET_VARIABLES


@dataclass(frozen=True, slots=True)
class Luggage:
    """The files of a host, by their paths below the run's directory, and what its host may hold.

    ``raw`` are those that are never written again; ``place`` is the directory of the target that
    ``launch`` is of.
    """

    files: Mapping[str, bytes]
    raw: frozenset[str] = frozenset()
    launch: Launch | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A job on its way there."""

    job: HostJob
    luggage: Luggage


@dataclass(frozen=True, slots=True)
class Parcel:
    """What came of it, on its way back."""

    result: HostResult
    luggage: Luggage


def pack_task(job: HostJob, directory: RunDirectory) -> Task:
    """Return what has to be known there of a job."""
    held = find_launch(directory, job)
    return Task(without_secrets(job), _pack(directory, held[0], held) if held else Luggage({}))


def refuse_secrets(host: Host) -> None:
    """Raise UsageError where a host needs what does not travel."""
    password = host.become.password if host.become else None
    if any(secret is not None for secret in (host.password, host.key_passphrase, password)):
        raise UsageError(
            f"{host.name} needs a password, and none is sent to a cluster",
            evidence="it would lie in the scheduler's memory, and be shown to whoever asks it",
            hint="use keys, or give it to the workers alone, in their environment: "
            + ", ".join(SECRET_VARIABLES.values()),
        )


def pack_parcel(result: HostResult, directory: RunDirectory, job: HostJob) -> Parcel:
    """Return what goes back of a job."""
    if result.settled is not None:
        forget_launch(result.settled)
    parts = tuple(map(without_secrets, result.parts))
    plain = replace(result, settled=None, parts=parts)
    where = directory.host_path(job.host.name)
    return Parcel(plain, _pack(directory, where, find_launch(directory, job)))


def _pack(directory: RunDirectory, where: Path, held: tuple[Path, Launch] | None) -> Luggage:
    paths = [path for path in sorted(where.rglob("*")) if path.is_file() and path.name != LAUNCH]
    files = {path.relative_to(directory.path).as_posix(): path.read_bytes() for path in paths}
    raw = frozenset(
        path.relative_to(directory.path).as_posix()
        for path in paths
        if not path.stat().st_mode & 0o222
    )
    if held is None:
        return Luggage(files, raw)
    place, launch = held
    return Luggage(files, raw, launch, place.relative_to(directory.path).as_posix())


def unpack(luggage: Luggage, directory: RunDirectory, job: HostJob) -> Path | None:
    """Write the files; return the directory whose launch can be forgotten, if there is one.

    Raises RemoteProfError where they cannot be written, UsageError where one is not the host's.
    """
    own = directory.host_path(job.host.name)
    held = find_launch(directory, job)
    paths = {directory.path / name: data for name, data in luggage.files.items()}
    for path in paths:
        if ".." in path.parts or not path.is_relative_to(own):
            raise UsageError(f"{job.name}: a worker sends {path}, which is no file of this host")
    if held is None:
        # It was begun anew there, where nothing of an earlier try lies.
        for place in {own / path.relative_to(own).parts[0] for path in paths}:
            directory.put_aside(place)
    for path, data in paths.items():
        directory.write(path, data, raw=path.relative_to(directory.path).as_posix() in luggage.raw)
    if luggage.launch is not None:
        write_launch(directory, directory.path / luggage.place, luggage.launch)
        return None
    return held[0] if held else None


def with_own_secrets(host: Host, environ: Mapping[str, str]) -> Host:
    """Return a host with the secrets that this machine's environment has."""
    found = {kind: environ.get(name) or None for kind, name in SECRET_VARIABLES.items()}
    become = host.become
    if become is not None:
        become = replace(become, password=found["become"])
    return replace(
        host,
        password=found["connection"],
        key_passphrase=found["key-passphrase"],
        become=become,
    )
