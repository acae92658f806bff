"""What bpftrace printed, and everything that is drawn of it."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from remote_prof.errors import ParseError
from remote_prof.parse.bpftrace import parse_bpftrace
from remote_prof.parse.bpftrace_keys import Stacks
from remote_prof.parse.pprof import parse_pprof
from remote_prof.profile.folded import parse_folded
from remote_prof.profile.model import Profile
from remote_prof.profile.quality import hints, measure_quality
from remote_prof.profile.summary import top_functions
from remote_prof.render import RENDERERS, Report
from tests.fuzz.harness import RECORDINGS, Harness, read_seeds

_SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "desc", "style", "rect", "text", "g", "title", "script"}
ATTRIBUTES = {
    *("version", "width", "height", "viewBox", "id", "class", "x", "y", "fill", "text-anchor"),
    *("role", "aria-labelledby", "aria-describedby"),
    *("data-shape", "data-top", "data-floor", "data-unit", "data-weights"),
}


def one_input(data: bytes) -> None:
    """Parse, measure, draw; the first byte chooses how."""
    how = data[:1]
    try:
        profile = parse_bpftrace(
            data[1:],
            keep_offsets=how > b"\x7f",
            stacks=tuple(Stacks)[ord(how or b"\0") % len(Stacks)],
        )
    except ParseError:
        return
    check_everything_drawn(profile)


def check_everything_drawn(profile: Profile) -> None:
    """Draw a profile in every format; see that each is sound and holds nothing but ours."""
    quality = measure_quality(profile)
    assert quality.got == profile.total
    hints(profile, quality)
    top_functions(profile)
    report = Report(profile, quality, profile.tool or "t", facts={"tool": profile.tool})
    folded = RENDERERS["folded"].render(report)
    assert parse_folded(folded).total == profile.total
    assert RENDERERS["folded"].render(Report(parse_folded(folded), quality, "")) == folded
    document = json.loads(RENDERERS["speedscope"].render(report))
    assert sum(document["profiles"][0]["weights"]) == profile.total
    check_svg(RENDERERS["svg"].render(report))
    assert parse_pprof(RENDERERS["pprof"].render(report)).total == profile.total
    samples = [t["samples"] for t in json.loads(RENDERERS["gecko"].render(report))["threads"]]
    if all(each["weightType"] == "samples" for each in samples):
        assert sum(sum(each["weight"]) for each in samples) == profile.total
    assert json.loads(RENDERERS["top-json"].render(report))["total"] == profile.total
    RENDERERS["top"].render(report)


def check_svg(data: bytes) -> None:
    """See that a picture is XML, and has no element and no attribute but ours."""
    scripts = 0
    for element in ET.fromstring(data).iter():
        assert isinstance(element.tag, str), element
        assert element.tag.removeprefix(_SVG) in ELEMENTS, element.tag
        assert set(element.keys()) <= ATTRIBUTES, element.keys()
        scripts += element.tag == f"{_SVG}script"
    assert scripts == 1


HARNESS = Harness(
    "bpftrace",
    one_input,
    (
        *(b"\0" + seed for seed in read_seeds(RECORDINGS, "*.txt")),
        b"\1@@ sampling\n@samples: 3\n@stacks_a[7, a;b\n</script>, \n    k+1\n, \n    f+2\n]: 3\n",
        b"\x82Attaching 2 probes...\n@[\n\t7f8b535fd1f5 f+17 (/usr/lib/x (deleted))\n]: 5\n",
    ),
)
