"""Fetching what the sidecar's image is made of, by apt and pip, as any user may."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from remote_prof.errors import HostError
from remote_prof.image import recipe
from remote_prof.records import Host
from remote_prof.templates import render
from remote_prof.transport import Command, SshOptions, connect

Watch = Callable[[str], None]  # told what is being done

_FETCH_S = 1800.0
_MANYLINUX = ("manylinux1", "manylinux2010", "manylinux2014")
_GLIBC = ("2_5", "2_12", "2_17", "2_28")
_INSTALL = "apt-get install apt gpgv debian-archive-keyring python3-pip"
_OTHERWISE = "or make it where there is a registry: remote-prof image build --dockerfile"


def fetch_packages(
    place: Path, architecture: str, mirror: str, keyring: str, watch: Watch, *, old: bool
) -> None:
    """Fetch packages and wheels into a directory. Raises HostError.

    ``archives.uris`` and ``old.uris`` there tell the checksums that the signed index has of the
    packages in ``archives`` and in ``old``.
    """
    for name in ("lists/partial", "archives/partial", "none/partial", "old", "wheels"):
        (place / name).mkdir(parents=True)
    for name, text in _files(place, architecture, mirror, keyring, old=old).items():
        (place / name).write_text(text)
    here = Host("localhost", "localhost", connection="local")
    command = fetch_command(place, architecture, keyring, old=old)
    channel = connect(here, SshOptions()).stream(command)
    try:
        while (line := channel.read_line(_FETCH_S)) is not None:
            mark, _, rest = line.decode("utf-8", "replace").partition(" ")
            if mark == "@@progress":
                watch(rest)
            elif mark == "@@missing":
                raise _missing(rest)
            elif mark == "@@failed":
                raise _not_fetched(rest, (place / "log").read_text(errors="replace"), mirror)
            elif mark == "@@fetched":
                return
        raise HostError("the packages did not come in time", hint=f"is {mirror} slow?")
    except EOFError:
        raise HostError("fetching the packages ended before its time") from None
    finally:
        channel.close()


def fetch_command(place: Path, architecture: str, keyring: str, *, old: bool = False) -> Command:
    """Return the script that fetches into a directory, run here."""
    machine = recipe.ARCHITECTURES[architecture]
    script = render(
        "image/fetch.sh.j2",
        directory=str(place),
        keyring=keyring,
        packages=recipe.PACKAGES,
        old_packages=[f"{name}/{recipe.OLD_SUITE}" for name in recipe.OLD_PACKAGES if old],
        pythons=(sys.executable, "python3"),
        platforms=[f"{name}_{machine}" for name in _MANYLINUX]
        + [f"manylinux_{version}_{machine}" for version in _GLIBC],
    )
    return Command("fetch packages", script)


def _files(
    place: Path, architecture: str, mirror: str, keyring: str, *, old: bool
) -> dict[str, str]:
    """Return apt's configuration, in which nothing of this machine counts, and pip's list."""
    suites = (recipe.SUITE, recipe.OLD_SUITE) if old else (recipe.SUITE,)
    sources = "".join(f"deb [signed-by={keyring}] {mirror} {suite} main\n" for suite in suites)
    settings = {
        "Dir::Etc::Parts": f"{place}/none",
        "Dir::Etc::Main": "/dev/null",
        "Dir::Etc::SourceList": f"{place}/sources.list",
        "Dir::Etc::SourceParts": f"{place}/none",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": f"{place}/none",
        "Dir::State": f"{place}",
        "Dir::State::status": f"{place}/status",
        "Dir::Cache": f"{place}",
        "Dir::Log": f"{place}",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Default-Release": recipe.SUITE,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        # A snapshot of a past day is wanted as much as the archive of today.
        "Acquire::Check-Valid-Until": "false",
        "Debug::NoLocking": "true",
    }
    wheels = [
        f"{w.name}=={w.version} --hash=sha256:{w.sha256[architecture]}" for w in recipe.WHEELS
    ]
    return {
        "sources.list": sources,
        "apt.conf": "".join(f'{name} "{value}";\n' for name, value in settings.items()),
        "status": "",
        "requirements.txt": "\n".join(wheels) + "\n",
    }


def _missing(what: str) -> HostError:
    return HostError(
        f"{what} is missing here: it takes apt, gpgv, Debian's keys and pip to make the image",
        evidence=f"{what} is not there",
        hint=f"on Debian and Ubuntu: {_INSTALL}; {_OTHERWISE}",
    )


def _not_fetched(step: str, log: str, mirror: str) -> HostError:
    what = {
        "update": f"the index of {mirror} cannot be read, or its signature is not good",
        "choose": f"{mirror} has not all of the packages",
        "packages": f"the packages cannot be fetched from {mirror}",
        "wheels": "the wheels cannot be fetched",
    }.get(step, step)
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "ERROR", "Err:", "W: GPG"))]
    return HostError(
        what,
        evidence=" | ".join((errors or lines)[:3])[:600],
        hint="name another mirror with --mirror; a proxy for pip goes into HTTPS_PROXY"
        if step == "wheels"
        else f"name another mirror with --mirror; {_OTHERWISE}",
    )
