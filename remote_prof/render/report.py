"""What a renderer gets, and what a renderer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from remote_prof.profile.model import Profile, Quality
from remote_prof.profile.names import spell_out
from remote_prof.records import Problem


@dataclass(frozen=True, slots=True)
class Report:
    """A profile with all that a reader has to know of it.

    ``title`` and ``subtitle`` are one line each. ``facts`` are names and values about the run
    (host, target, command, versions...) in the order in which they are to be shown. ``problems`` is
    what the run and the quality of its profile have to say. ``modules``: names are written with
    the files that they are in, where a format has no other place for those.
    """

    profile: Profile
    quality: Quality
    title: str
    subtitle: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    modules: bool = False

    @property
    def spelt(self) -> Profile:
        """The profile for formats that have nothing but names: offsets and modules are in them."""
        return spell_out(self.profile, modules=self.modules)


@dataclass(frozen=True, slots=True)
class Renderer:
    """One output format. ``filename`` is its file's name in a run directory.

    ``render`` is pure: equal reports make equal bytes. It takes any profile, without samples too,
    and any name in it.
    """

    name: str
    filename: str
    render: Callable[[Report], bytes]
