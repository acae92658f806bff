"""One file an input format: bytes come in, a profile goes out; all pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from remote_prof.errors import ParseError, UsageError
from remote_prof.parse.async_profiler import parse_async_profiler, recognises_async_profiler
from remote_prof.parse.austin import parse_austin, recognises_austin
from remote_prof.parse.bpftrace import parse_bpftrace, recognises_bpftrace
from remote_prof.parse.bpftrace_json import parse_bpftrace_json, recognises_bpftrace_json
from remote_prof.parse.compose import without_prefixes
from remote_prof.parse.cpuprofile import parse_cpuprofile, recognises_cpuprofile
from remote_prof.parse.enclosed import has_enclosed, parse_enclosed
from remote_prof.parse.java_heap import parse_java_heap, recognises_java_heap
from remote_prof.parse.java_threads import parse_java_threads, recognises_java_threads
from remote_prof.parse.jfr import parse_jfr, recognises_jfr
from remote_prof.parse.mojo import parse_mojo, recognises_mojo
from remote_prof.parse.packed import unpack
from remote_prof.parse.perf import parse_perf, recognises_perf
from remote_prof.parse.pprof import parse_pprof, recognises_pprof
from remote_prof.parse.pyspy import parse_pyspy, recognises_pyspy
from remote_prof.parse.pyspy_dump import parse_pyspy_dump, recognises_pyspy_dump
from remote_prof.parse.speedscope import parse_speedscope, recognises_speedscope
from remote_prof.parse.symbols import with_go
from remote_prof.profile.folded import parse_folded, recognises_folded
from remote_prof.profile.model import Profile

__all__ = ["READERS", "Reader", "check_reader", "read_profile"]

_HEAD_BYTES = 1 << 16  # of an input: what its format is told by
_SHOWN = 120  # characters of what no reader knows


class Parse(Protocol):
    """Makes a profile of bytes. Raises ParseError where nothing can be read."""

    def __call__(self, data: bytes, *, keep_offsets: bool = False) -> Profile: ...


@dataclass(frozen=True, slots=True)
class Reader:
    """One input format. ``about`` says in a few words what it is.

    ``recognises`` looks at the first 64 KiB. ``parse`` is lenient: what it cannot read is told in
    ``Profile.notes``, and nothing else is lost.
    """

    name: str
    about: str
    recognises: Callable[[bytes], bool]
    parse: Parse


def _recognises_container(head: bytes) -> bool:
    return recognises_bpftrace(without_prefixes(head))


def _parse_container(data: bytes, *, keep_offsets: bool = False) -> Profile:
    return parse_bpftrace(without_prefixes(data), keep_offsets=keep_offsets)


def _parse_folded(data: bytes, *, keep_offsets: bool = False) -> Profile:
    del keep_offsets  # the format has none
    return with_go(parse_folded(data))


# In the order in which they are asked: the first that recognises an input reads it. So what is
# binary comes first, and last what takes almost any text for its own.
READERS: Mapping[str, Reader] = MappingProxyType(
    {
        reader.name: reader
        for reader in (
            Reader("jfr", "recordings of JDK Flight Recorder", recognises_jfr, parse_jfr),
            Reader("pprof", "pprof's profile.proto", recognises_pprof, parse_pprof),
            Reader("mojo", "austin's binary format", recognises_mojo, parse_mojo),
            Reader("bpftrace", "text of bpftrace", _recognises_container, _parse_container),
            Reader(
                "bpftrace-json", "bpftrace -f json", recognises_bpftrace_json, parse_bpftrace_json
            ),
            Reader("speedscope", "speedscope's JSON", recognises_speedscope, parse_speedscope),
            Reader("cpuprofile", "V8's CPU profile", recognises_cpuprofile, parse_cpuprofile),
            Reader(
                "async-profiler",
                "collapsed stacks of async-profiler",
                recognises_async_profiler,
                parse_async_profiler,
            ),
            Reader("austin", "text of austin", recognises_austin, parse_austin),
            Reader("py-spy-dump", "py-spy dump", recognises_pyspy_dump, parse_pyspy_dump),
            Reader("py-spy", "py-spy's raw format", recognises_pyspy, parse_pyspy),
            Reader("jstack", "a JVM's thread dump", recognises_java_threads, parse_java_threads),
            Reader("class-histogram", "a JVM's heap", recognises_java_heap, parse_java_heap),
            Reader("perf", "text of perf script", recognises_perf, parse_perf),
            Reader("folded", "folded stacks", recognises_folded, _parse_folded),
        )
    }
)


def check_reader(name: str | None) -> Reader | None:
    """Return a reader by its name, None for None. Raises UsageError."""
    if name is None or name in READERS:
        return READERS[name] if name else None
    raise UsageError(f"there is no input format {name!r}", hint=f"input formats are: {_formats()}")


def read_profile(
    name: str, data: bytes, *, reader: Reader | None = None, keep_offsets: bool = False
) -> Profile:
    """Read a profile of any format, compressed by gzip or not; ``name`` is told with errors.

    Without a ``reader`` the content tells which it is. Nothing at all is an empty profile. Raises
    ParseError where nothing can be read.
    """
    notes: tuple[str, ...] = ()
    try:
        data, notes = unpack(data)
        if not data or data.isspace():
            return Profile((), {}, notes=notes)
        if has_enclosed(data[:_HEAD_BYTES]):
            profile = parse_enclosed(data, lambda file: read_profile(name, file, reader=reader))
        else:
            profile = (reader or _recognise(data)).parse(data, keep_offsets=keep_offsets)
    except ParseError as error:
        raise ParseError(
            f"{name}: {error.what}",
            evidence="; ".join(filter(None, (error.evidence, *notes))),
            hint=error.hint,
        ) from error
    return replace(profile, notes=(*notes, *profile.notes))


def _recognise(data: bytes) -> Reader:
    head = data[:_HEAD_BYTES]
    for reader in READERS.values():
        if reader.recognises(head):
            return reader
    first = next(line for line in head.splitlines() if line.strip())
    raise ParseError(
        "this is none of the formats that are read",
        evidence=f"it begins with {first[:_SHOWN].decode('utf-8', 'replace')!r}",
        hint=f"these are read: {_formats()}; `convert --from` says which it is",
    )


def _formats() -> str:
    return ", ".join(f"{reader.name} ({reader.about})" for reader in READERS.values())
