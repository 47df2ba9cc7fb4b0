"""Names of columns: how they compare, which an export takes for itself, and which no file may have."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from purgeengine.core.graph.text import printable
from purgeengine.core.policy.outcomes import ORIGIN_COLUMN
from purgeengine.errors import InputError

LEDGER_COLUMNS = (
    "row",
    "user",
    "folder",
    "contact",
    "outcome",
    "status",
    "code",
    "message",
    "attempts",
    "in_doubt",
    "first_sent_utc",
    "settled_utc",
    "request_id",
    "client_request_id",
)
"""Columns of an export, in its order. No other column may take one of these names."""
NAME_CHARS_MAX = 256
"""Longest column name in characters. A longer one suggests that the first line is not a header."""
NAMES_BYTES_MAX = 64 * 1024
"""Longest total of all names in bytes. An export begins with them in one line, and must be readable as input."""
COLUMNS_MAX = 1_000
"""Most columns of a file, and most other columns of an input. A row needs three. Columns that an export adds do not count."""
_TAKEN = {*LEDGER_COLUMNS, "line", "source", "reason", ORIGIN_COLUMN}
_ADDED = {*_TAKEN, *(f"input_{name}" for name in _TAKEN)}
_OF_EXPORT = {"row", "outcome", "client_request_id"}


def is_export(names: Sequence[str]) -> bool:
    """True if this program wrote the file."""
    return set(map(name_key, names)) >= _OF_EXPORT


def name_key(name: str) -> str:
    """Return the form in which names of columns compare: letter case and surrounding spaces do not count."""
    return name.strip().casefold()


def safe_name(name: str) -> str:
    """Return the name under which an extra column is passed on: ``input_<name>`` if exports or batches use the name."""
    return f"input_{name}" if name_key(name) in _TAKEN else name


def plain_name(name: str) -> str:
    """Return a name on one line, without surrounding spaces, and without a byte order mark from a pasted file."""
    return " ".join(name.replace("\ufeff", "").split())


def refuse_too_many(what_has: str, names: Sequence[str]) -> None:
    """Raise `InputError` for more columns, or longer names, than an export may have beside its own: it is an input again."""
    own = [name for name in names if name_key(name) not in _ADDED]
    if len(own) > COLUMNS_MAX:
        raise InputError(
            f"{what_has} {len(own):,} columns besides those of a ledger, and {COLUMNS_MAX:,} are allowed. Leave out some of them."
        )
    if sum(len(name.encode("utf-8", "replace")) for name in own) > NAMES_BYTES_MAX:
        raise InputError(
            f"{what_has} columns whose names are longer than {NAMES_BYTES_MAX // 1024} KiB together. Leave out some of them."
        )


def refuse_odd_names(path: Path, names: tuple[str, ...]) -> None:
    """Raise `InputError` for a name that is too long or holds control characters, and for two columns of one name."""
    if max(map(len, names), default=0) > NAME_CHARS_MAX:
        raise InputError(
            f"{path} does not begin with a usable header: it has a column name of more than {NAME_CHARS_MAX} characters."
        )
    if any(unicodedata.category(character) == "Cc" for name in names for character in name):
        raise InputError(f"{path} has control characters in the name of a column. Rename it.")
    twice = [name for name, count in Counter(map(name_key, names)).items() if count > 1]
    if twice:
        shown = ", ".join(printable(name) for name in names if name_key(name) in twice)
        raise InputError(
            f"{path} has columns of the same name ({shown}). Rename or remove one; case does not tell them apart."
        )
