"""Under which names a mailbox goes: those of the input that were looked up, and those that Graph gave for its user.

Only a ledger made with ``--resolve-users`` knows them. Whoever asks whether a mailbox is on a list must ask by all of its names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from purgeengine.core.graph.identifiers import mailbox_key


class User(NamedTuple):
    """Who goes by a name, as Graph says it: the object id, and the user principal name, empty where it is not told."""

    object_id: str
    upn: str


Names = Mapping[str, User | None]
"""By the one spelling of a name of the input: its user, or None where nobody goes by it."""
Resolve = Callable[[Sequence[str]], Names]
"""Looks up the users behind names."""


def rows_of_names(names: Names) -> list[tuple[str, str | None, str | None]]:
    """As they are kept in the table ``resolved``."""
    return [(key, user and mailbox_key(user.object_id), user and mailbox_key(user.upn)) for key, user in names.items()]


def names_of_users(looked_up: Iterable[tuple[str, str | None, str | None]]) -> dict[str, set[str]]:
    """By each name of a user, in its one spelling, all of them. What was ``looked_up`` is as in the table ``resolved``."""
    of_user: dict[str, set[str]] = {}
    for key, object_id, upn in looked_up:
        if object_id is not None:
            of_user.setdefault(object_id, {object_id}).update(name for name in (key, upn) if name)
    return {name: names for names in of_user.values() for name in names}


def other_names(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """By the key of a mailbox, the one spelling of every other name of it. Empty where nobody looked them up."""
    (kept,) = connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'resolved')").fetchone()
    if not kept:  # a ledger from before there was such a table
        return {}
    names = names_of_users(connection.execute("SELECT key, object_id, upn FROM resolved"))
    mailboxes = connection.execute("SELECT mailbox.key FROM mailbox JOIN resolved ON resolved.key = mailbox.key")
    return {key: names[key] - {key} for (key,) in mailboxes if key in names}
