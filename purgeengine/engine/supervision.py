"""How a purge that is one of several is told what the others make necessary: a lease, a share of what the app may send, and waits.

Several processes may purge parts of one list with one app. Somebody above them says who may send, and how much. A purge that stands
alone has no supervisor: it gets `UNSUPERVISED`, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from purgeengine.core.messages import AskedToWait, QuotaChanged
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.ports import Hours, Transport, Watcher
from purgeengine.engine.tally import Tally

Tell = Callable[[QuotaChanged | AskedToWait], None]
"""Passes an event to the engine. It may be called in any thread; after the end of the run it does nothing."""


class Supervisor(Protocol):
    """Stands above a purge that is one of several."""

    @property
    def lease(self) -> Hours | None:
        """When this purge may send, beside its own hours. None allows any time."""

    @property
    def noted(self) -> Mapping[str, object]:
        """What the ledger records with the start of the run, as JSON values. Nothing secret."""

    def fence(self, transport: Transport) -> Transport:
        """Return the transport that the run uses. It may refuse to send with `HeldBack`."""

    def watching(self, tally: Tally, scheduler: Scheduler) -> Watcher:
        """Return what is shown the entries of the run: the tally, or something that shows them to the tally as well."""

    def telling(self, tell: Tell) -> AbstractContextManager[None]:
        """Return a context. While inside, the supervisor calls ``tell`` with what the others make necessary."""


class Unsupervised:
    """The `Supervisor` of a purge that stands alone."""

    lease: Hours | None = None
    noted: Mapping[str, object] = {}

    def fence(self, transport: Transport) -> Transport:
        """Return the transport as it is."""
        return transport

    def watching(self, tally: Tally, scheduler: Scheduler) -> Watcher:
        """Return the tally."""
        return tally

    def telling(self, tell: Tell) -> AbstractContextManager[None]:
        """Tell nothing."""
        return nullcontext()


UNSUPERVISED = Unsupervised()
