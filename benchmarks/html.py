"""What the HTML report costs for a large profile: to write, to open, to zoom.

    python -m benchmarks.html [--profile FILE]

Without a file, the profile has 100,000 distinct stacks of 8 to 60 frames that share their
beginnings, as those of a busy service do. The page is opened in headless Chromium. A zoom is timed
inside the page, from the click until what it changed is painted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks.render import write_profile
from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.profile.quality import measure_quality
from remote_prof.render import RENDERERS, Report

STACKS = 100_000
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]
ROW_PX = 18
ZOOMS = 15
WANTED_WRITE_S = 3
WANTED_ZOOM_MS = 100

# When a canvas was drawn on last.
_WATCH_DRAWING = """
const fill = CanvasRenderingContext2D.prototype.fillRect;
CanvasRenderingContext2D.prototype.fillRect = function (...box) {
  window.drawnAt = performance.now();
  return fill.apply(this, box);
};
"""
_ZOOM = """async ([x, y]) => {
  const canvas = document.querySelector("#graph canvas");
  const box = canvas.getBoundingClientRect();
  const at = { clientX: box.left + x, clientY: box.bottom - y, button: 0, bubbles: true };
  canvas.setPointerCapture = () => {}; // there is no real pointer
  const begun = performance.now();
  canvas.dispatchEvent(new PointerEvent("pointerdown", at));
  canvas.dispatchEvent(new PointerEvent("pointerup", at));
  await new Promise((painted) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = painted;
    channel.port2.postMessage(0);
  }));
  return performance.now() - begun;
}"""


def measure_page(path: Path) -> None:
    """Open the page, zoom, and print what that took."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.add_init_script(_WATCH_DRAWING)
        page.goto(path.as_uri())
        while not page.evaluate("() => performance.now() - window.drawnAt > 300"):
            page.wait_for_timeout(50)
        print(f"navigation to first drawing: {page.evaluate('window.drawnAt'):.0f} ms")
        times = [_zoom(page, number) for number in range(ZOOMS)]
        print(
            f"zoom by a click, to what is painted: median {statistics.median(times):.0f} ms,"
            f" max {max(times):.0f}  wanted under {WANTED_ZOOM_MS}"
        )
        print(f"memory of the page: {_memory_mb(browser.new_browser_cdp_session()):.0f} MB")
        browser.close()


def _zoom(page: Page, number: int) -> float:
    if number % 5 == 0:
        page.keyboard.press("0")
        page.wait_for_timeout(100)
    share = (0.37 * number) % 1
    taken: float = page.evaluate(_ZOOM, [10 + share * 900, ROW_PX * (1.5 + number % 5)])
    return taken


def _memory_mb(session: CDPSession) -> float:
    found: dict[str, Any] = session.send("SystemInfo.getProcessInfo")
    sizes = [
        _resident_kb(each["id"]) for each in found["processInfo"] if each["type"] == "renderer"
    ]
    return max(sizes) / 1000


def _resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--profile", type=Path, help="what bpftrace printed, instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="remote-prof-") as scratch:
        text = given.profile or Path(scratch) / "profile.txt"
        if not given.profile:
            write_profile(text, STACKS)
        profile = parse_bpftrace(text.read_bytes())
    report = Report(profile, measure_quality(profile), "benchmark")
    frames = sum(map(len, profile.weights))
    print(f"{len(profile.weights):,} stacks of {frames / len(profile.weights):.0f} frames")
    begun = time.process_time()
    data = RENDERERS["html"].render(report)
    taken = time.process_time() - begun
    print(
        f"written in {taken:.1f} s of CPU  wanted under {WANTED_WRITE_S}; {len(data) / 1e6:.1f} MB"
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "flamegraph.html"
        path.write_bytes(data)
        measure_page(path)


if __name__ == "__main__":
    main()
