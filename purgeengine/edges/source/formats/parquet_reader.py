"""A Parquet file as columns of text, in batches of bounded memory.

This module knows Arrow types. It does not know which users and ids are allowed. Importing it takes 90 ms, so import
it only when there is a Parquet file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from purgeengine.core.graph.text import printable
from purgeengine.edges.paths import opened
from purgeengine.edges.source.files.found_files import unreadable
from purgeengine.edges.source.rows.checked_rows import BATCH_ROWS_MAX, HAS_NUL, NOT_TEXT, Cells, Text, text_of
from purgeengine.edges.source.rows.columns import Layout, layout_of
from purgeengine.edges.source.rows.notes import Noted, NoteKind
from purgeengine.errors import InputError

BATCH_BYTES = 4 << 20
"""Target size of one batch in uncompressed bytes, estimated from the file's own statistics."""
READ_BYTES = 1 << 18
"""Bytes read at once from each column, so that row groups of any size are streamed."""

Column: TypeAlias = Any
"""An array of any type."""

_DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A Parquet file whose schema was read and understood. ``rows_estimate`` is exact."""

    path: Path
    layout: Layout
    rows_estimate: int

    @classmethod
    def opened(cls, path: Path, override: Mapping[str, str]) -> ParquetTable:
        """Read the schema. Raises `InputError` if a column is missing, or has values of a type that no id can have.

        A column without any value counts as empty, whatever its type. Such a column is read to find out.
        """
        with _file(path) as file:
            layout = layout_of(path, _names(path, file), override)
            for role, place in (("user", layout.user), ("folder", layout.folder), ("contact", layout.contact)):
                if place is not None and role not in layout.given:
                    _refuse_type(path, role, file, place)
            return cls(path, layout, file.metadata.num_rows)

    def cells(self) -> Iterator[Cells]:
        """Yield all rows in order. Raises `InputError` if the file is damaged, after the rows before that place."""
        line = 1
        try:
            with _file(self.path) as file:
                for batch in file.iter_batches(_batch_rows(file.metadata), use_threads=False):
                    yield self._cells(batch, line)
                    line += batch.num_rows
        except _DAMAGE as error:
            raise InputError(
                f"{self.path} is damaged after row {line - 1:,}; copy it again. ({printable(str(error))})"
            ) from error
        if line - 1 != self.rows_estimate:
            raise InputError(
                f"{self.path} is damaged: it says that it has {self.rows_estimate:,} rows, and has {line - 1:,}. Write it again."
            )

    def _cells(self, batch: pa.RecordBatch, line: int) -> Cells:
        layout = self.layout
        problems: dict[int, str] = {}
        notes: dict[NoteKind, Noted] = {}
        needed = {
            place
            for role, place in (("user", layout.user), ("folder", layout.folder), ("contact", layout.contact))
            if place is not None and role not in layout.given
        }
        roles = {place: _of_role(batch.column(place), problems) for place in needed}
        nothing: Text = pa.repeat(pa.scalar("", pa.string()), batch.num_rows)
        folder = roles[layout.folder] if layout.folder is not None else None
        replaced: dict[int, str] = {}
        extras = {name: _extra(batch.column(place), replaced) for place, name in layout.extras}
        in_doubt = _extra(batch.column(layout.in_doubt), replaced) if layout.in_doubt is not None else None
        if replaced:
            notes[NoteKind.CELLS_REPLACED] = Noted(len(replaced), line + min(replaced))
        user, contact = (roles.get(place, nothing) for place in (layout.user, layout.contact))
        return Cells(user, folder, contact, extras, line, problems, in_doubt, notes)


def _file(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(opened(path), buffer_size=READ_BYTES, pre_buffer=False)
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable(path, error) from error
    except _DAMAGE as error:
        raise InputError(
            f"{path} is a damaged or unfinished Parquet file; write it again. ({printable(str(error))})"
        ) from error


def _names(path: Path, file: pq.ParquetFile) -> Sequence[str]:
    try:
        return file.schema_arrow.names
    except _DAMAGE as error:
        raise InputError(f"{path} has a column whose name or type cannot be read. ({printable(str(error))})") from error


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Return how many rows make about `BATCH_BYTES` in the row group with the longest rows."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    row_bytes = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(BATCH_ROWS_MAX, BATCH_BYTES // max(row_bytes, 1)))


def _refuse_type(path: Path, role: str, file: pq.ParquetFile, place: int) -> None:
    """Raise `InputError` if a column of a role has values that are not text.

    A number is not an id, however it would be printed.
    """
    field = file.schema_arrow.field(place)
    if not _is_of_text(field.type) and _has_a_value(path, file, field.name):
        raise InputError(
            f"The column {field.name!r} of {path} holds {printable(str(field.type))}, and the {role} is text. "
            f"Name another column with --columns, or write the file again."
        )


def _has_a_value(path: Path, file: pq.ParquetFile, name: str) -> bool:
    """True if a column has any value. NaN is not a value: pandas writes it for a missing number."""
    try:
        for batch in file.iter_batches(BATCH_ROWS_MAX, columns=[name], use_threads=False):
            column = batch.column(0)
            empty: Any = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
            if empty.true_count < len(column):
                return True
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged; copy it again. ({printable(str(error))})") from error
    return False


def _is_of_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return _is_text(kind) or _is_bytes(kind) or pa.types.is_null(kind)


def _of_role(column: Column, problems: dict[int, str]) -> Text:
    """Return a column of user, folder or contact as text. A column of another type is known to have no value."""
    if not _is_of_text(column.type):
        return pa.repeat(pa.scalar("", pa.string()), len(column))
    return _text(column, problems).fill_null("")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _extra(column: Column, problems: dict[int, str]) -> Text:
    """Return a column of any type as text: nested values as JSON, bytes that are not text as base64."""
    if pa.types.is_dictionary(column.type):
        column = _cast(column, column.type.value_type)
    if _is_bytes(column.type) and not _is_utf8(column):
        return pa.array([_text_or_base64(cell) for cell in column.to_pylist()], pa.string())
    if _is_text(column.type) or _is_bytes(column.type):
        return _text(column, problems)
    if pa.types.is_nested(column.type):
        return _written(column, lambda cell: json.dumps(cell, ensure_ascii=False, default=str))
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return _written(column, str)


def _text(column: Column, problems: dict[int, str]) -> Text:
    """Return a column as text. A row with bad bytes or a NUL gets its problem, and its cell is shown with replacements."""
    if pa.types.is_dictionary(column.type):
        column = _cast(column, column.type.value_type)
    if pa.types.is_string(column.type) and _is_plain(column):
        return column
    if _is_utf8(column):
        text = _cast(column, pa.string())
        if not pc.any(pc.match_substring(text, "\0")).as_py():
            return text
    cells = _cast(column, pa.binary()).to_pylist()
    for index, cell in enumerate(cells):
        if cell is not None and text_of(cell).encode() != cell:
            problems.setdefault(index, HAS_NUL if b"\0" in cell else NOT_TEXT)
    return pa.array([None if cell is None else text_of(cell) for cell in cells], pa.string())


def _is_plain(column: Column) -> bool:
    """True if all text is ASCII without NUL, as nearly all columns are. This check is very fast."""
    _, ends, data = column.buffers()
    if ends is None or data is None:
        return False
    bounds = memoryview(ends).cast("i")
    text = memoryview(data)[bounds[column.offset] : bounds[column.offset + len(column)]].tobytes()
    return text.isascii() and b"\0" not in text


def _is_utf8(column: Column) -> bool:
    """True if all bytes are UTF-8. Arrow checks that when it casts bytes to text, but not when it reads Parquet."""
    try:
        _cast(_cast(column, pa.binary()), pa.string())
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return False
    return True


def _cast(column: Column, kind: pa.DataType) -> Any:
    try:
        return column.cast(kind)
    except pa.ArrowNotImplementedError:  # older versions of pyarrow can cast few views and fixed sizes
        return pa.array(column.to_pylist(), kind)


def _written(column: Column, write: Callable[[object], str]) -> Text:
    """Return each cell as ``write`` gives it.

    A value that Python cannot hold (the year 10,000, an unknown zone) is printed by Arrow.
    """
    cells: list[str | None] = []
    for index in range(len(column)):
        try:
            cell = column[index].as_py()
            cells.append(None if cell is None else write(cell))
        except (ValueError, OverflowError, LookupError):
            cells.append(" ".join(column.slice(index, 1).to_string().split()))
    return pa.array(cells, pa.string())


def _text_or_base64(cell: bytes | None) -> str | None:
    if cell is None:
        return None
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(cell).decode("ascii")
