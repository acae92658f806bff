"""Options that commands take together, as one value: how to connect, and what is shown."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from remote_prof.profile.view import View

_R = TypeVar("_R")

_WHERE = "Where"
_CONNECT = "How to connect"
_RIGHTS = "Rights on the host"
_SHOWN = "What is shown"


@dataclass(frozen=True, slots=True)
class InventoryFlags:
    """What the command line says about which hosts of the inventory count, and how it is read.

    Each field is an option of every command that ``lists`` or ``connects``.
    """

    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            "-l",
            metavar="PATTERN|@FILE",
            help="Of the hosts, only those that match this pattern, too.",
            rich_help_panel=_WHERE,
        ),
    ] = None
    vault_password_file: Annotated[
        list[str] | None,
        typer.Option(
            "--vault-password-file",
            metavar="FILE",
            help="File with a password of ansible-vault, or a program that prints it; repeatable.",
            rich_help_panel=_WHERE,
        ),
    ] = None
    ask_vault_pass: Annotated[
        bool,
        typer.Option(
            "--ask-vault-pass",
            help="Ask for the password of ansible-vault.",
            rich_help_panel=_WHERE,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class ConnectFlags(InventoryFlags):
    """What the command line says about the way to a host and to rights there.

    None and False leave it to settings and the inventory. Each field is an option of every command
    that ``connects``.
    """

    connection: Annotated[
        str | None,
        typer.Option(
            "--connection",
            "-c",
            metavar="ssh|local",
            help="ssh, or local for the engine of this machine.",
            rich_help_panel=_CONNECT,
        ),
    ] = None
    user: Annotated[
        str | None,
        typer.Option("--user", "-u", help="Log in as this user.", rich_help_panel=_CONNECT),
    ] = None
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", help="Port of the SSH server.", rich_help_panel=_CONNECT),
    ] = None
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity",
            metavar="FILE",
            help="Private key to log in with.",
            rich_help_panel=_CONNECT,
        ),
    ] = None
    jump: Annotated[
        str | None,
        typer.Option(
            "--jump",
            "-J",
            metavar="[USER@]HOST[:PORT],...",
            help="Hosts to go through, in this order; none goes straight there.",
            rich_help_panel=_CONNECT,
        ),
    ] = None
    connect_timeout: Annotated[
        str | None,
        typer.Option(
            "--connect-timeout",
            metavar="TIME",
            help="How long to wait for a host to answer (10s).",
            rich_help_panel=_CONNECT,
        ),
    ] = None
    host_key_checking: Annotated[
        str | None,
        typer.Option(
            "--host-key-checking",
            metavar="yes|accept-new|no",
            help="yes: known host keys only. accept-new: take and remember unknown ones (yes).",
            rich_help_panel=_CONNECT,
        ),
    ] = None
    ask_pass: Annotated[
        bool,
        typer.Option(
            "--ask-pass", "-k", help="Ask for the SSH password.", rich_help_panel=_CONNECT
        ),
    ] = False
    connection_password_file: Annotated[
        str | None,
        typer.Option(
            "--connection-password-file",
            metavar="FILE",
            help="File with the SSH password in its first line.",
            rich_help_panel=_CONNECT,
        ),
    ] = None
    ask_key_pass: Annotated[
        bool,
        typer.Option(
            "--ask-key-pass",
            help="Ask for the passphrase of the private key.",
            rich_help_panel=_CONNECT,
        ),
    ] = False
    key_passphrase_file: Annotated[
        str | None,
        typer.Option(
            "--key-passphrase-file",
            metavar="FILE",
            help="File with the passphrase of the private key in its first line.",
            rich_help_panel=_CONNECT,
        ),
    ] = None
    keyring: Annotated[
        bool,
        typer.Option(
            "--keyring",
            help="Look passwords up in the system's keyring, where nothing else gives them.",
            rich_help_panel=_CONNECT,
        ),
    ] = False
    become: Annotated[
        bool,
        typer.Option(
            "--become",
            "-b",
            help="Do everything with other rights; else only where the login may not use the "
            "engine itself.",
            rich_help_panel=_RIGHTS,
        ),
    ] = False
    become_method: Annotated[
        str | None,
        typer.Option(
            "--become-method",
            metavar="sudo|su|doas",
            help="How to get them (sudo).",
            rich_help_panel=_RIGHTS,
        ),
    ] = None
    become_user: Annotated[
        str | None,
        typer.Option("--become-user", help="Whose they are (root).", rich_help_panel=_RIGHTS),
    ] = None
    ask_become_pass: Annotated[
        bool,
        typer.Option(
            "--ask-become-pass",
            "-K",
            help="Ask for the password that sudo, su or doas wants.",
            rich_help_panel=_RIGHTS,
        ),
    ] = False
    become_password_file: Annotated[
        str | None,
        typer.Option(
            "--become-password-file",
            metavar="FILE",
            help="File with that password in its first line.",
            rich_help_panel=_RIGHTS,
        ),
    ] = None

    def settings(self) -> dict[str, object]:
        """Return those that are settings, by name."""
        return {
            "user": self.user,
            "port": self.port,
            "identity": self.identity,
            "connect_timeout": self.connect_timeout,
            "host_key_checking": self.host_key_checking,
            "keyring": self.keyring or None,
        }


@dataclass(frozen=True, slots=True)
class ViewFlags:
    """What the command line says of what is shown of a profile.

    Each field is an option of every command that ``shows``.
    """

    focus: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Keep the stacks with a function whose name matches.",
            rich_help_panel=_SHOWN,
        ),
    ] = None
    ignore: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Drop the stacks with a function whose name matches.",
            rich_help_panel=_SHOWN,
        ),
    ] = None
    root_at: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Begin each stack at its outermost function that matches; drop the others.",
            rich_help_panel=_SHOWN,
        ),
    ] = None
    collapse_recursion: Annotated[
        bool,
        typer.Option(
            "--collapse-recursion",
            help="Make one frame of a function that calls itself.",
            rich_help_panel=_SHOWN,
        ),
    ] = False
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="process|thread|pid|host",
            help="What stands at the root of each stack.",
            rich_help_panel=_SHOWN,
        ),
    ] = None
    offsets: Annotated[
        bool,
        typer.Option(
            "--offsets",
            help="Keep offsets into functions; they split one into many frames.",
            rich_help_panel=_SHOWN,
        ),
    ] = False
    modules: Annotated[
        bool,
        typer.Option(
            "--modules",
            help="Write the file that a function is in behind its name.",
            rich_help_panel=_SHOWN,
        ),
    ] = False
    min_share: Annotated[
        float,
        typer.Option(
            metavar="PERCENT",
            help="Make one frame \\[other] of all that a function calls with less (0).",
            rich_help_panel=_SHOWN,
            show_default=False,
        ),
    ] = 0.0

    def view(self) -> View:
        """Return what is shown, but for the offsets. Raises UsageError."""
        from remote_prof.profile.view import View, check_view

        given = asdict(self)
        del given["offsets"]
        return check_view(View(**given | {"min_share": self.min_share / 100}))


def lists(command: Callable[..., _R]) -> Callable[..., _R]:
    """Give a command the options of ``InventoryFlags``; it takes them as one, ``flags``."""
    return with_options(command, InventoryFlags, "flags")


def connects(command: Callable[..., _R]) -> Callable[..., _R]:
    """Give a command the options of ``ConnectFlags``; it takes them as its last one, ``flags``."""
    return with_options(command, ConnectFlags, "flags")


def shows(command: Callable[..., _R]) -> Callable[..., _R]:
    """Give a command the options of ``ViewFlags``; it takes them as one, ``shown``."""
    return with_options(command, ViewFlags, "shown")


def with_options(command: Callable[..., _R], kind: type[Any], name: str) -> Callable[..., _R]:
    """Give a command an option for each field of a dataclass; it takes them as one, by ``name``."""
    hints = get_type_hints(command, include_extras=True)
    options = get_type_hints(kind, include_extras=True)
    own = [
        parameter.replace(annotation=hints[each])
        for each, parameter in inspect.signature(command).parameters.items()
        if each != name
    ]
    added = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=options[field.name],
        )
        for field in fields(kind)
    ]

    @functools.wraps(command)
    def wrapper(**given: Any) -> _R:
        flags = kind(**{option.name: given.pop(option.name) for option in added})
        return command(**given, **{name: flags})

    del wrapper.__wrapped__
    signature = inspect.Signature([*own, *added], return_annotation=hints.get("return"))
    # inspect and Typer read it; the type of a function does not have it.
    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return wrapper
