"""Opens the INPUT arguments of a command. ``-`` is standard input."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from purgeengine.edges.ledger.store.storage import translated
from purgeengine.edges.paths import SCRATCH_PREFIX, SPOOLED
from purgeengine.errors import PurgeEngineError, UsageProblem
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.request_input import Opener, name_copies, opened_files, paths_of

if TYPE_CHECKING:
    from purgeengine.edges.source import Source

STANDARD_INPUT = "-"


@contextmanager
def opening(request: PurgeRequest) -> Iterator[Opener]:
    """Provide a function that opens the inputs of a command's request, standard input included.

    An input is read several times (its columns, its digest, its rows), and a pipe can be read only once. So standard input is
    copied to a temporary file first. The same bytes piped again resume the same ledger, as the same file does.
    Raises `UsageProblem` if standard input cannot be an input, and `LedgerError` if there is no room for the copy.
    """
    copies: list[Path] = []
    with ExitStack() as stack:

        def opened() -> Source | None:
            paths = paths_of(request)
            if not paths:
                return None
            if STANDARD_INPUT not in paths:
                return opened_files(request, paths)
            copy = _spooled(paths, stack)
            copies.append(copy)
            return opened_files(request, [copy if path == STANDARD_INPUT else path for path in paths])

        try:
            yield opened
        except PurgeEngineError as error:
            name_copies(error, copies, SPOOLED)
            raise


def _spooled(inputs: Sequence[str | Path], stack: ExitStack) -> Path:
    """Copy standard input to a temporary file that is removed when the stack closes."""
    if inputs.count(STANDARD_INPUT) > 1:
        raise UsageProblem("Standard input (-) is named twice as INPUT. Name it once.")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageProblem(
            "INPUT is standard input (-), and nothing is piped into it. Pipe the rows in, or name a file."
        )
    with translated("Standard input cannot be copied"):
        scratch = tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True)
        copy = Path(stack.enter_context(scratch)) / SPOOLED
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    return copy
