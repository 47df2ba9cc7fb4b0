"""The waits that Graph asks of whole apps: each is asked of one run and must reach all others, also those that begin later."""

from __future__ import annotations

from purgeengine.core.coordination.lease_messages import PassedWait, Question
from purgeengine.core.coordination.shard_record import AppWait


class AppWaits:
    """The last wait of each app, by client id."""

    def __init__(self, known: dict[str, AppWait], now: float, utc: float) -> None:
        """``known`` is what an earlier coordinator has recorded. ``now`` is in monotonic seconds, ``utc`` in seconds since 1970."""
        self._records = dict(known)
        self._until = {client_id: now + wait.left_s(utc) for client_id, wait in known.items()}
        self._cut: dict[str, bool] = {}
        self._taken: dict[str, int] = {}
        self._known_by: dict[str, int] = {}

    @property
    def records(self) -> dict[str, AppWait]:
        """What must be durable before a wait is passed on."""
        return dict(self._records)

    def take(self, question: Question, now: float, utc: float) -> bool:
        """Take in the wait that a run reports. Return True if it is news that the other runs of the app must hear."""
        wait, client_id = question.wait, question.client_id
        if wait is None or wait.number <= self._taken.get(question.run, 0):
            return False
        self._taken[question.run] = wait.number
        until = now + wait.for_s
        if until <= self._until.get(client_id, now):
            return False
        before = self._records.get(client_id)
        number = 1 if before is None else before.number + 1
        self._records[client_id] = AppWait(number, utc, utc + wait.for_s)
        self._until[client_id] = until
        self._cut[client_id] = wait.cut
        self._known_by[question.run] = number
        return True

    def passed_on(self, run: str, client_id: str | None, heard: int, now: float) -> PassedWait | None:
        """Return the wait that this run must hear of. ``heard`` is the number of the last one that it has heard of.

        None if it has heard of it, was itself asked for it, or if it is over.
        """
        wait = None if client_id is None else self._records.get(client_id)
        if client_id is None or wait is None or wait.number <= max(heard, self._known_by.get(run, 0)):
            return None
        left_s = self._until[client_id] - now
        return PassedWait(wait.number, left_s, self._cut.get(client_id, False)) if left_s > 0.0 else None
