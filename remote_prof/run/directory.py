"""The local directory of a run: raw files first, every file by atomic rename, nothing twice."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from remote_prof.errors import RemoteProfError, UsageError
from remote_prof.run.manifest import Artifact, Manifest, dump_manifest, parse_manifest

_LONGEST = 100  # characters of a name in a path; file systems take 255 bytes
_UNSAFE = re.compile(r"[^A-Za-z0-9_.@:-]")
# Capitals are not among them: there are file systems that do not tell them from small letters.
_SAFE = re.compile(rf"(?!\.)[a-z0-9_.@:-]{{1,{_LONGEST}}}(?<!-[0-9a-f]{{16}})")
_MANIFEST = "run.json"
_HOSTS = "hosts"


def new_run_id(now: dt.datetime | None = None) -> str:
    """Return a name that sorts by time and is taken by no other run: ``20260131-235959-1a2b3c``."""
    now = now or dt.datetime.now(dt.UTC)
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def safe_name(name: str) -> str:
    """Return a name as one component of a path, whatever a host called it.

    Different names stay different: what is not plain gets a digest, and what looks as if it had
    one already is not plain.
    """
    if _SAFE.fullmatch(name):
        return name
    safe = _UNSAFE.sub("_", name).lstrip(".")[:_LONGEST] or "_"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{safe}-{digest[:16]}"


class RunDirectory:
    """``results/<run id>``; see the design for what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, results: Path, run_id: str) -> RunDirectory:
        """Make the directory of a new run. Raises RemoteProfError where that cannot be."""
        path = results / run_id
        with writable(results):
            path.mkdir(parents=True)
        return cls(path)

    @classmethod
    def find(cls, name: str, results: Path) -> RunDirectory:
        """Find a run by its directory, its id, or the start of its id; ``last`` is the newest.

        Raises UsageError with the newest runs where there is none or more than one.
        """
        if (Path(name) / _MANIFEST).is_file():
            return cls(Path(name))
        runs = list_runs(results)
        found = [run for run in runs if run.path.name.startswith(name)]
        if name == "last":
            found = runs[-1:]
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} runs begin with {name!r}" if found else f"there is no run {name!r}"
        newest = ", ".join(run.path.name for run in (found or runs)[-5:])
        raise UsageError(
            what,
            evidence=f"looked in {results}" + (f"; the newest are {newest}" if newest else ""),
            hint="list them with: remote-prof runs",
        )

    def inside(self, relative: str) -> Path:
        """Return the path of a file that ``run.json`` names.

        The run may be somebody else's. Raises UsageError where the path leads out of it, be it by
        ``..`` or by a symbolic link, or is no file.
        """
        path = self.path / relative
        try:
            stays = path.resolve().is_relative_to(self.path.resolve()) and path.is_file()
        except (OSError, ValueError, RuntimeError):
            stays = False
        if not stays or ".." in path.parts[len(self.path.parts) :]:
            raise UsageError(
                f"{relative!r} is no file of the run {self.path.name}",
                evidence=f"{self.path / _MANIFEST} names it",
                hint="the run is not as remote-prof wrote it: do not trust it",
            )
        return path

    def host_path(self, host: str) -> Path:
        """Return the directory of one host, which may not be there."""
        return self.path / _HOSTS / safe_name(host)

    def fresh_directory(self, host: str, target: str) -> Path:
        """Make the directory of one target on one host, with nothing in it.

        What an earlier try has left there is kept beside it: ``api@1``, ``api@2``. A raw file is
        never written again, and would stand for what is sampled now.
        """
        path = self.host_path(host) / safe_name(target)
        self.put_aside(path)
        with told(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def put_aside(self, path: Path) -> None:
        """Give the directory of a target another name, where there is something in it."""
        with told(path):
            if path.is_dir() and any(path.iterdir()):
                numbers = (path.with_name(f"{path.name}@{number}") for number in count(1))
                path.rename(next(each for each in numbers if not each.exists()))

    def write(self, path: Path, data: bytes, *, raw: bool) -> Artifact:
        """Write a file by atomic rename. A raw file is written once and then read-only."""
        with told(path):
            if raw and path.exists():
                data = path.read_bytes()
            else:
                self._write(path, data)
                if raw:
                    path.chmod(0o444)
        relative = path.relative_to(self.path).as_posix()
        return Artifact(relative, len(data), hashlib.sha256(data).hexdigest(), raw)

    def note(self, path: Path) -> Artifact:
        """Return the entry of a raw file that is there already. Raises RemoteProfError."""
        with told(path), path.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
            size = data.tell()
        return Artifact(path.relative_to(self.path).as_posix(), size, digest, raw=True)

    def discard(self) -> None:
        """Remove a run of which no host has begun."""
        if not (self.path / _HOSTS).exists():
            shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working on this run. Raises UsageError where one does."""
        with told(self.path):
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another remote-prof is at work on run {self.path.name}",
                evidence=f"{self.path} is locked",
                hint="wait until it has ended",
            ) from None
        except OSError:
            pass  # a file system without locks: nothing can be said
        try:
            yield
        finally:
            os.close(fd)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write ``run.json``. Raises RemoteProfError."""
        path = self.path / _MANIFEST
        with told(path):
            self._write(path, dump_manifest(manifest))

    def _write(self, path: Path, data: bytes) -> None:
        # It may have been removed in mid-run: what comes after is kept all the same.
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)

    def load_manifest(self) -> Manifest:
        """Read ``run.json``. Raises UsageError."""
        path = self.path / _MANIFEST
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read", evidence=str(error)) from error
        manifest = parse_manifest(data, path)
        return replace(manifest, run_id=self.path.name)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a local file into one sentence. Raises RemoteProfError."""
    try:
        yield
    except OSError as error:
        raise RemoteProfError(
            f"{path} cannot be written",
            evidence=str(error),
            hint="is there room, and may you write there? --output chooses another place",
        ) from error


@contextmanager
def writable(results: Path) -> Iterator[None]:
    """Say in one sentence that nothing can be written to a place. Raises RemoteProfError."""
    try:
        yield
    except (OSError, RemoteProfError) as error:
        raise RemoteProfError(
            f"the results cannot be written to {results}",
            evidence=getattr(error, "evidence", "") or str(error),
            hint="choose another place with --output",
        ) from error


def list_runs(results: Path) -> list[RunDirectory]:
    """Return the runs below a results directory, oldest first."""
    if not results.is_dir():
        return []
    found = sorted(path for path in results.iterdir() if (path / _MANIFEST).is_file())
    return [RunDirectory(path) for path in found]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as out:
            out.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
