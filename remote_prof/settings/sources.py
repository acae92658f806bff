"""Where settings come from: files, the environment, flags; each with its place."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from remote_prof.errors import UsageError
from remote_prof.records import Problem, Severity
from remote_prof.settings.model import ENVIRONMENT_PREFIX, NAMES, SECRET_VARIABLES, Setting
from remote_prof.settings.values import expanded

FILE_NAME = "remote-prof.toml"
_OTHER = re.compile(rf"({'|'.join(SECRET_VARIABLES.values())}|REMOTE_PROF_(COMPLETE|LAB_\w+))\Z")
_VARIABLES = tuple(name.upper() for name in NAMES)
_FLAGS = {"formats": "--format"}
_PATHS = frozenset({"inventory", "results", "identity"})


def default_user_file() -> Path:
    """Return where the platform has the settings of a user."""
    import platformdirs

    return platformdirs.user_config_path("remote-prof") / FILE_NAME


def list_files(cwd: Path, user_file: Path) -> list[Path]:
    """List the files that are there, the weaker one first."""
    cwd = cwd.absolute()
    project = next(
        (path for path in (d / FILE_NAME for d in (cwd, *cwd.parents)) if path.is_file()), None
    )
    files = [user_file] if user_file.is_file() else []
    if project is not None and project not in files:
        files.append(project)
    return files


def from_file(path: Path) -> Iterator[Setting]:
    """Give what a file says, each with its line. Raises UsageError."""
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
    if name == "inventory" and isinstance(value, list):
        return [_anchored(name, item, directory) for item in value]
    if name not in _PATHS or not isinstance(value, str) or not value:
        return value
    if name == "inventory" and "," in value:
        return value
    return str(directory / expanded(value))


def from_environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    """Give what the environment says."""
    for name in NAMES:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if environ.get(variable):
            yield Setting(name, environ[variable], f"environment {variable}")


def unknown_variables(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Say of each variable that looks like one of ours that it is none."""
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


def from_flags(flags: Mapping[str, object]) -> Iterator[Setting]:
    """Give what flags say; None is one that was not given."""
    for name, value in flags.items():
        if name not in NAMES:
            raise KeyError(name)
        # One that may be repeated, and was not given, is an empty sequence.
        if value is not None and value not in ([], ()):
            flag = _FLAGS.get(name, "--" + name.replace("_", "-"))
            yield Setting(name, value, f"flag {flag}")
