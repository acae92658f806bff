"""Names of C++ and Rust as their authors wrote them.

bpftrace and perf demangle themselves, but not all: Rust's newer names (``_R``) stay as they are, of
the older ones (which are spelt as C++'s) escapes and a hash are left over, and a file of debug
symbols has none but mangled names. The library spells C++ as c++filt and the profilers do, and is
bounded: what it cannot read within its limits stays as it is.
"""

from __future__ import annotations

import re

# ``core::fmt::write::h0123456789abcdef``: Rust's older names, read as if they were C++'s.
_HALF_READ = re.compile(r"[^\s:]+(?:::[^\s:]+)*::h[0-9a-f]{16}")
_LONGEST_NAME = 4096


def readable(name: str) -> str:
    """Return the demangled form of a name, and any other name as it is."""
    if len(name) > _LONGEST_NAME:
        return name
    if name.startswith(("_Z", "_R")):
        return _demangled(name)
    if name[-19:-16] == "::h" and _HALF_READ.fullmatch(name):
        parts = "".join(f"{len(part.encode())}{part}" for part in name.split("::"))
        mangled = f"_ZN{parts}E"
        found = _demangled(mangled)
        return name if found == mangled else found
    return name


def _demangled(name: str) -> str:
    # Most profiles have no such name.
    from demangle import demangle

    return demangle(name, language=("itanium", "rust"), style="gnu")
