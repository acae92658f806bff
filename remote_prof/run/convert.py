"""Profiles that lie here, read, added up, and made a report: what ``convert`` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from remote_prof.errors import NoSamplesError, UsageError
from remote_prof.parse import Reader, read_profile
from remote_prof.profile.model import Profile
from remote_prof.profile.quality import hints, measure_quality
from remote_prof.profile.summary import merge
from remote_prof.render import RENDERERS, Report

# Where a file's ending may mean several formats: the one that is meant by it alone.
_MEANT_BY_ENDING = ("speedscope",)


def read_profiles(
    sources: Iterable[tuple[str, bytes]],
    *,
    reader: Reader | None = None,
    keep_offsets: bool = False,
) -> Profile:
    """Read named inputs of any formats and add them up, one after the other: none is kept.

    Each note tells the name of its input. Raises ParseError where nothing of an input can be read,
    UsageError where the units of two differ, NoSamplesError where there are no samples in any.
    """
    names: list[str] = []
    sizes: list[int] = []
    profile = merge(_read(sources, names, sizes, reader, keep_offsets=keep_offsets))
    if not profile.weights:
        raise NoSamplesError(
            f"there are no samples in {', '.join(names)}",
            evidence="; ".join((f"{sum(sizes)} bytes were read", *profile.notes)),
            hint="was the target busy while it was sampled?",
        )
    return profile


def _read(
    sources: Iterable[tuple[str, bytes]],
    names: list[str],
    sizes: list[int],
    reader: Reader | None,
    *,
    keep_offsets: bool,
) -> Iterator[Profile]:
    first: tuple[str, str] | None = None
    for name, data in sources:
        profile = read_profile(name, data, reader=reader, keep_offsets=keep_offsets)
        names.append(name)
        sizes.append(len(data))
        if profile.weights:
            first = first or (name, profile.unit)
            if profile.unit != first[1]:
                raise UsageError(
                    f"{first[0]} and {name} cannot be added up: their weights have different units",
                    evidence=f"{first[0]}: {first[1]}; {name}: {profile.unit}",
                    hint="convert them one by one",
                )
        yield replace(profile, notes=tuple(f"{name}: {note}" for note in profile.notes))


def report_of(
    profile: Profile, names: Iterable[str], *, title: str = "", subtitle: str = ""
) -> Report:
    """Return what is drawn of a profile; without a title, the names of its inputs are it."""
    quality = measure_quality(profile)
    return Report(
        profile=profile,
        quality=quality,
        problems=tuple(hints(profile, quality)),
        title=title or ", ".join(Path(name).name for name in names if name != "-"),
        subtitle=subtitle or f"{profile.total} {profile.unit}",
    )


def format_of(output: str) -> str:
    """Return the output format that a file's ending tells. Raises UsageError."""
    found: dict[str, str] = {}
    for name in (*_MEANT_BY_ENDING, *RENDERERS):
        found.setdefault("." + RENDERERS[name].filename.partition(".")[2], name)
    fitting = [ending for ending in found if output.endswith(ending)]
    if not fitting:
        raise UsageError(
            "the output format is missing",
            evidence=f"the output is {'standard output' if output == '-' else output}",
            hint=f"--to FORMAT ({', '.join(RENDERERS)}), or -o FILE with {', '.join(found)}",
        )
    return found[max(fitting, key=len)]
