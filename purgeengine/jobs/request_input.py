"""Opens the input of a request: files, or rows given by a Python program."""

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
"""Opens the input when it is needed. It returns None if the request has none and resumes a ledger."""


@contextmanager
def opening(request: PurgeRequest) -> Iterator[Opener]:
    """Provide a function that opens the input of the request. Rows given by a program are copied to a temporary file first.

    Call the function once at most, because an iterator can be read only once. The temporary file is removed at the end.
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
    """Open these files with the columns, the user and the corrections of the request. Raises `InputError` as `open_source` does."""
    from purgeengine.edges.source import open_source

    return open_source(paths, request.columns, user=request.user, clean=request.clean)


def paths_of(request: PurgeRequest) -> list[str | Path] | None:
    """Return the paths that the request names. None if it holds rows."""
    inputs: Any = request.inputs
    if isinstance(inputs, list | tuple) and all(isinstance(one, str | Path) for one in inputs):
        return list(inputs)
    return None


def _copied(request: PurgeRequest, stack: ExitStack) -> tuple[Path, str]:
    from purgeengine.edges.source.given_rows import copied

    rows: Any = request.inputs
    if hasattr(rows, "__next__"):  # only its first element shows whether it is an iterator of rows or of paths
        first = next(rows, None)
        if isinstance(first, str | Path):
            raise UsageProblem("inputs is an iterator of file names. Give them as a list.")
        rows = rows if first is None else chain([first], rows)
    with translated("The rows of the request cannot be copied"):
        scratch = tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True)
        copy = Path(stack.enter_context(scratch)) / GIVEN_ROWS
        return copy, copied(rows, copy)


def name_copies(error: PurgeEngineError, copies: Sequence[Path], name: str) -> None:
    """Replace the paths of temporary copies in the error's text by the name of what was copied. Users do not know the copies."""
    text = str(error)
    for copy in copies:
        for spelt in {str(copy.resolve()), str(copy)}:
            text = text.replace(spelt, name)
    if text != str(error):
        error.args = (text[0].upper() + text[1:], *error.args[1:])


def opened_for(request: PurgeRequest, open_input: Opener) -> Input | None:
    """Open the input of a purge. None if the request has none and its ledger exists.

    Raises `InputError` if the input cannot be used. Reading an input without any row raises it as well. If the user column is
    missing, and the ledger was made with one user for all rows, the error names that user.
    Raises `UsageProblem` if there is neither an input nor a ledger to resume.
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
            f"{error} The ledger in {folder} was made with {request.spelling('user')} {printable(user)}. Give that as well to "
            "resume."
        ) from error
    if source is None:
        _refuse_nothing_to_resume(request)
    return source.needing_rows() if isinstance(source, Source) else source


def refuse_reading_in_part(source: Source | None, request: PurgeRequest) -> None:
    """Raise `UsageProblem` if some files of an input folder cannot be read, nobody will be asked, and ``allow_unread`` is False."""
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
            f"Name {request.spelling('inputs')} to purge. There is no ledger in {request.folder} that could be resumed without it."
        )


def _lacks_user(error: InputError) -> bool:
    from purgeengine.edges.source.rows.columns import LacksColumns

    return any(isinstance(one, LacksColumns) and "user" in one.lacking for one in (error, error.__cause__))


def _user_of_ledger(folder: Path) -> str | None:
    """Return the user for all rows with which the ledger was made. None if it has none, or cannot be read."""
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of

    try:
        if state_of(folder) is not FolderState.STAGED:
            return None
        with LedgerReader.open(folder) as reader:
            return (reader.about.get("given") or {}).get("user") or None
    except PurgeEngineError:  # opening the ledger reports what is wrong with it
        return None
