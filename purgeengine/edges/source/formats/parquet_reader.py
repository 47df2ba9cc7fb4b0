"""A Parquet file as columns of text, in batches whose size bounds the memory.

It knows Arrow types. It must not know which users and ids are allowed. Import it only where a Parquet file is met: it
costs 90 ms.
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
"""Uncompressed bytes aimed at in one batch, judged by the file's own statistics."""
READ_BYTES = 1 << 18
"""Read at once from each column, so that row groups of any size are streamed."""

Column: TypeAlias = Any
"""An array of any type."""

_DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A Parquet file whose schema has been read and understood. ``rows_estimate`` is exact."""

    path: Path
    layout: Layout
    rows_estimate: int

    @classmethod
    def opened(cls, path: Path, override: Mapping[str, str]) -> ParquetTable:
        """Read the schema. Raises `InputError` when a column is missing, or has a value of a type that no id can have.

        A column without any value is empty, whatever its type: it is read to know that.
        """
        with _file(path) as file:
            layout = layout_of(path, _names(path, file), override)
            for role, place in (("user", layout.user), ("folder", layout.folder), ("contact", layout.contact)):
                if place is not None and role not in layout.given:
                    _refuse_type(path, role, file, place)
            return cls(path, layout, file.metadata.num_rows)

    def cells(self) -> Iterator[Cells]:
        """Yield all rows in order. Raises `InputError` where the file is damaged, after the rows before that place."""
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
    """Rows that make about `BATCH_BYTES` in the row group with the longest rows."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    row_bytes = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(BATCH_ROWS_MAX, BATCH_BYTES // max(row_bytes, 1)))


def _refuse_type(path: Path, role: str, file: pq.ParquetFile, place: int) -> None:
    """Ids are text. A number is no id, however it would be printed."""
    field = file.schema_arrow.field(place)
    if not _is_of_text(field.type) and _has_a_value(path, file, field.name):
        raise InputError(
            f"The column {field.name!r} of {path} holds {printable(str(field.type))}, and the {role} is text. "
            f"Name another column with --columns, or write the file again."
        )


def _has_a_value(path: Path, file: pq.ParquetFile, name: str) -> bool:
    """Whether a column has a value at all; NaN is none, as pandas writes it for a number that is missing."""
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
    """User, folder or contact; of a column that is not text it is known that it has no value."""
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
    """Any type as text: nested values as JSON, bytes that are no text as base64."""
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
    """Text as text. Where bytes are none, or NUL is among them, the row gets its problem and the cell is shown as it can be."""
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
    """Whether all of it is ASCII without NUL, as nearly all is: seen at a glance."""
    _, ends, data = column.buffers()
    if ends is None or data is None:
        return False
    bounds = memoryview(ends).cast("i")
    text = memoryview(data)[bounds[column.offset] : bounds[column.offset + len(column)]].tobytes()
    return text.isascii() and b"\0" not in text


def _is_utf8(column: Column) -> bool:
    """Arrow checks text when it is cast from bytes, and not when it is read from Parquet."""
    try:
        _cast(_cast(column, pa.binary()), pa.string())
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return False
    return True


def _cast(column: Column, kind: pa.DataType) -> Any:
    try:
        return column.cast(kind)
    except pa.ArrowNotImplementedError:  # older versions of pyarrow know few casts of views and fixed sizes
        return pa.array(column.to_pylist(), kind)


def _written(column: Column, write: Callable[[object], str]) -> Text:
    """Each cell as ``write`` has it; what Python has no value for (the year 10,000, an unknown zone) as Arrow prints it."""
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
