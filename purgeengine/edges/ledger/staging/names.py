"""The names of a mailbox: those of the input that were looked up, and those that Graph gave for their user.

Only a ledger made with ``--resolve-users`` knows them. Code that asks whether a mailbox is on a list must ask for all
of its names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from purgeengine.core.graph.identifiers import mailbox_key


class User(NamedTuple):
    """The user behind a name, as Graph tells it: the object id, and the user principal name (empty if Graph did not tell it)."""

    object_id: str
    upn: str


Names = Mapping[str, User | None]
"""For each name of the input, in its one spelling, the user behind it. None if there is no such user."""
Resolve = Callable[[Sequence[str]], Names]
"""Looks up the users behind names."""


def rows_of_names(names: Names) -> list[tuple[str, str | None, str | None]]:
    """Return the looked-up names as rows of the table ``resolved``."""
    return [(key, user and mailbox_key(user.object_id), user and mailbox_key(user.upn)) for key, user in names.items()]


def names_of_users(looked_up: Iterable[tuple[str, str | None, str | None]]) -> dict[str, set[str]]:
    """Return, for each name of a user in its one spelling, all names of that user. ``looked_up`` are rows of ``resolved``."""
    of_user: dict[str, set[str]] = {}
    for key, object_id, upn in looked_up:
        if object_id is not None:
            of_user.setdefault(object_id, {object_id}).update(name for name in (key, upn) if name)
    return {name: names for names in of_user.values() for name in names}


def other_names(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Return, for the key of each mailbox, its other names, each in its one spelling. Empty if nobody looked the names up."""
    (kept,) = connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'resolved')").fetchone()
    if not kept:  # a ledger from before this table existed
        return {}
    names = names_of_users(connection.execute("SELECT key, object_id, upn FROM resolved"))
    mailboxes = connection.execute("SELECT mailbox.key FROM mailbox JOIN resolved ON resolved.key = mailbox.key")
    return {key: names[key] - {key} for (key,) in mailboxes if key in names}
