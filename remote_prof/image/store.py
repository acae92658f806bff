"""The images that were built here, each an archive and a record of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remote_prof.errors import UsageError
from remote_prof.image.contents import Package

_SHORTEST_ID = 4


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image that was built here.

    ``image_id`` and ``diff_id`` (of its one layer) begin with ``sha256:``. ``size_bytes`` is that
    of the layer, ``archive_bytes`` and ``archive_sha256`` are of what is sent to a host.
    """

    image_id: str
    diff_id: str
    tag: str
    architecture: str
    created: str
    size_bytes: int
    archive_bytes: int
    archive_sha256: str
    labels: Mapping[str, str]
    packages: tuple[Package, ...]
    path: Path

    @property
    def short_id(self) -> str:
        """Twelve digits of the id, as engines show them."""
        return self.image_id.removeprefix("sha256:")[:12]


def store_directory() -> Path:
    """Return where the images are; it need not be there."""
    import platformdirs

    return platformdirs.user_data_path("remote-prof") / "images"


def load_images(directory: Path | None = None) -> list[LocalImage]:
    """Return the images that were built here, the newest first. One without its record is none."""
    directory = directory or store_directory()
    found = []
    for path in directory.glob("*.json"):
        image = _load(path)
        if image is not None and image.path.is_file():
            found.append((path.stat().st_mtime_ns, image))
    return [image for _, image in sorted(found, key=lambda pair: -pair[0])]


def _load(path: Path) -> LocalImage | None:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        packages = tuple(
            Package(**{**item, "licences": tuple(item["licences"])})
            for item in document.pop("packages")
        )
        return LocalImage(**document, packages=packages, path=path.with_suffix(".tar.gz"))
    except (ValueError, TypeError, KeyError):
        return None


def save_image(image: LocalImage, archive: Path, directory: Path | None = None) -> LocalImage:
    """Put an archive into the store, by renaming, and its record beside it."""
    directory = directory or store_directory()
    base = directory / image.image_id.removeprefix("sha256:")
    document = dataclasses.asdict(image)
    del document["path"]
    record = base.with_suffix(".json")
    record.unlink(missing_ok=True)
    final = base.with_suffix(".tar.gz")
    archive.replace(final)
    temporary = base.with_suffix(".part")
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.replace(record)
    return dataclasses.replace(image, path=final)


def remove_image(image: LocalImage) -> None:
    """Remove an image from the store."""
    image.path.with_suffix("").with_suffix(".json").unlink(missing_ok=True)
    image.path.unlink(missing_ok=True)


def find_image(images: list[LocalImage], name: str) -> LocalImage:
    """Return the image that an id, the start of one, or a name means. Raises UsageError."""
    digits = name.removeprefix("sha256:")
    found = [
        image
        for image in images
        if name == image.tag
        or (
            len(digits) >= _SHORTEST_ID
            and image.image_id.removeprefix("sha256:").startswith(digits)
        )
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{i.short_id} ({i.architecture})" for i in images) or "none"
    raise UsageError(
        f"{name} is {'no image' if not found else f'{len(found)} images'} that was built here",
        evidence=f"there are: {known}",
        hint="remote-prof image list shows them; remote-prof image build makes one",
    )


def newest_for(images: list[LocalImage], architecture: str) -> LocalImage | None:
    """Return the newest image for an architecture, named as image formats name it."""
    return next((image for image in images if image.architecture == architecture), None)
