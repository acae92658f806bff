"""A page as one file, which asks for nothing: what the report, a comparison and a fleet share.

Its content security policy forbids every request, and lets run the one script and the one style
sheet whose digests it names. What its scripts read stands in it as JSON, in which ``<`` is escaped,
so that no name can end the element. Scripts put names on the page as text alone.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from string import Template
from typing import Any

from remote_prof.profile.model import UNKNOWN
from remote_prof.render.picture import printable
from remote_prof.templates import load_text

_LONGEST_NAME = 200  # characters, where scripts are off


def write_file(
    name: str, scripts: Iterable[str], document: Mapping[str, Any], **parts: str
) -> bytes:
    """Fill the page ``templates/<name>``; each of ``parts`` is HTML.

    ``scripts`` are files without their endings, in the order in which they are joined: a script
    uses what stands before it. The style sheet is the one of all pages and the page's own.
    """
    style = load_text("page/page.css") + load_text(name.replace(".html", ".css"))
    script = "".join(load_text(f"{script}.js") for script in scripts)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    data = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    written = Template(load_text(name)).substitute(
        parts, policy=_policy(script, style), style=style, data=data, script=script
    )
    return written.encode()


def _policy(script: str, style: str) -> str:
    allowed = " ".join(
        f"{name}-src 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}';"
        for name, text in (("script", script), ("style", style))
    )
    return f"default-src 'none'; {allowed} base-uri 'none'; form-action 'none'"


def text_of(text: str) -> str:
    """Return a text as it stands in HTML."""
    return escape(printable(text))


def short_name(name: str) -> str:
    """Return a name as it is shown where scripts are off."""
    shown = printable(name) or UNKNOWN
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 2] + ".."


def heads_of(columns: Iterable[str]) -> str:
    """Return the heads of a table's columns."""
    return "".join(f'<th scope="col">{text_of(column)}</th>' for column in columns)


def row_of(cells: Iterable[str]) -> str:
    """Return a row of a table, of cells that are HTML."""
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"
