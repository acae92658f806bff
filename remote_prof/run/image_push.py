"""Pushing an image over the connection that there is: resumable, checked, never held in memory.

The protocol is lines that begin with ``@@``, as ``templates/image/push.sh.j2`` prints them; the
image's bytes follow the script on its standard input. What has arrived stays on the host when the
link breaks, and the next attempt, also of another process, goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remote_prof.errors import HostError, LinkLostError, PreflightError
from remote_prof.host.facts import HostState
from remote_prof.host.gather import CALL_TIMEOUT_S
from remote_prof.image.archive import sha256_of
from remote_prof.image.store import LocalImage
from remote_prof.run.link import Link
from remote_prof.templates import render
from remote_prof.transport import Channel, Command

PARENTS = ("/var/tmp", "/tmp")  # noqa: S108  a private directory is made there
NAME_FORMAT = "remote-prof-image-{}"
_PRESENT = "{{.Id}}={{range .RootFS.Layers}}{{.}}{{end}}"
# Where an engine keeps images, as docker and as podman tell it; the other refuses each.
_STORES = ("{{.DockerRootDir}}", "{{.Store.GraphRoot}}")
_BLOCK_BYTES = 1 << 18
_WORD_S = 60.0
# An engine on a slow disk unpacks 400 MB; a word comes when it has.
_LOAD_S = 900.0
_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """How an image came to a host. ``sent_bytes`` are those of all attempts together.

    ``resumed_bytes`` were on the host when the first attempt began. ``present``: it was there.
    """

    image_id: str
    present: bool
    sent_bytes: int = 0
    resumed_bytes: int = 0


Count = Callable[[int, int], None]  # told how many bytes of how many are there
Watch = Callable[[str], None]  # told the name of each stage as it begins


def push_command(image: LocalImage, state: HostState, work_parent: str | None) -> Command:
    """Return the script that takes an image on a host."""
    engine = state.facts.engine
    assert engine is not None
    script = render(
        "image/push.sh.j2",
        engine_path=engine.path,
        image_id=image.image_id,
        diff_id=image.diff_id,
        tag=image.tag,
        archive_bytes=image.archive_bytes,
        archive_sha256=image.archive_sha256,
        size_bytes=image.size_bytes,
        name=NAME_FORMAT.format(image.short_id),
        parents=(work_parent,) if work_parent else PARENTS,
        home=not work_parent,
        format=_PRESENT,
        store_formats=_STORES,
        call_timeout_s=CALL_TIMEOUT_S,
    )
    return Command("push image", script, become=state.become)


class Pusher:
    """Pushes one image to one host."""

    def __init__(
        self, link: Link, image: LocalImage, command: Command, *, watch: Watch, count: Count
    ) -> None:
        self._link = link
        self._image = image
        self._command = command
        self._watch = watch
        self._count = count
        self._sent = 0
        self._resumed: int | None = None
        self._damaged = False

    def run(self) -> Pushed:
        """Push it, if it is not there.

        Raises HostError, PreflightError where there is no room, LinkLostError when the link does
        not come back.
        """
        while True:
            try:
                pushed = self._attempt()
            except LinkLostError as error:
                self._link.reconnect(error)
            else:
                if pushed is not None:
                    return pushed

    def _attempt(self) -> Pushed | None:
        channel = self._link.connection.stream(self._command)
        try:
            while True:
                mark, _, rest = self._line(channel).partition(" ")
                self._link.heard()
                if mark == "@@have":
                    self._send(channel, rest)
                elif mark == "@@received":
                    self._watch("loading the image")
                elif mark in ("@@present", "@@loaded"):
                    present = mark == "@@present" and not self._sent
                    return Pushed(rest, present, self._sent, self._resumed or 0)
                elif mark == "@@short":
                    raise LinkLostError("the host had not all of the image")
                elif mark == "@@damaged":
                    self._note_damage(rest)
                    return None
                elif mark in ("@@full", "@@failed"):
                    raise self._refusal(mark, rest)
        finally:
            channel.close()

    def _line(self, channel: Channel) -> str:
        waited_s = 0.0
        while waited_s < _LOAD_S:
            try:
                line = channel.read_line(_STEP_S)
            except EOFError:
                result = channel.finish(_WORD_S)
                said = result.stderr.decode("utf-8", "replace").strip()
                raise HostError(
                    f"{self._host}: the push ended before its time",
                    evidence=said[-300:] or f"exit code {result.exit_code}",
                    hint="does somebody else push the same image there? then wait for that",
                ) from None
            if line is not None:
                return line.decode("utf-8", "replace")
            waited_s += _STEP_S
        raise HostError(f"{self._host}: the host has said nothing for {_LOAD_S:.0f} s")

    def _send(self, channel: Channel, rest: str) -> None:
        size, _, checksum = rest.partition(" ")
        have = int(size) if size.isascii() and size.isdigit() else 0
        path, total = self._image.path, self._image.archive_bytes
        if have > total or (have and sha256_of(path, have) != checksum):
            have = 0
        if self._resumed is None:
            self._resumed = have
        channel.write(f"{have}\n".encode())
        self._watch("pushing the image" if not have else "going on with the image")
        with path.open("rb") as data:
            data.seek(have)
            try:
                while block := data.read(_BLOCK_BYTES):
                    channel.write(block)
                    self._sent += len(block)
                    have += len(block)
                    self._count(have, total)
            except LinkLostError:
                raise
            except HostError:
                # It ended before it had read everything: its own words say why.
                return

    def _note_damage(self, got: str) -> None:
        evidence = f"its sha256 is {got} there, and {self._image.archive_sha256} here"
        if self._damaged:
            raise HostError(
                f"{self._host}: the image arrived damaged, twice",
                evidence=evidence,
                hint="is the archive here still whole? remote-prof image build makes it anew",
            )
        self._damaged = True
        self._watch("the image arrived damaged: sending it once more")

    def _refusal(self, mark: str, rest: str) -> HostError | PreflightError:
        kind, _, evidence = rest.partition(" ")
        if mark == "@@full":
            where = "the engine's storage" if kind == "engine" else "the archive's bytes"
            return PreflightError(
                f"{self._host}: there is no room for the image: {where}",
                evidence=evidence[:600],
                hint="make room, or name a directory with remote_prof_tmp in the inventory",
            )
        what = {
            "directory": "the directory of the push belongs to somebody else",
            "write": "the image could not be written",
            "load": "the engine does not take the image",
        }.get(kind, "the push failed")
        return HostError(
            f"{self._host}: {what}",
            evidence=evidence[:600],
            hint="remote-prof clean removes what has arrived; push again to go on with it",
        )

    @property
    def _host(self) -> str:
        return self._link.connection.host.name


def tenths(stage: Watch, step_percent: int = 10) -> Count:
    """Return what tells of every so many percent as a stage."""
    told = -1

    def count(have: int, total: int) -> None:
        nonlocal told
        now = 100 * have // max(1, total) // step_percent
        if now > told:
            told = now
            stage(f"pushing the image: {have / 1e6:.0f} of {total / 1e6:.0f} MB")

    return count
