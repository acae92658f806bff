"""Containers, as the engine's ``inspect`` tells of them.

What the engine says is its host's word: wrong types, missing fields and odd texts make a container
that is not listed, or a field that is empty, and never an exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# What each sidecar has, with the id of its run.
LABEL = "remote-prof.run"
_COMPOSE_PROJECT = "com.docker.compose.project"
_COMPOSE_SERVICE = "com.docker.compose.service"
_FIELDS = 10
_ID = re.compile(r"[0-9a-f]{12,64}")
_GREATEST = 1 << 31
_MOST_CONTAINERS = 10_000


@dataclass(frozen=True, slots=True)
class Container:
    """One container. ``pid`` is its main process on the host, 0 when it does not run.

    ``image_name`` is what it was started from, ``image_id`` what that name meant then.
    """

    container_id: str
    name: str
    image_id: str
    image_name: str
    status: str
    pid: int
    exit_code: int
    runtime: str
    pid_mode: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether it has processes."""
        return self.status in ("running", "paused") and self.pid > 0

    @property
    def service(self) -> str:
        """``compose-project/service``, or an empty text."""
        project = self.labels.get(_COMPOSE_PROJECT, "")
        service = self.labels.get(_COMPOSE_SERVICE, "")
        return f"{project}/{service}" if project and service else ""


def parse_containers(lines: Iterable[str]) -> tuple[Container, ...]:
    """Parse one JSON array a line, as the facts script asks for them, ordered by name.

    What is no such line, or has no id, is left out; of two with one id the first counts.
    """
    found: dict[str, Container] = {}
    for line in lines:
        row = parse_json(line)
        if not isinstance(row, list) or len(row) != _FIELDS or len(found) == _MOST_CONTAINERS:
            continue
        container_id = _text(row[0])
        if not _ID.fullmatch(container_id) or container_id in found:
            continue
        found[container_id] = Container(
            container_id=container_id,
            name=_text(row[1]).lstrip("/"),
            image_id=_text(row[2]),
            image_name=_text(row[3]),
            status=_text(row[4]),
            pid=_number(row[5]),
            exit_code=_number(row[6]),
            runtime=_text(row[7]),
            pid_mode=_text(row[8]),
            labels=_labels(row[9]),
        )
    return tuple(sorted(found.values(), key=lambda container: container.name))


def parse_json(text: str) -> object:
    """Parse what an engine printed; None for what is no JSON, nests too deep or has no end.

    Lone surrogates, which JSON can spell and UTF-8 cannot, become question marks.
    """
    try:
        found: object = json.loads(text)
        if "\\u" in text:
            found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 <= value < _GREATEST else 0


def _labels(value: object) -> dict[str, str]:
    return {str(key): _text(text) for key, text in value.items()} if isinstance(value, dict) else {}
