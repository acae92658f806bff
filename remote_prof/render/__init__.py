"""One file an output format: a report goes in, bytes come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType

from remote_prof.errors import UsageError
from remote_prof.render.folded import render_folded
from remote_prof.render.gecko import render_gecko
from remote_prof.render.html import render_html
from remote_prof.render.picture import USUAL, Drawing
from remote_prof.render.pprof import render_pprof
from remote_prof.render.report import Renderer, Report
from remote_prof.render.speedscope import render_speedscope
from remote_prof.render.svg import render_svg
from remote_prof.render.top import render_top, render_top_json

__all__ = ["RENDERERS", "Drawing", "Renderer", "Report", "check_formats", "renderers"]


def renderers(drawing: Drawing) -> Mapping[str, Renderer]:
    """Return every renderer by its name; pictures are drawn as is said."""
    return MappingProxyType(
        {
            "folded": Renderer("folded", "profile.folded", render_folded),
            "svg": Renderer("svg", "flamegraph.svg", partial(render_svg, drawing=drawing)),
            "html": Renderer("html", "flamegraph.html", render_html),
            "speedscope": Renderer("speedscope", "speedscope.json", render_speedscope),
            "pprof": Renderer("pprof", "profile.pb.gz", render_pprof),
            "gecko": Renderer("gecko", "profile.gecko.json", render_gecko),
            "top": Renderer("top", "top.txt", render_top),
            "top-json": Renderer("top-json", "top.json", render_top_json),
        }
    )


RENDERERS = renderers(USUAL)


def check_formats(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names if all are known, each once. Raises UsageError."""
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in RENDERERS:
            raise UsageError(
                f"there is no format {name!r}", hint=f"formats are: {', '.join(RENDERERS)}"
            )
    return chosen
