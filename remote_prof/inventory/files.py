"""Files of an inventory as text, with the place of what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remote_prof.errors import InventoryError
from remote_prof.inventory.vault import Vault, is_encrypted


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file; lines and columns count from 1, a line of 0 is the whole file."""

    path: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class FileText:
    """A file that was read; ``secret`` where it was encrypted, and nothing of it may be shown."""

    path: str
    text: str
    secret: bool = False


def load_text(path: Path, vault: Vault) -> FileText:
    """Read a file, and decrypt it if need be.

    Raises InventoryError for all that keeps it from being text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InventoryError(
            f"there is no inventory file {path}",
            hint="give another one with -i FILE, or hosts themselves with -i host1,host2,",
        ) from None
    except OSError as error:
        raise InventoryError(
            f"the inventory {path} cannot be read: {error.strerror or error}"
        ) from None
    secret = is_encrypted(data)
    if secret:
        data = vault.decrypt(data.decode("ascii", "replace"), str(path))
    try:
        return FileText(str(path), data.decode("utf-8-sig"), secret)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "a byte" if secret else f"the byte 0x{data[error.start]:02x}"
        raise InventoryError(
            f"{path}:{line}: {what} is not UTF-8 text",
            hint="is this an inventory? It should be a text file, saved as UTF-8",
        ) from None
