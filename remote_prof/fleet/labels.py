"""What tells the hosts of a run apart: groups of the inventory, or what was found out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from remote_prof.errors import UsageError
from remote_prof.run.manifest import HostRecord

OTHERS = "other hosts"

_FACTS: Mapping[str, Callable[[HostRecord], str]] = {
    "host": lambda record: record.host_name,
    "kernel": lambda record: record.kernel,
    "engine": lambda record: record.engine,
    "container": lambda record: record.target.container if record.target else "",
    "image": lambda record: record.target.image if record.target else "",
    "image-id": lambda record: record.target.image_id if record.target else "",
}
FACTS = (*_FACTS,)


def group_hosts(records: Iterable[HostRecord], by: str) -> dict[str, list[str]]:
    """Return the names of hosts by what tells them apart; one can be in several groups.

    ``by`` is one of ``FACTS``, or groups of the inventory with commas between them; of one group
    alone the hosts that are not in it are the other. Hosts of which nothing is known are in none.
    Raises UsageError where there is no such group.
    """
    records = list(records)
    groups: dict[str, list[str]] = {}
    if by in _FACTS:
        for record in records:
            if label := _FACTS[by](record):
                groups.setdefault(label, []).append(record.name)
        return groups
    names = [name.strip() for name in by.split(",") if name.strip()]
    for name in names:
        groups[name] = [record.name for record in records if name in record.groups]
        if not groups[name]:
            raise UsageError(
                f"no host of the run is in a group {name!r}",
                evidence="its hosts are in: "
                + ", ".join(sorted({group for record in records for group in record.groups})),
                hint=f"name groups of the inventory, or one of {', '.join(FACTS)}",
            )
    if len(names) == 1:
        groups[OTHERS] = [r.name for r in records if names[0] not in r.groups]
    return groups


def label_hosts(records: Iterable[HostRecord], by: str) -> dict[str, str]:
    """Return the one group of each host under which it stands; the first, where it is in several.

    Raises UsageError.
    """
    records = list(records)
    found: dict[str, str] = {}
    for label, names in group_hosts(records, by).items():
        for name in names:
            found.setdefault(name, label)
    return {record.name: found.get(record.name, OTHERS) for record in records}
