"""Settings: defaults < user file < project file < environment < flags.

The user file is ``remote-prof.toml`` in the directory that the platform has for settings
(``~/.config/remote-prof/`` on Linux); the project file is the nearest ``remote-prof.toml`` in the
current directory or above. The nearer file wins, as with git and ruff: a project knows its hosts
better than its user does. ``REMOTE_PROF_IMAGE`` and its like win over both, and flags over all.

Relative paths in a file start at that file; those of the environment and of flags start at the
current directory. An empty environment variable counts as not set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from remote_prof.settings.model import (
    ENVIRONMENT_PREFIX,
    NAMES,
    OTHER_VARIABLES,
    SECRET_VARIABLES,
    ResolvedSettings,
    Setting,
    Settings,
)
from remote_prof.settings.sources import (
    FILE_NAME,
    default_user_file,
    from_environment,
    from_file,
    from_flags,
    list_files,
    unknown_variables,
)
from remote_prof.settings.values import checked

__all__ = [
    "ENVIRONMENT_PREFIX",
    "FILE_NAME",
    "NAMES",
    "OTHER_VARIABLES",
    "SECRET_VARIABLES",
    "ResolvedSettings",
    "Setting",
    "Settings",
    "load_settings",
]


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
    paths = list_files(cwd, user_file or default_user_file())
    found = {
        name: Setting(name, getattr(Settings(), field), "default") for name, field in NAMES.items()
    }
    layers: list[Iterator[Setting]] = [from_file(path) for path in paths]
    layers += [from_environment(environ), from_flags(flags)]
    for layer in layers:
        for given in layer:
            value = checked(given)
            found[given.name] = Setting(given.name, value, given.source)
    return ResolvedSettings(
        values=Settings(**{NAMES[name]: setting.value for name, setting in found.items()}),
        settings=tuple(found.values()),
        files=tuple(paths),
        problems=tuple(unknown_variables(environ)),
    )
