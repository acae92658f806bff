"""One file an output format: a report goes in, bytes come out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from remote_prof.render.folded import render_folded
from remote_prof.render.html import render_html
from remote_prof.render.report import Renderer, Report
from remote_prof.render.speedscope import render_speedscope
from remote_prof.render.svg import render_svg

__all__ = ["RENDERERS", "Renderer", "Report"]

RENDERERS: Mapping[str, Renderer] = MappingProxyType(
    {
        "folded": Renderer("folded", "profile.folded", render_folded),
        "svg": Renderer("svg", "flamegraph.svg", render_svg),
        "html": Renderer("html", "flamegraph.html", render_html),
        "speedscope": Renderer("speedscope", "speedscope.json", render_speedscope),
    }
)
