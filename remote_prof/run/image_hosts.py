"""Which of our images are on a host, and removing them: those with our label, and nobody else's."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from remote_prof.errors import HostError
from remote_prof.host.facts import HostState
from remote_prof.host.gather import CALL_TIMEOUT_S
from remote_prof.image.recipe import LABEL, NAME
from remote_prof.run.image_push import PARENTS
from remote_prof.templates import render
from remote_prof.transport import Command, Connection

_TIMEOUT_S = 180.0
_FORMAT = (
    "[{{json .Id}},{{json .RepoTags}},{{json .RootFS.Layers}},{{json .Architecture}},"
    "{{json .Created}},{{json .Size}},{{json .Config.Labels}}]"
)
_MOST_IMAGES = 1000


@dataclass(frozen=True, slots=True)
class HostImage:
    """An image on a host that carries our label. ``size_bytes`` is what the engine says."""

    image_id: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]
    architecture: str
    created: str
    size_bytes: int
    version: str

    @property
    def ours(self) -> tuple[str, ...]:
        """By what it may be removed: our names of it; its id where it has none.

        What others have made of ours carries the label, too, but their names and more layers.
        """
        named = tuple(tag for tag in self.tags if _plain(tag).startswith(f"{NAME}:"))
        if named:
            return named
        return (self.image_id,) if not self.tags and len(self.layers) == 1 else ()


@dataclass(frozen=True, slots=True)
class UnfinishedPush:
    """What an unfinished push has left on a host."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HostImages:
    """What is on a host; ``said`` is what the engine had against removing."""

    images: tuple[HostImage, ...]
    parts: tuple[UnfinishedPush, ...]
    said: tuple[str, ...] = ()


def look_for_images(
    connection: Connection,
    state: HostState,
    work_parent: str | None,
    *,
    removing: Sequence[str] = (),
    parts: Sequence[str] = (),
) -> HostImages:
    """Return what is on a host, after the removal of some. Raises HostError, LinkLostError."""
    command = images_command(state, work_parent, removing=removing, parts=parts)
    result = connection.run(command, _TIMEOUT_S)
    lines = result.stdout.decode("utf-8", "replace").splitlines()
    if "@@end" not in lines or "@@failed" in lines:
        said = result.stderr.decode("utf-8", "replace").strip()
        raise HostError(
            f"{connection.host.name}: it cannot be told which images are there",
            evidence=said[-300:] or f"exit code {result.exit_code}",
            hint="remote-prof doctor looks for causes",
        )
    return parse_images(lines)


def images_command(
    state: HostState, work_parent: str | None, *, removing: Sequence[str], parts: Sequence[str]
) -> Command:
    """Return the script that looks for images, after the removal of some."""
    engine = state.facts.engine
    assert engine is not None
    script = render(
        "image/images.sh.j2",
        engine_path=engine.path,
        label=LABEL,
        format=_FORMAT,
        removing=removing,
        parts=parts,
        parents=(work_parent,) if work_parent else PARENTS,
        call_timeout_s=CALL_TIMEOUT_S,
    )
    return Command("images", script, become=state.become)


def parse_images(lines: Sequence[str]) -> HostImages:
    """Parse what ``templates/image/images.sh.j2`` prints; lines of another form are skipped."""
    images = [image for line in lines[:_MOST_IMAGES] if (image := _image(line))]
    parts = [
        UnfinishedPush(found[2], int(found[1] or 0))
        for line in lines
        if (found := re.fullmatch(r"@@part ([0-9]{0,15}) (/.*)", line))
    ]
    said = tuple(line.removeprefix("@@said ") for line in lines if line.startswith("@@said "))
    return HostImages(tuple(images), tuple(parts), said)


def _image(line: str) -> HostImage | None:
    try:
        match json.loads(line):
            case [str(i), tags, layers, str(architecture), str(created), int(size), dict(labels)]:
                version = labels.get(LABEL)
                if isinstance(version, str):
                    return HostImage(
                        i, _texts(tags), _texts(layers), architecture, created, size, version
                    )
    except ValueError:
        pass
    return None


def _texts(value: object) -> tuple[str, ...]:
    found = value if isinstance(value, list) else []
    return tuple(x for x in found if isinstance(x, str) and x != "<none>:<none>")


def _plain(tag: str) -> str:
    # Podman writes out where a name would be looked for.
    return re.sub(r"\A(localhost|docker\.io)/", "", tag)
