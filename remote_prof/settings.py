"""Settings: defaults < user file < project file < environment < flags.

The user file is ``remote-prof.toml`` in the directory that the platform has for settings
(``~/.config/remote-prof/`` on Linux); the project file is the nearest ``remote-prof.toml`` in the
current directory or above. The nearer file wins, as with git and ruff: a project knows its hosts
better than its user does. ``REMOTE_PROF_IMAGE`` and its like win over both, and flags over all.

Relative paths in a file start at that file; those of the environment and of flags start at the
current directory. An empty environment variable counts as not set.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from remote_prof.durations import parse_duration
from remote_prof.errors import UsageError
from remote_prof.records import Problem, Severity

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FILE_NAME = "remote-prof.toml"
ENVIRONMENT_PREFIX = "REMOTE_PROF_"

SECRET_VARIABLES: Mapping[str, str] = {
    "connection": "REMOTE_PROF_CONNECTION_PASSWORD",
    "key-passphrase": "REMOTE_PROF_KEY_PASSPHRASE",
    "become": "REMOTE_PROF_BECOME_PASSWORD",
}
"""Kind of a secret to the variable that may hold it; they are handed on to no process."""

OTHER_VARIABLES = (*SECRET_VARIABLES.values(), "REMOTE_PROF_COMPLETE", "REMOTE_PROF_LAB_*")
"""Environment variables that are no settings: secrets, completion, and the test laboratory."""

_OTHER = re.compile(rf"({'|'.join(SECRET_VARIABLES.values())}|REMOTE_PROF_(COMPLETE|LAB_\w+))\Z")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run needs to know besides its target; the defaults are those of the program."""

    inventory: str | None = None
    image: str = "quay.io/iovisor/bpftrace:v0.23.2"
    duration_s: float = 10.0
    frequency_hz: int = 99
    stacks: Literal["user", "kernel", "both"] = "both"
    scope: Literal["container", "process"] = "container"
    runner: Literal["auto", "compose", "engine"] = "auto"
    results: Path = Path("results")
    formats: tuple[str, ...] = ("folded", "svg", "speedscope")
    connect_timeout_s: float = 10.0
    host_key_checking: Literal["yes", "accept-new", "no"] = "yes"
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    privileged: bool = False
    keyring: bool = False
    max_artifact_bytes: int = 256 << 20


_UNIT = re.compile(r"_(s|hz)\Z")
NAMES: Mapping[str, str] = {
    _UNIT.sub("", field.name).replace("_bytes", "_size"): field.name for field in fields(Settings)
}
"""Name in files, flags and ``REMOTE_PROF_<NAME>`` to field: ``duration`` sets ``duration_s``."""

_VARIABLES = tuple(name.upper() for name in NAMES)
_FLAGS = {"formats": "--format"}
_PATHS = frozenset({"inventory", "results", "identity"})
_SIZE = re.compile(r"[0-9]{1,15}(\.[0-9]{1,3})? ?([kmgt]i?b?|b)?", re.ASCII | re.IGNORECASE)
_DURATION = "a length of time such as 30, 30s, 2m or 1h30m"
_EXPECTED = {
    "inventory": "the path of an inventory, or hosts as host1,host2,",
    "image": "the name of an image, such as 'site/bpftrace:1.0'",
    "duration": _DURATION,
    "frequency": "a whole number of samples a second, from 1 to 10000",
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
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as ``remote-prof config`` shows it.

    ``source`` is ``default``, ``<file>:<line>``, ``environment REMOTE_PROF_IMAGE`` or
    ``flag --image``.
    """

    name: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """The settings that hold, where each of them came from, and what looked odd on the way."""

    values: Settings
    settings: tuple[Setting, ...]
    files: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()

    def setting(self, name: str) -> Setting:
        """Give one setting by its name, such as ``duration``."""
        return next(setting for setting in self.settings if setting.name == name)


def load_settings(
    cwd: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    *,
    user_file: Path | None = None,
) -> ResolvedSettings:
    """Resolve all settings. Reads two files at most, and nothing of the process's environment.

    ``flags`` maps names (see ``NAMES``) to values, where None means that the flag was not given.
    ``user_file`` replaces the platform's place for it. Raises UsageError, with the place, for an
    unknown name in a file, for a value that is not what it should be, and for malformed TOML.
    """
    files = _files(cwd, user_file or _user_file())
    found = {
        name: Setting(name, getattr(Settings(), field), "default") for name, field in NAMES.items()
    }
    layers: list[Iterator[Setting]] = [_from_file(path) for path in files]
    layers += [_from_environment(environ), _from_flags(flags)]
    for layer in layers:
        for given in layer:
            value = _checked(given, _adapter(given.name))
            found[given.name] = Setting(given.name, value, given.source)
    return ResolvedSettings(
        values=Settings(**{NAMES[name]: setting.value for name, setting in found.items()}),
        settings=tuple(found.values()),
        files=tuple(files),
        problems=tuple(_unknown_variables(environ)),
    )


def _user_file() -> Path:
    import platformdirs

    return platformdirs.user_config_path("remote-prof") / FILE_NAME


def _files(cwd: Path, user_file: Path) -> list[Path]:
    """List the files that are there, the weaker one first."""
    cwd = cwd.absolute()
    project = next(
        (path for path in (d / FILE_NAME for d in (cwd, *cwd.parents)) if path.is_file()), None
    )
    files = [user_file] if user_file.is_file() else []
    if project is not None and project not in files:
        files.append(project)
    return files


def _from_file(path: Path) -> Iterator[Setting]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _malformed(path, text, str(error)) from None
    seen: dict[str, str] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        source = f"{path}:{_line_of(key, text)}"
        if name not in NAMES:
            raise _unknown_key(key, source, is_table=isinstance(value, dict))
        if name in seen:
            raise UsageError(
                f"{source}: {key!r} and {seen[name]!r} are the same setting",
                hint="remove one of them",
            )
        seen[name] = key
        yield Setting(name, _anchored(name, value, path.parent), source)


def _malformed(path: Path, text: str, said: str) -> UsageError:
    match = re.search(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)\Z", said)
    line = text.rstrip().count("\n") + 1
    if match is not None:
        line = int(match["line"] or line)
        said = said[: match.start()]
    return UsageError(
        f"{path}:{line}: not TOML: {said[:1].lower()}{said[1:]}",
        hint="write settings as `name = value`, and text in quotes",
    )


def _unknown_key(key: str, source: str, *, is_table: bool) -> UsageError:
    hint = f"there are {', '.join(NAMES)}"
    close = difflib.get_close_matches(key.replace("-", "_"), NAMES, 1, 0.6)
    if is_table:
        hint = "settings stand at the top, without a [section]"
    elif close:
        hint = f"did you mean {close[0]!r}?"
    return UsageError(f"{source}: there is no setting {key!r}", hint=hint)


def _line_of(key: str, text: str) -> int:
    # A key is found by its look: the values of settings have no lines that look like keys.
    pattern = rf"[ \t]*\[?[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*[=.\]]"
    lines = text.splitlines()
    return next((n for n, line in enumerate(lines, 1) if re.match(pattern, line)), 1)


def _anchored(name: str, value: object, directory: Path) -> object:
    if name not in _PATHS or not isinstance(value, str) or not value:
        return value
    if name == "inventory" and "," in value:
        return value
    return str(directory / _expanded(value))


def _expanded(path: str) -> str:
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        # There is no such user; whoever opens the path says so.
        return path


def _from_environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    for name in NAMES:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if environ.get(variable):
            yield Setting(name, environ[variable], f"environment {variable}")


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Problem]:
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or _OTHER.match(variable):
            continue
        if variable.removeprefix(ENVIRONMENT_PREFIX) in _VARIABLES:
            continue
        # Names are compared without what they all begin with, which would make any two alike.
        secrets = [name.removeprefix(ENVIRONMENT_PREFIX) for name in SECRET_VARIABLES.values()]
        near = difflib.get_close_matches(
            variable.removeprefix(ENVIRONMENT_PREFIX), [*_VARIABLES, *secrets], 1, 0.6
        )
        meant = f"did you mean {ENVIRONMENT_PREFIX}{near[0]}?" if near else ""
        yield Problem(
            Severity.WARNING,
            f"the environment variable {variable} is not a setting",
            fix=meant or "`remote-prof config` lists all settings",
        )


def _from_flags(flags: Mapping[str, object]) -> Iterator[Setting]:
    for name, value in flags.items():
        if name not in NAMES:
            raise KeyError(name)
        if value is not None:
            flag = _FLAGS.get(name, "--" + name.replace("_", "-"))
            yield Setting(name, value, f"flag {flag}")


def _checked(given: Setting, adapter: TypeAdapter[Any]) -> Any:
    from pydantic import ValidationError

    try:
        return adapter.validate_python(given.value)
    except (ValidationError, UsageError):
        value = str(given.value) if isinstance(given.value, Path) else given.value
        raise UsageError(
            f"{given.source}: {given.name} should be {_EXPECTED[given.name]}, not {value!r}"
        ) from None


def _adapter(name: str) -> TypeAdapter[Any]:
    """Build what checks a setting; pydantic is imported when there is something to check."""
    from typing import Annotated, get_type_hints

    from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, TypeAdapter

    path = Annotated[Path, BeforeValidator(_location)]
    narrower: dict[str, Any] = {
        "inventory": Annotated[str, BeforeValidator(_location)],
        "image": Annotated[str, AfterValidator(_word)],
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
        "results": path,
        "identity": path,
        "max_artifact_size": Annotated[
            ByteSize, BeforeValidator(_size), Field(ge=1 << 20, le=1 << 50)
        ],
    }
    return TypeAdapter(narrower.get(name, get_type_hints(Settings)[NAMES[name]]))


def _word(value: str) -> str:
    if not value or value.startswith("-") or not value.isprintable() or " " in value:
        raise ValueError
    return value


def _location(value: object) -> object:
    text = str(value) if isinstance(value, Path) else value
    if text == "" or (isinstance(text, str) and "\0" in text):
        raise ValueError
    return _expanded(text) if isinstance(text, str) else text


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


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value
