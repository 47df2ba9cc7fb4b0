"""What advice needs to know of a chain of ledgers: where no contact was found, and which rows each ledger decides.

No single database has the answer for a chain, so the rows of the first ledger are read once more. Counts by mailbox
lie in a temporary database, which SQLite moves to the disk when it grows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.compute

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.model import Outcome
from purgeengine.core.policy.absent_rows import Absence, Sought, SoughtInMailbox
from purgeengine.core.policy.advice import Situation
from purgeengine.core.policy.outcomes import ORIGIN_COLUMN
from purgeengine.edges.ledger.outputs.chain import Chain, Final
from purgeengine.edges.ledger.outputs.failures import Failures
from purgeengine.edges.ledger.store.schema import OUTCOME_CODES
from purgeengine.edges.ledger.views.sought import worst_of

pc: Any = pyarrow.compute
_PURGED, _ABSENT = OUTCOME_CODES[Outcome.PURGED], OUTCOME_CODES[Outcome.ABSENT]
_FOUND, _NOT_FOUND, _AFTER_LOST = 1, 2, 3
_KIND_OF = bytes(_FOUND if code == _PURGED else _NOT_FOUND if code == _ABSENT else 0 for code in range(256))
"""From the code of a final state to whether the contact was found. 0 if Graph was not asked, or did not tell. A purged row may
also be `_AFTER_LOST`: its contact was not found, after an attempt whose answer was lost."""
_IN_PURGES = 403
"""Status of an absent row whose contact Graph found in the Purges folder."""


def absence_over(chain: Chain, final: Final, most: int) -> Absence | None:
    """Return where no contact, or nearly none, was found, with at most ``most`` mailboxes. None if there is no such mailbox."""
    if len(chain.ledgers) == 1:
        return chain.ledgers[0].review(most).absence
    counts = final.counts()
    if not counts.outcomes[Outcome.ABSENT]:
        return None
    kinds = _kinds(chain, final)
    with closing(sqlite3.connect("")) as scratch:
        scratch.execute(
            "CREATE TABLE mailbox (key TEXT PRIMARY KEY, user TEXT, found INTEGER, not_found INTEGER, "
            "after_lost INTEGER) WITHOUT ROWID"
        )
        first = 0
        for batch in chain.ledgers[0].rows(columns=("user",)):
            _count(scratch, batch.column("user"), kinds[first : first + batch.num_rows])
            first += batch.num_rows
        rows = scratch.execute(
            "SELECT user, found, not_found, after_lost FROM mailbox WHERE not_found > 0 ORDER BY key"
        )
        worst, in_all = worst_of((SoughtInMailbox(user, Sought(*sought)) for user, *sought in rows), most)
    after_lost = kinds.count(_AFTER_LOST)
    sought = Sought(kinds.count(_FOUND) + after_lost, kinds.count(_NOT_FOUND), after_lost)
    found = Absence(sought, worst, in_all, finished=counts.waiting + counts.in_doubt == 0)
    return found if found.told else None


def _kinds(chain: Chain, final: Final) -> bytearray:
    """Return, for each row of the first ledger, whether its contact was found."""
    kinds = bytearray(final.states.translate(_KIND_OF))
    for number, ledger in enumerate(chain.ledgers):
        held = [outcome for outcome in Outcome if outcome.is_gone and final.shares[number].holds[outcome]]
        if not held:
            continue
        origin = "row" if number == 0 else ORIGIN_COLUMN
        for batch in ledger.rows(held, columns=("outcome", "status", origin)):
            for kind, special in _special(batch):
                rows: list[Any] = special.column(origin).to_pylist()
                for row in map(int, rows):
                    if final.holders[row] == number:
                        kinds[row] = kind
    return kinds


def _special(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows whose outcome alone would mislead: absent, but found in Purges; purged, but without Graph's confirmation."""
    outcome, status = batch.column("outcome"), batch.column("status")
    in_purges = pc.and_(pc.equal(outcome, Outcome.ABSENT.value), pc.equal(status, _IN_PURGES))
    confirmed = pc.and_(pc.greater_equal(status, 200), pc.less(status, 300))
    after_lost = pc.and_(pc.equal(outcome, Outcome.PURGED.value), pc.invert(pc.fill_null(confirmed, False)))
    yield _FOUND, batch.filter(pc.fill_null(in_purges, False))
    yield _AFTER_LOST, batch.filter(after_lost)


def _count(scratch: sqlite3.Connection, users: Any, kinds: bytearray) -> None:
    """Add the rows of a batch to the counts of their mailboxes."""
    table = pa.table({"user": users, "kind": pa.array(memoryview(kinds), pa.uint8())})
    table = table.filter(pc.greater(table.column("kind"), 0))
    sums = table.group_by(["user", "kind"]).aggregate([("kind", "count")])
    cells = zip(*(sums.column(name).to_pylist() for name in ("user", "kind", "kind_count")), strict=True)
    scratch.executemany(
        "INSERT INTO mailbox VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET found = found + excluded.found, "
        "not_found = not_found + excluded.not_found, after_lost = after_lost + excluded.after_lost",
        [
            (
                mailbox_key(user),
                user,
                rows if kind != _NOT_FOUND else 0,
                rows if kind == _NOT_FOUND else 0,
                rows if kind == _AFTER_LOST else 0,
            )
            for user, kind, rows in cells
        ],
    )


def situations_of(chain: Chain, final: Final, endings: Failures) -> list[Situation]:
    """Return what advice needs to know of each ledger of the chain, about the rows that it decides."""
    found = []
    for number, (ledger, share) in enumerate(zip(chain.ledgers, final.shares, strict=True)):
        counts = ledger.counts()
        unfinished = counts.waiting + counts.in_doubt
        invalid, told = share.holds[Outcome.INVALID], endings.told_of(number)
        found.append(Situation(str(ledger.folder), unfinished, invalid, told, ledger.running if unfinished else False))
    return found
