"""An inventory that somebody else wrote."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from remote_prof.errors import InventoryError
from remote_prof.inventory import host_settings, load_inventory
from tests.fuzz.harness import TESTS, Harness, read_seeds

_PLACE = "/dev/shm" if Path("/dev/shm").is_dir() else None


def one_input(data: bytes) -> None:
    """Load it, select everything, read the variables."""
    with TemporaryDirectory(dir=_PLACE) as name:
        path = Path(name) / "inventory.yml"
        path.write_bytes(data)
        try:
            for host in load_inventory(path).select("all"):
                host_settings(host)
        except InventoryError:
            return


HARNESS = Harness(
    "inventory",
    one_input,
    (
        (TESTS.parent / "inventory.example").read_bytes(),
        b"all: {hosts: {web-[01:20:2]: {ansible_port: 22}}, vars: {b: &b 2, a: &a [1, *b]}}\n",
        *read_seeds(TESTS / "unit" / "data" / "ansible", "**/*.yml")[:6],
        *read_seeds(TESTS / "inventory" / "corpus", "ini/*"),
    ),
)
