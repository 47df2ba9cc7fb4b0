"""The object of ``export``."""

from __future__ import annotations

from typing import Literal

from purgeengine.json_output.envelope import Output
from purgeengine.json_output.shared import Outcomes

ExportFormat = Literal["csv", "csv.gz", "parquet"]


class ExportOutput(Output, frozen=True, kw_only=True):
    """What was written."""

    ledger: str
    """The folder of the ledger."""
    file: str
    """The file that was written."""
    format: ExportFormat
    """Its format."""
    only: list[str] | None
    """The outcomes of ``--only``. Null if all rows were asked for."""
    rows: int
    """The rows that were written."""
    outcomes: Outcomes
    """The rows that were written, by outcome."""
    without_outcome: int
    """The rows that were written and have no outcome yet."""
    bytes: int
    """The size of the file, in bytes."""
    sha256: str
    """The SHA-256 of the file, in hexadecimal."""
