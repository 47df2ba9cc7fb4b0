"""Yield a file's text as UTF-8 bytes in pieces, decompressed and transcoded in constant memory.

This module knows codecs, byte order marks and encodings. It does not know lines or columns.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from purgeengine.core.graph.text import printable
from purgeengine.edges.paths import opened
from purgeengine.edges.source.files.found_files import Kind, unreadable
from purgeengine.edges.source.files.unpacking import unpacked
from purgeengine.errors import InputError

COMPRESSED_PIECE_BYTES = 1 << 16
"""Bytes read at once from a compressed stream. If the stream breaks off, less than this is lost of the readable text."""

_SHIFTED = re.compile("[\u0a00\u0d00\ufffe]")
"""What a line feed, a carriage return and the byte order mark become when bytes are paired wrongly.

None of the three is a character that a text has: Unicode does not assign them, or they do not occur in practice.
"""
_FOREIGN_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def text_pieces(path: Path, kind: Kind, piece_bytes: int) -> Iterator[bytes]:
    """Yield the file's text as UTF-8 without byte order mark, in pieces of about ``piece_bytes`` bytes.

    UTF-16 is recognised by its mark, which PowerShell writes. Bytes that are not text are passed on, so that the rows
    with them can be named: bad UTF-8 as it is, half of a surrogate pair as the three bytes that UTF-8 forbids.

    Raises `InputError` if the file cannot be read, is damaged, cut short, in another encoding, or UTF-16 whose bytes
    are shifted in the middle. The pieces before that place are good.
    """
    pieces = _raw_pieces(path, kind, piece_bytes)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= 4:
            break
    if head.startswith(_FOREIGN_MARKS):
        raise InputError(f"{path} is UTF-32 text. Save it as UTF-8.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from _from_utf16(path, head, pieces)
        return
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from pieces


def _from_utf16(path: Path, head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    name = "utf-16-le" if head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    decoder = codecs.getincrementaldecoder(name)("surrogatepass")
    for piece in chain([head[2:]], pieces):
        text = decoder.decode(piece)
        if _SHIFTED.search(text):
            raise InputError(
                f"{path} is UTF-16 text of which the bytes do not pair up from some place on: a byte is missing, or a file of "
                "another encoding was put behind it. Rows cannot be told apart there; save it again as UTF-8."
            )
        yield text.encode("utf-8", "surrogatepass")
    left, _ = decoder.getstate()
    if len(left) >= 2:  # half of a surrogate pair at the end, for which the decoder still waits
        yield left[:2].decode(name, "surrogatepass").encode("utf-8", "surrogatepass")
    if len(left) % 2:
        yield b"\xff"  # half a character: a byte that no text has, so that the row is found to be bad


def _raw_pieces(path: Path, kind: Kind, piece_bytes: int) -> Iterator[bytes]:
    try:
        if kind is Kind.PLAIN:
            with path.open("rb", buffering=0) as file:
                yield from _until_empty(file, piece_bytes)
        elif kind in (Kind.BZIP2, Kind.XZ):
            yield from unpacked(path, kind, COMPRESSED_PIECE_BYTES)
        else:
            compressed: Any = opened(path)  # the type stubs do not know that it may be one of Arrow's own files
            with closing(pa.input_stream(compressed, compression=kind.value)) as stream:
                yield from _until_empty(stream, min(piece_bytes, COMPRESSED_PIECE_BYTES))
    except (OSError, pa.ArrowException) as error:
        if kind is Kind.PLAIN and isinstance(error, OSError):
            raise unreadable(path, error) from error
        raise InputError(f"{path} is damaged or cut short; copy it again. ({_short(error)})") from error


def _until_empty(file: BinaryIO | pa.NativeFile, piece_bytes: int) -> Iterator[bytes]:
    while piece := file.read(piece_bytes):
        yield piece


def _short(error: Exception) -> str:
    return printable(str(error), 200) or type(error).__name__


def is_utf16(path: Path) -> bool:
    """True if the file itself (not what is compressed in it) begins with a byte order mark of UTF-16."""
    try:
        with path.open("rb") as file:
            return file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    except OSError as error:
        raise unreadable(path, error) from error
