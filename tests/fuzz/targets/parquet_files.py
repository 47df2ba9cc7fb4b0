"""Open and read Parquet. The input is the file.

The result is rows, or `InputError` with a sentence. A file that is read to its end has as many rows as it says.
"""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from tests.fuzz.targets.inputs import a_file_of, check_rows, read

TOKENS = (
    b"PAR1",
    b"user",
    b"contact",
    b"folder",
    b"contactId",
    b"ARROW:schema",
    b"UTF8",
    b"\x00\x00\x00PAR1",
    b"\x15\x00",
    b"\x15\x0c",
)


def case(data: bytes) -> None:
    """Check one file."""
    if not data.startswith(b"PAR1"):
        data = b"PAR1" + data
    with a_file_of(data) as path:
        reading = read(path)
    check_rows(reading.rows)
    if reading.refused is None:
        assert len(reading.rows) == pq.read_metadata(io.BytesIO(data)).num_rows
