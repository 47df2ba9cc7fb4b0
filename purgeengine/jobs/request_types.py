"""What a caller may give in a request: the types of its fields, looked at before anything is read from them.

Python does not hold a caller to a type. A text where True or False belongs would confirm a purge (``yes="no"``), a limit that is
NaN would never be reached, and a set of rows has another order each time. So each is refused by name, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from datetime import tzinfo
from pathlib import Path
from typing import Any, NoReturn

from purgeengine.errors import UsageProblem
from purgeengine.jobs.sending_hours import SendingHours
from purgeengine.run_limits import Limits
from purgeengine.words import Spelling, shown

UNTIL_UTC_MAX = 253_370_764_800.0
"""Seconds since 1970 of the first day of the year 9999: later times have no name in every time zone."""

Test = Callable[[Any], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_path(value: object) -> bool:
    """An empty name would be the current folder, which nobody means."""
    return isinstance(value, str | Path) and _is_name(str(value)) and "\0" not in str(value)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_whole(value: object) -> bool:
    """Python itself cannot write an endless one into a sentence."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_count(value: object) -> bool:
    return _is_whole(value) or isinstance(value, str)


def _is_columns(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(one, str) for pair in value.items() for one in pair)


def _are_words(value: object) -> bool:
    return (
        isinstance(value, str | tuple | list | Set)
        and len(value) > 0
        and all(isinstance(one, str) or _is_whole(one) for one in value)
    )


def _are_users(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, str) for one in value)


def _has_order(value: object) -> bool:
    return (isinstance(value, Iterable) or hasattr(value, "to_batches")) and not isinstance(
        value, bytes | bytearray | memoryview | Mapping | Set
    )


FIELDS: tuple[tuple[str, Test, bool, str], ...] = (
    ("spelling", callable, False, "a function from a field's name to a text"),
    ("ledger", _is_path, True, "the name of a folder"),
    ("retry_of", _is_path, True, "the name of a folder"),
    ("only", _are_words, True, "a list of outcomes, such as ['exhausted']"),
    ("codes", _are_words, True, "a list of error codes and statuses, such as ['ErrorAccessDenied', 429]"),
    ("unfinished", _is_bool, False, "True or False"),
    ("columns", _is_columns, True, "a dict of texts, such as {'contact': 'Id'}"),
    ("user", _is_text, True, "a text"),
    ("clean", _is_bool, False, "True or False"),
    ("allow_unread", _is_bool, False, "True or False"),
    ("action", _is_text, True, "a text"),
    ("id_type", _is_text, True, "a text"),
    ("cloud", _is_text, True, "a text"),
    ("graph_url", _is_name, True, "an address"),
    ("authority_url", _is_name, True, "an address"),
    ("ca_file", _is_path, True, "the name of a file"),
    ("auth", _is_text, False, "a text"),
    ("resolve_users", _is_bool, False, "True or False"),
    ("probe", _is_whole, True, "a whole number"),
    ("max_items", _is_whole, True, "a whole number"),
    ("max_items_per_mailbox", _is_whole, True, "a whole number"),
    ("max_failures", _is_count, True, "a whole number such as 50 or a share such as '5%'"),
    ("auto_stop", _is_bool, False, "True or False"),
    ("yes", _is_bool, False, "True or False"),
    ("limits", lambda value: isinstance(value, Limits), False, "a Limits"),
    ("hours", lambda value: isinstance(value, SendingHours), True, "a SendingHours"),
    ("seed", _is_whole, True, "a whole number"),
)
"""Each field with what its value must be: a test, whether None may stand for it, and words."""
USERS = ("protected_users", "exclude_users", "only_users")


def refuse_odd_types(request: Any) -> None:
    """Raise `UsageProblem` naming the first field of a request whose value has a type that it cannot be read from."""
    spell: Spelling = request.spelling if callable(request.spelling) else str
    for name, is_right, may_be_none, words in FIELDS:
        value = getattr(request, name)
        if not (value is None and may_be_none) and not is_right(value):
            _refuse(spell(name), words + (", or None" if may_be_none else ""), shown(value))
    token = request.access_token
    if token is not None and not _is_name(token):  # never shown
        _refuse(
            spell("access_token"),
            "a text, or None",
            f"a value of the type {type(token).__name__}" if token else "an empty text",
        )
    if hasattr(request.inputs, "itertuples"):
        raise UsageProblem(
            f"{spell('inputs')} is a DataFrame. Give pyarrow.Table.from_pandas(frame, preserve_index=False) instead."
        )
    if not _has_order(request.inputs) and not _is_path(request.inputs):
        _refuse(spell("inputs"), _INPUTS, shown(request.inputs))
    if isinstance(request.inputs, str | list | tuple):
        names = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        for one in names:
            if isinstance(one, str | Path) and not _is_path(one):
                raise UsageProblem(f"{spell('inputs')} holds {shown(one)}, which is no name of a file or a folder.")
    if request.hours is not None:
        _refuse_hours(request.hours, spell)


_INPUTS = (
    "names of files or folders, rows of (user, folder, contact) in an order that stays the same, or a pyarrow Table"
)


def users_of(request: Any, name: str) -> tuple[str, ...] | None:
    """The list of users in this field, kept as a tuple. Raises `UsageProblem` for what is not a list of texts."""
    users, spell = getattr(request, name), request.spelling
    if users is None and name == "only_users":
        return None
    if isinstance(users, str):
        raise UsageProblem(f"{spell(name)} must be a list of users, not the text {shown(users)}.")
    if not isinstance(users, Iterable) or isinstance(users, bytes | bytearray | memoryview | Mapping):
        _refuse(spell(name), "a list of users", shown(users))
    kept = tuple(users)
    for one in kept:
        if not isinstance(one, str):
            raise UsageProblem(
                f"{spell(name)} holds {shown(one)}. Each user must be a text: a name, an object id or a pattern."
            )
    return kept


def _refuse_hours(hours: SendingHours, spell: Spelling) -> None:
    if not isinstance(hours.windows, tuple | list) or not all(map(_is_pair, hours.windows)):
        _refuse(
            f"{spell('hours')}: windows",
            "pairs (first, end) in minutes since midnight, such as ((1200, 360),) for 20:00 to 06:00",
            shown(hours.windows),
        )
    if hours.zone is not None and not isinstance(hours.zone, tzinfo):
        _refuse(
            f"{spell('hours')}: zone", "a tzinfo, such as zoneinfo.ZoneInfo('Europe/Rome'), or None", shown(hours.zone)
        )
    until = hours.until_utc
    if until is not None and not (
        isinstance(until, int | float) and not isinstance(until, bool) and 0 <= until <= UNTIL_UTC_MAX
    ):
        _refuse(
            f"{spell('hours')}: until_utc",
            "seconds since 1970, such as datetime.timestamp() answers, or None",
            shown(until),
        )
    if not isinstance(hours.until_named, str):
        _refuse(f"{spell('hours')}: until_named", "a text", shown(hours.until_named))


def _is_pair(window: object) -> bool:
    return isinstance(window, tuple | list) and len(window) == 2 and all(map(_is_whole, window))


def _refuse(name: str, wanted: str, given: str) -> NoReturn:
    raise UsageProblem(f"{name} must be {wanted}, not {given}.")
