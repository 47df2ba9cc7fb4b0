"""The INPUT arguments of a command; ``-`` is standard input."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from purgeengine.cli.options.purge_options import column_map, user_given
from purgeengine.edges.ledger.store.storage import translated
from purgeengine.edges.paths import SCRATCH_PREFIX, SPOOLED
from purgeengine.errors import PurgeEngineError, UsageProblem

if TYPE_CHECKING:
    from purgeengine.edges.source import Source

STANDARD_INPUT = "-"


class Opener(Protocol):
    """Opens the input when it is needed."""

    def __call__(self) -> Source: ...  # noqa: D102


@contextmanager
def opening(options: Mapping[str, Any]) -> Iterator[Opener]:
    """What opens the ``inputs`` of these options, understood as `understanding_options` say, while inside.

    An input is read more than once (its columns, its digest, its rows), and a pipe cannot be: standard input is copied to a
    temporary file first. Its bytes are its identity, as with any file: the same rows piped again resume the same ledger.
    Raises `UsageProblem` where standard input cannot be an input, `LedgerError` where there is no room for the copy.
    """
    from purgeengine.edges.source import open_source

    inputs: Sequence[str] = options["inputs"]
    columns, user, clean = column_map(options["columns"]), user_given(options), options["clean"]
    copies: list[Path] = []
    with ExitStack() as stack:

        def opened() -> Source:
            if STANDARD_INPUT not in inputs:
                return open_source(inputs, columns, user=user, clean=clean)
            copy = _spooled(inputs, stack)
            copies.append(copy)
            named = [copy if path == STANDARD_INPUT else path for path in inputs]
            return open_source(named, columns, user=user, clean=clean)

        try:
            yield opened
        except PurgeEngineError as error:
            _name_standard_input(error, copies)
            raise


def _name_standard_input(error: PurgeEngineError, copies: Sequence[Path]) -> None:
    """Let the error speak of standard input, and not of the copy, which nobody knows."""
    text = str(error)
    for copy in copies:
        for name in {str(copy.resolve()), str(copy)}:
            text = text.replace(name, SPOOLED)
    if text != str(error):
        error.args = (text[0].upper() + text[1:], *error.args[1:])


def _spooled(inputs: Sequence[str], stack: ExitStack) -> Path:
    """A copy of standard input that lasts as long as the stack."""
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
