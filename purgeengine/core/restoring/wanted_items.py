"""Which deleted items belong to a purge: found by mailbox, name and time, because a deleted item has a new id.

Exchange keeps a permanently deleted contact in the Purges folder of its mailbox. It stands there with its subject and the
second at which it was removed, and nothing of the id that Graph had for it. So rows of one mailbox that share a name can only be
looked for together: if Purges holds no more items of that name and time than the purge deleted, all of them are the purge's. If it
holds more, nobody can say which are, and none is brought back.

Source: observations of Get-RecoverableItems after Graph's permanentDelete, on events, October 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from purgeengine.core.graph.identifiers import mailbox_key

SPAN_GAP_MS = 60_000
"""Milliseconds between two rows of one group that are looked for together. The script adds as many to each end,
for clocks that differ."""


@dataclass(frozen=True, slots=True)
class PurgedRow:
    """A row of a ledger whose contact is gone, or may be."""

    user: str
    """The mailbox, as the list names it."""
    contact: str
    """The id that Graph had for the contact."""
    names: tuple[str, ...]
    """What the item may be called in Purges: display name, file-as. Empty if the list told no name."""
    first_sent_ms: int
    """When it was first sent, in milliseconds since 1970 UTC."""
    settled_ms: int
    """When its outcome was known, in milliseconds since 1970 UTC."""
    in_doubt: bool
    """True if nobody knows whether it was deleted."""


@dataclass(frozen=True, slots=True)
class WantedGroup:
    """Rows of one mailbox that can only be brought back together, as they share names."""

    user: str
    """The mailbox, as its first row names it: the same for all groups of it."""
    names: tuple[str, ...]
    """The names that their items may have, sorted. Empty for the rows of a mailbox whose names nobody knows."""
    rows: int
    """How many items the purge deleted at most."""
    in_doubt: int
    """How many of these rows may not have been deleted at all."""
    spans_ms: tuple[tuple[int, int], ...]
    """When they were deleted: from and to, in milliseconds since 1970 UTC, in order and without overlap."""


class PurgedRows:
    """The rows of one purge, from one ledger or several. A contact that several ledgers sent counts once."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], PurgedRow] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[PurgedRow]:
        return iter(self._rows.values())

    def add(self, row: PurgedRow) -> None:
        """Take in a row.

        If its contact is known already, the two become one row: it was deleted between the earlier first sending and the
        later outcome.
        """
        key = (mailbox_key(row.user), row.contact)
        known = self._rows.get(key)
        if known is not None:
            row = PurgedRow(
                known.user,
                known.contact,
                tuple(dict.fromkeys((*known.names, *row.names))),
                min(known.first_sent_ms, row.first_sent_ms),
                max(known.settled_ms, row.settled_ms),
                known.in_doubt and row.in_doubt,
            )
        self._rows[key] = row

    def groups(self) -> list[WantedGroup]:
        """Return the rows in groups: by mailbox, and within a mailbox by shared names. Rows without a name are one group."""
        mailboxes: dict[str, list[PurgedRow]] = {}
        for (mailbox, _), row in self._rows.items():
            mailboxes.setdefault(mailbox, []).append(row)
        return [group for rows in mailboxes.values() for group in _groups_of(rows)]


def _groups_of(rows: Sequence[PurgedRow]) -> Iterator[WantedGroup]:
    members: dict[int, list[PurgedRow]] = {}
    group_of: dict[str, int] = {}
    for number, row in enumerate(rows):
        joined = {group_of[name] for name in row.names if name in group_of}
        target = min(joined, default=number if row.names else -1)
        members.setdefault(target, []).append(row)
        for other in joined - {target}:
            moved = members.pop(other)
            members[target] += moved
            group_of.update((name, target) for one in moved for name in one.names)
        group_of.update((name, target) for name in row.names)
    for group in members.values():
        names = {name for row in group for name in row.names}
        doubtful = sum(row.in_doubt for row in group)
        spans = tuple(_spans((row.first_sent_ms, row.settled_ms) for row in group))
        yield WantedGroup(rows[0].user, tuple(sorted(names)), len(group), doubtful, spans)


def _spans(times: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join times that overlap or nearly touch."""
    begin = end = None
    for first, last in sorted(times):
        if begin is None or end is None:
            begin, end = first, last
        elif first <= end + SPAN_GAP_MS:
            end = max(end, last)
        else:
            yield begin, end
            begin, end = first, last
    if begin is not None and end is not None:
        yield begin, end
