"""Why a login failed: one sentence with cause, evidence and next step."""

from __future__ import annotations

import socket

import paramiko

from remote_prof.errors import UnreachableError
from remote_prof.transport.ssh.route import Hop, known_hosts_name


def explain(error: Exception, hop: Hop, timeout_s: float) -> Exception:
    """Turn what a login raised into one sentence with cause, evidence and next step.

    Anything that is not known to be the link's, the host's or the login's comes back as it is.
    """
    where = f"{hop.name} ({hop.address}:{hop.port})"
    try_ssh = f"try: ssh -p {hop.port} {hop.user}@{hop.address} true"
    text = " ".join(str(error).split())
    if isinstance(error, paramiko.BadHostKeyException):
        return UnreachableError(
            f"{where} shows another host key than the known one: it may be another machine",
            evidence=f"got {_fingerprint(error.key)}, known is {_fingerprint(error.expected_key)}",
            hint=f"if the host was installed anew: ssh-keygen -R '{known_hosts_name(hop)}',"
            " and check the new key with its owner",
        )
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in text:
        return UnreachableError(
            f"the host key of {where} is not known",
            evidence=f"looked for {known_hosts_name(hop)} in {', '.join(hop.known_hosts_files)}",
            hint=f"log in once with: ssh -p {hop.port} {hop.user}@{hop.address},"
            " or use --host-key-checking accept-new",
        )
    if isinstance(error, paramiko.AuthenticationException | paramiko.PasswordRequiredException):
        keys = ", ".join(hop.identity_files) or "the keys in ~/.ssh and the agent"
        return UnreachableError(
            f"{where} refuses the login of {hop.user}",
            evidence=f"{text}; offered: {keys}",
            hint=f"choose with --user and --identity, or load the key into the agent; {try_ssh}",
        )
    return _explain_link(error, where, text, timeout_s, try_ssh)


def _explain_link(
    error: Exception, where: str, text: str, timeout_s: float, try_ssh: str
) -> Exception:
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"the name of {where} does not resolve",
            evidence=text,
            hint="set ansible_host in the inventory, or HostName in ~/.ssh/config",
        )
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(
            f"{where} refuses the connection",
            evidence=text,
            hint="is sshd running there, and is the port right (--port, ansible_port)?",
        )
    if isinstance(error, TimeoutError):
        return UnreachableError(
            f"{where} does not answer within {timeout_s:g} s",
            evidence=text,
            hint=f"a firewall, a wrong address, or a slow link (--connect-timeout); {try_ssh}",
        )
    if isinstance(error, paramiko.SSHException | EOFError | OSError):
        return UnreachableError(f"no SSH session with {where}", evidence=text, hint=try_ssh)
    return error


def _fingerprint(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"
