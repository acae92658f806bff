"""``remote-prof image``: the sidecar's image, built here and pushed over SSH."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, options
from remote_prof.errors import ExitCode, RemoteProfError, UnreachableError, UsageError

if TYPE_CHECKING:
    from remote_prof.host.facts import HostState
    from remote_prof.image.store import LocalImage
    from remote_prof.records import Host
    from remote_prof.run.image_hosts import HostImages
    from remote_prof.run.image_push import Pushed
    from remote_prof.settings import ResolvedSettings
    from remote_prof.transport import Connection

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof image build

$ remote-prof image push -H web

$ remote-prof image list -H web

$ remote-prof image remove -H web

`remote-prof run` pushes the image by itself where a host has none: --image-policy.
"""

app = typer.Typer(
    help="Build the sidecar's image here, without a registry, and push it to hosts.",
    epilog=EXAMPLES,
    no_args_is_help=True,
)

_Image = Annotated[
    str | None,
    typer.Argument(metavar="[IMAGE]", help="Its id, or the start of it."),
]
_Hosts = Annotated[
    str,
    typer.Option(
        "--host",
        "-H",
        "--hosts",
        metavar="PATTERN",
        help="Host, group or pattern of the inventory; localhost needs none.",
        rich_help_panel="Where",
    ),
]


@app.command("build", epilog=EXAMPLES)
def build(
    arch: Annotated[
        str | None,
        typer.Option(metavar="amd64|arm64", help="For which processor (that of this machine)."),
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="Debian mirror to fetch packages from.")
    ] = None,
    keyring: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keys that the archive is signed with.")
    ] = None,
    dockerfile: Annotated[
        bool, typer.Option("--dockerfile", help="Print a Dockerfile for the same, and build none.")
    ] = False,
    as_json: options.AsJson = False,
) -> int:
    """Build the image from Debian packages and wheels; it takes apt and pip, and no root.

    The same packages give the same image, to the byte.
    """
    from remote_prof.image import recipe
    from remote_prof.run.image_build import build_image, render_dockerfile

    if dockerfile:
        console.write(render_dockerfile())
        return ExitCode.OK
    known = {machine: name for name, machine in recipe.ARCHITECTURES.items()}
    architecture = arch or known.get(platform.machine(), platform.machine())
    if architecture not in recipe.ARCHITECTURES:
        raise UsageError(
            f"no image can be built for {architecture}",
            hint=f"there are {', '.join(recipe.ARCHITECTURES)}: --arch",
        )
    with console.progress(0) as watch:
        image = build_image(
            architecture,
            mirror=mirror or recipe.MIRROR,
            keyring=keyring or recipe.KEYRING,
            watch=lambda stage: watch("image", stage),
        )
    if as_json:
        console.write(json.dumps(_document(image), indent=2) + "\n")
    else:
        console.line(_described(image))
    return ExitCode.OK


@app.command("push", epilog=EXAMPLES)
@flag_sets.connects
def push(
    host: _Hosts,
    image: _Image = None,
    inventory: options.Inventory = None,
    as_json: options.AsJson = False,
    *,
    flags: flag_sets.ConnectFlags,
) -> int:
    """Push the image to hosts that lack it, over SSH; a push that was cut goes on where it was."""
    from remote_prof.image.store import find_image, load_images

    images = load_images()
    chosen = [find_image(images, image)] if image is not None else images
    documents = []

    def work(connection: Connection, state: HostState, work_parent: str | None) -> None:
        begun = time.monotonic()
        local, pushed = _push(connection, state, work_parent, chosen)
        documents.append(
            {"host": connection.host.name, "architecture": local.architecture}
            | dataclasses.asdict(pushed)
            | {"duration_s": round(time.monotonic() - begun, 3)}
        )
        if not as_json:
            name = f"{connection.host.name}: {local.tag} {local.short_id}"
            sent = f"pushed, {pushed.sent_bytes / 1e6:.1f} MB in {documents[-1]['duration_s']} s"
            gone_on = f", after {pushed.resumed_bytes / 1e6:.1f} MB that were there"
            told = "is there already" if pushed.present else f"is {sent}"
            console.line(f"{name} {told}{gone_on if pushed.resumed_bytes else ''}")

    code = _on_hosts(host, inventory, flags, work)
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    return code


def _push(
    connection: Connection, state: HostState, work_parent: str | None, images: list[LocalImage]
) -> tuple[LocalImage, Pushed]:
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
    with console.progress(0) as watch:
        link = Link(connection, lambda stage: watch(name, stage))
        pushed = Pusher(
            link,
            local,
            push_command(local, state, work_parent),
            watch=lambda stage: watch(name, stage),
            count=tenths(lambda stage: watch(name, stage), 1 if sys.stderr.isatty() else 10),
        ).run()
    return local, pushed


@app.command("list", epilog=EXAMPLES)
@flag_sets.connects
def list_(
    image: _Image = None,
    host: options.AnyHostPattern = None,
    contents: Annotated[
        bool, typer.Option("--contents", help="What is inside: packages, versions, licences.")
    ] = False,
    inventory: options.Inventory = None,
    as_json: options.AsJson = False,
    *,
    flags: flag_sets.ConnectFlags,
) -> int:
    """List the images that were built here, or those of ours on hosts."""
    from remote_prof.image.store import find_image, load_images

    images = load_images()
    if host is not None:
        if contents or image is not None:
            raise UsageError(
                "what is inside is known of images that were built here", hint="leave --host away"
            )
        return _list_hosts(host, inventory, flags, images, as_json=as_json)
    chosen = [find_image(images, image)] if image is not None else images
    if as_json:
        console.write(json.dumps([_document(i) for i in chosen], indent=2) + "\n")
    elif contents:
        for each in chosen[:1]:
            console.note(_described(each))
            rows = [(p.name, p.version, p.origin, ", ".join(p.licences)) for p in each.packages]
            console.table(("package", "version", "from", "licences"), rows)
    elif chosen:
        console.table(
            ("id", "name", "for", "of", "size", "to send"),
            [
                (
                    i.short_id,
                    i.tag,
                    i.architecture,
                    i.created,
                    f"{i.size_bytes / 1e6:.0f} MB",
                    f"{i.archive_bytes / 1e6:.0f} MB",
                )
                for i in chosen
            ],
            right=(4, 5),
        )
    else:
        console.line("no image was built here: remote-prof image build")
    return ExitCode.OK


def _list_hosts(
    host: str,
    inventory: str | None,
    flags: flag_sets.ConnectFlags,
    images: list[LocalImage],
    *,
    as_json: bool,
) -> int:
    from remote_prof.run.image_hosts import look_for_images

    rows: list[tuple[str, ...]] = []
    documents: list[dict[str, object]] = []

    def work(connection: Connection, state: HostState, work_parent: str | None) -> None:
        name = connection.host.name
        found = look_for_images(connection, state, work_parent)
        documents.append({"host": name} | dataclasses.asdict(found))
        known = {layer for i in images for layer in (i.diff_id,)}
        for image in found.images:
            here = "as here" if set(image.layers) & known else ""
            row = (name, image.image_id.removeprefix("sha256:")[:12], " ".join(image.tags))
            rows.append((*row, f"{image.size_bytes / 1e6:.0f} MB", here))
        rows.extend(
            (name, "", part.path, f"{part.size_bytes / 1e6:.0f} MB", "unfinished push")
            for part in found.parts
        )

    code = _on_hosts(host, inventory, flags, work)
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    elif rows:
        console.table(("host", "id", "name", "size", ""), rows, right=(3,))
    elif code == ExitCode.OK:
        console.line("there is no image of remote-prof")
    return code


@app.command("remove", epilog=EXAMPLES)
@flag_sets.connects
def remove(
    image: _Image = None,
    host: options.AnyHostPattern = None,
    inventory: options.Inventory = None,
    as_json: options.AsJson = False,
    *,
    flags: flag_sets.ConnectFlags,
) -> int:
    """Remove images that were built here, or ours on hosts, with what unfinished pushes have left.

    Without IMAGE all of them. Nobody else's image is touched, and none that a container uses.
    """
    if host is not None:
        return _remove_on_hosts(host, image, inventory, flags, as_json=as_json)
    from remote_prof.image.store import find_image, load_images, remove_image

    images = load_images()
    chosen = [find_image(images, image)] if image is not None else images
    for each in chosen:
        remove_image(each)
        if not as_json:
            console.line(f"{each.tag} {each.short_id} ({each.architecture}) is removed here")
    if as_json:
        console.write(json.dumps([i.image_id for i in chosen], indent=2) + "\n")
    elif not chosen:
        console.line("no image was built here")
    return ExitCode.OK


def _remove_on_hosts(
    host: str,
    image: str | None,
    inventory: str | None,
    flags: flag_sets.ConnectFlags,
    *,
    as_json: bool,
) -> int:
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

    code = _on_hosts(host, inventory, flags, work)
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    return code


def _difference(before: HostImages, after: HostImages) -> list[str]:
    left = {i.image_id for i in after.images} | {part.path for part in after.parts}
    known = [*(i.image_id for i in before.images), *(part.path for part in before.parts)]
    return [text for text in known if text not in left]


def _on_hosts(
    pattern: str,
    inventory: str | None,
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


def _described(image: LocalImage) -> str:
    return (
        f"{image.tag} {image.short_id} for {image.architecture}: "
        f"{image.size_bytes / 1e6:.0f} MB, {image.archive_bytes / 1e6:.0f} MB to send"
    )


def _document(image: LocalImage) -> dict[str, object]:
    return dataclasses.asdict(image) | {"path": str(image.path)}
