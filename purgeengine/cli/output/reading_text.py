"""An input that cannot be taken as it is: what the ledger knows of it, and what is read in part only where nobody is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgeengine.core.graph.text import printable
from purgeengine.core.policy.input_words import warnings_of
from purgeengine.errors import InputError, PurgeEngineError, UsageProblem

if TYPE_CHECKING:
    from purgeengine.edges.ledger.staging.survey import Input
    from purgeengine.edges.source import Source


def opened_for(folder: Path | None, open_input: Callable[[], Input | None]) -> Input | None:
    """Open the input of a run with the ledger in ``folder``.

    Raises `InputError` as opening does. Where the input has no column for the user, and the ledger was made with ``--user``, the
    error says so.
    """
    try:
        return open_input()
    except InputError as error:
        user = _user_of_ledger(folder) if folder is not None and _lacks_user(error) else None
        if user is None:
            raise
        raise InputError(
            f"{error} The ledger in {folder} was made with --user {printable(user)}: give that as well to resume."
        ) from error


def _lacks_user(error: InputError) -> bool:
    from purgeengine.edges.source.rows.columns import LacksColumns

    return any(isinstance(one, LacksColumns) and "user" in one.lacking for one in (error, error.__cause__))


def _user_of_ledger(folder: Path) -> str | None:
    """The ``--user`` that a ledger was made with; None where there is none, or no ledger that can be read."""
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of

    try:
        if state_of(folder) is not FolderState.STAGED:
            return None
        with LedgerReader.open(folder) as reader:
            return (reader.about.get("given") or {}).get("user") or None
    except PurgeEngineError:  # what is wrong with the ledger is told when it is opened
        return None


def refuse_reading_in_part(source: Source | None, options: Mapping[str, Any]) -> None:
    """Raise `UsageProblem` where nobody is asked, and some files of a folder are not read without --allow-unread."""
    if source is None or not options["yes"] or options["allow_unread"] or not source.ignored:
        return
    left = warnings_of({"left_alone": source.reading()["left_alone"]})
    raise UsageProblem(
        f"{left[0]} With --yes nobody can confirm this before the run begins. Name the files that you want, move the others out of "
        "the folder, or give --allow-unread. Nothing was sent."
    )
