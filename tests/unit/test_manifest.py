"""``run.json``: what is written is read again, and its schema is documented."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_prof.errors import UsageError
from remote_prof.run.directory import RunDirectory
from remote_prof.run.manifest import (
    MANIFEST_VERSION,
    HostRecord,
    Manifest,
    RequestRecord,
    SidecarRecord,
    Status,
    dump_manifest,
    manifest_schema,
    parse_manifest,
)

SCHEMA = Path(__file__).parents[2] / "docs" / "run.schema.json"
SOURCE = Path("results/one/run.json")
REQUEST = RequestRecord(
    ("prod-3",), "api", "container", "bpftrace", 10.0, 99, "both", "img", False, "auto", ("svg",)
)
MANIFEST = Manifest(
    MANIFEST_VERSION,
    "one",
    "0.1",
    ("remote-prof", "run"),
    "2026-01-31T23:59:59+00:00",
    "",
    REQUEST,
    (HostRecord("prod-3", "10.0.0.3", Status.UNREACHABLE, error="no\nroute é"),),
)


def test_what_is_written_is_read_again() -> None:
    data = dump_manifest(MANIFEST)
    assert parse_manifest(data, SOURCE) == MANIFEST
    assert data.endswith(b"}\n")
    assert json.loads(data)["hosts"][0]["status"] == "unreachable"


def test_a_document_of_version_1_is_read() -> None:
    sidecar = SidecarRecord("bpftrace", "img", "id", (), "SYS_ADMIN", (), "engine", 0, "v0.23")
    manifest = replace(MANIFEST, hosts=(replace(MANIFEST.hosts[0], sidecars=(sidecar,)),))
    document = json.loads(dump_manifest(manifest))
    (host,) = document["hosts"]
    (old,) = host.pop("sidecars")
    for name in ("engine", "pid_namespace", "profile", "errors"):
        del old[name]
    document |= {"version": 1, "hosts": [host | {"sidecar": old}, host | {"sidecar": None}]}
    read = parse_manifest(json.dumps(document).encode(), SOURCE)
    assert read.version == MANIFEST_VERSION
    assert [h.sidecars for h in read.hosts] == [(sidecar,), ()]


@given(st.text(), st.lists(st.text()), st.none() | st.floats(0, 1e9), st.booleans())
def test_any_text_and_number_is_read_again(
    text: str, texts: list[str], number: float | None, flag: bool
) -> None:
    host = replace(MANIFEST.hosts[0], name=text, cpu_time_s=number, left_behind=tuple(texts))
    request = replace(REQUEST, target=text, hosts=tuple(texts), offsets=flag)
    manifest = replace(MANIFEST, command=tuple(texts), request=request, hosts=(host, host))
    assert parse_manifest(dump_manifest(manifest), SOURCE) == manifest


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is not the manifest of a run"),
        (b"{", "is not the manifest of a run"),
        (b"[]", "is not the manifest of a run"),
        (b"\xff", "is not the manifest of a run"),
        (b'{"version": 1}', "is not the manifest of a run"),
        (b"{}", "is of version None, not 2"),
        (b'{"version": 3}', "is of version 3, not 2"),
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(UsageError, match=f"{SOURCE} {what}"):
        parse_manifest(data, SOURCE)


def test_a_member_of_a_wrong_type_is_refused() -> None:
    document = json.loads(dump_manifest(MANIFEST))
    document["hosts"][0]["status"] = "fine"
    with pytest.raises(UsageError, match="is not the manifest"):
        parse_manifest(json.dumps(document).encode(), SOURCE)


def test_a_run_is_called_as_its_directory_is(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path, "renamed")
    directory.write_manifest(MANIFEST)
    assert directory.load_manifest().run_id == "renamed"


def test_the_schema_is_documented(bless: bool) -> None:
    text = json.dumps(manifest_schema(), indent=2) + "\n"
    if bless:
        SCHEMA.parent.mkdir(exist_ok=True)
        SCHEMA.write_text(text)
    assert SCHEMA.exists(), f"{SCHEMA} is missing: pytest --bless writes it"
    assert SCHEMA.read_text() == text


def test_the_schema_says_what_must_be_there() -> None:
    schema = manifest_schema()
    # What came later than the first of this version may be missing.
    assert {*schema["required"], "fleet"} == set(json.loads(dump_manifest(MANIFEST)))
    assert schema["$defs"]["Status"]["enum"] == [status.value for status in Status]
