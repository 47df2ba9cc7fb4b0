"""Finds the folders of a chain of ledgers, from its last ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from purgeengine.edges.ledger.outputs.chain import LEDGERS_MAX
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.errors import PurgeEngineError

SIBLINGS_MAX = 200
"""Folders beside a ledger that are looked at for the one that it retried. Nobody keeps more in one place."""


def folders_of_chain(last: Path, earlier: Path | None = None) -> list[Path] | None:
    """Return the folders from the first ledger of the chain to ``last``. None if one of them cannot be found.

    ``earlier`` is the folder that ``last`` retries, if it is known. A ledger knows the one that it retries by its identity and by
    the name of its folder, so that one is looked for beside it.
    """
    found = [last]
    with suppress(PurgeEngineError):
        while len(found) < LEDGERS_MAX:
            with LedgerReader.open(found[0]) as reader:
                parent, names = str(reader.about.get("parent") or ""), reader.about.get("files") or ()
            if not parent:
                return found
            before = _found(found[0], parent, str(names[0]) if names else "", earlier if len(found) == 1 else None)
            if before is None:
                return None
            found.insert(0, before)
    return None


def _found(folder: Path, identity: str, name: str, hint: Path | None) -> Path | None:
    """Return the ledger with this identity, which is probably named ``name`` and lies beside ``folder``."""
    for candidate in _candidates(folder, name, hint):
        with suppress(PurgeEngineError, OSError), LedgerReader.open(candidate) as reader:
            if reader.identity == identity:
                return candidate
    return None


def _candidates(folder: Path, name: str, hint: Path | None) -> Iterator[Path]:
    if hint is not None:
        yield hint
    beside = folder.parent
    if name:
        yield beside / name
        yield Path(name)
    with suppress(OSError):
        siblings = sorted(path for path in beside.iterdir() if path.is_dir() and path.name != folder.name)
        yield from siblings[:SIBLINGS_MAX]
