"""What is inside an image: each package with its version and licences."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LICENCE = re.compile(r"^License: *(\S.*)$", re.MULTILINE)
_AND_OR = re.compile(r",?\s+(?:and|or)\s+|,\s*|\s*\|\s*", re.IGNORECASE)
_FAMILY = re.compile(r"(GPL|LGPL|AGPL|GFDL)-?([0-9](?:\.[0-9])?)(\+?)(?:\.0)?")
_COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z]+(?:-[0-9]+(?:\.[0-9]+)?)?)")
_MOST_LICENCES = 40

# Debian's short names (machine-readable copyright 1.0) that differ from SPDX's only in spelling.
_SPDX = {
    "expat": "MIT",
    "mit": "MIT",
    "x11": "X11",
    "apache-2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "isc": "ISC",
    "zlib": "Zlib",
    "psf-2": "PSF-2.0",
    "cc0-1.0": "CC0-1.0",
    "artistic": "Artistic-1.0-Perl",
    "boost-1.0": "BSL-1.0",
}


@dataclass(frozen=True, slots=True)
class Package:
    """Something in an image. ``sha256`` is of what it was taken from.

    ``origin`` is debian, pypi, or that of the older generation of bpftrace.
    """

    name: str
    version: str
    origin: str
    licences: tuple[str, ...]
    sha256: str


def parse_licences(copyright_text: str) -> tuple[str, ...]:
    """Return the licences that a Debian copyright file names, by SPDX's names where they are known.

    Of a file in the old form, prose, those that it refers to among Debian's common licences.
    https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
    """
    if "copyright-format" not in copyright_text and "/dep5" not in copyright_text:
        return tuple(sorted({spdx(name) for name in _COMMON.findall(copyright_text)}))
    found: dict[str, None] = {}
    for line in _LICENCE.findall(copyright_text):
        for word in _AND_OR.split(line.strip()):
            if word:
                found[spdx(word)] = None
    return tuple(sorted(found))[:_MOST_LICENCES]


def spdx(name: str) -> str:
    """Return SPDX's name of a licence that Debian names; its own where none is known.

    GPL-2+ is GPL-2.0-or-later, LGPL-2.1 is LGPL-2.1-only.
    """
    name = name.strip()
    if name.lower() in _SPDX:
        return _SPDX[name.lower()]
    if family := _FAMILY.fullmatch(name):
        version = family[2] if "." in family[2] else f"{family[2]}.0"
        return f"{family[1]}-{version}-{'or-later' if family[3] else 'only'}"
    return name
