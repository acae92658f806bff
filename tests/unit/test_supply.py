"""Which image a run uses, and whether it is pushed first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.host.facts import Image, parse_facts
from remote_prof.image.recipe import LABEL
from remote_prof.records import Severity
from remote_prof.run.image_hosts import HostImage, parse_images
from remote_prof.run.supply import Supplied, is_same, supply
from tests.unit.test_image import image

DATA = Path(__file__).parent / "data"
FACTS = parse_facts((DATA / "facts" / "docker-26-hybrid.txt").read_bytes()).facts
BARE = replace(FACTS, image=None, sidecar=None)
LOCAL = image(Path("nowhere"))
TAG = LOCAL.tag
OLD = Image("sha256:" + "9" * 64, (), "amd64", ("sha256:" + "8" * 64,), {LABEL: "0.0.9"})
SAME = Image("sha256:" + "7" * 64, (), "amd64", (LOCAL.diff_id,), {LABEL: "1"})


def choose(policy: str, facts: object = BARE, *images: object, named: bool = False) -> Supplied:
    return supply(policy, "img", facts, images, tag=TAG, named=named)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["never", "missing"])
def test_what_is_there_is_used(policy: str) -> None:
    found = choose(policy, FACTS, LOCAL)
    assert (found.image, found.facts, found.push, found.problems) == ("img", FACTS, None, ())


@pytest.mark.parametrize("policy", ["never", "missing"])
def test_else_one_of_ours_that_is_there(policy: str) -> None:
    found = choose(policy, replace(BARE, sidecar=OLD), LOCAL)
    assert (found.image, found.facts.image, found.push) == (TAG, OLD, None)
    assert [p.severity for p in found.problems] == [Severity.NOTE]
    # Its name alone makes no image ours.
    foreign = replace(BARE, sidecar=replace(OLD, labels={}))
    assert choose("never", foreign).image == "img"


def test_else_the_one_that_was_built_here_is_pushed() -> None:
    found = choose("missing", BARE, LOCAL)
    assert (found.image, found.push) == (TAG, LOCAL)
    assert found.facts.image is not None
    assert found.facts.image.image_id == LOCAL.image_id
    assert choose("never", BARE, LOCAL).push is None
    assert choose("missing", BARE).push is None
    assert choose("missing", BARE, replace(LOCAL, architecture="arm64")).push is None


def test_nothing_takes_the_place_of_what_was_named() -> None:
    found = choose("missing", replace(BARE, sidecar=OLD), LOCAL, named=True)
    assert (found.image, found.facts.image, found.push) == ("img", None, None)


def test_push_means_ours() -> None:
    assert choose("push", FACTS, LOCAL).push is LOCAL
    assert choose("push", replace(FACTS, sidecar=OLD), LOCAL).push is LOCAL
    there = choose("push", replace(FACTS, sidecar=SAME), LOCAL)
    assert (there.image, there.push, there.facts.image) == (TAG, None, SAME)
    (problem,) = choose("push", replace(FACTS, architecture="aarch64"), LOCAL).problems
    assert problem.severity is Severity.ERROR
    assert problem.fix == "remote-prof image build --arch arm64"


def test_the_same_image_by_id_or_layer() -> None:
    assert is_same(Image(LOCAL.image_id[7:], (), ""), LOCAL)
    assert is_same(SAME, LOCAL)
    assert not is_same(replace(SAME, layers=(LOCAL.diff_id, "x")), LOCAL)
    assert not is_same(OLD, LOCAL)
    assert not is_same(None, LOCAL)


def test_images_of_others_are_not_ours() -> None:
    def made(tags: tuple[str, ...], layers: tuple[str, ...] = ("a",)) -> HostImage:
        return HostImage("sha256:1", tags, layers, "amd64", "", 1, "1")

    assert made((TAG,)).ours == (TAG,)
    assert made((f"docker.io/{TAG}", "mine:1")).ours == (f"docker.io/{TAG}",)
    assert made(()).ours == ("sha256:1",)
    assert made((), ("a", "b")).ours == ()
    assert made(("mine:1",)).ours == ()


def test_what_a_host_says_of_images() -> None:
    lines = [
        '["sha256:1",["a:1","<none>:<none>"],["l"],"amd64","now",5,{"remote-prof.sidecar":"1"}]',
        '["sha256:2",null,null,"amd64","now",5,{"other":"1"}]',
        '["sha256:3"]',
        "[",
        "@@part 17 /var/tmp/remote-prof-image-x",
        "@@part x /var/tmp",
        "@@said it is used",
    ]
    found = parse_images(lines)
    assert [(i.image_id, i.tags, i.layers) for i in found.images] == [
        ("sha256:1", ("a:1",), ("l",))
    ]
    assert [(p.path, p.size_bytes) for p in found.parts] == [("/var/tmp/remote-prof-image-x", 17)]
    assert found.said == ("it is used",)
