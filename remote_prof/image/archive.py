"""The archive of an image, as ``docker save`` writes it, and docker and podman load it.

Its manifest names one configuration and one layer. The id of the image is the SHA-256 of the
configuration, which holds that of the layer: it is known here, before any engine has seen it.
Format: the image specification of Docker, version 1.2 (moby/docker-image-spec).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

_LEVEL = 6
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of an image, and its id, both as an engine has them."""

    data: bytes

    @property
    def image_id(self) -> str:
        """``sha256:`` and 64 digits."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"


def timestamp(seconds: int) -> str:
    """Return a time as image formats write it (RFC 3339)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_config(
    *, architecture: str, created_s: int, diff_id: str, labels: Mapping[str, str], path: str
) -> Config:
    """Return the configuration of an image of one layer. ``diff_id`` is the layer's SHA-256."""
    created = timestamp(created_s)
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {"Cmd": ["sh"], "Env": [f"PATH={path}"], "Labels": dict(labels)},
        "history": [{"created": created, "created_by": "remote-prof image build"}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
    }
    return Config(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def write_archive(
    out: IO[bytes], config: Config, layer: Path, diff_id: str, tag: str, mtime_s: int
) -> None:
    """Write the archive, compressed, in one pass."""
    config_name = f"{config.image_id.removeprefix('sha256:')}.json"
    layer_name = f"{diff_id}/layer.tar"
    manifest = [{"Config": config_name, "Layers": [layer_name], "RepoTags": [tag]}]
    # Without a name and a time, the same bytes become the same bytes.
    with (
        gzip.GzipFile("", "wb", _LEVEL, out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
        layer.open("rb") as data,
    ):
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        _add(tar, "manifest.json", io.BytesIO(text), len(text), mtime_s)
        _add(tar, config_name, io.BytesIO(config.data), len(config.data), mtime_s)
        _add(tar, layer_name, data, layer.stat().st_size, mtime_s)


def _add(tar: tarfile.TarFile, name: str, data: IO[bytes], size_bytes: int, mtime_s: int) -> None:
    item = tarfile.TarInfo(name)
    item.size, item.mtime, item.mode = size_bytes, mtime_s, 0o644
    tar.addfile(item, data)


def sha256_of(path: Path, size_bytes: int | None = None) -> str:
    """Return the SHA-256 of a file, or of its first bytes."""
    digest = hashlib.sha256()
    left = path.stat().st_size if size_bytes is None else size_bytes
    with path.open("rb") as file:
        while block := file.read(min(left, _BLOCK_BYTES)):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
