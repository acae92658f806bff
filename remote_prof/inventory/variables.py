"""The variables of a host that mean something here: their names, their types, and what is wrong.

``HostVars`` is the schema. Names, aliases and precedence between them are those of Ansible's ssh
and sudo plugins: of several names for one thing, the one that is listed last wins.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from remote_prof.inventory.frozen import EncryptedText, UnsafeText
from remote_prof.records import Host

PREFIX = "remote_prof_"

FIELDS: Mapping[str, str] = {
    "ansible_host": "address",
    "ansible_ssh_host": "address",
    "ansible_port": "port",
    "ansible_ssh_port": "port",
    "ansible_user": "user",
    "ansible_ssh_user": "user",
    "ansible_private_key_file": "identity_file",
    "ansible_ssh_private_key_file": "identity_file",
    "ansible_password": "password",
    "ansible_ssh_pass": "password",
    "ansible_ssh_password": "password",
    "ansible_private_key_passphrase": "key_passphrase",
    "ansible_ssh_private_key_passphrase": "key_passphrase",
    "ansible_ssh_args": "ssh_arguments",
    "ansible_ssh_common_args": "ssh_common_arguments",
    "ansible_ssh_extra_args": "ssh_extra_arguments",
    "ansible_connection": "connection",
    "ansible_become": "become",
    "ansible_become_method": "become_method",
    "ansible_become_user": "become_user",
    "ansible_sudo_user": "become_user",
    "ansible_become_password": "become_password",
    "ansible_become_pass": "become_password",
    "ansible_sudo_pass": "become_password",
    "remote_prof_image": "image",
    "remote_prof_engine": "engine",
    "remote_prof_engine_sudo": "engine_sudo",
    "remote_prof_results": "results",
    "remote_prof_known_hosts": "known_hosts",
    "remote_prof_runner": "runner",
    "remote_prof_tmp": "tmp",
    "remote_prof_connect_timeout": "connect_timeout_s",
}
"""Variable to field of ``HostVars``; of two variables for one field the later one wins."""

OWN_VARIABLES = tuple(name for name in FIELDS if name.startswith(PREFIX))

NOT_READ: Mapping[str, str] = {
    "ansible_host_key_checking": "host keys are checked unless --host-key-checking says otherwise",
    "ansible_ssh_host_key_checking": (
        "host keys are checked unless --host-key-checking says otherwise"
    ),
}
"""Variables that decide in Ansible how a host is reached and do not here, with what to do."""

SECRET_FIELDS: Mapping[str, str] = {
    "password": "connection",
    "key_passphrase": "key-passphrase",
    "become_password": "become",
}
"""Fields that hold a secret, and the kind of it."""

SECRETS = frozenset(
    {name for name, field in FIELDS.items() if field in SECRET_FIELDS}
    | {"ansible_private_key", "ansible_ssh_private_key"}
)
"""Variables that are kept out of ``Host.vars``, so that no log or manifest can show them."""

# Ansible leaves them to ssh and sudo where they are empty.
_UNSET_IF_EMPTY = frozenset({"user", "identity_file", "become_user"})

_SECRET_NAME = re.compile(r"ansible_\w*(?:pass|password|passphrase|private_key)\Z")


def is_secret(name: str) -> bool:
    """Whether a variable holds a secret: one that is used here, or of another plugin of Ansible."""
    return name in SECRETS or _SECRET_NAME.match(name) is not None


# Names of Ansible that are close to those above, and right.
_OTHERS = frozenset(
    {"ansible_hostname", "ansible_become_exe", "ansible_sudo_exe", "ansible_user_id"}
    | {"ansible_become_flags", "ansible_sudo_flags", "ansible_su_pass", "ansible_su_user"}
    | {"ansible_group_priority", "ansible_ssh_retries", "ansible_doas_pass", "ansible_doas_user"}
    | {"ansible_scp_extra_args", "ansible_sftp_extra_args"}
)
_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")

CONNECTIONS = (*_SSH, "local")
"""Names of connections that are understood; all but the last one mean ``ssh``."""

BECOME_METHODS = ("sudo", "su", "doas")

_PLUGIN = re.compile(r"(?:(?:ansible\.(?:builtin|legacy)|community\.general)\.)?(?P<name>\w+)\Z")


def _text(value: object) -> object:
    # Ansible makes text of numbers, too. A float would already have lost its zeros: 1.10.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return str(value) if isinstance(value, str) else value


def _printable(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError
    return value


def _one_word(value: str) -> str:
    if re.search(r"\s", value) or value.startswith("-"):
        raise ValueError
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError
    return value


def _name_or_absolute(value: str) -> str:
    if "/" in value and not value.startswith("/"):
        raise ValueError
    return value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - pydantic takes ValueError for "not valid"
    return value.strip() if isinstance(value, str) else value


def _sudo(value: object) -> object:
    return {True: "always", False: "never"}[value] if isinstance(value, bool) else value


def _method(value: object) -> object:
    match = _PLUGIN.match(value) if isinstance(value, str) else None
    return match["name"] if match else value


def _connection(value: object) -> object:
    match = _PLUGIN.match(value) if isinstance(value, str) else None
    if match is None:
        return value
    return "ssh" if match["name"] in _SSH else match["name"]


def _paths(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_ARGUMENTS = "text, such as '-J bastion'"
_Text = Annotated[str, BeforeValidator(_text), AfterValidator(_printable)]
_Word = Annotated[_Text, AfterValidator(_one_word)]
_Secret = Annotated[str, BeforeValidator(_text)]


class HostVars(BaseModel):
    """What the merged variables of one host say; None where they say nothing.

    Each field's description completes the sentence "... should be ...". Paths on this machine are
    absolute, or relative to the current directory; ``tmp`` and ``engine`` are on the host.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: _Word | None = Field(None, description="a host name or an address")
    port: Annotated[int, BeforeValidator(_number)] | None = Field(
        None, ge=1, le=65535, description="a whole number from 1 to 65535"
    )
    user: _Word | None = Field(None, description="the name of a user")
    identity_file: _Text | None = Field(None, description="the path of a private key")
    connection: Annotated[str, BeforeValidator(_connection)] = Field(
        "ssh", description="'ssh' or 'local'"
    )
    password: _Secret | None = Field(None, repr=False, description="text, in quotes")
    key_passphrase: _Secret | None = Field(None, repr=False, description="text, in quotes")
    ssh_arguments: str | None = Field(None, description=_ARGUMENTS)
    ssh_common_arguments: str | None = Field(None, description=_ARGUMENTS)
    ssh_extra_arguments: str | None = Field(None, description=_ARGUMENTS)
    become: bool | None = Field(None, description="'true' or 'false'")
    become_method: Annotated[str, BeforeValidator(_method)] = Field(
        "sudo", description="'sudo', 'su' or 'doas'"
    )
    become_user: _Word = Field("root", description="the name of a user")
    become_password: _Secret | None = Field(None, repr=False, description="text, in quotes")
    image: _Word | None = Field(None, description="the name of an image, such as 'site/tool:1.0'")
    engine: Annotated[_Text, AfterValidator(_name_or_absolute)] | None = Field(
        None, description="'docker', 'podman', or the absolute path of one of them on the host"
    )
    engine_sudo: Annotated[Literal["auto", "always", "never"], BeforeValidator(_sudo)] = Field(
        "auto", description="'auto', 'always' or 'never'"
    )
    results: _Text | None = Field(None, description="the path of a directory on this machine")
    known_hosts: Annotated[tuple[_Text, ...], BeforeValidator(_paths)] = Field(
        (), description="the path of a file, or a list of such paths"
    )
    runner: Literal["auto", "compose", "engine"] | None = Field(
        None, description="'auto', 'compose' or 'engine'"
    )
    tmp: Annotated[_Text, AfterValidator(_absolute)] | None = Field(
        None, description="the absolute path of a directory on the host"
    )
    connect_timeout_s: Annotated[float, BeforeValidator(_number)] | None = Field(
        None, gt=0, allow_inf_nan=False, description="a number of seconds above 0"
    )


def is_set(name: str, value: object) -> bool:
    """Whether a known variable says anything: null does not, nor does an empty name of a user."""
    empty = isinstance(value, str) and not value and FIELDS[name] in _UNSET_IF_EMPTY
    return value is not None and not empty


def host_settings(host: Host) -> HostVars:
    """Give typed access to the variables of a host.

    Secrets are not among them: they are in ``host`` itself. Variables that were left alone
    because Ansible would have to evaluate them count as not set.
    """
    return HostVars.model_validate(
        {
            FIELDS[name]: host.vars[name]
            for name in FIELDS
            if is_set(name, host.vars.get(name)) and not unevaluated(host.vars[name])
        }
    )


def complaint(name: str, value: object, *, secret: bool = False) -> str:
    """Say in one sentence what is wrong with a known variable's value; "" where all is well.

    A secret value is not shown.
    """
    field = FIELDS[name]
    if not is_set(name, value) or unevaluated(value):
        return ""
    try:
        HostVars.model_validate({field: value})
    except ValidationError:
        got = "" if secret or name in SECRETS else f", not {value!r}"
        return f"{name} should be {HostVars.model_fields[field].description}{got}"
    return ""


def unevaluated(value: object) -> str:
    """Say why a value is not known here (a template, a secret), or "" where it is as it stands."""
    if isinstance(value, EncryptedText):
        return "it is encrypted by ansible-vault"
    if isinstance(value, UnsafeText):
        return ""
    if isinstance(value, str):
        return "it is a template" if re.search(r"\{[{%#]", value) else ""
    if isinstance(value, tuple):
        return next(filter(None, map(unevaluated, value)), "")
    return ""


def anchored(name: str, value: Any, directory: Path) -> Any:
    """Make the paths of our own variables independent of the directory one happens to be in.

    They are relative to the inventory's directory; ``ansible_*`` paths are left as Ansible takes
    them, relative to the current directory.
    """
    if FIELDS.get(name) not in {"results", "known_hosts"} or unevaluated(value):
        return value
    if isinstance(value, tuple):
        return tuple(anchored(name, item, directory) for item in value)
    if not isinstance(value, str) or not value:
        return value
    return str(directory / expand_home(value))


def expand_home(path: str) -> str:
    """Expand a leading ``~``; a user that does not exist is left for the file system to refuse."""
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        return path


def near_variable(name: str) -> str:
    """Name the variable that was probably meant by an unknown one; "" where none is close."""
    if name in FIELDS or name in NOT_READ or name in SECRETS or name in _OTHERS:
        return ""
    if name.startswith(PREFIX):
        # Compared without the prefix, which would make any two of them alike.
        own = [other.removeprefix(PREFIX) for other in OWN_VARIABLES]
        near = difflib.get_close_matches(name.removeprefix(PREFIX), own, 1, 0.6)
        return PREFIX + near[0] if near else ""
    return next(iter(difflib.get_close_matches(name, FIELDS, 1, 0.88)), "")
