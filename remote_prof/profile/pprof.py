"""The messages of pprof's format, ``profile.proto``, as classes of Google's protobuf library.

Format: https://github.com/google/pprof/blob/main/proto/profile.proto. Only fields that are read or
written stand here. The classes are made at run time: generated ones work with the one or two major
versions of the library for which they were generated, descriptors with all of them.

Two deviations, neither of which changes a byte of a file. In ``Profile`` the messages are held as
``bytes``: so a file is split without being read, and each message can be refused by its size before
it takes memory many times that. Strings are ``bytes`` too, because not every writer keeps to UTF-8.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from remote_prof.profile.model import FrameKind

# Field numbers. A star marks what is repeated.
_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "Profile": {
        "sample_type": (1, "*bytes"),
        "sample": (2, "*bytes"),
        "mapping": (3, "*bytes"),
        "location": (4, "*bytes"),
        "function": (5, "*bytes"),
        "string_table": (6, "*bytes"),
        "period_type": (11, "bytes"),
        "period": (12, "int64"),
        "comment": (13, "*int64"),
        "default_sample_type": (14, "int64"),
    },
    "ValueType": {"type": (1, "int64"), "unit": (2, "int64")},
    "Sample": {
        "location_id": (1, "*uint64"),
        "value": (2, "*int64"),
        "label": (3, "*Label"),
    },
    "Label": {"key": (1, "int64"), "str": (2, "int64"), "num": (3, "int64")},
    "Mapping": {
        "id": (1, "uint64"),
        "filename": (5, "int64"),
        "build_id": (6, "int64"),
        "has_functions": (7, "bool"),
    },
    "Location": {"id": (1, "uint64"), "mapping_id": (2, "uint64"), "line": (4, "*Line")},
    "Line": {"function_id": (1, "uint64")},
    "Function": {"id": (1, "uint64"), "name": (2, "int64"), "system_name": (3, "int64")},
}

# What a mapping's name begins with where its frames are of no binary's own code, and no name of a
# frame tells it. A module may follow. pprof looks for no symbols where a name begins like this.
MARKS = {
    FrameKind.KERNEL: "[kernel]",
    FrameKind.JIT: "[jit]",
    FrameKind.INTERPRETED: "[interpreted]",
    FrameKind.INLINED: "[inlined]",
    FrameKind.PROCESS: "[process]",
}
# Labels of a sample; perf_to_profile names them so.
# https://github.com/google/perf_data_converter
COMM = "comm"
PID = "pid"


class Messages(NamedTuple):
    """The classes, by the names that the format has for them. Their fields are those of it."""

    Profile: Any
    ValueType: Any
    Sample: Any
    Label: Any
    Mapping: Any
    Location: Any
    Line: Any
    Function: Any


@cache
def messages() -> Messages:
    """Return the message classes. The first call imports protobuf."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="profile.proto", package="perftools.profiles", syntax="proto3"
    )
    for message, fields in _SCHEMA.items():
        described = file.message_type.add(name=message)
        for field, (number, written) in fields.items():
            kind = written.removeprefix("*")
            described.field.add(
                name=field,
                number=number,
                label=kinds.LABEL_OPTIONAL if kind == written else kinds.LABEL_REPEATED,
                type=kinds.TYPE_MESSAGE if kind in _SCHEMA else kinds.Type.Value(_type(kind)),
                type_name=f".{file.package}.{kind}" if kind in _SCHEMA else None,
            )
    # A pool of its own: another library in this process may have registered the same names.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return Messages(
        *(
            message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
            for name in Messages._fields
        )
    )


def _type(kind: str) -> str:
    return f"TYPE_{kind.upper()}"
