"""The harnesses of ``make fuzz`` without atheris: their seeds, mutations of them, any bytes."""

from __future__ import annotations

import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import NAMES
from tests.fuzz.harness import TESTS, Harness

# What parsers trip over: numbers without end, wrong types, marks of their own grammar, text that
# is none.
SPLINTERS = (
    *(b"9" * 5000, b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'"\\ud800"', b"[" * 2000),
    *(b"\0", b"\x1b]0;x\x07", b"\xff\xfe", "\u202e\u2028\x85".encode(), "²".encode(), b"\r\n"),
    *(b"@@", b"@@end\n", b"@@progress ", b"@[\n", b"]: ", b"]: 3\n", b"\n, ", b";", b" ", b"\n"),
    *(b"</script><script>", b"]]>", b"&", b"../", b"/etc/passwd", b"$(id)", b"'", b"#end\n"),
)


def load(name: str) -> Harness:
    made = importlib.import_module(f"tests.fuzz.fuzz_{name}").HARNESS
    assert isinstance(made, Harness)
    return made


HARNESSES = {name: load(name) for name in NAMES}


def test_every_harness_is_named() -> None:
    assert {path.stem for path in (TESTS / "fuzz").glob("fuzz_*.py")} == {
        f"fuzz_{name}" for name in NAMES
    }
    assert {name: harness.name for name, harness in HARNESSES.items()} == {n: n for n in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_find_nothing(name: str) -> None:
    assert HARNESSES[name].seeds
    for seed in HARNESSES[name].seeds:
        HARNESSES[name].one_input(seed)


@st.composite
def mutations(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Take a seed and do to it, a few times, what damages a grammar."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        one, other = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        piece = data[one : min(other, one + 2000)]
        data = draw(
            st.sampled_from(
                (
                    data[:one] + data[other:],
                    data[:other] + piece + data[other:],
                    data[:one] + draw(st.sampled_from(SPLINTERS)) + data[one:],
                    data[:one] + draw(st.sampled_from(SPLINTERS)) + data[min(other, one + 20) :],
                    data[:one] + draw(st.binary(max_size=8)) + data[one:],
                    data[:other],
                )
            )
        )
    return data


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_mutations_find_nothing(name: str, data: st.DataObject) -> None:
    HARNESSES[name].one_input(data.draw(mutations(HARNESSES[name].seeds)))


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(data=st.binary(max_size=2000))
def test_any_bytes_find_nothing(name: str, data: bytes) -> None:
    HARNESSES[name].one_input(data)
