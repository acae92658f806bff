"""What is drawn, in a browser: headless Chromium, driven by Playwright.

Playwright waits for what it is told to look at, sees every request and every message of the page,
and drives the distribution's own Chromium, so nothing but a Python package and a Debian package is
needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, sync_playwright

from .pages import Pages, Reports

CHROMIUM = Path("/usr/bin/chromium")
INSTALL_TIMEOUT_S = 900
# As root there is no sandbox, and a container's /dev/shm is small.
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Give the browser, installed from Debian where it is missing.

    Where that cannot be done the tests are skipped with the reason; with CI=true they fail.
    """
    if not CHROMIUM.exists():
        _install()
    return CHROMIUM


# Playwright keeps an event loop in this thread while it runs: not longer than a module's tests.
@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """Give a running browser."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=str(chromium), args=list(ARGUMENTS))


@pytest.fixture
def pages(browser: Browser, tmp_path: Path) -> Iterator[Pages]:
    """Give what opens files; afterwards, none has had an error or asked for anything."""
    opened = Pages(browser, tmp_path)
    yield opened
    opened.close()
    assert opened.told == []


@pytest.fixture
def reports(pages: Pages) -> Reports:
    """Give what opens reports."""
    return Reports(pages)


def _install() -> None:
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        give_up(f"{CHROMIUM} is missing, and is installed only as root on Debian")
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        argv = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        if done.returncode:
            give_up(f"{' '.join(argv)}: {done.stderr.strip()[-300:]}")


def give_up(reason: str) -> NoReturn:
    """Say what is missing: a skipped test on somebody's machine, a failed one with CI=true."""
    text = f"the browser cannot be had: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
