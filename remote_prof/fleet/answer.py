"""What the hosts of a run say together, taken in one host at a time: none is kept whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from remote_prof.errors import UsageError
from remote_prof.profile.functions import Catalogue, Functions
from remote_prof.profile.hottest import Hot, WeightBy, hottest
from remote_prof.profile.model import Frame, FrameKind, Profile, Quality
from remote_prof.profile.outliers import Standing, rank_hosts
from remote_prof.profile.quality import measure_quality
from remote_prof.profile.summary import Sum
from remote_prof.profile.view import ALL, View
from remote_prof.run.report import Analysis

# What each host is worth where all are worth the same; finer than any number of samples.
_HOST_PARTS = 1_000_000
PARTS = "millionths of a host"


@dataclass(slots=True)
class Fleet:
    """Adds up what analyses of hosts show.

    ``weight_by`` ``host``: each counts the same in what is merged. ``labels`` put the stacks of a
    host under one more root.
    """

    weight_by: WeightBy = "samples"
    labels: Mapping[str, str] = field(default_factory=dict)
    functions: dict[str, Functions] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    view: View = ALL
    _catalogue: Catalogue = field(default_factory=Catalogue)
    _sum: Sum = field(default_factory=Sum)
    _expected: int | None = 0
    _standings: tuple[Standing, ...] | None = None

    def add(self, name: str, analysis: Analysis) -> None:
        """Take a host in; one without any weight says nothing."""
        profile, quality = analysis.profile, analysis.quality
        if not profile.weights:
            return
        self._agree(profile.unit)
        self._standings = None
        self.functions[name] = self._catalogue.functions(profile)
        self.tools |= analysis.tools
        self.view = analysis.view
        # What is shown in part is not what was expected.
        whole = quality.expected if profile.total == quality.got else None
        self._expected = None if self._expected is None or whole is None else self._expected + whole
        if self.weight_by == "host":
            profile = _weighing(profile, _HOST_PARTS)
            self._expected = None
        # Pids of several hosts say nothing together.
        frames = [frame._replace(pid=None) for frame in profile.frames]
        stacks = profile.weights.items()
        label = self.labels.get(name)
        if label is None:
            self._sum.add(profile, frames, stacks)
            return
        root = len(frames)
        below = (((root, *stack), weight) for stack, weight in stacks)
        self._sum.add(profile, [*frames, Frame(label, FrameKind.PROCESS)], below)

    def merge(self, other: Fleet) -> None:
        """Take in what another one, of other hosts and made in the same way, has."""
        for unit in {each.unit for each in other.functions.values()}:
            self._agree(unit)
        self._standings = None
        self.functions |= {
            name: self._catalogue.known(each) for name, each in other.functions.items()
        }
        self.tools |= other.tools
        self.view = other.view
        both = (self._expected, other._expected)
        self._expected = None if None in both else sum(filter(None, both))
        self._sum.merge(other._sum)

    def _agree(self, unit: str) -> None:
        own = next((each.unit for each in self.functions.values()), unit)
        if own != unit:
            raise UsageError(f"hosts of one run have different units: {own}, {unit}")

    def merged(self) -> tuple[Profile, Quality]:
        """Return the profile of all hosts, and how good it is."""
        profile = self._sum.profile()
        return profile, measure_quality(profile, self._expected)

    def standings(self) -> tuple[Standing, ...]:
        """Return how far each host is from the rest; nothing where there are too few."""
        if self._standings is None:
            self._standings = rank_hosts(self.functions)
        return self._standings

    def hottest(self, most: int) -> list[Hot]:
        """Return the hottest functions of all hosts, so many at most."""
        return hottest(self.functions, self.weight_by, most)

    def without(self, names: Collection[str]) -> list[str]:
        """Return those of these hosts that have no samples."""
        return [name for name in names if name not in self.functions]


def _weighing(profile: Profile, parts: int) -> Profile:
    """Return a profile of that weight in all: what rounding takes from one stack the next has."""
    whole, begun, done = profile.total, 0, 0
    weights = {}
    for stack, weight in profile.weights.items():
        begun += weight
        share = begun * parts // whole
        weights[stack] = share - done
        done = share
    return replace(profile, weights=weights, unit=PARTS, frequency_hz=None, lost=0)
