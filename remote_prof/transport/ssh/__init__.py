"""SSH by paramiko: known host keys only, one connection a host, bytes as they come.

Everything that differs from OpenSSH's behaviour by default is set here: paramiko's client accepts
no unknown key unless told to, ``ProxyJump`` chains are walked in OpenSSH's order, and names are
looked up in ``ssh_config`` first.
"""

from remote_prof.transport.ssh.connection import SshChannel, SshConnection

__all__ = ["SshChannel", "SshConnection"]
