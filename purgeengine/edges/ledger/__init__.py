"""The durable record of a purge: a folder that holds the input as it was, what was sent, and what became of every row.

Names are imported when they are first used, so that looking at a ledger does not wait for the libraries that staging one needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purgeengine.edges.ledger.chain import Chain, Final, Share
    from purgeengine.edges.ledger.chain_review import absence_over, situations_of
    from purgeengine.edges.ledger.endings import Endings, endings_of
    from purgeengine.edges.ledger.exporting import export
    from purgeengine.edges.ledger.ledger import Ledger
    from purgeengine.edges.ledger.preview import Preview
    from purgeengine.edges.ledger.reader import LedgerReader
    from purgeengine.edges.ledger.retrying import LedgerRows
    from purgeengine.edges.ledger.selection import Said, Selection
    from purgeengine.edges.ledger.sought import Review
    from purgeengine.edges.ledger.status import Calls, Counts, Failure, Pace, WorstMailbox
    from purgeengine.edges.ledger.survey import InvalidExample, Survey, survey_input

__all__ = [
    "Calls",
    "Chain",
    "Counts",
    "Endings",
    "Failure",
    "Final",
    "InvalidExample",
    "Ledger",
    "LedgerReader",
    "LedgerRows",
    "Pace",
    "Preview",
    "Review",
    "Said",
    "Selection",
    "Share",
    "Survey",
    "WorstMailbox",
    "absence_over",
    "endings_of",
    "export",
    "situations_of",
    "survey_input",
]

_MODULES = {
    "chain_review": ("absence_over", "situations_of"),
    "chain": ("Chain", "Final", "Share"),
    "endings": ("Endings", "endings_of"),
    "exporting": ("export",),
    "ledger": ("Ledger",),
    "preview": ("Preview",),
    "reader": ("LedgerReader",),
    "retrying": ("LedgerRows",),
    "selection": ("Said", "Selection"),
    "sought": ("Review",),
    "status": ("Calls", "Counts", "Failure", "Pace", "WorstMailbox"),
    "survey": ("InvalidExample", "Survey", "survey_input"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
