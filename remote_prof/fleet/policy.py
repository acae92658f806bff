"""What a run may do to a fleet at once, and when it has done enough: pure, with Ansible's meanings.

``serial``, ``max_fail_percentage``, ``any_errors_fatal`` and ``order`` are Ansible's keywords of a
play (Ansible documentation, "Controlling playbook execution"). What Ansible does after each task is
done here after each host: a job is one task.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from remote_prof.records import Host
from remote_prof.settings import Settings

_T = TypeVar("_T")
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How many hosts are at work at a time, and what ends it before all have been.

    ``serial``: sizes of batches, such as ``1``, ``10`` or ``30%``; the last holds for the rest, and
    without any there is one batch. A batch is over before the next begins. At most
    ``max_fail_percentage`` of a batch may fail. ``timeout_s`` bounds each host, ``deadline_s`` all
    of them. ``connect_rate`` is how many hosts may begin in a second. ``retries`` is how often one
    that cannot be reached is tried again.
    """

    forks: int = Settings().forks
    serial: tuple[str, ...] = ()
    max_fail_percentage: float | None = None
    any_errors_fatal: bool = False
    timeout_s: float | None = None
    deadline_s: float | None = None
    connect_rate: float | None = None
    retries: int = 0

    @classmethod
    def of(cls, values: Settings) -> Policy:
        """Return what settings say."""
        return cls(
            forks=values.forks,
            serial=values.serial,
            max_fail_percentage=values.max_fail_percentage,
            any_errors_fatal=values.any_errors_fatal,
            timeout_s=values.timeout_s,
            deadline_s=values.deadline_s,
            connect_rate=values.connect_rate,
            retries=values.retries,
        )

    def batches(self, jobs: Sequence[_T]) -> list[Sequence[_T]]:
        """Cut jobs into batches."""
        sizes = [batch_size(each, len(jobs)) for each in self.serial] or [len(jobs)]
        found: list[Sequence[_T]] = []
        begin = 0
        while begin < len(jobs):
            size = sizes[min(len(found), len(sizes) - 1)]
            found.append(jobs[begin : begin + size])
            begin += size
        return found

    def stop_reason(self, failed: int, size: int) -> str:
        """Say why no more hosts of a batch, and none of later ones, may begin; "" where they may.

        ``failed`` of its ``size`` have failed, or cannot be reached.
        """
        if failed and self.any_errors_fatal:
            return "one has failed, and --any-errors-fatal lets none begin after that"
        limit = self.max_fail_percentage
        # Exceeded, not equalled, as in Ansible.
        if limit is not None and 100 * failed / size > limit:
            return f"{failed} of {size} have failed: more than --max-fail-percentage {limit:g}"
        return ""


def batch_size(written: str, whole: int) -> int:
    """Return how many hosts ``10``, or ``30%`` of ``whole``, are; ``0`` is all of them."""
    if written.endswith("%"):
        return max(1, int(written[:-1]) * whole // 100)
    return int(written) or whole


def ordered(hosts: Sequence[Host], order: str) -> list[Host]:
    """Return hosts, which come as the inventory has them, in an order of Ansible's."""
    found = list(hosts)
    if order in ("sorted", "reverse_sorted"):
        found.sort(key=lambda host: host.name)
    if order in ("reverse_inventory", "reverse_sorted"):
        found.reverse()
    if order == "shuffle":
        random.shuffle(found)
    return found


def retry_pause_s(tries: int) -> float:
    """Return how long a host rests that has not been reached in so many tries."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (tries - 1))
