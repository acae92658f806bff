"""Profiles that lie here, read, added up, and made a report: what ``convert`` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from remote_prof.errors import NoSamplesError, UsageError
from remote_prof.parse import Reader, read_profile
from remote_prof.profile.model import Profile
from remote_prof.profile.quality import hints, measure_quality
from remote_prof.profile.summary import merge
from remote_prof.profile.view import ALL, View, apply_view, under
from remote_prof.render import RENDERERS, Report

# Where a file's ending may mean several formats: the one that is meant by it alone.
_MEANT_BY_ENDING = ("speedscope",)


def read_profiles(
    sources: Iterable[tuple[str, bytes]],
    *,
    reader: Reader | None = None,
    keep_offsets: bool = False,
    by_host: bool = False,
) -> Profile:
    """Read named inputs of any formats and add them up, one after the other: none is kept.

    ``by_host`` puts each under the name of the host that it is of: as the directory of a run has
    it, else as the file is called. Each note tells the name of its input. Raises ParseError where
    nothing of an input can be read, UsageError where the units of two differ, NoSamplesError where
    there are no samples in any.
    """
    names: list[str] = []
    sizes: list[int] = []
    profiles = _read(sources, names, sizes, reader, keep_offsets=keep_offsets)
    if by_host:
        profiles = (under(each, _host(names[-1])) for each in profiles)
    profile = merge(profiles)
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


def _host(name: str) -> str:
    path = Path(name)
    hosts = [
        below.name for below, above in pairwise((path, *path.parents)) if above.name == "hosts"
    ]
    return hosts[0] if hosts else path.stem


def report_of(
    profile: Profile,
    names: Iterable[str],
    *,
    view: View = ALL,
    title: str = "",
    subtitle: str = "",
) -> Report:
    """Return what is drawn of a profile; without a title, the names of its inputs are it.

    Raises NoSamplesError where the view shows nothing of it.
    """
    quality = measure_quality(profile)
    shown = apply_view(profile, view)
    return Report(
        profile=shown,
        quality=quality,
        problems=tuple(hints(profile, quality)),
        title=title or ", ".join(Path(name).name for name in names if name != "-"),
        subtitle=subtitle or _subtitle(profile, shown, view),
        modules=view.modules,
    )


def _subtitle(profile: Profile, shown: Profile, view: View) -> str:
    of = f" of {profile.total}" if shown.total != profile.total else ""
    return ", ".join(filter(None, (f"{shown.total}{of} {profile.unit}", str(view))))


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
