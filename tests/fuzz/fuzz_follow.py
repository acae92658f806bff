"""What a launcher says while it is followed, and the artifacts that it sends."""

from __future__ import annotations

import contextlib
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from remote_prof.errors import RemoteProfError
from remote_prof.host.target import TargetSpec
from remote_prof.run import link
from remote_prof.run.follow import Follower
from remote_prof.run.interrupt import Interrupt
from remote_prof.run.plan import LaunchPlan
from remote_prof.run.prepare import prepare
from remote_prof.run.receive import ARTIFACT, Receiver
from tests.fuzz.fuzz_facts import job_for
from tests.fuzz.harness import FACTS, RECORDINGS, Answering, Harness

_PLACE = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
_MOST_BYTES = 1 << 16


@cache
def plan() -> LaunchPlan:
    """Return the plan of a run on a host that was recorded."""
    facts = (FACTS / "docker-26-hybrid.txt").read_bytes()
    made = prepare(job_for(facts, TargetSpec("api")), Answering(facts)).plan
    assert made is not None
    return made


def one_input(data: bytes) -> None:
    """Follow a host that says this; nothing may appear but the artifacts, none too large."""
    with TemporaryDirectory(dir=_PLACE) as name, mock.patch.object(link, "time", _Hasty()):
        place = Path(name) / "target"
        place.mkdir()
        connection = Answering(data)
        connection.open()
        receiver = Receiver(place, _MOST_BYTES)
        stages: list[str] = []
        kept: dict[str, Path] = {}
        follower = Follower(
            link.Link(connection, stages.append),
            plan(),
            Interrupt(),
            receiver,
            watch=stages.append,
            keep=kept.__setitem__,
        )
        with contextlib.suppress(RemoteProfError):
            follower.run(deploy=True)
        assert all(map(ARTIFACT.fullmatch, kept))
        assert all(path.parent == place for path in kept.values())
        assert [path.name for path in Path(name).iterdir()] == ["target"]
        for path in place.iterdir():
            assert ARTIFACT.fullmatch(path.name) or path.name.endswith(".part"), path
            assert path.is_file()
            assert path.stat().st_size <= _MOST_BYTES


class _Hasty:
    """A clock that need not be waited for."""

    def __init__(self) -> None:
        self.monotonic = time.monotonic

    def sleep(self, seconds: float) -> None:
        assert seconds < 60


def _seeds() -> tuple[bytes, ...]:
    import gzip
    import hashlib

    profile = (RECORDINGS / "bpftrace-0.23-ustack.txt").read_bytes()[:4096]
    parts = [
        b"@@progress starting\n@@progress sampling 100 1000000 100\n@@progress sampled 1100 2 3\n"
    ]
    for encoding, sent in (
        (b"plain", profile),
        (b"gzip", gzip.compress(profile, mtime=0)),
        (b"gzip", gzip.compress(b"\0" * (2 * _MOST_BYTES), mtime=0)),
    ):
        checksum = hashlib.sha256(sent).hexdigest().encode()
        for name in (b"profile.txt", b"../../profile.txt"):
            head = b"@@artifact %s %s %d sha256 %s 0\n" % (name, encoding, len(sent), checksum)
            parts.append(head + sent + b"\n")
    broken = [part[:-1] for part in parts[1:]]  # the link ends just before the line break
    end = b"@@progress left container 1a2b3c4d5e6f\n@@progress done 0\n@@sent\n@@clean\n"
    ends = (
        end,
        b"@@gone\n",
        b"@@failed\n@@stuck\n",
        b"@@left /tmp/x\n",
        b"@@remains container x\n",
    )
    whole = (parts[0] + part + last for part in parts for last in ends[:2])
    return (*whole, *(parts[0] + part for part in broken), *ends)


HARNESS = Harness("follow", one_input, _seeds())
