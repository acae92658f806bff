"""Templates and data files, and one Jinja environment per language.

Quoting is done by construction: every ``{{ value }}`` passes the language's ``finalize``, so that
a template cannot forget it. Text that is already of the language is marked with ``Verbatim``.

- ``sh``: ``shlex.quote``
- ``compose`` (YAML): a JSON string, with ``$`` doubled for compose's own substitution
- ``Dockerfile``: ``shlex.quote``, too
- ``bpftrace``: integers and checked identifiers; anything else is refused
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Verbatim(str):
    """Text that is already of the template's language: it is inserted as it is."""

    __slots__ = ()


@cache
def data_path(relative: str) -> Path:
    """Return the path of a data file: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    installed = package / "data" / relative
    return installed if installed.exists() else package.parent / relative


def load_text(relative: str) -> str:
    """Return a file below ``templates/`` as text."""
    return (data_path("templates") / relative).read_text(encoding="utf-8")


def render(template: str, **values: object) -> str:
    """Render ``templates/<template>`` for the language that its name tells.

    The language is the suffix before ``.j2`` (``launcher/launcher.sh.j2`` is ``sh``). An undefined
    name is an error.
    """
    return _environment(_language(template)).get_template(template).render(**values)


def preload() -> None:
    """Import the template engine and compile all templates: a tenth of a second, done early."""
    root = data_path("templates")
    for path in root.rglob("*.j2"):
        name = path.relative_to(root).as_posix()
        _environment(_language(name)).get_template(name)


def _language(template: str) -> str:
    return Path(template.removesuffix(".j2")).name.rpartition(".")[2]


@cache
def _environment(language: str) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined

    quote = _FINALIZE[language]

    def finalize(value: object) -> str:
        # Taking the text of what is undefined raises, and names it.
        return quote(str(value) if isinstance(value, Undefined) else value)

    environment = Environment(
        loader=FileSystemLoader(data_path("templates")),
        undefined=StrictUndefined,
        finalize=finalize,
        autoescape=False,  # noqa: S701  finalize quotes: none of these languages is HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["block"] = _yaml_block
    environment.filters["verbatim"] = Verbatim
    return environment


def quote_sh(value: object) -> str:
    """One word of a POSIX shell command."""
    return value if isinstance(value, Verbatim) else shlex.quote(_plain(value))


def quote_compose(value: object) -> str:
    """One YAML scalar of a compose file: a JSON string, ``$`` doubled."""
    if isinstance(value, Verbatim):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = "".join(map(_json_character, _plain(value)))
    return f'"{text}"'.replace("$", "$$")


def _json_character(c: str) -> str:
    # YAML knows no surrogate pairs, and takes no bare DEL.
    if ord(c) > 0xFFFF:
        return c
    return "\\u007f" if c == "\x7f" else json.dumps(c)[1:-1]


def quote_bpftrace(value: object) -> str:
    """Return an integer or an identifier; refuse everything else.

    Raises ValueError.
    """
    if isinstance(value, Verbatim):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and _IDENTIFIER.match(value):
        return value
    raise ValueError(f"not an integer or identifier: {value!r}")


def _yaml_block(text: str, indent: int) -> Verbatim:
    """Return text as the body of a YAML ``|`` block scalar inside a compose file."""
    pad = " " * indent
    lines = text.replace("$", "$$").rstrip("\n").split("\n")
    return Verbatim("\n".join(pad + line if line else "" for line in lines).lstrip(" "))


def _plain(value: object) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"a template was given a {type(value).__name__} to quote")


_FINALIZE: dict[str, Callable[[object], str]] = {
    "sh": quote_sh,
    "yml": quote_compose,
    "bt": quote_bpftrace,
    "Dockerfile": quote_sh,
}
