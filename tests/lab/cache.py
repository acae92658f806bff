"""The build cache: what takes minutes to make is made once, and keyed by what went into it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .model import cache_dir
from .progress import step


def build_dir() -> Path:
    """Give the directory of the build cache."""
    return cache_dir() / "lab-build"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock among all processes of this machine; it is released when its holder dies."""
    directory = build_dir() / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(name: str, inputs: object, make: Callable[[Path], None]) -> Path:
    """Give the path of a built thing, making it if no build of the same inputs is there.

    ``make`` is given a path to fill, either as a directory or as a file. It appears under its
    name by a rename, so a build that was cut short is never taken for a whole one.
    """
    text = json.dumps(inputs, sort_keys=True, default=str)
    key = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    path = build_dir() / key
    if path.exists():
        return path
    with locked(key):
        for stale in build_dir().glob(f"{key}.new-*"):
            _remove(stale)
        if not path.exists():
            new = build_dir() / f"{key}.new-{os.getpid()}"
            with step(f"building {name}"):
                try:
                    make(new)
                    new.rename(path)
                finally:
                    _remove(new)
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
