"""Fixtures of the matrix of faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.model import Lab, LabHost
from tests.lab.tool import Stock, Tool

from .bench import Bench


@pytest.fixture
def bench(lab: Lab, debian13: LabHost, tool: Tool) -> Iterator[Bench]:
    """Give a bench on the current generation of hosts."""
    # Taken for each row: what one leaves is not held against the next.
    stock = Stock()
    stock.take(debian13)
    made = Bench(lab, debian13, tool, stock)
    yield made
    made.tidy()
    made.clear_away()
