"""What ssh_config says of a host, as OpenSSH reads it.

The files are read once; each look-up goes through their lines from top to bottom. docs/ssh.md says
what is read and where it differs from OpenSSH; a test compares it with ``ssh -G``.
"""

from __future__ import annotations

import glob
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from remote_prof.errors import UsageError
from remote_prof.transport.ssh.grammar import Line, matches, matches_any, parse_line
from remote_prof.transport.ssh.keywords import ACCUMULATING, check_line, read_value
from remote_prof.transport.ssh.tokens import expand_percent, expand_tilde, local_user

USER_FILE = "~/.ssh/config"
SYSTEM_FILE = "/etc/ssh/ssh_config"
_MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Found:
    """What the files say of one host: each value as it was written, in the order of the lines."""

    host: str
    address: str
    values: Mapping[str, tuple[str, ...]]

    def one(self, name: str) -> str | None:
        """Return the value of an option; None if nothing is said."""
        return next(iter(self.values.get(name, ())), None)

    def all(self, name: str) -> tuple[str, ...]:
        """Return the values of an option that may have several."""
        return self.values.get(name, ())


@dataclass(frozen=True, slots=True)
class SshConfig:
    """The lines of all files, those of the user first."""

    files: tuple[tuple[Line, ...], ...] = ()

    def lookup(
        self, host: str, user: str | None = None, port: int | None = None, jump: str | None = None
    ) -> Found:
        """Return what applies to a host. What is given wins over the files.

        Raises UsageError for a ``Match`` that cannot be decided.
        """
        given = {"user": user, "port": None if port is None else str(port), "proxyjump": jump}
        state = _Lookup(host, {k: (v,) for k, v in given.items() if v is not None})
        self._pass(state)
        state.address = _address(state)
        if state.final_wanted:
            state.values["hostname"] = (state.address,)
            state.final = True
            self._pass(state)
        return Found(host, state.address, state.values)

    def _pass(self, state: _Lookup) -> None:
        for lines in self.files:
            state.read(lines, active=True, never=False)


def load_ssh_config(user: str | None = None, system: str | None = None) -> SshConfig:
    """Read the user's and the machine's ssh_config, as far as they are there.

    Raises UsageError that names file and line for what cannot be read.
    """
    mine = Path(expand_tilde(user or USER_FILE))
    files = []
    if mine.is_file():
        _check_permissions(mine)
        files.append(_load(mine, Path(expand_tilde("~/.ssh")), 0))
    whole = Path(system or SYSTEM_FILE)
    if whole.is_file():
        files.append(_load(whole, whole.parent, 0))
    return SshConfig(tuple(files))


def parse_ssh_config(text: str, name: str = "ssh_config") -> SshConfig:
    """Return the configuration in a text that stands for the user's file."""
    return SshConfig((tuple(_parse(text, name, Path(expand_tilde("~/.ssh")), 0)),))


def _check_permissions(path: Path) -> None:
    """Refuse what ssh refuses: whoever may write there decides what is run and whom we trust."""
    status = path.stat()
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise UsageError(
            f"{path} may be written by others",
            evidence=f"owner {status.st_uid}, mode {status.st_mode & 0o777:o}",
            hint=f"chmod go-w {path}",
        )


def _load(path: Path, base: Path, depth: int) -> tuple[Line, ...]:
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{path} cannot be read", evidence=str(error)) from error
    return tuple(_parse(text, str(path), base, depth))


def _parse(text: str, name: str, base: Path, depth: int) -> Iterator[Line]:
    for number, raw in enumerate(text.split("\n"), 1):
        where = f"{name}:{number}"
        try:
            line = parse_line(raw, where)
            if line is None:
                continue
            if line.keyword == "include":
                line = _include(line, base, depth)
            check_line(line)
        except ValueError as error:
            raise UsageError(
                f"{where}: {error}", hint="ssh -G HOST shows how ssh reads it"
            ) from error
        yield line


def _include(line: Line, base: Path, depth: int) -> Line:
    if depth >= _MAX_DEPTH:
        raise ValueError(f"more than {_MAX_DEPTH} files include each other")
    files = []
    for word in line.words:
        if not word:
            raise ValueError("Include has an empty name")
        pattern = expand_tilde(word) if word.startswith("~") else str(base / word)
        # The pattern may be absolute, which Path.glob does not take.
        for found in sorted(glob.glob(pattern)):  # noqa: PTH207
            if Path(found).is_file():
                _check_permissions(Path(found))
                files.append(_load(Path(found), base, depth + 1))
    return replace(line, included=tuple(files))


@dataclass(slots=True)
class _Lookup:
    """One way through the lines; a second one if a ``Match final`` asks for it."""

    host: str
    values: dict[str, tuple[str, ...]]
    address: str = ""
    final: bool = False
    final_wanted: bool = False
    _local_user: str = field(default_factory=local_user)

    def read(self, lines: tuple[Line, ...], *, active: bool, never: bool) -> None:
        """Take the values of the lines that apply. ``never``: within a block that does not."""
        for line in lines:
            if line.keyword == "host":
                active = not never and self._host(line.words)
            elif line.keyword == "match":
                active = not never and self._match(line)
            elif line.keyword == "include":
                for included in line.included:
                    self.read(included, active=active, never=never or not active)
            elif active:
                self._take(line)

    def _take(self, line: Line) -> None:
        found = read_value(line)
        if found is None:
            return
        name, values = found
        # Of the two the first counts.
        other = {"proxyjump": "proxycommand", "proxycommand": "proxyjump"}.get(name)
        if other in self.values:
            return
        if name in ACCUMULATING:
            known = self.values.get(name, ())
            self.values[name] = known + tuple(value for value in values if value not in known)
        else:
            self.values.setdefault(name, values)

    def _host(self, patterns: tuple[str, ...]) -> bool:
        # The second time the name counts that the first has led to.
        host = self.address if self.final else self.host
        found = False
        for pattern in patterns:
            if pattern.startswith("!"):
                if matches(host, pattern[1:]):
                    return False
            elif matches(host, pattern):
                found = True
        return found

    def _match(self, line: Line) -> bool:
        words = list(line.words)
        result, count = True, 0
        while words:
            word = words.pop(0)
            wanted = not word.startswith("!")
            name = word.lower().lstrip("!") if not wanted else word.lower()
            if name == "all":
                if count > 1 or words:
                    raise _bad(line, "all stands with other criteria")
                return result and wanted
            count += 1
            if name in ("canonical", "final"):
                self.final_wanted |= name == "final"
                result &= self.final == wanted
                continue
            name, equals, argument = name.partition("=")
            if not equals and words:
                argument = words.pop(0)
            if not argument:
                raise _bad(line, f"{name} has no value")
            # What cannot be decided does not matter where the line does not apply anyway.
            result = result and self._criterion(line, name, argument) == wanted
        if not count:
            raise _bad(line, "there is no criterion")
        return result

    def _criterion(self, line: Line, name: str, patterns: str) -> bool:
        if name == "host":
            address = self.address if self.final else _address(self)
            return matches_any(address.lower(), patterns.lower())
        if name == "originalhost":
            return matches_any(self.host.lower(), patterns.lower())
        if name == "user":
            return matches_any(self.values.get("user", (self._local_user,))[0], patterns)
        if name == "localuser":
            return matches_any(self._local_user, patterns)
        what = "runs a command" if name == "exec" else "is not known"
        raise UsageError(
            f"{line.where}: Match {name} {what}, which is not done here",
            evidence=f"Match {line.rest}",
            hint=f"put a Host block for {self.host} with what it needs before that line",
        )


def _bad(line: Line, what: str) -> UsageError:
    return UsageError(f"{line.where}: Match cannot be read: {what}", evidence=line.rest)


def _address(state: _Lookup) -> str:
    written = next(iter(state.values.get("hostname", ())), None)
    address = state.host if written is None else expand_percent(written, {"h": state.host})
    return address if _is_address(address) else address.lower()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(re.sub(r"%.*", "", text))
    except ValueError:
        return False
    return True
