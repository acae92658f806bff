"""What ``remote-prof image`` does on hosts: push, list, remove; one host after the other."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.console.progress import progress
from remote_prof.errors import ExitCode, RemoteProfError, UnreachableError

if TYPE_CHECKING:
    from remote_prof.cli import flag_sets
    from remote_prof.host.facts import HostState
    from remote_prof.image.store import LocalImage
    from remote_prof.records import Host
    from remote_prof.run.image_hosts import HostImages
    from remote_prof.run.image_push import Pushed
    from remote_prof.settings import ResolvedSettings
    from remote_prof.transport import Connection


def push_to(
    connection: Connection, state: HostState, work_parent: str | None, images: list[LocalImage]
) -> tuple[LocalImage, Pushed]:
    """Push the newest image for a host's processor. Raises PreflightError where there is none."""
    from remote_prof.errors import PreflightError
    from remote_prof.image.store import newest_for
    from remote_prof.run.image_push import Pusher, push_command, tenths
    from remote_prof.run.link import Link
    from remote_prof.run.supply import architecture_of

    name, architecture = connection.host.name, architecture_of(state.facts)
    local = newest_for(images, architecture)
    if local is None:
        built = ", ".join(sorted({i.architecture for i in images})) or "none"
        raise PreflightError(
            f"{name}: there is no image for its processor",
            evidence=f"the host is {state.facts.architecture}; images here: {built}",
            hint=f"remote-prof image build --arch {architecture}",
        )
    with progress(0) as watch:
        link = Link(connection, lambda stage: watch(name, stage))
        pushed = Pusher(
            link,
            local,
            push_command(local, state, work_parent),
            watch=lambda stage: watch(name, stage),
            count=tenths(lambda stage: watch(name, stage), 1 if sys.stderr.isatty() else 10),
        ).run()
    return local, pushed


def list_images(
    host: str,
    inventory: list[str] | None,
    flags: flag_sets.ConnectFlags,
    images: list[LocalImage],
    *,
    as_json: bool,
) -> int:
    """Print the images that hosts hold, and return the exit code."""
    from remote_prof.run.image_hosts import look_for_images

    rows: list[tuple[str, ...]] = []
    documents: list[dict[str, object]] = []

    def work(connection: Connection, state: HostState, work_parent: str | None) -> None:
        name = connection.host.name
        found = look_for_images(connection, state, work_parent)
        documents.append({"host": name} | dataclasses.asdict(found))
        known = {image.diff_id for image in images}
        for image in found.images:
            here = "as here" if set(image.layers) & known else ""
            row = (name, image.image_id.removeprefix("sha256:")[:12], " ".join(image.tags))
            rows.append((*row, f"{image.size_bytes / 1e6:.0f} MB", here))
        rows.extend(
            (name, "", part.path, f"{part.size_bytes / 1e6:.0f} MB", "unfinished push")
            for part in found.parts
        )

    code = on_hosts(host, inventory, flags, work)
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    elif rows:
        console.table(("host", "id", "name", "size", ""), rows, right=(3,))
    elif code == ExitCode.OK:
        console.line("there is no image of remote-prof")
    return code


def remove_images(
    host: str,
    image: str | None,
    inventory: list[str] | None,
    flags: flag_sets.ConnectFlags,
    *,
    as_json: bool,
) -> int:
    """Remove images from hosts, say which, and return the exit code."""
    from remote_prof.errors import HostError
    from remote_prof.run.image_hosts import look_for_images

    documents: list[dict[str, object]] = []
    wanted = (image or "").removeprefix("sha256:")

    def work(connection: Connection, state: HostState, work_parent: str | None) -> None:
        name = connection.host.name
        before = look_for_images(connection, state, work_parent)
        names = [
            name
            for found in before.images
            if found.image_id.removeprefix("sha256:").startswith(wanted) or image in found.tags
            for name in found.ours
        ]
        paths = [part.path for part in before.parts if not wanted or wanted[:12] in part.path]
        if not names and not paths:
            console.note(f"{name}: there is no image of remote-prof")
            return
        after = look_for_images(connection, state, work_parent, removing=names, parts=paths)
        gone = _difference(before, after)
        documents.append({"host": name, "removed": gone})
        if not as_json:
            for text in gone:
                console.line(f"{name}: {text} is removed")
        if {n for found in after.images for n in found.ours} & set(names):
            raise HostError(
                f"{name}: not every image could be removed",
                evidence=" | ".join(after.said)[:600],
                hint="a container may use it: remote-prof clean",
            )

    code = on_hosts(host, inventory, flags, work)
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    return code


def _difference(before: HostImages, after: HostImages) -> list[str]:
    left = {i.image_id for i in after.images} | {part.path for part in after.parts}
    known = [*(i.image_id for i in before.images), *(part.path for part in before.parts)]
    return [text for text in known if text not in left]


def on_hosts(
    pattern: str,
    inventory: list[str] | None,
    flags: flag_sets.ConnectFlags,
    work: Callable[[Connection, HostState, str | None], None],
) -> ExitCode:
    """Do something on each host, one after the other; say what fails, and go on with the next."""
    from remote_prof.cli.invocation import resolve_settings, select_hosts

    settings = resolve_settings(flags.settings() | {"inventory": inventory})
    hosts = select_hosts(pattern, settings.values, flags)
    failed: list[RemoteProfError] = []
    for host in hosts:
        try:
            _on_host(host, settings, work)
        except RemoteProfError as error:
            console.error(error)
            failed.append(error)
    if not failed:
        return ExitCode.OK
    if all(isinstance(error, UnreachableError) for error in failed):
        return ExitCode.UNREACHABLE
    return ExitCode.SOME_FAILED if len(hosts) > 1 else ExitCode.ERROR


def _on_host(
    host: Host,
    settings: ResolvedSettings,
    work: Callable[[Connection, HostState, str | None], None],
) -> None:
    from remote_prof.cli.gathering import connected
    from remote_prof.cli.invocation import facts_query
    from remote_prof.errors import PreflightError
    from remote_prof.host.checks import engine_answers
    from remote_prof.host.gather import gather_state

    query = dataclasses.replace(facts_query(host, settings), compose=False)
    with connected(host, settings) as connection:
        state = gather_state(connection, query)
        for problem in engine_answers(state.facts, query.image):
            raise PreflightError(
                f"{host.name}: {problem.what}", evidence=problem.evidence, hint=problem.fix
            )
        work(connection, state, query.work_parent)
