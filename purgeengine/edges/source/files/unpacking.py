"""Decompress bzip2 and xz files with the standard library, with a limit on memory.

pyarrow is faster for gzip and Zstandard. It cannot read xz, and it takes a bzip2 file that was cut short for a whole
one.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from purgeengine.edges.source.files.found_files import Kind

XZ_MEMORY_BYTES_MAX = 128 << 20
"""Bytes of memory that decompressing xz may take. `xz -9` needs 65 MiB; a file that needs more than this limit is refused."""
_READ_BYTES = 1 << 16


class _Unpacker(Protocol):
    """The common interface of `bz2.BZ2Decompressor` and `lzma.LZMADecompressor`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def unpacked(path: Path, kind: Kind, piece_bytes: int) -> Iterator[bytes]:
    """Yield the decompressed bytes in pieces of at most ``piece_bytes``. A file may hold several compressed streams in a row.

    Raises `OSError` if the file is damaged or cut short, or holds anything else than such streams: nothing is
    skipped.
    """
    try:
        with path.open("rb", buffering=0) as file:
            yield from _streams(iter(lambda: file.read(_READ_BYTES), b""), kind, piece_bytes)
    except (EOFError, ValueError, lzma.LZMAError) as error:
        raise OSError(str(error)) from error


def _streams(data: Iterator[bytes], kind: Kind, piece_bytes: int) -> Iterator[bytes]:
    rest = next(data, b"")
    while rest:
        unpacker = _unpacker(kind)
        while not unpacker.eof:
            if unpacker.needs_input and not rest:
                rest = next(data, b"")
                if not rest:
                    raise EOFError("it ends in the middle of a compressed stream")
            piece = unpacker.decompress(rest, piece_bytes)
            rest = b""
            if piece:
                yield piece
        rest = unpacker.unused_data or next(data, b"")
        while kind is Kind.XZ and rest and not (rest := rest.lstrip(b"\0")):  # padding between streams
            rest = next(data, b"")


def _unpacker(kind: Kind) -> _Unpacker:
    if kind is Kind.BZIP2:
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES_MAX)
