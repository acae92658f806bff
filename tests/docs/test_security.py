"""What docs/security.md states is what the code has: limits, and tests of the names it gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remote_prof import console
from remote_prof.inventory.names import MAX_EXPANDED
from remote_prof.parse import pprof
from remote_prof.profile import limits
from remote_prof.render import picture
from remote_prof.settings import Settings
from remote_prof.transport import channel

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
PROOFS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))


def test_there_are_proofs() -> None:
    assert len(PROOFS) > 15


@pytest.mark.parametrize(("file", "name"), PROOFS, ids=["::".join(proof) for proof in PROOFS])
def test_a_proof_is_there(file: str, name: str) -> None:
    source = (ROOT / file).read_text()
    assert f"def {name}(" in source if name else "def " in source


def test_limits_are_those_of_the_code() -> None:
    table = TEXT.partition("## Limits")[2].partition("Beyond them")[0]
    told = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", table)]
    assert told == [
        Settings().max_artifact_bytes >> 20,
        limits.MOST_UNPACKED_BYTES >> 20,
        channel._LONGEST_LINE_BYTES >> 20,
        channel._LARGEST_OUTPUT_BYTES >> 20,
        limits.MOST_STACKS,
        limits.LONGEST_STACK,
        limits.MOST_FRAMES,
        limits.MOST_LINES,
        pprof.MOST_BYTES >> 20,
        picture.MOST_FRAMES,
        picture.LONGEST_NAME,
        console._LONGEST,
        MAX_EXPANDED,
    ]
    assert limits.MOST_NAMES == limits.MOST_STACKS
