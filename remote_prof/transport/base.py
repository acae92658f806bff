"""What a connection is, and what it runs: scripts of POSIX sh, quoted once.

A script travels on standard input, never on a command line: no shell between here and there
quotes it a second time (a login shell may be csh or fish), process lists show nothing of it, and
its length has no limit. ``BOOTSTRAP`` is the only text that a login shell parses. It holds no
character that sh, csh and fish read differently inside single quotes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Protocol

from remote_prof.records import Become, Host
from remote_prof.templates import quote_sh, render

# Whatever a noisy .bashrc prints comes before this line; no .bashrc prints it by chance.
BEGIN = b"@@begin " + token_hex(8).encode()

# Lines are dropped up to "#script" and the script's size in bytes, which is 0 where more than the
# script comes at once: sudo reads its password from there only when it needs one.
_IS_SIZE = '[ "$n" -ge 0 ] 2>/dev/null'
_SKIP = f'l=; while IFS= read -r n; do [ "$l" = "#script" ] && {_IS_SIZE} && break; l=$n; done; '
# ``read -r`` reads byte by byte from a pipe, in every shell, and leaves what follows; that takes
# 20 ms for a large script. Not every ``head`` reads just what it is told to. A script that did not
# arrive whole, because the link broke, is not run.
_LINES = 'while IFS= read -r l; do printf "%s\\n" "$l"; [ "$l" = "#end" ] && exit; done'
_READ = f'if [ "$n" = 0 ]; then {_LINES}; else head -c "$n"; fi'
_RUN = f's=$({_READ}); case "$s" in *"#end") eval "$s" ;; *) exit 1 ;; esac'
BOOTSTRAP = f"sh -c '{_SKIP}echo {BEGIN.decode()}; {_RUN}'"
_BECOME_BOOTSTRAP = f"sh -c '{_SKIP}{_RUN}'"


@dataclass(frozen=True, slots=True)
class Command:
    """A POSIX sh script to be run on a host.

    ``name`` says what it is for (shown with ``-v``). ``become`` asks for the rights of the host's
    ``Become``.
    """

    name: str
    script: str
    become: bool = False

    def input(self, become: Become | None) -> bytes:
        """Return what goes to the standard input of ``BOOTSTRAP``."""
        framed = _framed(self.script, at_once=True)
        if not self.become:
            return framed
        become = become or Become()
        passwords = b"" if become.password is None else f"{become.password}\n".encode() * 2
        return _framed(_become_script(become), at_once=False) + passwords + framed


def _become_script(become: Become) -> str:
    user, known = quote_sh(become.user), become.password is not None
    match become.method:
        case "sudo":
            ask = "sudo -S -p ''" if known else "sudo -n"
            # -k: what sudo remembers of an earlier password is no answer.
            trial = f"{ask}{' -k' if known else ''} -u {user} -- true"
            command = f"{ask} -u {user} -- {_BECOME_BOOTSTRAP}"
        case "doas":
            trial = f"doas -n -u {user} -- true"
            command = f"doas -u {user} -- {_BECOME_BOOTSTRAP}"
        case _:
            trial = f"{become.method} {user} -c true"
            command = f"{become.method} {user} -c {quote_sh(_BECOME_BOOTSTRAP)}"
    return render(
        "become/become.sh.j2",
        method=become.method,
        has_password=known,
        trial=trial,
        command=command,
    )


def _framed(script: str, *, at_once: bool) -> bytes:
    """Return a script as ``BOOTSTRAP`` reads it; ``at_once`` where nothing is behind it yet."""
    if "#end" in script.split("\n"):
        raise ValueError("a script cannot hold a line #end: it would be cut there")
    framed = f"{script}\n#end\n".encode()
    return f"#script\n{len(framed) if at_once else 0}\n".encode() + framed


@dataclass(frozen=True, slots=True)
class SshOptions:
    """What the command line says about SSH, the same for every host of a run.

    ``host_key_checking`` is ``yes`` (known keys only), ``accept-new`` (an unknown host's key is
    taken and remembered; a changed one is refused) or ``no``.
    """

    connect_timeout_s: float = 10.0
    host_key_checking: str = "yes"

    def within(self, limit_s: float | None) -> SshOptions:
        """Return options that wait for no host longer than that; None is no limit."""
        if limit_s is None or limit_s > self.connect_timeout_s:
            return self
        return replace(self, connect_timeout_s=max(limit_s, 0.1))


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished command left."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Channel(Protocol):
    """A running command."""

    def read_line(self, timeout_s: float) -> bytes | None:
        """Return one line without its newline; None if none came in time.

        Raises EOFError at the end of the output, LinkLostError when the link is gone.
        """

    def read_block(self, limit_bytes: int, timeout_s: float) -> bytes:
        """Return some bytes, at most so many. Raises HostError when none comes, LinkLostError."""

    def write(self, data: bytes) -> None:
        """Write to the command's standard input."""

    def finish(self, timeout_s: float) -> Result:
        """Wait for the end; return the rest of the output."""

    def close(self) -> None:
        """Let go of the command; it may go on."""


class Connection(Protocol):
    """A way to run commands on one host. Opening is explicit; closing is safe at any time."""

    host: Host
    exchanges: int

    def open(self) -> None:
        """Connect and log in. Raises UnreachableError."""

    def run(self, command: Command, timeout_s: float) -> Result:
        """Run a command to its end. Raises HostError when it does not end in time."""

    def stream(self, command: Command) -> Channel:
        """Start a command and talk to it while it runs."""

    def close(self) -> None:
        """Close the connection."""
