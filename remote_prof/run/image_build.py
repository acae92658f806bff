"""Making the sidecar's image here: packages are fetched, taken apart, and written as an archive.

It needs apt and pip, and neither root nor a container engine: nothing is installed or run, so the
image may be for another architecture than this machine's.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from remote_prof import __version__
from remote_prof.errors import ParseError, UsageError
from remote_prof.image import recipe
from remote_prof.image.archive import make_config, sha256_of, timestamp, write_archive
from remote_prof.image.contents import Package, parse_licences
from remote_prof.image.deb import load_control, open_data
from remote_prof.image.layer import Layer
from remote_prof.image.store import LocalImage, save_image, store_directory
from remote_prof.run.image_fetch import Watch, fetch_packages
from remote_prof.templates import render

_URI = re.compile(r"'[^']+' (\S+\.deb) [0-9]+ SHA256:([0-9a-f]{64})", re.ASCII)
_MIRROR = re.compile(r"(https?|file)://?[A-Za-z0-9@%:/._~+-]+", re.ASCII)
_SAFE_PATH = re.compile(r"/[^\"\n\\;]*")
_CONTENTS = "usr/share/remote-prof/contents.json"
_OLD_ORIGIN = f"debian {recipe.OLD_SUITE}"


def build_image(
    architecture: str,
    *,
    mirror: str,
    keyring: str,
    watch: Watch,
    old: bool = False,
    store: Path | None = None,
) -> LocalImage:
    """Build the image for an architecture (amd64, arm64), and put it into the store.

    ``old``: with the older generation of bpftrace beside the other.
    Raises UsageError, HostError where something is missing here or cannot be fetched, ParseError.
    """
    store = store or store_directory()
    if not _MIRROR.fullmatch(mirror):
        raise UsageError(f"{mirror!r} is no address of a mirror", hint=f"such as {recipe.MIRROR}")
    for path in (str(store), keyring):
        if not _SAFE_PATH.fullmatch(path):
            raise UsageError(f"apt cannot be told of the path {path!r}")
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix=".build-") as place:
        fetch_packages(Path(place), architecture, mirror, keyring, watch, old=old)
        return _assemble(Path(place), architecture, store, watch, old=old)


def render_dockerfile(*, old: bool = False) -> str:
    """Return a Dockerfile that makes an image of the same programs where there is a registry."""
    return render(
        "sidecar/Dockerfile.j2",
        version=__version__,
        tag=recipe.tag(__version__),
        suite=recipe.SUITE,
        mirror=recipe.MIRROR,
        keyring=recipe.KEYRING,
        packages=recipe.PACKAGES,
        old=old,
        old_name=recipe.OLD,
        old_root=f"/{recipe.OLD_ROOT}",
        old_suite=recipe.OLD_SUITE,
        old_packages=recipe.OLD_PACKAGES,
        old_headers=f"/{recipe.OLD_HEADERS}",
        old_files={f"/{path}": lines for path, lines in recipe.OLD_FILES.items()},
        requirements=[
            f"{wheel.name}=={wheel.version} "
            + " ".join(f"--hash=sha256:{digest}" for digest in wheel.sha256.values())
            for wheel in recipe.WHEELS
        ],
        wheel_programs=[name for wheel in recipe.WHEELS for name in wheel.programs],
        path=recipe.PATH,
        labels={
            recipe.LABEL: __version__,
            "org.opencontainers.image.title": recipe.TITLE,
            "org.opencontainers.image.version": __version__,
            "org.opencontainers.image.licenses": recipe.LICENCES,
            **({f"{recipe.LABEL}.{recipe.OLD}": recipe.OLD_SUITE} if old else {}),
        },
    )


def _assemble(
    place: Path, architecture: str, store: Path, watch: Watch, *, old: bool
) -> LocalImage:
    watch("putting the image together")
    with (place / "spool").open("w+b") as spool:
        layer = Layer(spool)
        packages = _add_packages(layer, place, "archives")
        if old:
            packages += _add_packages(layer, place, "old", recipe.OLD_ROOT, _OLD_ORIGIN)
            for path, lines in recipe.OLD_FILES.items():
                mode = 0o755 if "bin/" in path else 0o644
                layer.add_file(path, "".join(f"{line}\n" for line in lines).encode(), mode)
        packages += _add_wheels(layer, place, architecture)
        for path, text in recipe.FILES.items():
            layer.add_file(path, text.encode())
        for path, target in recipe.LINKS.items():
            layer.add_link(path, target)
        created_s = _created_s(layer.newest_s)
        _check(layer)
        contents = json.dumps([asdict(package) for package in packages], indent=1) + "\n"
        layer.add_file(_CONTENTS, contents.encode())
        with (place / "layer.tar").open("wb") as out:
            diff_id = layer.write(out, recipe.DIRECTORIES, created_s)
    (place / "spool").unlink()
    tag, labels = recipe.tag(__version__), _labels(created_s, packages)
    config = make_config(
        architecture=architecture,
        created_s=created_s,
        diff_id=diff_id,
        labels=labels,
        path=recipe.PATH,
    )
    watch("compressing it")
    archive = place / "archive"
    with archive.open("wb") as out:
        write_archive(out, config, place / "layer.tar", diff_id, tag, created_s)
    image = LocalImage(
        image_id=config.image_id,
        diff_id=f"sha256:{diff_id}",
        tag=tag,
        architecture=architecture,
        created=timestamp(created_s),
        size_bytes=(place / "layer.tar").stat().st_size,
        archive_bytes=archive.stat().st_size,
        archive_sha256=sha256_of(archive),
        labels=labels,
        packages=tuple(packages),
        path=archive,
    )
    return save_image(image, archive, store)


def _add_packages(
    layer: Layer, place: Path, directory: str, prefix: str = "", origin: str = "debian"
) -> list[Package]:
    """Add the packages of a directory below a prefix, and return them with their licences."""
    found = list(_taken_apart(layer, place / directory, prefix, origin))
    # Some have their licence in another package, to which their documentation is a link.
    return [replace(p, licences=_licences(layer, prefix, p.name)) for p in found]


def _taken_apart(layer: Layer, directory: Path, prefix: str, origin: str) -> Iterator[Package]:
    uris = directory.with_suffix(".uris").read_text()
    sums = dict(_URI.findall(uris))
    if not sums:
        raise ParseError("apt named no packages", evidence=uris[:200])
    for name in sorted(sums):
        path = directory / name
        if sha256_of(path) != sums[name]:
            raise ParseError(f"{name} is not what the signed index says", evidence=sums[name])
        control = load_control(path)
        package = control.get("Package", "")
        if not recipe.is_package_wanted(package):
            continue
        with open_data(path) as tar:
            layer.add_tar(tar, recipe.is_path_wanted, prefix)
        yield Package(package, control.get("Version", ""), origin, (), sums[name])


def _licences(layer: Layer, prefix: str, package: str) -> tuple[str, ...]:
    documentation = f"{prefix}usr/share/doc"
    directory = f"{documentation}/{package}"
    if target := layer.link(directory):
        directory = posixpath.normpath(posixpath.join(documentation, target))
    path = f"{directory}/copyright"
    if path not in layer.paths:
        return ()
    return parse_licences(layer.read(path).decode("utf-8", "replace"))


def _add_wheels(layer: Layer, place: Path, architecture: str) -> Iterator[Package]:
    for wheel in recipe.WHEELS:
        (path,) = (place / "wheels").glob(f"{wheel.name.replace('-', '_')}-*.whl")
        if sha256_of(path) != wheel.sha256[architecture]:
            raise ParseError(f"{path.name} is not what is wanted", evidence=str(wheel.sha256))
        with zipfile.ZipFile(path) as files:
            for name in files.namelist():
                base = name.rpartition("/")[2]
                if ".data/scripts/" in name and base in wheel.programs:
                    layer.add_file(f"usr/local/bin/{base}", files.read(name), 0o755)
                elif base in ("LICENSE", "METADATA"):
                    layer.add_file(f"usr/share/doc/{wheel.name}/{base}", files.read(name))
        sha256 = wheel.sha256[architecture]
        yield Package(wheel.name, wheel.version, "pypi", (wheel.licence,), sha256)


def _check(layer: Layer) -> None:
    names = {path.rpartition("/")[2] for path in layer.paths if "bin/" in path}
    if lacking := sorted({*recipe.PROGRAMS, "sh", "timeout"} - names):
        raise ParseError(
            f"the packages do not hold {', '.join(lacking)}",
            hint="has the archive changed? this is a matter for remote-prof's own recipe",
        )


def _created_s(newest_s: int) -> int:
    """Return the time of the newest file, or what SOURCE_DATE_EPOCH says."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(given) if re.fullmatch("[0-9]{1,12}", given) else newest_s


def _labels(created_s: int, packages: list[Package]) -> dict[str, str]:
    return {
        recipe.LABEL: __version__,
        "org.opencontainers.image.title": recipe.TITLE,
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.created": timestamp(created_s),
        "org.opencontainers.image.licenses": recipe.LICENCES,
        **{f"{recipe.LABEL}.{name}": version for name, version in _programs(packages).items()},
    }


def _programs(packages: list[Package]) -> dict[str, str]:
    """Return the profilers and their versions, for whoever looks at the image on a host."""
    versions = {(package.origin, package.name): package.version for package in packages}
    known = {
        "bpftrace": ("debian", "bpftrace"),
        recipe.OLD: (_OLD_ORIGIN, "bpftrace"),
        "perf": ("debian", "linux-perf"),
        "py-spy": ("pypi", "py-spy"),
        "austin": ("pypi", "austin-dist"),
        "jattach": ("debian", "jattach"),
    }
    return {name: versions[package] for name, package in known.items() if package in versions}
