"""Why a login failed: one sentence with cause, evidence and next step."""

from __future__ import annotations

import socket

import asyncssh

from remote_prof.errors import LoginError, UnreachableError
from remote_prof.transport.ssh.client import Attempt
from remote_prof.transport.ssh.known_hosts import KnownKey, Verdict, fingerprint
from remote_prof.transport.ssh.route import Hop, known_hosts_name

# RFC 4254, section 5.1.
_CHANNEL_ERRORS = {1: "administratively prohibited", 2: "connect failed"}


def explain(error: Exception, hop: Hop, attempt: Attempt, timeout_s: float) -> Exception:
    """Turn what a login raised into one sentence with cause, evidence and next step.

    Anything that is not known to be the link's, the host's or the login's comes back as it is.
    """
    where = f"{hop.name} ({hop.address}:{hop.port})"
    try_ssh = f"try: ssh -p {hop.port} {hop.user}@{hop.address} true"
    text = " ".join(str(error).split())
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return _explain_host_key(text, hop, attempt, where)
    if isinstance(error, asyncssh.PermissionDenied):
        return _explain_refusal(hop, attempt, where, try_ssh)
    if isinstance(error, asyncssh.DisconnectError) and "Too many authentication" in text:
        return LoginError(
            f"{where} allows no more tries: it was offered {len(attempt.notes.offered)} keys",
            evidence=f"{text}; offered: {', '.join(attempt.notes.offered)}",
            hint="name the right key with --identity, or set IdentitiesOnly yes in ~/.ssh/config",
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return LoginError(
            f"{where} and this tool know no algorithm in common",
            evidence=text,
            hint=f"{try_ssh}; ssh_config may ask for algorithms (KexAlgorithms, Ciphers, ...)",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        return UnreachableError(
            f"the jump host does not reach {where}",
            evidence=f"{_CHANNEL_ERRORS.get(error.code, 'refused')}: {text}",
            hint="the address has to be right as seen from there, and AllowTcpForwarding be on",
        )
    return _explain_link(error, hop, attempt, timeout_s)


def _explain_host_key(text: str, hop: Hop, attempt: Attempt, where: str) -> LoginError:
    name = known_hosts_name(hop)
    if "revoked" in text:
        lines = ", ".join(key.where for key in attempt.known.of("revoked"))
        return LoginError(
            f"{where} shows a host key that has been revoked: it may be another machine",
            evidence=f"{text}; revoked in {lines}",
            hint="ask the host's owner for its new key",
        )
    if attempt.verdict is Verdict.CHANGED and attempt.shown is not None:
        known = "; known are " if len(attempt.known.keys) > 1 else "; known is "
        return LoginError(
            f"{where} shows another host key than the known one: it may be another machine",
            evidence=f"got {_describe(attempt.shown)}"
            + known
            + ", ".join(_describe(key) for key in attempt.known.keys),
            hint=f"if the host was installed anew: ssh-keygen -R '{name}'{_file_option(attempt)},"
            " and check the new key with its owner",
        )
    if attempt.verdict is None:
        said = "its authority is not known" if attempt.foreign_authority else text
        return LoginError(
            f"the host certificate of {where} is not valid",
            evidence=f"{said}; authorities for {name}:"
            f" {', '.join(key.where for key in attempt.known.of('authority')) or 'none'}",
            hint="have the certificate renewed, for the name under which the host is asked for"
            " (HostKeyAlias gives another one)",
        )
    return LoginError(
        f"the host key of {where} is not known",
        evidence=f"looked for {name} in {', '.join(hop.known_hosts_files)}",
        hint=f"log in once with: ssh -p {hop.port} {hop.user}@{hop.address},"
        " or use --host-key-checking accept-new",
    )


def _explain_refusal(hop: Hop, attempt: Attempt, where: str, try_ssh: str) -> LoginError:
    notes = attempt.notes
    if notes.wrong_passphrase:
        return LoginError(
            f"the passphrase of {notes.wrong_passphrase[0]} is wrong",
            evidence=f"needed to log in on {where} as {hop.user}",
            hint="give the right one with --ask-key-pass or REMOTE_PROF_KEY_PASSPHRASE",
        )
    if notes.locked:
        return LoginError(
            f"{notes.locked[0]} is encrypted, and there is no passphrase for it",
            evidence=f"needed to log in on {where} as {hop.user}: nothing else was taken",
            hint=f"load it into the agent with: ssh-add {notes.locked[0]}, or give its passphrase"
            " with --ask-key-pass or REMOTE_PROF_KEY_PASSPHRASE",
        )
    evidence = f"offered: {', '.join(notes.offered) or 'no key'}"
    if notes.unusable:
        evidence += f"; could not be used: {', '.join(notes.unusable)}"
    if attempt.unanswered:
        return LoginError(
            f"{where} asks {hop.user} for more than a password",
            evidence=f"it asks: {', '.join(attempt.unanswered)}; {evidence}",
            hint=f"log in with a key that needs no second answer; {try_ssh}",
        )
    if attempt.password_given:
        return LoginError(
            f"{where} refuses the password of {hop.user}",
            evidence=evidence,
            hint="give the right one with --ask-pass; is --user right?",
        )
    ask = ", give a password with --ask-pass" if attempt.password_wanted else ""
    return LoginError(
        f"{where} refuses the login of {hop.user}",
        evidence=evidence,
        hint=f"choose with --user and --identity, or load the key into the agent{ask}; {try_ssh}",
    )


def _explain_link(error: Exception, hop: Hop, attempt: Attempt, timeout_s: float) -> Exception:
    where = f"{hop.name} ({hop.address}:{hop.port})"
    try_ssh = f"try: ssh -p {hop.port} {hop.user}@{hop.address} true"
    text = " ".join(str(error).split())
    if isinstance(error, socket.gaierror | UnicodeError):
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
    if not isinstance(error, asyncssh.Error | EOFError | OSError):
        return error
    if hop.proxy_command is not None and not attempt.greeted:
        return UnreachableError(
            f"the ProxyCommand of {where} brings no SSH session",
            evidence=f"{hop.proxy_command}: {attempt.proxy_said or text}",
            hint="run that command by itself: the first line has to begin with SSH-",
        )
    if not attempt.greeted:
        return UnreachableError(
            f"{where} hangs up before its first word: too many logins at once (MaxStartups)?",
            evidence=f"{text}, {attempt.tries} times",
            hint=f"later, or with fewer hosts at a time; else a ban or a wrong port; {try_ssh}",
        )
    return UnreachableError(f"no SSH session with {where}", evidence=text, hint=try_ssh)


def _describe(key: KnownKey) -> str:
    place = f" ({key.where})" if key.where else ""
    return f"{key.kind} {fingerprint(key.data)}{place}"


def _file_option(attempt: Attempt) -> str:
    """Name the file for ssh-keygen: without it only ~/.ssh/known_hosts is searched."""
    return f" -f {attempt.known.keys[0].where.rpartition(':')[0]}" if attempt.known.keys else ""
