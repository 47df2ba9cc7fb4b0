"""A run over a real ledger in simulated time: the engine's own scheduler, and the service of `benchmarks.makespan`.

Every intent and outcome is written to the ledger, and every row is read from it, as in a run. Only the disk is not
waited for: a run of days would take hours of syncs here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.makespan.engine import Watcher, Wire, play
from benchmarks.makespan.service import Service
from purgeengine.core.forecast.latency import Latency
from purgeengine.core.messages import Entry, Settled
from purgeengine.core.model import PURGED_REPLY, Attempt, Batch, Outcome, Reply
from purgeengine.core.scheduling.flights import ranges_of
from purgeengine.edges.ledger import Ledger
from purgeengine.jobs.resume import take_up
from purgeengine.run_limits import Limits

CONNECTIONS = 64
BEGINS_S = 1_767_225_600.0
"""The wall clock at the beginning, in seconds since 1970. Any time will do."""
GONE, MALFORMED = (
    Reply(404, "ErrorItemNotFound", "The specified object was not found in the store."),
    Reply(400, "ErrorInvalidIdMalformed", "Id is malformed."),
)
GONE_EVERY, MALFORMED_EVERY = 251, 1_009
"""One row in this many is gone already, or refused."""


@dataclass(frozen=True, slots=True)
class Played:
    """The result of a run."""

    makespan_s: float
    calls: int
    settled: int


def reply_to(position: int) -> Reply:
    """Return the reply to the row at this position, whenever it is sent."""
    if position % GONE_EVERY == 0:
        return GONE
    return MALFORMED if position % MALFORMED_EVERY == 0 else PURGED_REPLY


def outcome_of(position: int, batch: int) -> tuple[Outcome, int, bool, int, Reply]:
    """Return the end of the row at this position as the ledger gets it: outcome, attempts, doubt, call, reply."""
    reply = reply_to(position)
    outcome = {204: Outcome.PURGED, 404: Outcome.ABSENT, 400: Outcome.REFUSED}[reply.status]
    return outcome, 1, False, batch, reply


def share_left(ledger: Ledger, share: float) -> tuple[int, int]:
    """Return how many rows must be settled to reach this share of the rows to send, and how many are settled already."""
    counts = ledger.counts()
    done = sum(counts.outcomes.values()) - counts.outcomes[Outcome.INVALID] - counts.outcomes[Outcome.DUPLICATE]
    return round(share * (counts.waiting + done)) - done, done


class _Clock:
    def __init__(self, at_s: float) -> None:
        self._at_s = at_s

    def monotonic(self) -> float:
        return 0.0

    def utc(self) -> float:
        return self._at_s


class _Recording(Watcher):
    def __init__(self, ledger: Ledger, at_s: float, settled_max: int) -> None:
        self._ledger = ledger
        self._at_s = at_s
        self._settled_max = settled_max
        self.settled = 0

    def record(self, entries: list[Entry], now: float) -> bool:
        self._ledger.write(entries, round((self._at_s + now) * 1000))
        self.settled += sum(entry.rows for entry in entries if isinstance(entry, Settled))
        return self.settled >= self._settled_max

    def reply(self, attempt: Attempt) -> Reply:
        return reply_to(attempt.position)

    def sends(self, batch: Batch) -> None:
        self._ledger.folder_rows(ranges_of(batch))


def play_ledger(folder: Path, share: float, dispatch: Any) -> Played:
    """Continue a ledger until this share of the rows to send is settled, including earlier runs."""
    limits = Limits(connections=CONNECTIONS)
    with Ledger.open(folder, None) as ledger:
        ledger._writing.execute("PRAGMA synchronous = OFF")
        wanted, done = share_left(ledger, share)
        # Long after the run before, so that what it sent no longer counts.
        at_s = BEGINS_S + (1e6 if done else 0.0)
        ledger.begin(round(at_s * 1000), {"benchmark": True})
        scheduler, mailboxes = take_up(ledger, limits, _Clock(at_s), seed=1)
        service = Service(
            Latency(), dispatch, window_requests=limits.mailbox_requests, window_s=limits.mailbox_window_s
        )
        recording = _Recording(ledger, at_s, wanted)
        makespan_s = play(scheduler, mailboxes, Wire(service, recording), recording)
        return Played(makespan_s, service.calls, recording.settled)
