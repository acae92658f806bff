"""``remote-prof image``: the sidecar's image, built here and pushed over SSH."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from typing import TYPE_CHECKING, Annotated

import typer

from remote_prof import console
from remote_prof.cli import flag_sets, image_hosts, options
from remote_prof.console.progress import progress
from remote_prof.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from remote_prof.host.facts import HostState
    from remote_prof.image.store import LocalImage
    from remote_prof.transport import Connection

EXAMPLES = """
[bold]Examples[/bold]

$ remote-prof image build

$ remote-prof image build --old-bpftrace

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
    old_bpftrace: Annotated[
        bool,
        typer.Option("--old-bpftrace", help="With an older bpftrace beside it, for old kernels."),
    ] = False,
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
        console.write(render_dockerfile(old=old_bpftrace))
        return ExitCode.OK
    known = {machine: name for name, machine in recipe.ARCHITECTURES.items()}
    architecture = arch or known.get(platform.machine(), platform.machine())
    if architecture not in recipe.ARCHITECTURES:
        raise UsageError(
            f"no image can be built for {architecture}",
            hint=f"there are {', '.join(recipe.ARCHITECTURES)}: --arch",
        )
    with progress(0) as watch:
        image = build_image(
            architecture,
            mirror=mirror or recipe.MIRROR,
            keyring=keyring or recipe.KEYRING,
            watch=lambda stage: watch("image", stage),
            old=old_bpftrace,
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
        local, pushed = image_hosts.push_to(connection, state, work_parent, chosen)
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

    code = image_hosts.on_hosts(host, inventory, flags, work)
    if as_json:
        console.write(json.dumps(documents, indent=2) + "\n")
    return code


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
        return image_hosts.list_images(host, inventory, flags, images, as_json=as_json)
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
        return image_hosts.remove_images(host, image, inventory, flags, as_json=as_json)
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


def _described(image: LocalImage) -> str:
    return (
        f"{image.tag} {image.short_id} for {image.architecture}: "
        f"{image.size_bytes / 1e6:.0f} MB, {image.archive_bytes / 1e6:.0f} MB to send"
    )


def _document(image: LocalImage) -> dict[str, object]:
    return dataclasses.asdict(image) | {"path": str(image.path)}
