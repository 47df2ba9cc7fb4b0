"""The ledger: the durable record of a purge.

A ledger is a folder. It holds the rows of the input, what was sent, and what became of every row.

This package imports each name when the name is first used. So a command that only reads a ledger does not load the
libraries that staging needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purgeengine.edges.ledger.ledger import Ledger
    from purgeengine.edges.ledger.outputs.chain import Chain, Final, Share
    from purgeengine.edges.ledger.outputs.chain_review import absence_over, situations_of
    from purgeengine.edges.ledger.outputs.exporting import export, export_file, export_stream
    from purgeengine.edges.ledger.outputs.failures import Failures, failures_of
    from purgeengine.edges.ledger.outputs.retrying import LedgerRows
    from purgeengine.edges.ledger.reader import LedgerReader
    from purgeengine.edges.ledger.staging.survey import InvalidExample, Survey, survey_input
    from purgeengine.edges.ledger.views.counts import Calls, Counts, Failure, SettlingRate, WorstMailbox
    from purgeengine.edges.ledger.views.preview import Preview
    from purgeengine.edges.ledger.views.selection import AnswerFilter, Selection
    from purgeengine.edges.ledger.views.sought import Review

__all__ = [
    "AnswerFilter",
    "Calls",
    "Chain",
    "Counts",
    "Failure",
    "Failures",
    "Final",
    "InvalidExample",
    "Ledger",
    "LedgerReader",
    "LedgerRows",
    "Preview",
    "Review",
    "Selection",
    "SettlingRate",
    "Share",
    "Survey",
    "WorstMailbox",
    "absence_over",
    "export",
    "export_file",
    "export_stream",
    "failures_of",
    "situations_of",
    "survey_input",
]

_MODULES = {
    "ledger": ("Ledger",),
    "outputs.chain": (
        "Chain",
        "Final",
        "Share",
    ),
    "outputs.chain_review": (
        "absence_over",
        "situations_of",
    ),
    "outputs.exporting": (
        "export",
        "export_file",
        "export_stream",
    ),
    "outputs.failures": (
        "Failures",
        "failures_of",
    ),
    "outputs.retrying": ("LedgerRows",),
    "reader": ("LedgerReader",),
    "staging.survey": (
        "InvalidExample",
        "Survey",
        "survey_input",
    ),
    "views.counts": (
        "Calls",
        "Counts",
        "Failure",
        "SettlingRate",
        "WorstMailbox",
    ),
    "views.preview": ("Preview",),
    "views.selection": (
        "AnswerFilter",
        "Selection",
    ),
    "views.sought": ("Review",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
