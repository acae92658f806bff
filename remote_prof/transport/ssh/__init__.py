"""SSH by asyncssh: known host keys only, one connection a host, bytes as they come.

What ssh_config says is read by a grammar of our own, as OpenSSH reads it (``grammar``,
``keywords``, ``config``, ``route``), and known_hosts likewise; asyncssh is given the results, and
reads no file that it is not told of. docs/ssh.md says what a user sees of it.
"""

from remote_prof.transport.ssh.connection import SshConnection
from remote_prof.transport.ssh.session import SshChannel

__all__ = ["SshChannel", "SshConnection"]
