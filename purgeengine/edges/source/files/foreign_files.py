"""Recognise, by their first bytes, files that are not a list, each with advice on what to do.

This module knows magic numbers. It does not know folders or rows.
"""

from __future__ import annotations

from pathlib import Path

from purgeengine.errors import InputError

HEAD_BYTES = 512
"""Bytes that suffice to tell every kind. The mark of a tar archive begins at byte 257."""

_SHEET = "save the sheet as 'CSV UTF-8'"
_UNPACK = "unpack it, and name what was in it"
_PYARROW = "write it again with pyarrow.parquet.write_table"
_PACKED_AGAIN = "unpack it, or pack it again with gzip, zstd, bzip2 or xz"
_BYTES = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", f"{_SHEET}, or {_UNPACK}"),
    b"PK\x05\x06": ("an empty zip archive", "name the file that it should hold"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook or another old Office file", _SHEET),
    b"PARE": ("a Parquet file with an encrypted footer, which cannot be read", "write it again without encryption"),
    b"%PDF": ("a PDF document", "ask for the table that it was made from"),
    b"ARROW1": ("a Feather or Arrow file", f"{_PYARROW}(pyarrow.feather.read_table(...), ...)"),
    b"FEA1": ("a Feather file of the first version", f"{_PYARROW}(pyarrow.feather.read_table(...), ...)"),
    b"\xff\xff\xff\xff": ("an Arrow stream", f"{_PYARROW}(pyarrow.ipc.open_stream(...).read_all(), ...)"),
    b"ORC": ("an ORC file", f"{_PYARROW}(pyarrow.orc.read_table(...), ...)"),
    b"Obj\x01": ("an Avro file", "write it again as CSV or Parquet, for example with DuckDB"),
    b"SQLite format 3\0": ("an SQLite database", "write the table as CSV: sqlite3 -header -csv FILE 'SELECT ...'"),
    b"\0\x01\0\0Standard ": ("an Access database", "export the table as CSV"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!\x1a\x07": ("a RAR archive", _UNPACK),
    b"\x04\x22\x4d\x18": ("compressed with LZ4", _PACKED_AGAIN),
    b"\xff\x06\0\0sNaPpY": ("compressed with Snappy", _PACKED_AGAIN),
    b"\x1f\x9d": ("compressed with compress (.Z)", _PACKED_AGAIN),
    b"LZIP": ("compressed with lzip", _PACKED_AGAIN),
    b"\x5d\0\0": ("compressed with LZMA (.lzma)", _PACKED_AGAIN),
    b"!BDN": (
        "an Outlook data file (.pst)",
        "export the ids from the mailbox itself; those in the file name nothing there",
    ),
    b"\x89HDF": ("an HDF5 file", "write it again as CSV or Parquet"),
    b"\x80\x04\x95": ("a pickle of Python's", "write it again as CSV or Parquet"),
    b"\x80\x05\x95": ("a pickle of Python's", "write it again as CSV or Parquet"),
    b"\x89PNG": ("a picture", "name the list"),
    b"\xff\xd8\xff": ("a picture", "name the list"),
}
_TEXTS = {
    b"<objs": ("PowerShell's CLIXML", "make CSV of it: Import-Clixml FILE | Export-Csv list.csv -NoTypeInformation"),
    b"<html": ("a web page", "save the list itself; what stands here may be a page that asks to sign in"),
    b"<!doctype html": ("a web page", "save the list itself; what stands here may be a page that asks to sign in"),
    b"<?xml": ("XML", "make CSV of it"),
    b"begin:vcard": ("a vCard, which has no id of Graph's", "list the contacts through Graph, with their ids"),
    b"{\\rtf": ("a formatted document (RTF)", "save it as plain text"),
    b"par1": ("a Parquet file that was compressed as a whole", "unpack it: Parquet compresses by itself"),
}
_TAR_AT = 257


def refuse_foreign_bytes(path: Path, head: bytes) -> None:
    """Raise `InputError` if a file that begins with ``head``, its first `HEAD_BYTES` bytes, cannot be a list."""
    for magic, (what, cure) in _BYTES.items():
        if head.startswith(magic):
            raise _refusal(path, what, cure)
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        raise _refusal(path, "a tar archive", _UNPACK)


def refuse_foreign_text(path: Path, text: bytes) -> None:
    """Raise `InputError` if a file whose text begins so cannot be a list. ``text`` is unpacked and in UTF-8."""
    refuse_foreign_bytes(path, text[:HEAD_BYTES])
    begins = text[:HEAD_BYTES].lstrip().lower()
    for magic, (what, cure) in _TEXTS.items():
        if begins.startswith(magic):
            raise _refusal(path, what, cure)


def _refusal(path: Path, what: str, cure: str) -> InputError:
    return InputError(f"{path} is not a CSV, JSON or Parquet file. It is {what}. {cure[0].upper()}{cure[1:]}.")
