"""Which hosts there are: inventories in Ansible's form, their variables, and host patterns.

Importing this package is cheap; YAML and pydantic are imported when an inventory is loaded.
"""

from remote_prof.inventory.load import (
    DEFAULT_NAMES,
    host_settings,
    load_inventory,
    resolve_inventory,
)
from remote_prof.inventory.model import Inventory

__all__ = [
    "DEFAULT_NAMES",
    "Inventory",
    "host_settings",
    "load_inventory",
    "resolve_inventory",
]
