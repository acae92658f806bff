"""The image's parts: packages taken apart, a layer and an archive that are the same each time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import tarfile
from pathlib import Path

import pytest

from remote_prof.errors import ParseError, UsageError
from remote_prof.image import recipe
from remote_prof.image.archive import make_config, sha256_of, write_archive
from remote_prof.image.contents import Package, parse_licences, spdx
from remote_prof.image.deb import load_control, open_data
from remote_prof.image.layer import Layer, merged
from remote_prof.image.store import (
    LocalImage,
    find_image,
    load_images,
    newest_for,
    remove_image,
    save_image,
)
from remote_prof.run.image_build import render_dockerfile


def tar_of(*items: tuple[str, str | None, bytes], mtime: int = 7) -> bytes:
    """A tar; of each file the name, what it links to, the content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, target, data in items:
            item = tarfile.TarInfo(name)
            item.mtime, item.uid, item.mode = mtime, 1000, 0o4755
            item.size = len(data)
            if name.endswith("/"):
                item.type = tarfile.DIRTYPE
            elif target is not None:
                item.type, item.linkname, item.size = tarfile.SYMTYPE, target, 0
            tar.addfile(item, io.BytesIO(data))
    return out.getvalue()


def deb(path: Path, data: bytes, control: str = "Package: x\nVersion: 1:2-3\n") -> Path:
    members = [
        (b"debian-binary", b"2.0\n"),
        (b"control.tar.xz", lzma.compress(tar_of(("./control", None, control.encode())))),
        (b"data.tar.xz", lzma.compress(data)),
    ]
    whole = b"!<arch>\n"
    for name, content in members:
        head = name.ljust(16) + b"0".ljust(12) + b"0".ljust(6) + b"0".ljust(6) + b"100644".ljust(8)
        whole += head + str(len(content)).encode().ljust(10) + b"`\n" + content
        whole += b"\n" * (len(content) % 2)
    path.write_bytes(whole)
    return path


def test_a_package_is_read_in_one_pass(tmp_path: Path) -> None:
    path = deb(tmp_path / "x.deb", tar_of(("./usr/bin/x", None, b"program")))
    assert load_control(path) == {"Package": "x", "Version": "1:2-3"}
    with open_data(path) as tar:
        assert [item.name for item in tar] == ["./usr/bin/x"]


@pytest.mark.parametrize("data", [b"", b"!<arch>\n", b"!<arch>\n" + b"x" * 60, b"PK\x03\x04"])
def test_what_is_no_package_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(data)
    with pytest.raises(ParseError, match=r"x\.deb is no Debian package"):
        load_control(path)


def layer(path: Path, *items: tuple[str, str | None, bytes], mtime: int = 7) -> tuple[bytes, str]:
    with path.open("w+b") as spool:
        made = Layer(spool)
        with tarfile.open(fileobj=io.BytesIO(tar_of(*items, mtime=mtime))) as tar:
            made.add_tar(tar, recipe.is_path_wanted)
        assert made.newest_s == mtime
        out = io.BytesIO()
        digest = made.write(out, {"tmp": 0o1777}, 1_000_000)
    return out.getvalue(), digest


ITEMS: tuple[tuple[str, str | None, bytes], ...] = (
    ("./usr/bin/x", None, b"program"),
    ("./bin/y", "x", b""),
    ("./usr/share/man/man1/x.1", None, b"manual"),
    ("./usr/share/doc/x/copyright", None, b"License"),
    ("./usr/share/doc/x/changelog.gz", None, b"log"),
)


def test_the_same_files_are_the_same_layer(tmp_path: Path) -> None:
    first, digest = layer(tmp_path / "a", *ITEMS)
    second, again = layer(tmp_path / "b", *reversed(ITEMS), mtime=8)
    assert first == second
    assert digest == again == hashlib.sha256(first).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        items = {item.name: item for item in tar}
    assert list(items) == [
        *("tmp", "usr", "usr/bin", "usr/bin/x", "usr/bin/y", "usr/share", "usr/share/doc"),
        *("usr/share/doc/x", "usr/share/doc/x/copyright"),
    ]
    assert items["tmp"].mode == 0o1777
    # No right comes with a file.
    program = items["usr/bin/x"]
    assert (program.mode, program.uid, program.mtime) == (0o755, 0, 1_000_000)
    assert items["usr/bin/y"].linkname == "x"


def test_paths_are_as_in_a_merged_system() -> None:
    assert merged("./lib/x.so") == "usr/lib/x.so"
    assert merged("./lib64/ld.so") == "usr/lib64/ld.so"
    assert merged("./libexec/x") == "libexec/x"
    assert merged("./etc/x") == "etc/x"


def test_what_is_left_out() -> None:
    assert not any(map(recipe.is_package_wanted, ("perl-base", "dpkg", "libfoo-perl", "tzdata")))
    assert all(map(recipe.is_package_wanted, ("bpftrace", "libperl5.40", "libmd0", "libc6")))
    assert not recipe.is_path_wanted("usr/share/locale/de/x.mo")
    # Both generations of bpftrace are linked with the smaller part of bcc alone.
    assert not recipe.is_package_wanted("libclang-cpp19")
    assert not recipe.is_path_wanted("usr/lib/x86_64-linux-gnu/libbcc.so.0.31.0")
    assert recipe.is_path_wanted("usr/lib/x86_64-linux-gnu/libbcc_bpf.so.0.31.0")
    assert recipe.is_path_wanted("usr/share/common-licenses/GPL-3")


def test_an_archive_is_what_engines_load(tmp_path: Path) -> None:
    data, digest = layer(tmp_path / "spool", *ITEMS)
    (tmp_path / "layer").write_bytes(data)
    config = make_config(
        architecture="arm64", created_s=0, diff_id=digest, labels={"a": "b"}, path="/bin"
    )
    written = []
    for _ in range(2):
        out = io.BytesIO()
        write_archive(out, config, tmp_path / "layer", digest, "x/y:1", 0)
        written.append(out.getvalue())
    assert written[0] == written[1]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(written[0]))) as tar:
        files = {item.name: tar.extractfile(item) for item in tar}
        contents = {name: file.read() for name, file in files.items() if file}
    (manifest,) = json.loads(contents["manifest.json"])
    assert manifest["RepoTags"] == ["x/y:1"]
    raw = contents[manifest["Config"]]
    assert config.image_id == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert manifest["Config"] == f"{config.image_id[7:]}.json"
    document = json.loads(raw)
    assert (document["architecture"], document["created"]) == ("arm64", "1970-01-01T00:00:00Z")
    (name,) = manifest["Layers"]
    assert document["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    assert contents[name] == data


def test_a_checksum_of_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abcdef")
    assert sha256_of(path, 3) == hashlib.sha256(b"abc").hexdigest()
    assert sha256_of(path) == hashlib.sha256(b"abcdef").hexdigest()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPL-2.1", "LGPL-2.1-only"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("something", "something"),
    ],
)
def test_licences_by_their_known_names(name: str, expected: str) -> None:
    assert spdx(name) == expected


def test_licences_of_a_copyright_file() -> None:
    machine = (
        "Format: https://x/copyright-format/1.0/\nLicense: GPL-2+ or Expat\n text\nLicense: ISC\n"
    )
    assert parse_licences(machine) == ("GPL-2.0-or-later", "ISC", "MIT")
    prose = "is in `/usr/share/common-licenses/GPL-3'. License: odd"
    assert parse_licences(prose) == ("GPL-3.0-only",)


def image(path: Path, digit: str = "1", architecture: str = "amd64") -> LocalImage:
    package = Package("x", "1", "debian", ("MIT",), "0" * 64)
    sizes = (10, path.stat().st_size if path.exists() else 0, "0" * 64)
    return LocalImage(
        f"sha256:{digit * 64}",
        "sha256:" + "f" * 64,
        "remote-prof/sidecar:1",
        architecture,
        "1970-01-01T00:00:00Z",
        *sizes,
        {},
        (package,),
        path,
    )


def test_the_store_keeps_finds_and_removes(tmp_path: Path) -> None:
    store = tmp_path / "images"
    store.mkdir()
    assert load_images(store) == []
    for digit, architecture in (("1", "amd64"), ("2", "arm64")):
        new = tmp_path / "new"
        new.write_bytes(b"archive")
        save_image(image(new, digit, architecture), new, store)
    (store / "odd.json").write_text("[1]")
    (store / "other.json").write_text("{")
    images = load_images(store)
    assert {i.architecture for i in images} == {"amd64", "arm64"}
    one = find_image(images, "1111")
    assert (one.short_id, one.packages[0].licences) == ("1" * 12, ("MIT",))
    assert newest_for(images, "arm64") == find_image(images, "sha256:2222")
    for name in ("11", "3333", "remote-prof/sidecar:1"):
        with pytest.raises(UsageError, match="built here"):
            find_image(images, name)
    remove_image(one)
    assert [i.architecture for i in load_images(store)] == ["arm64"]
    assert not one.path.exists()


def test_the_dockerfile_has_the_same_programs() -> None:
    text = render_dockerfile()
    for name in (*recipe.PACKAGES, *(w.name for w in recipe.WHEELS), recipe.LABEL):
        assert name in text
    for wheel in recipe.WHEELS:
        assert all(f"--hash=sha256:{digest}" in text for digest in wheel.sha256.values())


def test_the_dockerfile_can_have_the_older_bpftrace() -> None:
    text = render_dockerfile(old=True)
    for name in recipe.OLD_PACKAGES:
        assert f"{name}/{recipe.OLD_SUITE}" in text
    assert f"{recipe.LABEL}.{recipe.OLD}" in text
    assert recipe.OLD not in render_dockerfile()
