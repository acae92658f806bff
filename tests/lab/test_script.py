"""A profiler of the user's own, as the documentation has it."""

from __future__ import annotations

import re
from pathlib import Path

from .model import LabHost
from .tool import Stock, Tool, share

DOCS = Path(__file__).parents[2] / "docs" / "engines.md"


def test_the_documented_script_profiles(host: LabHost, tool: Tool, stock: Stock) -> None:
    (script,) = re.findall(
        r"```bash\n(#!/bin/sh\n# remote-prof: .*?)```", DOCS.read_text(), re.DOTALL
    )
    (tool.place / "mine.sh").write_text(script)
    argv = ("run", "-H", host.name, "-C", "nofp", "-d", 3, "-F", 199, "--stacks", "user")
    done = tool(*argv, "--script", "mine.sh")
    assert done.code == 5
    assert "--engine script has no --stacks" in done.err
    done = tool("run", "-H", host.name, "-C", "deep", "-d", 3, "-F", 199, "--script", "mine.sh")
    assert done.code == 0, done.err
    assert done.run.differences() == []
    assert stock.left(host) == []
    assert share(done.run.stacks(), "hot_leaf") > 0.8
    assert done.run.manifest["request"]["script"] == script
    kept = (done.run.target / "script-1.txt").read_text()
    assert kept.startswith("Attaching") or "@[" in kept
    assert done.run.record["target"]["filter"] == "what the script chooses"


def test_one_that_fails_says_why_and_leaves_nothing(
    debian13: LabHost, tool: Tool, stock: Stock
) -> None:
    (tool.place / "mine.sh").write_text("# remote-prof: format=folded\necho no disk >&2; exit 9\n")
    done = tool("run", "-H", debian13.name, "-C", "deep", "-d", 3, "--script", "mine.sh")
    assert done.code == 1
    assert "no disk" in done.err
    assert stock.left(debian13) == []
