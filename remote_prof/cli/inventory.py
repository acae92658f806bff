"""The inventory that options and settings name, with what reading it needs of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from remote_prof import console
from remote_prof.cli.flag_sets import InventoryFlags
from remote_prof.errors import HostError, UsageError
from remote_prof.records import Severity
from remote_prof.settings import Settings

if TYPE_CHECKING:
    from remote_prof.inventory import Inventory
    from remote_prof.transport import Result

VAULT_VARIABLE = "ANSIBLE_VAULT_PASSWORD_FILE"
"""Ansible's own variable: who has set it needs no option."""

_PROGRAM_TIMEOUT_S = 600.0  # a cloud's inventory asks many times


def open_inventory(settings: Settings, flags: InventoryFlags) -> Inventory:
    """Load the inventory and say what is odd about it. Raises InventoryError, UsageError."""
    from remote_prof.inventory import resolve_inventory
    from remote_prof.inventory.read import Tools
    from remote_prof.inventory.vault import Vault

    tools = Tools(
        run=_run,
        ansible_options=tuple(
            word
            for name in flags.vault_password_file or ()
            for word in ("--vault-password-file", name)
        ),
        vault=Vault(lambda: load_vault_passwords(flags, os.environ, _run)),
    )
    inventory = resolve_inventory(settings.inventory, Path.cwd(), tools)
    for problem in inventory.problems:
        if problem.severity is not Severity.NOTE:
            console.problem(problem)
    return inventory


def load_vault_passwords(
    flags: InventoryFlags, environ: Mapping[str, str], run: Callable[[Sequence[str]], Result]
) -> list[bytes]:
    """Read the passwords of ansible-vault, or ask for one. Raises UsageError."""
    from remote_prof.cli.secrets import ask_secret

    files = list(flags.vault_password_file or ())
    if not files and not flags.ask_vault_pass and environ.get(VAULT_VARIABLE):
        files = [environ[VAULT_VARIABLE]]
    passwords = [_load(name, run) for name in files]
    if flags.ask_vault_pass:
        said = ask_secret("Vault password: ", "--ask-vault-pass", "--vault-password-file")
        passwords.append(said.strip().encode())
    return passwords


def _load(name: str, run: Callable[[Sequence[str]], Result]) -> bytes:
    from remote_prof.cli.secrets import warn_if_open

    try:
        path = Path(name).expanduser()
        if path.is_file() and os.access(path, os.X_OK):
            password = _printed(path.absolute(), run)
        else:
            password = path.read_bytes().strip()
            warn_if_open(name, path.stat().st_mode)
    except (OSError, ValueError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"the vault password file {name} cannot be read", evidence=said) from None
    if not password:
        raise UsageError(
            f"the vault password file {name} gives nothing",
            hint="it holds the password, or is a program that prints it",
        )
    return password


def _printed(program: Path, run: Callable[[Sequence[str]], Result]) -> bytes:
    # Ansible tells such a program by its name which vault is meant.
    client = ["--vault-id", "default"] if program.stem.endswith("-client") else []
    try:
        result = run([str(program), *client])
    except HostError as error:
        raise UsageError(
            f"the vault password program {program} cannot be run",
            evidence=error.evidence or error.what,
            hint=f"chmod -x {program}, if it holds the password itself",
        ) from None
    if result.exit_code:
        lines = result.stderr.decode("utf-8", "replace").split("\n")
        raise UsageError(
            f"the vault password program {program} ends with exit code {result.exit_code}",
            evidence=next((line.strip() for line in reversed(lines) if line.strip()), ""),
        )
    return result.stdout.strip(b"\r\n")


def _run(argv: Sequence[str]) -> Result:
    from remote_prof.transport.local import run_program

    return run_program(argv, _PROGRAM_TIMEOUT_S)
