"""What of a profile is kept where there are many of them: its functions, and not its stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from remote_prof.profile.diff import Function
from remote_prof.profile.model import Profile
from remote_prof.profile.summary import top_functions


@dataclass(frozen=True, slots=True)
class Functions:
    """The self and total weights of a profile's functions, in its unit.

    ``own`` has those that have a self weight, ``total`` all.
    """

    weight: int
    unit: str
    own: Mapping[Function, int]
    total: Mapping[Function, int]

    @property
    def samples(self) -> int | None:
        """How many samples it is made of, None where its weights are none."""
        return self.weight if self.unit == "samples" else None

    def self_shares(self) -> dict[Function, float]:
        """Return the share of each function in which it was itself at work."""
        whole = sum(self.own.values())
        return {function: weight / whole for function, weight in self.own.items()}


@dataclass(slots=True)
class Catalogue:
    """Makes ``Functions`` of profiles, in which each function is one object for all of them."""

    _known: dict[Function, Function] = field(default_factory=dict)

    def functions(self, profile: Profile) -> Functions:
        """Return the functions of a profile."""
        own: dict[Function, int] = {}
        total: dict[Function, int] = {}
        for share in top_functions(profile):
            if not share.total:
                continue  # what is not shown of it
            named = Function(share.name, share.kind)
            function = self._known.setdefault(named, named)
            total[function] = share.total
            if share.self:
                own[function] = share.self
        return Functions(profile.total, profile.unit, own, total)

    def known(self, functions: Functions) -> Functions:
        """Return functions of another catalogue as those of this one."""
        own, total = (
            {self._known.setdefault(each, each): weight for each, weight in weights.items()}
            for weights in (functions.own, functions.total)
        )
        return replace(functions, own=own, total=total)


def functions_of(profiles: Mapping[str, Profile]) -> dict[str, Functions]:
    """Return the functions of profiles, by their names."""
    catalogue = Catalogue()
    return {name: catalogue.functions(profile) for name, profile in profiles.items()}
