"""Which image a run uses, and whether it has to be pushed first: a pure decision.

Nothing is ever pulled. The policies:

- ``never``: what is on the host; the named image, else a sidecar of ours that is there
- ``missing``: the same; where there is neither, the one that was built here is pushed
- ``push``: the one that was built here, pushed if this very image is not there
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from remote_prof.host.facts import HostFacts, Image
from remote_prof.image.recipe import ARCHITECTURES, LABEL
from remote_prof.image.store import LocalImage, newest_for
from remote_prof.records import Problem, Severity


@dataclass(frozen=True, slots=True)
class Supplied:
    """The image that a run uses: ``facts`` are those of the host once it is there."""

    image: str
    facts: HostFacts
    push: LocalImage | None = None
    problems: tuple[Problem, ...] = ()


def architecture_of(facts: HostFacts) -> str:
    """Return a host's architecture as image formats name it."""
    known = {machine: name for name, machine in ARCHITECTURES.items()}
    return known.get(facts.architecture, facts.architecture)


def supply(
    policy: str,
    image: str,
    facts: HostFacts,
    images: Sequence[LocalImage],
    *,
    tag: str,
    named: bool = False,
) -> Supplied:
    """Choose. ``images`` were built here, the newest first; ``tag`` is what ours is called.

    ``named``: the call itself named the image, and no other takes its place.
    """
    if facts.engine is None or not facts.engine.answers:
        return Supplied(image, facts)
    local = newest_for(list(images), architecture_of(facts))
    if policy == "push":
        return _pushed(facts, local) if local else _nothing_built(image, facts)
    if facts.image is not None or named:
        return Supplied(image, facts)
    if facts.sidecar is not None and LABEL in facts.sidecar.labels:
        return Supplied(tag, replace(facts, image=facts.sidecar), problems=(_instead(image, tag),))
    if policy == "missing" and local:
        chosen = _pushed(facts, local)
        return replace(chosen, problems=(_instead(image, local.tag), *chosen.problems))
    return Supplied(image, facts)


def is_same(there: Image | None, local: LocalImage) -> bool:
    """Say whether a host's image is one that was built here.

    Engines that count ids of their own are told by the layer.
    """
    return there is not None and (
        there.image_id.removeprefix("sha256:") == local.image_id.removeprefix("sha256:")
        or there.layers == (local.diff_id,)
    )


def _pushed(facts: HostFacts, local: LocalImage) -> Supplied:
    if is_same(facts.sidecar, local):
        return Supplied(local.tag, replace(facts, image=facts.sidecar))
    coming = Image(local.image_id, (), local.architecture, (local.diff_id,), dict(local.labels))
    note = Problem(
        Severity.NOTE,
        f"the image {local.tag} is pushed to the host first",
        f"{local.short_id}, {local.archive_bytes / 1e6:.0f} MB over the link",
        "remote-prof image push does that at another time",
    )
    return Supplied(local.tag, replace(facts, image=coming), local, (note,))


def _instead(image: str, tag: str) -> Problem:
    return Problem(
        Severity.NOTE,
        f"the image {image} is not on the host: {tag} takes its place",
        "",
        "name one that has to be there with --image",
    )


def _nothing_built(image: str, facts: HostFacts) -> Supplied:
    architecture = architecture_of(facts)
    problem = Problem(
        Severity.ERROR,
        f"no image for {architecture} has been built here",
        f"the host is {facts.architecture}, and --image-policy is push",
        f"remote-prof image build --arch {architecture}"
        if architecture in ARCHITECTURES
        else f"images are built for {' and '.join(ARCHITECTURES)}",
    )
    # That says it all: whether the named one is there does not matter.
    return Supplied(image, replace(facts, image=Image("", (), "")), problems=(problem,))
