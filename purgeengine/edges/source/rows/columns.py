"""What the columns of a file mean: which hold user, folder and contact, and what the others are called from here on.

This module knows names only. It does not know CSV or Parquet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from purgeengine.core.graph.text import printable
from purgeengine.core.policy.outcomes import ORIGIN_COLUMN
from purgeengine.edges.source.rows.column_names import (
    is_export,
    name_key,
    plain_name,
    refuse_odd_names,
    refuse_too_many,
    safe_name,
)
from purgeengine.errors import InputError, UsageProblem

ALIASES: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "userPrincipalName", "mailbox", "upn", "userId"),
    "folder": ("folder", "folderId", "contactFolderId", "parentFolderId"),
    "contact": ("contact", "contactId", "id"),
}
"""Names that are understood, in any letter case. If a file has several for one role, the earlier one here wins."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where to find what in a file. Positions of columns count from 0.

    - ``names`` are all columns of the file, ``extras`` those that are passed on, as (position, name from here on).
    - ``folder`` is None if no column holds the folder.
    - ``is_export`` is true if this program wrote the file. ``in_doubt`` is then the column that tells which rows may
      be purged already.
    - ``given`` are roles that no column of the file holds, with the value for all of its rows (from ``--user``, or
      from a partition folder). For such a user or contact, the position is that of another column, because something
      must be read.
    - ``constants`` are other columns whose value comes from a partition folder.
    - ``origins`` tells people where each role comes from.
    """

    names: tuple[str, ...]
    user: int
    folder: int | None
    contact: int
    extras: tuple[tuple[int, str], ...]
    is_export: bool
    in_doubt: int | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    constants: tuple[tuple[str, str], ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[int, ...]:
        """The positions to read: user, folder if there is one, contact, the extras, then the doubt."""
        places = (self.user, self.folder, self.contact, *(place for place, _ in self.extras), self.in_doubt)
        return tuple(dict.fromkeys(place for place in places if place is not None))


class LacksColumns(InputError):
    """A file has no column for a role that every row needs. ``lacking`` names the roles: user, contact or both."""

    def __init__(self, text: str, lacking: Sequence[str]) -> None:
        super().__init__(text)
        self.lacking = tuple(lacking)


class Roles(dict[str, str]):
    """The caller's own column names for roles, "" for a role that is left out. ``user`` is the user of every row, or None.

    ``partition`` are the columns that the partition folders of one file name, with their values.
    """

    def __init__(
        self,
        columns: Mapping[str, str] | None = None,
        user: str | None = None,
        partition: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(columns or {})
        self.user = user
        self.partition = tuple(partition)

    def within(self, partition: Sequence[tuple[str, str]]) -> Roles:
        """Return a copy for a file in these partition folders."""
        return Roles(self, self.user, partition) if partition else self


def checked_override(columns: Mapping[str, str] | None, user: str | None = None) -> Roles:
    """Return the caller's names for roles. Raises `UsageProblem` for a role that does not exist or cannot be left out."""
    for role, name in (columns or {}).items():
        if role not in ALIASES:
            raise UsageProblem(f"--columns knows the roles user, folder and contact, not {role!r}.")
        if not name and role != "folder":
            raise UsageProblem(f"--columns can leave out the folder only (folder=), not the {role}.")
    if user is not None and "user" in (columns or {}):
        raise UsageProblem("--user names the one mailbox of the list, and --columns a column for it. Give one of them.")
    return Roles(columns, user)


def recognised(names: Sequence[str], override: Mapping[str, str]) -> int:
    """Count the names with a known meaning. The right delimiter gives more of them than a wrong one."""
    known = {name_key(alias) for aliases in ALIASES.values() for alias in aliases}
    known.update(name_key(name) for name in override.values() if name)
    return sum(name_key(name) in known for name in names)


def layout_of(path: Path, names: Sequence[str], override: Mapping[str, str]) -> Layout:
    """Find the roles among the column names.

    Raises `InputError`, which names the file and its columns, if a role is missing.
    """
    names = tuple(plain_name(name) or f"column_{place}" for place, name in enumerate(names, start=1))
    refuse_too_many(f"{path} does not begin with a usable header: it has", names)
    refuse_odd_names(path, names)
    wanted = override if isinstance(override, Roles) else Roles(override)
    every = (*names, *(plain_name(name) for name, _ in wanted.partition))
    values = {len(names) + number: value for number, (_, value) in enumerate(wanted.partition)}
    refuse_odd_names(path, every)
    places = {name_key(name): place for place, name in enumerate(every)}
    roles = _overridden(path, every, places, wanted)
    taken = set(roles.values())
    for role in ALIASES:
        if role not in roles:
            roles[role] = _by_alias(path, role, {key: place for key, place in places.items() if place not in taken})
    _refuse_two_users(path, every, roles["user"], wanted.user)
    given = {role: values[place] for role, place in roles.items() if place in values}
    origins = {role: every[place] for role, place in roles.items() if place is not None}
    if wanted.user is not None:
        given["user"], origins["user"] = wanted.user, "--user"
    if lacking := [role for role in ("user", "contact") if roles[role] is None and role not in given]:
        raise _lacking(path, every, lacking)
    own = {place for place in roles.values() if place is not None and place < len(names)}
    others = [place for place in range(len(names)) if place not in own]
    anything = min(own, default=0)
    user, folder, contact = ((None if role in given else roles[role]) for role in ALIASES)
    of_export = is_export(names)
    extras = _extras(names, others, places, of_export=of_export)
    in_doubt = places.get("in_doubt") if of_export else None
    return Layout(
        names,
        anything if user is None else user,
        folder,
        anything if contact is None else contact,
        extras,
        of_export,
        in_doubt if in_doubt in others else None,
        given,
        tuple((safe_name(every[place]), value) for place, value in values.items() if place not in roles.values()),
        origins,
    )


def united(layouts: Sequence[Layout]) -> tuple[str, ...]:
    """Return the names of the extra columns of all files, first seen first. Names compare without letter case.

    Raises `InputError` if there are more than an export may have.
    """
    seen: dict[str, str] = {}
    for layout in layouts:
        for name in (*(name for _, name in layout.extras), *(name for name, _ in layout.constants)):
            seen.setdefault(name_key(name), name)
    refuse_too_many("The files of the input have together", tuple(seen.values()))
    return tuple(seen.values())


def _overridden(
    path: Path, names: tuple[str, ...], places: Mapping[str, int], override: Mapping[str, str]
) -> dict[str, int | None]:
    roles: dict[str, int | None] = {}
    for role, name in override.items():
        if not name:
            roles[role] = None
            continue
        if name_key(name) not in places:
            raise InputError(f"{path} has no column {name!r} for the {role}; it has {_listed(names)}.")
        if places[name_key(name)] in roles.values():
            raise InputError(f"The column {name!r} of {path} is named for two roles. Name one column for each.")
        roles[role] = places[name_key(name)]
    return roles


def _by_alias(path: Path, role: str, places: Mapping[str, int]) -> int | None:
    """Find the column of a role by the names that are understood for it. None if there is none.

    Of several, the one that stands first in `ALIASES` is taken. Raises `InputError` for ``contactId`` beside ``id``:
    a wrong guess would delete the wrong contacts.
    """
    present = [alias for alias in ALIASES[role] if name_key(alias) in places]
    if present == ["contactId", "id"]:
        raise InputError(
            f"{path} has both 'contactId' and 'id', and either may name the contact. Say which with --columns, "
            f"for example contact=contactId."
        )
    return places[name_key(present[0])] if present else None


def _refuse_two_users(path: Path, names: tuple[str, ...], place: int | None, user: str | None) -> None:
    """Raise `InputError` if both a column and ``--user`` name the user.

    A person must say which is meant, even if both seem equal.
    """
    if place is not None and user is not None:
        raise InputError(
            f"{path} has a column for the user ({names[place]!r}), and --user names {printable(user)!r} for all of its rows. "
            "Leave --user out, or name a list without such a column."
        )


def _extras(
    names: tuple[str, ...], others: Sequence[int], places: Mapping[str, int], *, of_export: bool
) -> tuple[tuple[int, str], ...]:
    """Rename columns whose names the ledger uses. If the file already has a column with the new name, that older one is kept.

    So the rows of an export keep their number in the first ledger of a chain, however long the chain is.
    """
    extras = []
    for place in others:
        key = name_key(names[place])
        is_origin = of_export and key in ("row", ORIGIN_COLUMN)
        name = ORIGIN_COLUMN if is_origin else safe_name(names[place])
        if places.get(name_key(name), place) == place:
            extras.append((place, name))
    return tuple(extras)


def _lacking(path: Path, names: tuple[str, ...], lacking: Sequence[str]) -> LacksColumns:
    accepted = "; ".join(f"{role}: {', '.join(ALIASES[role])}" for role in lacking)
    return LacksColumns(
        f"{path} has no column for the {' and the '.join(lacking)}. It has {_listed(names)}. "
        f"These names are understood, in any letter case: {accepted}. Other names can be given with --columns."
        + (" A list of one mailbox needs no such column: name the mailbox with --user." if lacking == ["user"] else ""),
        lacking,
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"the column{'s' if len(names) != 1 else ''} {shown}{more}"
