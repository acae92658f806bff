"""A push, for real: a shell, an engine that imitates one, and links that break."""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from remote_prof.errors import HostError, LinkLostError, PreflightError
from remote_prof.host.facts import parse_facts
from remote_prof.image.store import LocalImage
from remote_prof.records import Host
from remote_prof.run import link as link_module
from remote_prof.run.image_push import Pushed, Pusher, push_command, tenths
from remote_prof.run.link import Link
from remote_prof.transport import Channel, Command, Result
from remote_prof.transport.local import LocalConnection
from tests.unit.test_image import image

DATA = Path(__file__).parent / "data"
STATE = parse_facts((DATA / "facts" / "docker-26-hybrid.txt").read_bytes())
# What it loads becomes its image, whatever is in it.
_DOCKER = """#!/bin/sh
state={state}
case "$1 $2" in
"image inspect") [ -e $state/loaded ] && cat $state/loaded ;;
"info --format") echo $state ;;
load*) if [ -e $state/refuse ]; then cat $state/refuse >&2; exit 1; fi
  cat > $state/bytes; echo {answer} > $state/loaded ;;
esac
"""
BODY = os.urandom(3_000_000)


class Cut(Channel):
    """A channel that loses its link after so many bytes, or damages them."""

    def __init__(self, inner: Channel, after: int | None, *, damage: bool = False) -> None:
        self.inner, self.left, self.damage = inner, after, damage

    def write(self, data: bytes) -> None:
        if self.left is not None and len(data) > 10:
            piece = data[: self.left]
            self.inner.write(piece)
            self.left -= len(piece)
            if not self.left:
                raise LinkLostError("cut")
            return
        self.inner.write(data[:-1] + b"x" if self.damage and len(data) > 10 else data)

    def read_line(self, timeout_s: float) -> bytes | None:
        return self.inner.read_line(timeout_s)

    def read_block(self, limit_bytes: int, timeout_s: float) -> bytes:
        return self.inner.read_block(limit_bytes, timeout_s)

    def finish(self, timeout_s: float) -> Result:
        return self.inner.finish(timeout_s)

    def close(self) -> None:
        self.inner.close()


class Breaking(LocalConnection):
    """This machine, behind links that break; ``cuts`` says after how many bytes each does."""

    def __init__(self, *cuts: int | None, damage: int = 0) -> None:
        super().__init__(Host("here", "here", connection="local"))
        self.cuts, self.damage = list(cuts), damage

    def stream(self, command: Command) -> Cut:  # type: ignore[override]
        self.damage -= 1
        after = self.cuts.pop(0) if self.cuts else None
        return Cut(super().stream(command), after, damage=self.damage >= 0)


@pytest.fixture
def local(tmp_path: Path) -> LocalImage:
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(BODY, 1, mtime=0))
    data = path.read_bytes()
    return replace(
        image(path),
        archive_bytes=len(data),
        archive_sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(BODY),
    )


@pytest.fixture
def host(
    tmp_path: Path, local: LocalImage, monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> Path:
    """The state of the engine; ``work`` beside it is where bytes land."""
    del nothing_left
    state = tmp_path / "engine"
    state.mkdir()
    (tmp_path / "work").mkdir()
    docker = state / "docker"
    docker.write_text(_DOCKER.format(state=state, answer=f"{local.image_id}={local.diff_id}"))
    docker.chmod(0o755)
    monkeypatch.setattr(link_module, "_FIRST_PAUSE_S", 0.3)
    return state


def push(local: LocalImage, connection: LocalConnection, stages: list[str]) -> Pushed:
    place = local.path.parent
    assert STATE.facts.engine is not None
    engine = replace(STATE.facts.engine, path=str(place / "engine" / "docker"))
    state = replace(STATE, become=False, facts=replace(STATE.facts, engine=engine))
    command = push_command(local, state, str(place / "work"))
    watch = stages.append
    link = Link(connection, watch)
    return Pusher(link, local, command, watch=watch, count=tenths(watch)).run()


def left(host: Path) -> list[Path]:
    return list((host.parent / "work").iterdir())


def test_it_arrives_once(local: LocalImage, host: Path) -> None:
    stages: list[str] = []
    assert push(local, Breaking(), stages) == Pushed(local.image_id, False, local.archive_bytes, 0)
    assert (host / "bytes").read_bytes() == BODY
    assert left(host) == []
    assert stages[0] == "pushing the image"
    assert stages[-1] == "loading the image"
    assert push(local, Breaking(), []) == Pushed(local.image_id, True)


def test_a_cut_link_goes_on(local: LocalImage, host: Path) -> None:
    stages: list[str] = []
    pushed = push(local, Breaking(700_000, 900_000), stages)
    assert (host / "bytes").read_bytes() == BODY
    assert stages.count("reconnecting") == stages.count("going on with the image") == 2
    # What the pusher counts are whole blocks; what was cut in a block came, and is not sent again.
    assert pushed.sent_bytes <= local.archive_bytes
    assert left(host) == []


def test_a_part_of_another_kind_is_begun_anew(local: LocalImage, host: Path) -> None:
    (place := host.parent / "work" / f"remote-prof-image-{local.short_id}").mkdir(mode=0o700)
    (place / ".part").write_bytes(b"something else")
    pushed = push(local, Breaking(), [])
    assert (pushed.resumed_bytes, pushed.sent_bytes) == (0, local.archive_bytes)
    assert (host / "bytes").read_bytes() == BODY


def test_damage_is_noticed_and_sent_once_more(local: LocalImage, host: Path) -> None:
    pushed = push(local, Breaking(damage=1), [])
    assert pushed.sent_bytes == 2 * local.archive_bytes
    assert (host / "bytes").read_bytes() == BODY
    (host / "loaded").unlink()
    with pytest.raises(HostError, match="arrived damaged, twice"):
        push(local, Breaking(damage=9), [])
    assert not (host / "loaded").exists()
    assert left(host) == []


def test_too_little_room_is_said_before_anything_is_sent(local: LocalImage, host: Path) -> None:
    for kind, larger in (
        ("the archive's bytes", replace(local, archive_bytes=1 << 52)),
        ("the engine's storage", replace(local, size_bytes=1 << 52)),
    ):
        with pytest.raises(PreflightError, match=kind) as raised:
            push(larger, Breaking(), [])
        assert "MiB are wanted" in raised.value.evidence
    assert left(host) == []


def test_what_the_engine_says_is_told_and_the_bytes_stay(local: LocalImage, host: Path) -> None:
    (host / "refuse").write_text("no space left on device\n")
    with pytest.raises(HostError, match="does not take the image") as raised:
        push(local, Breaking(), [])
    assert "no space left" in raised.value.evidence
    (host / "refuse").unlink()
    again = push(local, Breaking(), [])
    assert (again.sent_bytes, again.resumed_bytes) == (0, local.archive_bytes)
    assert left(host) == []


def test_a_directory_of_somebody_else_is_not_used(local: LocalImage, host: Path) -> None:
    (elsewhere := host.parent / "elsewhere").mkdir()
    (host.parent / "work" / f"remote-prof-image-{local.short_id}").symlink_to(elsewhere)
    with pytest.raises(HostError, match="belongs to somebody else"):
        push(local, Breaking(), [])
    assert list(elsewhere.iterdir()) == []
