"""Cut the open rows of a ledger into shards. Each shard is a ledger of its own, which a run finishes anywhere.

A cut may be interrupted at any point, and the same call goes on with it:

1. The head records the cut: how many shards, and a checksum of the rows of each. From then on no run over the head is allowed.
2. Each shard is staged under a name that ends in ``.new``. What is staged already is left as it is.
3. The head records that all were made.
4. They get their names.

So a shard has its name only when all of them are there for good. Whoever moves it away cannot cause it to be made again.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from purgeengine.core.sharding.balance import balanced
from purgeengine.core.sharding.shares import SHARDS_MAX, equal_shares, refuse_wrong_number
from purgeengine.edges.ledger.ledger import Ledger
from purgeengine.edges.ledger.outputs.retrying import takeover_of
from purgeengine.edges.ledger.running.app_limit import AppLimit
from purgeengine.edges.ledger.running.shard_events import (
    Cut,
    PlannedShard,
    ShardMark,
    cuts_of,
    keep_cut,
    keep_made,
)
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.open_rows import Piece, open_mailboxes
from purgeengine.edges.ledger.sharding.shard_rows import DealtRows, ShardRows, names_by_shard
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store.database import transaction
from purgeengine.edges.ledger.store.storage import make_folder, reading_records, sync_folder, translated
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import Limits
from purgeengine.words import Spelling, as_fields

UNRELEASED = ".new"
"""The end of the name of a shard's folder while other shards may still be missing."""


@dataclass(frozen=True, slots=True)
class Deal:
    """Which mailbox goes to which shard. ``numbers`` are those of the mailboxes with open rows, ascending."""

    numbers: array[int]
    shard_of: array[int]
    planned: tuple[PlannedShard, ...]


def cut(
    head: HeadLedger,
    shards: int,
    folder: Path,
    limits: Limits,
    on_progress: Callable[[int, int], None] = lambda made, of: None,
    spelling: Spelling = as_fields,
    utc: Callable[[], float] = time.time,
) -> Cut:
    """Cut the open rows of the head into shards below ``folder``, or go on with a cut that was interrupted.

    ``limits`` are those of all shards together. ``on_progress`` is called with the number of shards made so far, and of all.
    Raises `UsageProblem` if so many shards cannot be made, `LedgerMismatch` if ``folder`` holds other things under the shards'
    names, and `LedgerError` if a ledger cannot be read or written.
    """
    folder = Path(folder)
    with translated(f"The folder {folder} cannot be made"):
        make_folder(folder)
    now_ms = round(utc() * 1000)
    known = head.cut()
    if known is None or not known.made or not known.out:
        _refuse_taken(folder, shards)
        dealt = deal(head, shards, limits, spelling)
        known = _begun(head, known, dealt, folder, limits, now_ms)
        stage_shards(head, known, dealt, range(shards), folder, limits, now_ms, on_progress)
        with translated(f"The ledger in {head.folder} cannot be written"), transaction(head.connection):
            keep_made(head.connection, known, now_ms)
        known = replace(known, made=True)
    release(known, folder)
    return known


def shard_name(number: int, shards: int) -> str:
    """Return the name of a shard's folder: ``shard-00``, with as many digits as the largest number needs, at least two."""
    return f"shard-{number:0{max(2, len(str(shards - 1)))}d}"


def release(known: Cut, folder: Path) -> None:
    """Give the shards of a cut that was made their names. Shards that have theirs, or were moved away, are left alone."""
    if Path(known.folder) != folder.absolute():
        return
    with translated(f"The shards in {folder} cannot be renamed"):
        for number in range(known.shards):
            name = shard_name(number, known.shards)
            staged = folder / f"{name}{UNRELEASED}"
            if staged.is_dir() and not (folder / name).exists():
                staged.rename(folder / name)
        sync_folder(folder)


def deal(head: HeadLedger, shards: int, limits: Limits, spelling: Spelling = as_fields) -> Deal:
    """Deal out the mailboxes. ``limits`` are those of all shards. Raises `UsageProblem` if so many shards cannot be made."""
    with reading_records(head.folder):
        numbers, rows = array("q"), array("q")
        for mailbox in open_mailboxes(head.connection):
            numbers.append(mailbox.number)
            rows.append(mailbox.rows)
        refuse_wrong_number(shards, len(numbers), limits.connections, limits.requests_per_s, spelling)
        shard_of = balanced(rows, shards, _limits_of_one(limits, shards))
        planned = planned_for(head.connection, shard_of, range(shards))
    return Deal(numbers, shard_of, tuple(planned[shard] for shard in range(shards)))


def planned_for(
    connection: sqlite3.Connection, shard_of: Sequence[int], shards: Iterable[int]
) -> dict[int, PlannedShard]:
    """Return what each of these shards gets. ``shard_of`` has the shard of each mailbox with open rows."""
    totals = {shard: [0, 0, 0, 0] for shard in shards}
    for mailbox, shard in zip(open_mailboxes(connection), shard_of, strict=True):
        if shard not in totals:
            continue
        total = totals[shard]
        total[0] += mailbox.rows
        total[1] += mailbox.in_doubt
        total[2] += 1
        total[3] = places_crc(total[3], mailbox.number, mailbox.pieces)
    return {shard: PlannedShard(*total) for shard, total in totals.items()}


def places_crc(crc: int, number: int, pieces: Iterable[Piece]) -> int:
    """Return the checksum of the rows of a shard, after one more mailbox."""
    return zlib.crc32(repr((number, *map(tuple, pieces))).encode(), crc)


def _begun(head: HeadLedger, known: Cut | None, dealt: Deal, folder: Path, limits: Limits, now_ms: int) -> Cut:
    """Record the cut, unless it is the one that was interrupted."""
    earlier = cuts_of(head.connection) - ({known.id} if known is not None else set())
    place = str(folder.absolute())
    what = (head.reader.identity, sorted(earlier), place, limits.connections, limits.requests_per_s, dealt.planned)
    identity = hashlib.sha256(repr(what).encode()).hexdigest()[:32]
    if known is not None and known.id == identity:
        return known
    begun = Cut(identity, place, limits.connections, limits.requests_per_s, dealt.planned)
    with translated(f"The ledger in {head.folder} cannot be written"), transaction(head.connection):
        keep_cut(head.connection, begun, now_ms)
    return begun


def _limits_of_one(limits: Limits, shards: int) -> Limits:
    """Return the smallest share of the limits that a shard gets."""
    return replace(limits, connections=limits.connections // shards, requests_per_s=limits.requests_per_s // shards)


def stage_shards(
    head: HeadLedger,
    begun: Cut,
    dealt: Deal,
    shards: Sequence[int],
    folder: Path,
    limits: Limits,
    now_ms: int,
    on_progress: Callable[[int, int], None] = lambda made, of: None,
) -> None:
    """Stage those of these shards that are not staged yet, under names that end in `UNRELEASED`."""
    staged = {number: folder / f"{shard_name(number, begun.shards)}{UNRELEASED}" for number in shards}
    missing = [number for number, place in staged.items() if not _is_made(place, begun, number)]
    takeover = takeover_of(head.reader, limits, now_ms)
    names = (
        names_by_shard(head.connection, dealt.numbers, dealt.shard_of) if head.reader.about["resolve_users"] else None
    )
    rows = DealtRows(head, dealt.numbers, dealt.shard_of, {n: begun.planned[n] for n in missing}, folder)
    shares = _shares(begun)
    limit = takeover.app_limit
    if limit is not None:
        takeover = replace(takeover, app_limit=AppLimit(limit.per_s / begun.shards, limit.at_ms))
    on_progress(len(shards) - len(missing), len(shards))
    with rows:
        for done, number in enumerate(missing, start=len(shards) - len(missing) + 1):
            mark = ShardMark(
                cut=begun.id,
                head=head.reader.identity,
                head_name=head.folder.absolute().name,
                number=number,
                shards=begun.shards,
                connections=shares["connections"][number],
                requests_per_s=shares["requests_per_s"][number],
                generation=begun.generation(number),
            )
            source = ShardRows(rows, number, takeover, mark, None if names is None else names.get(number, {}))
            about = head.reader.about
            Ledger.open(
                staged[number],
                source,
                tenant_id=about["tenant_id"],
                deletion=head.reader.deletion,
                resolve=source.resolve,
            ).close()
            on_progress(done, len(shards))


def _shares(begun: Cut) -> Mapping[str, list[int]]:
    return {
        "connections": equal_shares(begun.connections, begun.shards),
        "requests_per_s": equal_shares(begun.requests_per_s, begun.shards),
    }


def _refuse_taken(folder: Path, shards: int) -> None:
    """Raise `UsageProblem` before anything is recorded, if a shard could not get its name in the end."""
    for number in range(min(shards, SHARDS_MAX)):
        if not (place := folder / shard_name(number, shards)).exists():
            continue
        raise UsageProblem(
            f"{place} is there already. Shards are made beside each other under such names: name another folder with -o. "
            "No shard was made."
        )


def _is_made(place: Path, begun: Cut, number: int) -> bool:
    """Return True if this shard of this cut was staged before the interruption. What an abandoned cut staged there is removed."""
    if state_of(place) is not FolderState.STAGED:
        return False
    with Ledger.open(place, None) as found:
        mark = found.mark
    if mark is not None and (mark.cut, mark.number, mark.generation) == (begun.id, number, begun.generation(number)):
        return True
    if mark is None:
        raise UsageProblem(f"{place} holds a ledger that is no shard. Name another folder with -o. No shard was made.")
    with translated(f"{place} cannot be removed"):
        shutil.rmtree(place)
    return False
