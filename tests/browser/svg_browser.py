"""Headless Chromium for the pictures, driven by Playwright.

Playwright sees every request and every message of a page, and drives the distribution's own
Chromium, so nothing but a Python package and a Debian package is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = Path("/usr/bin/chromium")
INSTALL_TIMEOUT_S = 900
# As root there is no sandbox, and a container's /dev/shm is small.
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


class Pictures:
    """Opens SVG files as a person does: from a file, alone in a window."""

    def __init__(self, browser: Browser, where: Path) -> None:
        self._browser = browser
        self._where = where
        self._contexts: list[BrowserContext] = []
        self.told: list[str] = []  # what no picture should do

    def open(self, picture: bytes, **options: Any) -> Page:
        """Open a picture in a page of its own; ``options`` are those of a browser's context."""
        path = self._where / "flamegraph.svg"
        path.write_bytes(picture)
        options.setdefault("viewport", {"width": 1200, "height": 800})
        context = self._browser.new_context(**options)
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.told.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.told.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.told.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._note_request(request.url, path.as_uri()))
        page.goto(path.as_uri())
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _note_request(self, url: str, address: str) -> None:
        if url != address:
            self.told.append(f"request: {url}")


def have_chromium() -> Path:
    """Return the browser, installed from Debian where it is missing.

    Where that cannot be done the test is skipped with the reason; with CI=true it fails.
    """
    if not CHROMIUM.exists():
        _install()
    return CHROMIUM


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
