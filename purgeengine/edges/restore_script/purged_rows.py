"""Reads the rows of ledgers whose contacts are gone, or may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import pyarrow.compute

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.model import Outcome
from purgeengine.core.policy.filters import UserFilter
from purgeengine.core.restoring.wanted_items import PurgedRow, PurgedRows
from purgeengine.edges.ledger import LedgerReader
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import Limits

pc: Any = pyarrow.compute

ROWS_MAX = 100_000
"""Contacts of one script. Exchange brings back one in about two seconds, so that more would take days; and PowerShell holds all of
the script in memory."""
NAME_COLUMNS = ("displayname", "fileas", "subject")
"""Columns that tell what an item may be called in Purges, without letter case, spaces and signs."""
ANSWER_S_MAX = Limits().quarantine_s
"""Seconds that a delete without an answer may have gone on after it was sent."""


def name_columns_of(reader: LedgerReader, named: Sequence[str]) -> list[str]:
    """Return the columns of a ledger that hold names: those that are named, or those whose heading says so.

    Raises `UsageProblem` if there is no column of a given name.
    """
    columns: Sequence[str] = reader.about["extra_columns"]
    for name in named:
        if name not in columns:
            there = ", ".join(columns) or "none besides user, folder and contact"
            raise UsageProblem(f"{reader.folder} has no column {name!r}. Its columns: {there}. Nothing was written.")
    return list(named) or [name for name in columns if "".join(filter(str.isalnum, name)).lower() in NAME_COLUMNS]


def purged_rows(
    readers: Iterable[LedgerReader],
    users: UserFilter,
    named: Sequence[str] = (),
    on_progress: Callable[[int], None] | None = None,
) -> PurgedRows:
    """Read what the ledgers deleted, or may have deleted, in the mailboxes that the filter leaves.

    Raises `UsageProblem` if a column of ``named`` is missing, or if more than `ROWS_MAX` contacts are found.
    """
    found = PurgedRows()
    for reader in readers:
        names = name_columns_of(reader, named)
        columns = ("user", "contact", "outcome", "in_doubt", "first_sent_utc", "settled_utc", *names)
        for batch in reader.rows(on_progress=on_progress, columns=columns):
            gone = pc.or_kleene(pc.equal(batch.column("outcome"), Outcome.PURGED.value), batch.column("in_doubt"))
            for row in batch.filter(pc.fill_null(gone, False)).to_pylist():
                if row["first_sent_utc"] is None or users.left_out(mailbox_key(row["user"])) is not None:
                    continue
                found.add(_purged(row, names))
                if len(found) > ROWS_MAX:
                    raise UsageProblem(
                        f"More than {ROWS_MAX:,} contacts were deleted, and one script brings back so many at most. "
                        "Write one script for some of the users each, with --only-users FILE. Nothing was written."
                    )
    return found


def _purged(row: dict[str, Any], names: Sequence[str]) -> PurgedRow:
    told = (str(row[name] or "").strip() for name in names)
    first, settled = _ms(row["first_sent_utc"]), row["settled_utc"]
    certain = row["outcome"] == Outcome.PURGED.value
    last = _ms(settled) if settled is not None else first + round(ANSWER_S_MAX * 1000)
    kinds = tuple(dict.fromkeys(filter(None, told)))
    return PurgedRow(row["user"], row["contact"], kinds, first, max(first, last), not certain)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
