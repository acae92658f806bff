"""What is needed to go on with a run in another process: its jobs, and what was put on each host.

``jobs.json`` lies in the run's directory from the start. ``launch.json`` lies in a target's
directory from before anything is put on its host until the host is known to be clean: where there
is one, a host may still hold something. Neither holds a secret.

What they say is connected to, and run there, with secrets that are given for it. So each carries a
keyed digest (HMAC-SHA256); the key is the user's own, made once, in the platform's directory for
state. A directory that somebody else has made is not gone on with.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from remote_prof.errors import UsageError
from remote_prof.records import Host
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import HostRecord
from remote_prof.run.plan import LaunchPlan
from remote_prof.run.prepare import HostJob

LAUNCH = "launch.json"
JOBS = "jobs.json"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Launch:
    """What was put on a host for a job, and what was known of it then."""

    job: HostJob
    plan: LaunchPlan
    record: HostRecord


@dataclass(frozen=True, slots=True)
class _Signed(Generic[_T]):
    mac: str
    content: _T


def write_jobs(directory: RunDirectory, jobs: Sequence[HostJob]) -> None:
    """Note the jobs of a run. Raises RemoteProfError."""
    plain = [without_secrets(job) for job in jobs]
    _write(directory, directory.path / JOBS, plain, list[HostJob])


def load_jobs(directory: RunDirectory) -> list[HostJob]:
    """Return the jobs of a run, for its directory as it is now. Raises UsageError."""
    jobs: list[HostJob] = _load(directory.path / JOBS, list[HostJob])
    return [replace(job, directory=directory.path) for job in jobs]


def write_launch(directory: RunDirectory, where: Path, launch: Launch) -> None:
    """Note what is about to be put on a host. Raises RemoteProfError."""
    plain = replace(launch, job=without_secrets(launch.job))
    _write(directory, where / LAUNCH, plain, Launch)


def find_launches(directory: RunDirectory, host: Host) -> list[tuple[Path, Launch]]:
    """Return what may still be on a host, by the directories of its targets.

    Raises UsageError where a note cannot be read.
    """
    paths = sorted(directory.host_path(host.name).glob(f"*/{LAUNCH}"))
    return [(path.parent, _load(path, Launch)) for path in paths]


def find_launch(directory: RunDirectory, job: HostJob) -> tuple[Path, Launch] | None:
    """Return what may still be there of a job, and the directory of its target. Raises UsageError.

    None if nothing is.
    """
    found = find_launches(directory, job.host)
    return next((each for each in found if each[1].job.part == job.part), None)


def forget_launch(where: Path) -> None:
    """Note that a host is clean, and everything is here."""
    (where / LAUNCH).unlink(missing_ok=True)


def forget_held(directory: RunDirectory, host: Host) -> None:
    """Note that nothing of a run is on a host any more."""
    for where, _ in find_launches(directory, host):
        forget_launch(where)


def without_secrets(job: HostJob) -> HostJob:
    """Return a job as it may be written down, or sent: it knows no secret, and no directory."""
    host = job.host
    become = replace(host.become, password=None) if host.become else None
    # Variables can be anything; what counts of them is in the job.
    plain = replace(host, password=None, key_passphrase=None, become=become, vars={})
    return replace(job, host=plain, directory=None)


def _write(directory: RunDirectory, path: Path, content: object, kind: Any) -> None:
    try:
        mac = _mac(content, kind, _key(create=True))
    except OSError:
        mac = ""  # the run goes on; it cannot be gone on with later
    signed = _Signed(mac, content)
    data = _adapter(_Signed[kind]).dump_json(signed, indent=1)
    directory.write(path, data, raw=False)


def _load(path: Path, kind: Any) -> Any:
    from pydantic import ValidationError

    try:
        signed = _adapter(_Signed[kind]).validate_json(path.read_bytes())
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
    try:
        good = hmac.compare_digest(signed.mac, _mac(signed.content, kind, _key(create=False)))
    except OSError:
        good = False
    if not good:
        raise UsageError(
            f"{path} was not written by you on this machine, or was changed since",
            evidence=f"its digest is not made with the key in {_key_path()}",
            hint="go on where the run was begun; or clean its host: remote-prof clean RUN --host H",
        )
    return signed.content


def _mac(content: object, kind: Any, key: bytes) -> str:
    # A later version has more fields: what they say where they are missing changes nothing.
    return hmac.new(
        key, _adapter(kind).dump_json(content, exclude_defaults=True), "sha256"
    ).hexdigest()


@cache
def _adapter(kind: Any) -> Any:
    """Return what reads and writes a kind: to make it takes longer than to use it."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _key_path() -> Path:
    import platformdirs

    return platformdirs.user_state_path("remote-prof") / "run.key"


def _key(*, create: bool) -> bytes:
    path = _key_path()
    if create and not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two runs may begin at once: whoever links first has made it.
        own = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        fd = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as out:
            out.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
        own.unlink()
    return path.read_bytes()
