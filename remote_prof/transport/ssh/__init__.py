"""SSH by asyncssh: known host keys only, one connection a host, bytes as they come.

What ssh_config says is read by a grammar of our own, as OpenSSH reads it (``grammar``,
``keywords``, ``config``, ``route``), and known_hosts likewise; asyncssh is given the results, and
reads no file that it is not told of. docs/ssh.md says what a user sees of it.
"""

import ctypes.util
import importlib


def _import_asyncssh() -> None:
    # It looks for liboqs by starting ldconfig, gcc and ld: slow, and a surprise on the machine of
    # whoever only wants to log in. Without it a key exchange is still of the newest kind.
    find_library = ctypes.util.find_library
    ctypes.util.find_library = lambda name: None  # noqa: ARG005  as it is called
    try:
        importlib.import_module("asyncssh")
    finally:
        ctypes.util.find_library = find_library


_import_asyncssh()

from remote_prof.transport.ssh.connection import SshConnection  # noqa: E402
from remote_prof.transport.ssh.network import Network  # noqa: E402
from remote_prof.transport.ssh.session import SshChannel  # noqa: E402

__all__ = ["Network", "SshChannel", "SshConnection"]
