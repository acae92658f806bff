"""The table of faults is what the tests of the lab declare. ``pytest --bless`` writes it."""

from __future__ import annotations

from pathlib import Path

from tests.lab import faults
from tests.lab.faults.document import MODULES, render_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_table_of_faults_is_what_the_tests_declare(bless: bool) -> None:
    if bless:
        DOCUMENT.write_text(render_document())
    assert DOCUMENT.read_text() == render_document()


def test_every_module_of_faults_is_in_the_table() -> None:
    there = {path.stem for path in Path(faults.__path__[0]).glob("test_*.py")}
    assert there == set(MODULES)
    assert all(f"## {title}\n" in render_document() for title in ("The login", "The sidecar"))
