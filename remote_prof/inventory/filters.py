"""The filters of Ansible that templates in inventories use, besides those that Jinja has."""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any


class NotSupportedError(Exception):
    """A template wants what is not evaluated here; its text says what."""


def _ternary(value: object, yes: object, no: object, none: object = None) -> object:
    if value is None and none is not None:
        return none
    return yes if value else no


def _regex_flags(*, ignorecase: bool, multiline: bool) -> re.RegexFlag:
    return (re.IGNORECASE if ignorecase else re.NOFLAG) | (re.MULTILINE if multiline else re.NOFLAG)


def _regex_replace(
    value: object,
    pattern: str = "",
    replacement: str = "",
    *,
    ignorecase: bool = False,
    multiline: bool = False,
    count: int = 0,
) -> str:
    flags = _regex_flags(ignorecase=ignorecase, multiline=multiline)
    return re.sub(pattern, replacement, str(value), count=count, flags=flags)


def _regex_search(
    value: object,
    pattern: str,
    *groups: str,
    ignorecase: bool = False,
    multiline: bool = False,
) -> object:
    flags = _regex_flags(ignorecase=ignorecase, multiline=multiline)
    match = re.search(pattern, str(value), flags)
    if match is None:
        return None
    if not groups:
        return match.group()
    found = []
    for group in groups:
        name = group.removeprefix("\\g<").removesuffix(">").removeprefix("\\")
        found.append(match.group(int(name) if name.isdigit() else name))
    return found


def _regex_findall(
    value: object, pattern: str, *, ignorecase: bool = False, multiline: bool = False
) -> list[Any]:
    flags = _regex_flags(ignorecase=ignorecase, multiline=multiline)
    return re.findall(pattern, str(value), flags)


def _regex_escape(value: object) -> str:
    return re.escape(str(value))


def _bool(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    return str(value).lower() in ("yes", "on", "1", "true", "t", "y", "1.0")


def _mandatory(value: Any, message: str | None = None) -> Any:
    from jinja2 import Undefined, UndefinedError

    if isinstance(value, Undefined):
        raise UndefinedError(message or "a mandatory variable is not defined")
    return value


def _from_json(text: str) -> Any:
    return json.loads(text)


def _to_json(value: object) -> str:
    return json.dumps(value)


def _from_yaml(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def _combine(*mappings: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for mapping in mappings:
        merged |= mapping
    return merged


def _b64decode(text: str) -> str:
    return base64.b64decode(text).decode()


def _b64encode(text: str) -> str:
    return base64.b64encode(str(text).encode()).decode()


def _basename(path: str) -> str:
    return posixpath.basename(path)


def _dirname(path: str) -> str:
    return posixpath.dirname(path)


def _split(text: str, separator: str | None = None) -> list[str]:
    return text.split(separator)


_PLAIN: dict[str, Callable[..., Any]] = {
    "b64decode": _b64decode,
    "b64encode": _b64encode,
    "basename": _basename,
    "bool": _bool,
    "combine": _combine,
    "dirname": _dirname,
    "from_json": _from_json,
    "from_yaml": _from_yaml,
    "mandatory": _mandatory,
    "regex_escape": _regex_escape,
    "regex_findall": _regex_findall,
    "regex_replace": _regex_replace,
    "regex_search": _regex_search,
    "split": _split,
    "ternary": _ternary,
    "to_json": _to_json,
}

FILTERS: Mapping[str, Callable[..., Any]] = _PLAIN | {
    f"ansible.builtin.{name}": filter_ for name, filter_ in _PLAIN.items()
}
"""By name, with and without the collection that they are in."""
