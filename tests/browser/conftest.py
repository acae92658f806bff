"""The report in a browser: headless Chromium, driven by Playwright.

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
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from remote_prof.render import RENDERERS, Report

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


class Reports:
    """Opens reports as a person does: from a file."""

    def __init__(self, browser: Browser, where: Path) -> None:
        self._browser = browser
        self._where = where
        self._contexts: list[BrowserContext] = []
        self.told: list[str] = []  # what no page should do

    def write(self, report: Report, name: str = "flamegraph") -> str:
        """Render a report and return the address of its file."""
        path = self._where / f"{name}.html"
        path.write_bytes(RENDERERS["html"].render(report))
        return path.as_uri()

    def open(self, report: Report | str, fragment: str = "", **options: Any) -> Page:
        """Open a report, or an address, in a page of its own."""
        address = report if isinstance(report, str) else self.write(report)
        options.setdefault("viewport", {"width": 1200, "height": 800})
        context = self._browser.new_context(**options)
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.told.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.told.append(f"dialog: {dialog.message}"))
        file = address.partition("#")[0]
        page.on("request", lambda request: self._note_request(request.url, file))
        page.goto(address + fragment)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.told.append(f"{message.type}: {message.text}")

    def _note_request(self, url: str, file: str) -> None:
        if url.partition("#")[0] != file and not url.startswith("blob:file:"):
            self.told.append(f"request: {url}")


@pytest.fixture
def reports(browser: Browser, tmp_path: Path) -> Iterator[Reports]:
    """Give what opens reports; afterwards, none has had an error or asked for anything."""
    opened = Reports(browser, tmp_path)
    yield opened
    opened.close()
    assert opened.told == []


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
