"""Passwords, from the nearest source that has them.

Asked for at the terminal, else in a file, else in the environment, else in the inventory, else in
the system's keyring. They are held in ``Host`` alone: on no command line, in no log, in no file.
"""

from __future__ import annotations

import functools
import stat
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from remote_prof import console
from remote_prof.cli.flag_sets import ConnectFlags
from remote_prof.errors import UsageError
from remote_prof.records import Host, Problem, Severity
from remote_prof.settings import SECRET_VARIABLES

KEYRING_SERVICE = "remote-prof"
"""What our entries in a keyring stand under; their names are ``become``, ``become@HOST``, ..."""

_LONGEST = 4096
_FLAGS = {
    "connection": ("--ask-pass", "--connection-password-file"),
    "key-passphrase": ("--ask-key-pass", "--key-passphrase-file"),
    "become": ("--ask-become-pass", "--become-password-file"),
}

LookUp = Callable[[str, str], str | None]
"""Finds a secret by its kind and the host's name."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What was given for all hosts of this call; an empty ``become`` is that of the connection."""

    connection: str | None = field(default=None, repr=False)
    key_passphrase: str | None = field(default=None, repr=False)
    become: str | None = field(default=None, repr=False)


def load_secrets(flags: ConnectFlags, environ: MutableMapping[str, str]) -> Secrets:
    """Ask, read files, and take secrets out of the environment: what we start finds none there.

    Raises UsageError where a file cannot be read, or there is no terminal to ask at.
    """
    taken = {kind: environ.pop(name, "") or None for kind, name in SECRET_VARIABLES.items()}
    method = flags.become_method or "become"
    same = " (empty: the SSH password)" if flags.ask_pass else ""
    return Secrets(
        connection=ask_secret("SSH password: ", *_ways("connection"))
        if flags.ask_pass
        else _load(flags.connection_password_file) or taken["connection"],
        key_passphrase=ask_secret("Passphrase of the key: ", *_ways("key-passphrase"))
        if flags.ask_key_pass
        else _load(flags.key_passphrase_file) or taken["key-passphrase"],
        become=ask_secret(f"{method} password{same}: ", *_ways("become"), empty=True)
        if flags.ask_become_pass
        else _load(flags.become_password_file) or taken["become"],
    )


def give_secrets(host: Host, secrets: Secrets, look_up: LookUp) -> Host:
    """Return the host with its passwords. Raises UsageError for one that cannot be used."""
    password = secrets.connection or host.password or look_up("connection", host.name)
    passphrase = (
        secrets.key_passphrase or host.key_passphrase or look_up("key-passphrase", host.name)
    )
    become = host.become
    if become is not None:
        own = become.password or look_up("become", host.name)
        wanted = password if secrets.become == "" else secrets.become or own
        if wanted is None and secrets.become == "":
            raise UsageError(
                f"an empty {become.method} password means that of SSH, and there is none",
                hint="give the one or the other: --ask-become-pass, --ask-pass",
            )
        if wanted and set(wanted) & {"\n", "\r", "\0"}:
            raise UsageError(f"the {become.method} password for {host.name} has a line break")
        become = replace(become, password=wanted or None)
    return replace(host, password=password, key_passphrase=passphrase, become=become)


def no_keyring(kind: str, host: str) -> None:
    """Look up nothing."""
    del kind, host


def open_keyring() -> LookUp:
    """Return what looks secrets up in the system's keyring, the host's own before the general one.

    Raises UsageError where there is none; so does the looking up.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise UsageError(
            "the library for keyrings is not installed",
            hint="pip install 'remote-prof[keyring]', or leave --keyring and `keyring` away",
        ) from None

    @functools.cache
    def get(name: str) -> str | None:
        try:
            return keyring.get_password(KEYRING_SERVICE, name)
        except KeyringError as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise UsageError(
                "the system's keyring does not open",
                evidence=said[:200],
                hint="unlock it, choose another (`keyring --list-backends`), or give the password "
                "in a file or in the environment",
            ) from None

    def look_up(kind: str, host: str) -> str | None:
        return get(f"{kind}@{host}") or get(kind)

    return look_up


def _ways(kind: str) -> tuple[str, str, str]:
    """Return the options that ask for a secret and read it, and the variable that has it."""
    return (*_FLAGS[kind], f", or in {SECRET_VARIABLES[kind]}")


def ask_secret(prompt: str, ask: str, file: str, more: str = "", *, empty: bool = False) -> str:
    """Ask at the terminal, for the option ``ask``; ``file`` and ``more`` are the other ways.

    Raises UsageError where there is no terminal, or no answer.
    """
    import getpass

    try:
        # getpass would read from standard input, with a warning, where there is no terminal.
        with Path("/dev/tty").open("rb"):
            pass
    except OSError as error:
        raise UsageError(
            f"{ask} asks at a terminal, and there is none",
            evidence=f"/dev/tty: {error.strerror}",
            hint=f"give it with {file} FILE{more}",
        ) from None
    try:
        given = getpass.getpass(prompt)
    except EOFError:
        given = None
    if given is None or not (given or empty):
        raise UsageError(f"nothing was given to {ask}", hint=f"or give it with {file} FILE")
    return given


def _load(name: str | None) -> str | None:
    """Return the first line of a file; warn where others may read it."""
    if name is None:
        return None
    try:
        with Path(name).expanduser().open("rb") as file:
            status = Path(name).expanduser().stat()
            text = file.readline(_LONGEST).decode().rstrip("\r\n")
    except (OSError, ValueError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise UsageError(f"the password file {name} cannot be read", evidence=said) from None
    if not text:
        raise UsageError(
            f"the password file {name} is empty", hint="the password is its first line"
        )
    warn_if_open(name, status.st_mode)
    return text


def warn_if_open(name: str, mode: int) -> None:
    """Warn of a password file that others may read."""
    if stat.S_ISREG(mode) and mode & 0o077:
        console.problem(
            Problem(
                Severity.WARNING,
                f"the password file {name} is open to others",
                f"its mode is {stat.S_IMODE(mode):o}",
                f"chmod 600 {name}",
            )
        )
