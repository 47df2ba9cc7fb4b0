"""Permanently delete Outlook contacts in bulk through Microsoft Graph, and keep a record that survives crashes.

Users cannot bring back a contact that was permanently deleted. Look first with `plan`, which sends nothing:

    import purgeengine

    request = purgeengine.PurgeRequest(inputs="contacts.csv", ledger="cleanup", yes=True)
    preview = purgeengine.plan(request)
    print(preview.to_purge, "rows in", preview.mailboxes_to_purge, "mailboxes")

    summary = purgeengine.purge(request)
    print(summary.outcomes, summary.stopped)

    with purgeengine.open_ledger("cleanup") as ledger:
        print(ledger.counts, ledger.failures)

docs/api.md is the guide. docs/architecture.md explains how the program works.

Each name is imported when it is first used, so ``import purgeengine`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from purgeengine.version import __version__

if TYPE_CHECKING:
    from purgeengine.api.opened_ledger import OpenedLedger, open_ledger
    from purgeengine.api.purging import plan, purge, purge_async
    from purgeengine.core.graph.operations import Action, IdType
    from purgeengine.core.model import Outcome
    from purgeengine.core.policy.advice import Advice
    from purgeengine.edges.ledger.views.counts import Counts, Failure
    from purgeengine.errors import (
        GraphUnreachable,
        InputError,
        LedgerError,
        LedgerMismatch,
        LoginUnreachable,
        PurgeEngineError,
        RunStopped,
        TokenError,
        UsageProblem,
    )
    from purgeengine.jobs.callbacks import StopHandle
    from purgeengine.jobs.progress import Progress
    from purgeengine.jobs.purge_preview import PurgePreview
    from purgeengine.jobs.purge_request import AccessToken, PurgeRequest, TokenCredential
    from purgeengine.jobs.sending_hours import SendingHours
    from purgeengine.jobs.summary import Summary
    from purgeengine.run_limits import Limits

__all__ = [
    "AccessToken",
    "Action",
    "Advice",
    "Counts",
    "Failure",
    "GraphUnreachable",
    "IdType",
    "InputError",
    "LedgerError",
    "LedgerMismatch",
    "Limits",
    "LoginUnreachable",
    "OpenedLedger",
    "Outcome",
    "Progress",
    "PurgeEngineError",
    "PurgePreview",
    "PurgeRequest",
    "RunStopped",
    "SendingHours",
    "StopHandle",
    "Summary",
    "TokenCredential",
    "TokenError",
    "UsageProblem",
    "__version__",
    "open_ledger",
    "plan",
    "purge",
    "purge_async",
]

_MODULES = {
    "api.opened_ledger": ("OpenedLedger", "open_ledger"),
    "api.purging": ("plan", "purge", "purge_async"),
    "core.graph.operations": ("Action", "IdType"),
    "core.model": ("Outcome",),
    "core.policy.advice": ("Advice",),
    "edges.ledger.views.counts": ("Counts", "Failure"),
    "errors": (
        "GraphUnreachable",
        "InputError",
        "LedgerError",
        "LedgerMismatch",
        "LoginUnreachable",
        "PurgeEngineError",
        "RunStopped",
        "TokenError",
        "UsageProblem",
    ),
    "jobs.callbacks": ("StopHandle",),
    "jobs.progress": ("Progress",),
    "jobs.purge_preview": ("PurgePreview",),
    "jobs.purge_request": ("AccessToken", "PurgeRequest", "TokenCredential"),
    "jobs.sending_hours": ("SendingHours",),
    "jobs.summary": ("Summary",),
    "run_limits": ("Limits",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
