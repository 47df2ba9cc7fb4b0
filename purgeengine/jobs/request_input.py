"""Opens the input of a request: files, or rows that a program hands over."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgeengine.core.graph.text import printable
from purgeengine.edges.ledger.store.storage import translated
from purgeengine.edges.paths import GIVEN_ROWS, SCRATCH_PREFIX
from purgeengine.errors import InputError, PurgeEngineError, UsageProblem

if TYPE_CHECKING:
    from purgeengine.edges.ledger.staging.survey import Input
    from purgeengine.edges.source import Source
    from purgeengine.jobs.purge_request import PurgeRequest

Opener = Callable[[], "Input | None"]
"""Opens the input when it is needed; answers None where a ledger is gone on with as it is."""


@contextmanager
def opening(request: PurgeRequest) -> Iterator[Opener]:
    """What opens the input of the request, while inside. Rows that were handed over are copied to a temporary file first.

    To be called once: an iterator has no second time.
    """
    with ExitStack() as stack:
        copies: list[Path] = []

        def opened() -> Source | None:
            if not request.has_input:
                return None
            paths = paths_of(request)
            if paths is not None:
                return opened_files(request, paths)
            copy, digest = _copied(request, stack)
            copies.append(copy)
            return opened_files(request, [copy]).with_digest(digest)

        try:
            yield opened
        except PurgeEngineError as error:
            name_copies(error, copies, GIVEN_ROWS)
            raise


def opened_files(request: PurgeRequest, paths: Sequence[str | Path]) -> Source:
    """The files, understood as the request says. Raises `InputError` as opening does."""
    from purgeengine.edges.source import open_source

    return open_source(paths, request.columns, user=request.user, clean=request.clean)


def paths_of(request: PurgeRequest) -> list[str | Path] | None:
    """The files that the request names; None where it holds rows."""
    inputs: Any = request.inputs
    if isinstance(inputs, list | tuple) and all(isinstance(one, str | Path) for one in inputs):
        return list(inputs)
    return None


def _copied(request: PurgeRequest, stack: ExitStack) -> tuple[Path, str]:
    from purgeengine.edges.source.given_rows import copied

    rows: Any = request.inputs
    if hasattr(rows, "__next__"):  # an iterator may still turn out to be one of names
        first = next(rows, None)
        if isinstance(first, str | Path):
            raise UsageProblem("inputs is an iterator of names of files. Give them as a list.")
        rows = rows if first is None else chain([first], rows)
    with translated("The rows of the request cannot be copied"):
        scratch = tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True)
        copy = Path(stack.enter_context(scratch)) / GIVEN_ROWS
        return copy, copied(rows, copy)


def name_copies(error: PurgeEngineError, copies: Sequence[Path], name: str) -> None:
    """Let the error speak of what was copied, and not of the copy, which nobody knows."""
    text = str(error)
    for copy in copies:
        for spelt in {str(copy.resolve()), str(copy)}:
            text = text.replace(spelt, name)
    if text != str(error):
        error.args = (text[0].upper() + text[1:], *error.args[1:])


def opened_for(request: PurgeRequest, open_input: Opener) -> Input | None:
    """Open the input of a purge with the ledger of the request.

    A list without any row is a mistake: reading it raises `InputError`, as opening does. Where the input has no column for the
    user, and the ledger was made with one user for all rows, the error says so. Raises `UsageProblem` where there is neither an
    input nor a ledger to go on with.
    """
    from purgeengine.edges.source import Source

    folder = request.folder
    try:
        source = open_input()
    except InputError as error:
        user = _user_of_ledger(folder) if folder is not None and _lacks_user(error) else None
        if user is None:
            raise
        raise InputError(
            f"{error} The ledger in {folder} was made with {request.spelling('user')} {printable(user)}: give that as well to "
            "resume."
        ) from error
    if source is None:
        _refuse_nothing_to_resume(request)
    return source.needing_rows() if isinstance(source, Source) else source


def refuse_reading_in_part(source: Source | None, request: PurgeRequest) -> None:
    """Raise `UsageProblem` where nobody is asked, and some files of a folder are not read, and nobody has allowed that."""
    if source is None or not request.yes or request.allow_unread or not source.ignored:
        return
    from purgeengine.core.policy.input_words import warnings_of

    left = warnings_of({"left_alone": source.reading()["left_alone"]})
    raise UsageProblem(
        f"{left[0]} With {request.spelling('yes')} nobody can confirm this before the run begins. Name the files that you want, "
        f"move the others out of the folder, or give {request.spelling('allow_unread')}. Nothing was sent."
    )


def _refuse_nothing_to_resume(request: PurgeRequest) -> None:
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of

    if request.folder is None:
        raise UsageProblem(
            f"Name {request.spelling('inputs')}, or give {request.spelling('ledger=DIR')} to resume a ledger."
        )
    if state_of(request.folder) is not FolderState.STAGED:
        raise UsageProblem(
            f"Name {request.spelling('inputs')} to purge: there is no ledger in {request.folder} that could be resumed without one."
        )


def _lacks_user(error: InputError) -> bool:
    from purgeengine.edges.source.rows.columns import LacksColumns

    return any(isinstance(one, LacksColumns) and "user" in one.lacking for one in (error, error.__cause__))


def _user_of_ledger(folder: Path) -> str | None:
    """The one user that a ledger was made with; None where there is none, or no ledger that can be read."""
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of

    try:
        if state_of(folder) is not FolderState.STAGED:
            return None
        with LedgerReader.open(folder) as reader:
            return (reader.about.get("given") or {}).get("user") or None
    except PurgeEngineError:  # what is wrong with the ledger is told when it is opened
        return None
