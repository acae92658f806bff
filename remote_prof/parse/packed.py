"""What ``gzip`` has compressed: any input may come so."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from remote_prof.errors import ParseError
from remote_prof.profile.limits import MOST_UNPACKED_BYTES, within

_GZIP = b"\x1f\x8b\x08"  # RFC 1952, and its only method
_WITH_HEADER = 16 + zlib.MAX_WBITS
_CHUNK_BYTES = 1 << 14  # so much is lost before the place that is damaged


def unpack(data: bytes, most_bytes: int | None = None) -> tuple[bytes, tuple[str, ...]]:
    """Return the content, and notes; data that is not compressed is returned as it is.

    Of a file that is cut or damaged, what stands before that is returned, and a note says so.
    Raises ParseError where that is nothing, and for more than ``most_bytes``
    (``MOST_UNPACKED_BYTES``).
    """
    if not data.startswith(_GZIP):
        return data, ()
    most_bytes = MOST_UNPACKED_BYTES if most_bytes is None else most_bytes
    parts: list[bytes] = []
    damage = ""
    try:
        parts.extend(_inflated(data, most_bytes))  # keeps what came before an error
    except (zlib.error, EOFError) as error:
        damage = str(error)
    if damage and not any(parts):
        raise ParseError(
            "the compressed file is damaged", evidence=damage, hint="fetch or copy it again"
        )
    notes = (f"the compressed file is damaged, its end is missing: {damage}",) if damage else ()
    return b"".join(parts), notes


def _inflated(data: bytes, most_bytes: int) -> Iterator[bytes]:
    size = 0
    inflater = None
    for start in range(0, len(data), _CHUNK_BYTES):
        chunk = data[start : start + _CHUNK_BYTES]
        end = start + len(chunk)
        while chunk:
            # Several files that were joined are one; what else stands behind is padding.
            if inflater is None:
                if not data.startswith(_GZIP, end - len(chunk)):
                    return
                inflater = zlib.decompressobj(_WITH_HEADER)
            part = inflater.decompress(chunk, most_bytes - size + 1)
            size += len(part)
            within("bytes in a compressed file", size, most_bytes, "unpacking it")
            yield part
            chunk = inflater.unconsumed_tail
            if inflater.eof:
                chunk, inflater = inflater.unused_data, None
    if inflater is not None:
        raise EOFError("it is cut")
