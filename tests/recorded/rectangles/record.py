"""Write what flamegraph.pl draws of each recording: see README.md beside this file.

python tests/recorded/rectangles/record.py PATH/TO/flamegraph.pl
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
SVG = "{http://www.w3.org/2000/svg}"
FRAME_PX = 16
BOTTOM_PX = 34  # below the lowest frame


def rectangles(picture: bytes) -> list[str]:
    """List level, x, width and name of each frame, level by level, from left to right."""
    root = ET.fromstring(picture)
    lowest = float(root.get("height", "nan")) - BOTTOM_PX - FRAME_PX + 1
    found = []
    for group in root.iterfind(f"{SVG}g/{SVG}g"):
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        name = group.findtext(f"{SVG}title", "").rpartition(" (")[0]
        x, width = rect.get("x", ""), rect.get("width", "")
        level = (lowest - float(rect.get("y", "nan"))) / FRAME_PX
        found.append((level, float(x), f"{level:g}\t{x}\t{width}\t{name}"))
    return [line for _, _, line in sorted(found)]


def main(flamegraph: str) -> None:
    for folded in sorted((HERE.parent / "data").glob("*.folded")):
        if folded.stat().st_size:
            done = subprocess.run([flamegraph, str(folded)], stdout=subprocess.PIPE, check=True)
            lines = rectangles(done.stdout)
            (HERE / f"{folded.stem}.tsv").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main(sys.argv[1])
