"""What each setting may be; pydantic is imported when there is something to check."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from remote_prof.durations import parse_duration
from remote_prof.errors import UsageError
from remote_prof.settings.model import NAMES, Setting, Settings

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_SIZE = re.compile(r"[0-9]{1,15}(\.[0-9]{1,3})? ?([kmgt]i?b?|b)?", re.ASCII | re.IGNORECASE)
_DURATION = "a length of time such as 30, 30s, 2m or 1h30m"
EXPECTED = {
    "inventory": "the path of an inventory, hosts as host1,host2, or a list of these",
    "image": "the name of an image, such as 'site/bpftrace:1.0'",
    "image_policy": "'never', 'missing' or 'push'",
    "duration": _DURATION,
    "frequency": "a whole number of samples a second, from 1 to 10000",
    "engine": (
        "'auto', 'bpftrace', 'perf', 'pyspy', 'austin', 'node', 'java', 'gopprof' or 'script'"
    ),
    "event": "the name of an event, such as 'cpu' or 'offcpu'",
    "native": "'true' or 'false'",
    "call_graph": "'fp', 'dwarf' or 'lbr'",
    "stacks": "'user', 'kernel' or 'both'",
    "scope": "'container' or 'process'",
    "runner": "'auto', 'compose' or 'engine'",
    "results": "the path of a directory",
    "formats": "a list of names, such as 'folded,svg'",
    "connect_timeout": _DURATION,
    "host_key_checking": "'yes', 'accept-new' or 'no'",
    "user": "the name of a user",
    "port": "a whole number from 1 to 65535",
    "identity": "the path of a private key",
    "privileged": "'true' or 'false'",
    "keyring": "'true' or 'false'",
    "max_artifact_size": "a size of at least 1MiB, such as 500MB or 1GiB",
    "forks": "a whole number from 1 to 1000",
    "executor": "'threads', or the address of a Dask scheduler: dask://host:8786",
    "serial": "a number of hosts, a percentage, or several of these, such as '1,10,30%'",
    "max_fail_percentage": "a number from 0 to 100",
    "any_errors_fatal": "'true' or 'false'",
    "timeout": _DURATION,
    "deadline": _DURATION,
    "connect_rate": "a number of hosts a second, such as 5 or 0.5",
    "retries": "a whole number from 0 to 100",
    "sidecars_per_host": "a whole number from 1 to 100",
    "order": "'inventory', 'reverse_inventory', 'sorted', 'reverse_sorted' or 'shuffle'",
}


def checked(given: Setting) -> Any:
    """Return the value of a setting as its field has it. Raises UsageError, with its place."""
    from pydantic import ValidationError

    try:
        return _adapter(given.name).validate_python(given.value)
    except (ValidationError, UsageError):
        value = str(given.value) if isinstance(given.value, Path) else given.value
        raise UsageError(
            f"{given.source}: {given.name} should be {EXPECTED[given.name]}, not {value!r}"
        ) from None


def _adapter(name: str) -> TypeAdapter[Any]:
    from typing import Annotated, get_type_hints

    from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, TypeAdapter

    path = Annotated[Path, BeforeValidator(_location)]
    narrower: dict[str, Any] = {
        "inventory": Annotated[
            tuple[Annotated[str, BeforeValidator(_location)], ...], BeforeValidator(_several)
        ],
        "image": Annotated[str, AfterValidator(_word)],
        "event": Annotated[str, AfterValidator(_word)],
        "user": Annotated[str, AfterValidator(_word)],
        "duration": Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)],
        "connect_timeout": Annotated[
            float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)
        ],
        "frequency": Annotated[int, BeforeValidator(_not_bool), Field(ge=1, le=10_000)],
        "port": Annotated[int, BeforeValidator(_not_bool), Field(ge=1, le=65_535)],
        "host_key_checking": Annotated[
            Literal["yes", "accept-new", "no"], BeforeValidator(_yes_or_no)
        ],
        "formats": Annotated[
            tuple[Annotated[str, AfterValidator(_word)], ...],
            BeforeValidator(_listed),
            Field(min_length=1),
        ],
        "forks": Annotated[int, BeforeValidator(_not_bool), Field(ge=1, le=1000)],
        "executor": Annotated[str, AfterValidator(_executor)],
        "serial": Annotated[
            tuple[Annotated[str, AfterValidator(_number_of_hosts)], ...],
            BeforeValidator(_numbers),
            Field(min_length=1),
        ],
        "max_fail_percentage": Annotated[
            float, BeforeValidator(_percentage), Field(ge=0, le=100, allow_inf_nan=False)
        ],
        "timeout": Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)],
        "deadline": Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)],
        "connect_rate": Annotated[
            float, BeforeValidator(_not_bool), Field(gt=0, allow_inf_nan=False)
        ],
        "retries": Annotated[int, BeforeValidator(_not_bool), Field(ge=0, le=100)],
        "sidecars_per_host": Annotated[int, BeforeValidator(_not_bool), Field(ge=1, le=100)],
        "results": path,
        "identity": path,
        "max_artifact_size": Annotated[
            ByteSize, BeforeValidator(_size), Field(ge=1 << 20, le=1 << 50)
        ],
    }
    return TypeAdapter(narrower.get(name, get_type_hints(Settings)[NAMES[name]]))


def expanded(path: str) -> str:
    """Return a path with its ``~`` resolved, where there is such a user."""
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        # There is no such user; whoever opens the path says so.
        return path


def _word(value: str) -> str:
    if not value or value.startswith("-") or not value.isprintable() or " " in value:
        raise ValueError
    return value


def _location(value: object) -> object:
    text = str(value) if isinstance(value, Path) else value
    if text == "" or (isinstance(text, str) and "\0" in text):
        raise ValueError
    return expanded(text) if isinstance(text, str) else text


def _several(value: object) -> object:
    return (value,) if isinstance(value, str | Path) else value


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else _not_bool(value)


def _size(value: object) -> object:
    # pydantic reads the beginning of a text and leaves the rest.
    if isinstance(value, str) and not _SIZE.fullmatch(value):
        raise ValueError
    return _not_bool(value)


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - pydantic takes ValueError for "not valid"
    return value


def _yes_or_no(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    words = {"true": "yes", "1": "yes", "on": "yes", "false": "no", "0": "no", "off": "no"}
    return words.get(value.lower(), value.lower()) if isinstance(value, str) else value


def _percentage(value: object) -> object:
    return value.removesuffix("%") if isinstance(value, str) else _not_bool(value)


def _numbers(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return (str(value),)
    if isinstance(value, list):
        return tuple(str(each) for each in value)
    return _listed(value)


def _executor(value: str) -> str:
    if not re.fullmatch(r"threads|dask(\+tls)?://[^\s/]+", value):
        raise ValueError
    return value


def _number_of_hosts(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,6}%?", value):
        raise ValueError
    return value


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value
