"""Rows of a ledger as the input of a new one. They are what an export of them would give, without a file in between.

The earlier ledger is only read. This module knows exports and inputs; it does not know why rows are chosen.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.outputs.exporting import as_text
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.staging.takeover import Takeover
from purgeengine.edges.ledger.views.rows import schema_of
from purgeengine.edges.ledger.views.selection import Selection
from purgeengine.edges.source.rows.columns import layout_of
from purgeengine.run_limits import Limits


@dataclass(frozen=True, slots=True)
class LedgerRows:
    """The rows that ``selection`` chooses, as an input (`purgeengine.edges.ledger.staging.survey.Input`).

    ``limits`` tells how long the service counts what the earlier run sent. The reader must stay open while the rows
    are read.
    """

    reader: LedgerReader
    selection: Selection
    limits: Limits
    utc: Callable[[], float] = time.time
    """The wall clock, in seconds since 1970."""
    identity: str = field(init=False)
    """The identity of the earlier ledger.

    It is read at once, because `digest` runs in a thread when the reader may be closed already.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", self.reader.identity)

    @property
    def files(self) -> tuple[Path, ...]:
        """The folder of the earlier ledger, in place of input files."""
        return (self.reader.folder,)

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """The names of the extra columns, as `open_source` would find them in an export."""
        return tuple(name for _, name in self._extras)

    @property
    def earlier(self) -> Takeover:
        """What the new ledger takes over from the earlier one, as of now."""
        return takeover_of(self.reader, self.limits, round(self.utc() * 1000))

    def digest(self) -> str:
        """Return a digest of the ledger's identity and the selection. It does not depend on where the ledger's folder lies."""
        return hashlib.sha256(f"retry {self.identity} {self.selection}".encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as `Source.batches` does. ``line`` is the row number in the earlier ledger."""
        count = 0
        for found in self.reader.rows(self.selection.outcomes):
            rows = self.selection.keep(found)
            if rows.num_rows:
                yield self._batch(rows, count)
                count += rows.num_rows

    @property
    def _extras(self) -> tuple[tuple[int, str], ...]:
        names = schema_of(self.reader.about["extra_columns"]).names
        return layout_of(self.reader.folder, names, {}).extras

    def _batch(self, rows: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Return rows as a batch of an input. An invalid row stays invalid, though its cells may not show what is wrong."""
        invalid: Any = pc.equal(rows.column("outcome"), pa.scalar(Outcome.INVALID.value))
        columns: dict[str, Any] = {
            "row": pa.array(range(first, first + rows.num_rows), pa.int64()),
            "line": rows.column("row"),
            "source": pa.repeat(pa.scalar(0, pa.int32()), rows.num_rows),
            **{name: rows.column(name) for name in ("user", "folder", "contact")},
            "reason": pc.if_else(invalid, rows.column("message"), pa.scalar(None, pa.string())),
            **{name: as_text(rows.column(place), rows.schema.field(place)) for place, name in self._extras},
            "in_doubt": rows.column("in_doubt"),
        }
        return pa.RecordBatch.from_pydict(columns)


def takeover_of(reader: LedgerReader, limits: Limits, now_utc_ms: int) -> Takeover:
    """Return what a new ledger takes over from an earlier one at ``now_utc_ms`` (since 1970).

    ``limits`` tells how long the service counts what the earlier run sent.
    """
    calls = reader.batches()
    cooldown = LostCallCooldown(limits, calls.slowest_s or 0.0, calls.answered)
    window_s = limits.mailbox_window_s + limits.window_slack_s
    cooldown_s = cooldown.length_of_s(lane=limits.lanes)  # no record tells which kind a batch was
    return reader.taken_over(now_utc_ms, cooldown_s, window_s, limits.quarantine_s)
