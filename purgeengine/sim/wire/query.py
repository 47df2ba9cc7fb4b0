"""The query options that the tenant serves: ``$top``, ``$skip``, ``$select`` and ``$count``, as Graph reads them.

Other options of Graph are refused with 501 and a sentence. This module does not know what is listed.
"""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import quote, unquote_plus

_OTHERS = frozenset(
    ("$filter", "$orderby", "$expand", "$search", "$format", "$apply", "$compute", "$levels", "$deltatoken")
)
_OPTIONS_MAX = 20


class Options(NamedTuple):
    """What a GET asks for: at most ``top`` of the entries after the first ``skip``, with the fields of ``select``.

    ``top`` is None for a page of the usual size. ``select`` is empty for all fields.
    """

    top: int | None = None
    skip: int = 0
    select: tuple[str, ...] = ()
    counted: bool = False
    by_token: bool = False
    """True if ``skip`` comes from an opaque token, as in the links of the directory."""

    def next_page(self, skip: int, *, by_token: bool = False) -> str:
        """Return the query of the next page, which follows the first ``skip`` entries. It names them, or has an opaque token."""
        parts = [] if self.top is None else [f"%24top={self.top}"]
        if self.select:
            parts.append("%24select=" + quote(",".join(self.select), safe=","))
        if self.counted:
            parts.append("%24count=true")
        return "&".join([*parts, f"%24skiptoken={_token(skip)}" if by_token else f"%24skip={skip}"])


NO_OPTIONS = Options()


class QueryRefused(Exception):
    """The query is refused with ``status`` and ``code``. The message tells why."""

    def __init__(self, message: str, status: int = 400, code: str = "BadRequest") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def parse_query(query: str) -> Options:
    """Return the options of a query. Raises `QueryRefused` for what Graph refuses, and for what the tenant does not serve."""
    options = NO_OPTIONS
    given: set[str] = set()
    for part in query.split("&")[: _OPTIONS_MAX + 1]:
        name, _, value = part.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        if name in given:
            raise QueryRefused(
                f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        given.add(name)
        match name:
            case "":
                continue
            case "$top":
                options = options._replace(top=_number(name, value))
            case "$skip":
                options = options._replace(skip=_number(name, value))
            case "$skiptoken":
                options = options._replace(skip=_read_token(value), by_token=True)
            case "$select":
                options = options._replace(select=_names(value))
            case "$count" if value.lower() in ("true", "false"):
                options = options._replace(counted=value.lower() == "true")
            case "$count":
                raise QueryRefused(f"Invalid value '{value[:40]}' for $count query option found.")
            case _ if name.startswith("$") and name not in _OTHERS:
                raise QueryRefused(f"The query parameter '{name[:40]}' is not supported.")
            case _:
                raise QueryRefused(
                    f"The simulated tenant does not serve the query option {name[:40]!r}. "
                    "It serves $top, $skip, $select and $count.",
                    501,
                    "NotImplemented",
                )
    if len(given) > _OPTIONS_MAX:
        raise QueryRefused("The query holds too many options.")
    return options


def _token(skip: int) -> str:
    """Return an opaque token for the place after the first ``skip`` entries."""
    return base64.urlsafe_b64encode(f"RFNwdAoAAQ simulated {skip}".encode()).decode().rstrip("=")


def _read_token(value: str) -> int:
    """Return the place of a token. Raises `QueryRefused` if no link of this tenant had it."""
    try:
        text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("ascii")
    except (ValueError, UnicodeError):
        text = ""
    place = text.removeprefix("RFNwdAoAAQ simulated ")
    if place == text or not place.isdigit() or len(place) > 9:
        raise QueryRefused("Invalid page token or paging session is not valid.", code="Directory_ExpiredPageToken")
    return int(place)


def _number(name: str, value: str) -> int:
    """Read a number that is not negative and has at most nine digits."""
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise QueryRefused(
            f"Invalid value '{value[:40]}' for {name} query option found. "
            f"The {name} query option requires a non-negative integer value."
        )
    return int(value)


def _names(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    if not all(name.isascii() and name.isalnum() for name in names):
        raise QueryRefused("Parsing OData Select and Expand failed: the term is not valid in a $select expression.")
    return names
