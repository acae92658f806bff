"""``run.json`` of somebody else, and the reports that are made of it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

from remote_prof.errors import RemoteProfError, UsageError
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import (
    MANIFEST_VERSION,
    Artifact,
    HostRecord,
    Manifest,
    SidecarRecord,
    Status,
    dump_manifest,
    parse_manifest,
)
from remote_prof.run.remake import remake
from tests.fuzz.fuzz_facts import REQUEST
from tests.fuzz.harness import RECORDINGS, Harness

_PLACE = "/dev/shm" if Path("/dev/shm").is_dir() else None
SIDECAR = SidecarRecord("bpftrace", "img", "", (), "", (), "engine", 0, "")
_RAW = (RECORDINGS / "bpftrace-0.23-ustack.txt").read_bytes()[:2048]


def one_input(data: bytes) -> None:
    """Parse it; where it is one, make its files again, and nothing outside of the run."""
    try:
        manifest = parse_manifest(data, Path("run.json"))
    except UsageError:
        return
    parse_manifest(dump_manifest(manifest), Path("run.json"))
    with TemporaryDirectory(dir=_PLACE) as name:
        place = Path(name) / "run" / "hosts" / "prod-3" / "api"
        place.mkdir(parents=True)
        (place / "profile.txt").write_bytes(_RAW)
        outside = Path(name) / "profile.txt"
        outside.write_bytes(_RAW)
        directory = RunDirectory(Path(name) / "run")
        (directory.path / "run.json").write_bytes(data)
        with contextlib.suppress(RemoteProfError):
            remake(directory, directory.load_manifest(), ["folded", "svg"], keep_offsets=False)
        assert sorted(path.name for path in Path(name).iterdir()) == ["profile.txt", "run"]


def _manifest(path: str) -> bytes:
    artifact = Artifact(path, len(_RAW), "0" * 64, raw=True)
    host = HostRecord(
        "prod-3",
        "192.0.2.13",
        Status.OK,
        sidecars=(SIDECAR,),
        artifacts=(artifact,),
        cpu_time_s=1.5,
    )
    at = "2026-01-31T23:59:59+00:00"
    return dump_manifest(
        Manifest(MANIFEST_VERSION, "x", "0.1.0", ("remote-prof",), at, at, REQUEST, (host,))
    )


HARNESS = Harness(
    "manifest",
    one_input,
    (
        _manifest("hosts/prod-3/api/profile.txt"),
        _manifest("../profile.txt"),
        _manifest("/etc/profile.txt"),
        _manifest("hosts/prod-3/api/profile.txt").replace(b"1.5", b"1e999"),
        _manifest("hosts/prod-3/api/profile.txt").replace(b'"both"', b'"all"'),
        b"[" * 5000,
        b'{"version": 1}',
    ),
)
