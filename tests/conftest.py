"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The time that an example takes depends on what else the machine does.
settings.register_profile("remote-prof", deadline=None)
settings.load_profile("remote-prof")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless", action="store_true", help="rewrite expected files with what the code makes now"
    )


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--bless"))
