"""Names from files of debug symbols: of the very build, and of no other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from remote_prof.errors import UsageError
from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.run.debug_files import DebugFiles

BUILD = "c82e082b630d28618388557ae0209773ea9dca59"
BEGIN = 0x400000
FUNCTION, OBJECT, SECTION_NOTE, SYMTAB, STRTAB = 2, 1, 7, 2, 3


class Named(NamedTuple):
    """A symbol: where it begins behind the file's beginning, how long it is."""

    name: str
    at: int
    size: int
    kind: int = FUNCTION
    is_global: bool = True


SYMBOLS = (
    Named("_ZN3app4leafEi", 0x1230, 0x20),
    Named("main", 0x1300, 0x40),
    Named("a_table", 0x1400, 0x40, OBJECT),
    Named("no_size", 0x1500, 0),
    Named("local_alias", 0x1600, 0x10, is_global=False),
    Named("seen_outside", 0x1600, 0x10),
)


def elf(build: str = BUILD, symbols: Sequence[Named] | None = SYMBOLS, begin: int = BEGIN) -> bytes:
    """Write a file of debug symbols: a header, a segment, a note, and a symbol table."""
    strings = b"\0" + b"".join(each.name.encode() + b"\0" for each in symbols or ())
    table = bytes(24)
    for each in symbols or ():
        name_at = strings.index(b"\0" + each.name.encode() + b"\0") + 1
        info = (each.is_global << 4) | each.kind
        table += struct.pack("<IBBHQQ", name_at, info, 0, 1, begin + each.at, each.size)
    build_id = bytes.fromhex(build)
    note = struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id
    names = b"\0.note.gnu.build-id\0.symtab\0.strtab\0.shstrtab\0"
    parts = [(".note.gnu.build-id", SECTION_NOTE, note, 0)]
    parts += [(".symtab", SYMTAB, table, 3), (".strtab", STRTAB, strings, 0)] if symbols else []
    parts += [(".shstrtab", STRTAB, names, 0)]
    at = 64 + 56
    headers, body = bytes(64), b""
    for name, kind, data, link in parts:
        name_at = names.index(name.encode() + b"\0")
        entry_size = 24 if kind == SYMTAB else 0
        headers += struct.pack(
            "<IIQQQQIIQQ", name_at, kind, 0, 0, at + len(body), len(data), link, 0, 4, entry_size
        )
        body += data
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, begin, begin, 0, 0x2000, 0x1000)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, at + len(body), 0, 64, 56, 1, 64, len(parts) + 1,
        len(parts),
    )  # fmt: skip
    return head + segment + body + headers


def profile_of(*addresses: int, build: str = BUILD) -> bytes:
    frames = b"".join(b"        0x%x\n" % address for address in addresses)
    return (
        b"@@ sampling\nAttached 2 probes\n@stacks_a[7, svc, \n" + frames + b"]: 5\n@samples: 5\n"
        b"# mapping 7 55d000000000 55d000001000-55d000002000 1000 %b /opt/app/svc\n@@ end 0\n"
        % build.encode()
    )


def names(raw: bytes) -> list[str]:
    (stack,) = parse_bpftrace(raw).stacks
    return [frame.name for frame in stack[1:]][::-1]


ADDRESSES = (0x55D000001234, 0x55D000001310, 0x55D000001410, 0x55D000001508, 0x55D000001604)
NAMED = ["app::leaf(int)", "main", "[svc]", "no_size", "seen_outside"]


@pytest.mark.parametrize("begin", [0, BEGIN], ids=["relocated", "fixed"])
@pytest.mark.parametrize(
    "place", ["svc.debug", f".build-id/{BUILD[:2]}/{BUILD[2:]}.debug", "usr/lib/debug/x/y"]
)
def test_names_come_from_the_file_of_the_build(place: str, begin: int, tmp_path: Path) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(elf(begin=begin))
    files = DebugFiles(tmp_path)
    assert names(files.named(profile_of(*ADDRESSES))) == NAMED
    assert files.problems() == []


def test_another_build_gives_no_name(tmp_path: Path) -> None:
    (tmp_path / "svc.debug").write_bytes(elf())
    other = "11" * 20
    # Not even where it has the name of the other.
    there = tmp_path / f".build-id/{other[:2]}/{other[2:]}.debug"
    there.parent.mkdir(parents=True)
    there.write_bytes(elf())
    files = DebugFiles(tmp_path)
    assert names(files.named(profile_of(*ADDRESSES, build=other))) == ["[svc]"] * 5
    (problem,) = files.problems()
    assert problem.evidence == f"/opt/app/svc (build id {other})"
    assert "very same build" in problem.fix


def test_a_stripped_program_beside_its_debug_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "z-svc").write_bytes(elf(symbols=None))
    (tmp_path / "svc.debug").write_bytes(elf())
    assert names(DebugFiles(tmp_path).named(profile_of(*ADDRESSES))) == NAMED


def test_what_is_no_file_of_symbols_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "head").write_bytes(b"\x7fELF")
    whole = elf()
    for size in range(16, len(whole), 7):
        (tmp_path / f"cut-{size}").write_bytes(whole[:size])
    files = DebugFiles(tmp_path)
    assert names(files.named(profile_of(*ADDRESSES))) == ["[svc]"] * 5
    assert len(files.problems()) == 1


def test_what_is_no_raw_profile_of_ours_stays_as_it_is(tmp_path: Path) -> None:
    data = b"main;leaf 5\n"
    assert DebugFiles(tmp_path).named(data) is data


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no directory"):
        DebugFiles(tmp_path / "nowhere")
