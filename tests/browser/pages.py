"""Opens what was drawn as a person does: from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from remote_prof.render import RENDERERS, Report


class Pages:
    """Opens files, and notes in ``told`` what no page of ours should do."""

    def __init__(self, browser: Browser, where: Path) -> None:
        self._browser = browser
        self._where = where
        self._contexts: list[BrowserContext] = []
        self.told: list[str] = []

    def write(self, name: str, content: bytes) -> str:
        """Write a file and return its address."""
        path = self._where / name
        path.write_bytes(content)
        return path.as_uri()

    def open(self, address: str, **options: Any) -> Page:
        """Open an address in a page of its own; ``options`` are those of a browser's context."""
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
        page.goto(address)
        return page

    def open_picture(self, picture: bytes, **options: Any) -> Page:
        """Open an SVG file, alone in a window."""
        return self.open(self.write("flamegraph.svg", picture), **options)

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.told.append(f"{message.type}: {message.text}")

    def _note_request(self, url: str, file: str) -> None:
        # What a page hands out for downloading is a blob of its own.
        if url.partition("#")[0] != file and not url.startswith("blob:file:"):
            self.told.append(f"request: {url}")


class Reports:
    """Opens HTML reports."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    @property
    def told(self) -> list[str]:
        """What no page should do."""
        return self._pages.told

    def write(self, report: Report, name: str = "flamegraph") -> str:
        """Render a report and return the address of its file."""
        return self._pages.write(f"{name}.html", RENDERERS["html"].render(report))

    def open(self, report: Report | str, fragment: str = "", **options: Any) -> Page:
        """Open a report, or an address, in a page of its own."""
        address = report if isinstance(report, str) else self.write(report)
        return self._pages.open(address + fragment, **options)
