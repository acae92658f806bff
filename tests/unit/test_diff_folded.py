"""Both sides in one text, in and out; and the JSON document of a comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from remote_prof.errors import ParseError
from remote_prof.parse.diff_folded import parse_diff_folded
from remote_prof.profile.diff import compare
from remote_prof.profile.model import Stack
from remote_prof.render.comparison import (
    COMPARISON_RENDERERS,
    comparison_schema,
    render_diff_folded,
    render_diff_json,
)
from remote_prof.render.folded import fold
from tests.unit.test_diff import AFTER, BEFORE, side, stacks

SCHEMA = Path(__file__).parents[2] / "docs" / "comparison.schema.json"
TEXT = b"main;a b 3 5\nmain;new 0 2\n\nmain;old_[k] 7 0\n"


def test_both_columns_are_read() -> None:
    both = parse_diff_folded(TEXT)
    assert fold(both.before) == {"main;a b": 3, "main;old_[k]": 7}
    assert fold(both.after) == {"main;a b": 5, "main;new": 2}
    assert not both.may_be_scaled


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        (b"a 5 10\nb 5 1\n", True),  # 10 and 11: a stack may have lost up to one
        (b"a 5 10\nb 5 2\n", True),
        (b"a 5 10\nb 5 3\n", False),
        (b"a 5 4\nb 5 5\n", False),  # scaling never gives more
        (b"a 0 0\nb 5 5\nc 0 0\n", True),
    ],
)
def test_a_first_column_that_may_be_scaled_is_known(text: bytes, may_be: bool) -> None:
    assert parse_diff_folded(text).may_be_scaled is may_be


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"main 3\n", 1),
        (b"a 1 2\nmain;b 1 x\n", 2),
        (b"a 1 2\n\n1 2\n", 3),
        (b"a 1 -2\n", 1),
        (b"a 1 2.5\n", 1),
        (b"a 1 " + b"9" * 21, 1),
    ],
)
def test_what_is_malformed_is_refused_with_its_line(text: bytes, line: int) -> None:
    with pytest.raises(ParseError, match=f"line {line} is no folded stack with two weights"):
        parse_diff_folded(text)


@given(st.binary(max_size=60) | st.text("a; 12\n\r\x00", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        both = parse_diff_folded(data)
    except ParseError:
        return
    assert both.before.total >= 0
    assert both.after.total >= 0


@given(stacks, stacks)
def test_raw_counts_are_read_again(one: dict[Stack, int], two: dict[Stack, int]) -> None:
    before, after = side(one), side(two)
    text = render_diff_folded(compare(before, after, counts=True))
    both = parse_diff_folded(text)
    assert fold(both.before) == fold(before.profile)
    assert fold(both.after) == fold(after.profile)
    again = compare(side(both.before.stacks), side(both.after.stacks), counts=True)
    assert render_diff_folded(again) == text


@given(stacks, stacks)
def test_what_is_scaled_is_known_to_be(one: dict[Stack, int], two: dict[Stack, int]) -> None:
    text = render_diff_folded(compare(side(one), side(two)))
    assert parse_diff_folded(text).may_be_scaled


def test_scaling_rounds_down_as_the_format_has_it() -> None:
    # 1000 before, 2000 after.
    assert render_diff_folded(compare(side(BEFORE), side(AFTER))) == (
        b"api;fresh 0 200\napi;main;parse 1200 300\napi;main;write 600 1500\napi;old 200 0\n"
    )
    assert render_diff_folded(compare(side(AFTER), side(BEFORE), counts=True)) == (
        b"api;fresh 200 0\napi;main;parse 300 600\napi;main;write 1500 300\napi;old 0 100\n"
    )


def test_the_schema_is_documented(bless: bool) -> None:
    text = json.dumps(comparison_schema(), indent=2) + "\n"
    if bless:
        SCHEMA.write_text(text)
    assert SCHEMA.exists(), f"{SCHEMA} is missing: pytest --bless writes it"
    assert SCHEMA.read_text() == text


@pytest.mark.parametrize("unit", ["samples", "us"])
@pytest.mark.parametrize("counts", [False, True])
def test_the_document_keeps_its_schema(unit: str, counts: bool) -> None:
    before, after = side(BEFORE, unit=unit), side(AFTER, unit=unit)
    document = json.loads(render_diff_json(compare(before, after, counts=counts)))
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    assert set(document) == set(schema["required"])
    assert document["compared"] == ("counts" if counts else "shares")
    assert (document["confidence"] is None) == (unit == "us")
    assert document["movers"][0]["self"]["trend"] == ("grew" if counts else "shrank")
    del document["movers"][0]["total"]["factor"]
    assert not Draft202012Validator(schema).is_valid(document)


@given(stacks, stacks)
def test_any_comparison_is_a_document(one: dict[Stack, int], two: dict[Stack, int]) -> None:
    comparison = compare(side(one), side(two))
    for render in COMPARISON_RENDERERS.values():
        assert render(comparison) == render(comparison)
    document = json.loads(render_diff_json(comparison), parse_constant=pytest.fail)
    assert len(document["movers"]) == len(comparison.movers)
