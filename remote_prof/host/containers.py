"""Containers, as the engine's ``inspect`` tells of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_COMPOSE_PROJECT = "com.docker.compose.project"
_COMPOSE_SERVICE = "com.docker.compose.service"
_FIELDS = 10


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
    """Parse one JSON array a line, as the facts script asks for them, ordered by name."""
    found = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, list) and len(row) == _FIELDS:
            found.append(
                Container(
                    container_id=str(row[0]),
                    name=str(row[1]).lstrip("/"),
                    image_id=str(row[2]),
                    image_name=str(row[3]),
                    status=str(row[4]),
                    pid=_number(row[5]),
                    exit_code=_number(row[6]),
                    runtime=str(row[7] or ""),
                    pid_mode=str(row[8] or ""),
                    labels=_labels(row[9]),
                )
            )
    return tuple(sorted(found, key=lambda container: container.name))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _labels(value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}
