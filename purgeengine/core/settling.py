"""What becomes of the rows of a batch that has ended: settled, returned to their mailbox, or closed with it.

Every row of an ended batch passes through here exactly once, and leaves one entry. It is either
settled (for good) or returned (to be sent again, in doubt or not). What a reply says about the mailbox is carried out on the spot;
what it says about the run is left in `said` for the scheduler.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from purgeengine.config import Limits
from purgeengine.core.backoff import Backoff
from purgeengine.core.fanout import FanoutProbe
from purgeengine.core.flight import Flight
from purgeengine.core.mailbox import Mailbox
from purgeengine.core.messages import BatchEnded, Entry, MailboxBlocked, MailboxClosed, Returned, Settled
from purgeengine.core.model import PURGED_REPLY, Attempt, Outcome, Reply
from purgeengine.core.verdicts import Verdict, judge, outcome_when_gone

NO_REPLY = Reply(0, message="Graph's answer did not mention this row.")
WAIT_TOO_LONG = Reply(0, message="The mailbox would have had to wait too long.")
BATCH_OF_LAST_SENDING = 0
"""Batches are numbered from 1; a row settled with its mailbox keeps the batch it was last sent in."""


@dataclass(slots=True)
class Said:
    """What the replies of one batch said about the run."""

    went_through: bool = False
    token_refused: Reply | None = None
    app_refused: Reply | None = None


@dataclass(slots=True)
class _MailboxSaid:
    """What the replies of one batch said about one mailbox."""

    good: int = 0
    refused: int = 0
    concurrency: bool = False
    held_back: bool = False
    wait_s: float = 0.0
    closed: Reply | None = None
    returned: list[tuple[float, Attempt]] = field(default_factory=list)
    """Rows to be sent again, with the instant from which they may."""


class Settling:
    """Turns replies into entries, and puts rows back into their mailboxes."""

    def __init__(self, limits: Limits, backoff: Backoff) -> None:
        self._limits = limits
        self._backoff = backoff
        self.said = Said()
        self.entries: list[Entry] = []
        self.throttled = 0
        """Sub-requests refused as too fast, over the whole run."""

    def begin(self, flight: Flight, status: int | None, request_id: str) -> None:
        """Start with an ended batch; what follows adds to its `entries`."""
        self.said = Said()
        self.entries = [BatchEnded(flight.batch.number, status, request_id)]

    # ------------------------------------------------------------------------------------------- replies to single rows

    def replies(
        self, flight: Flight, replies: dict[int, Reply | None], waits: dict[int, float], now: float, fanout: FanoutProbe
    ) -> None:
        """Judge the sub-responses. A row that was not answered, or in two ways, is in doubt."""
        batch = flight.batch.number
        all_purged = list(replies.values()).count(PURGED_REPLY) == flight.size
        index = 0
        for mailbox, attempts in flight.parts:
            said = _MailboxSaid()
            if all_purged:  # nearly always, and nothing to judge
                self.entries += [
                    Settled(position, Outcome.PURGED, number, False, batch, PURGED_REPLY)
                    for position, number, _, _ in attempts
                ]
                said.good = len(attempts)
                self.said.went_through = True
            else:
                for attempt in attempts:
                    said.wait_s = max(said.wait_s, waits.get(index, 0.0))
                    self._reply(batch, attempt, replies.get(index) or NO_REPLY, mailbox, said, now)
                    index += 1
            mailbox.window.answered(len(attempts), now)
            fanout.answered(len(attempts), said.refused)
            self._conclude(mailbox, len(attempts), said, now)

    def _reply(
        self, batch: int, attempt: Attempt, reply: Reply, mailbox: Mailbox, said: _MailboxSaid, now: float
    ) -> None:
        verdict = judge(reply)
        if verdict is not Verdict.TOKEN_REFUSED and verdict is not Verdict.FAULT:
            self.said.went_through = True
        match verdict:
            case Verdict.PURGED | Verdict.GONE:
                said.good += 1
                gone = Outcome.PURGED if verdict is Verdict.PURGED else outcome_when_gone(attempt.in_doubt)
                self._settle(attempt, gone, batch, reply)
            case Verdict.REFUSED:
                self._settle(attempt, Outcome.REFUSED, batch, reply)
            case Verdict.CLOSED:
                said.closed = reply
                self._settle(attempt, Outcome.REFUSED, batch, reply)
            case Verdict.THROTTLED:
                said.refused += 1
                self.throttled += 1
                said.concurrency |= "concurrency" in reply.message.lower()
                wait_s = self._backoff.throttled_wait_s(mailbox.refusals + 1, reply)
                said.wait_s = max(said.wait_s, wait_s)
                self._return(batch, attempt, reply, now, said, counted=False)
            case Verdict.HELD_BACK:
                wait_s = self._backoff.held_back_wait_s(mailbox.held_back + 1, reply)
                said.wait_s = max(said.wait_s, wait_s)
                said.held_back = True
                self._return(batch, attempt, reply, now, said, counted=False)
            case Verdict.FAULT:
                wait_s = self._backoff.item_wait_s(attempt.failures + 1, reply)
                if reply.retry_after_s is not None:
                    said.wait_s = max(said.wait_s, wait_s)
                self._return(batch, attempt._replace(in_doubt=True), reply, now + wait_s, said)
            case Verdict.UNCLEAR:
                wait_s = self._backoff.item_wait_s(attempt.failures + 1, reply)
                self._return(batch, attempt, reply, now + wait_s, said, unclear=True)
            case Verdict.NOT_ATTEMPTED:
                wait_s = self._backoff.item_wait_s(attempt.number, reply)
                self._return(batch, attempt, reply, now + wait_s, said, counted=False)
            case Verdict.TOKEN_REFUSED:
                self.said.token_refused = reply
                self._return(batch, attempt, reply, now, said, counted=False)
            case Verdict.APP_REFUSED:
                self.said.app_refused = reply
                self._return(batch, attempt, reply, now, said, counted=False)
            case _:
                assert_never(verdict)

    def _settle(self, attempt: Attempt, outcome: Outcome, batch: int, reply: Reply) -> None:
        """For good. Purged and absent say where the contact is; any other outcome may leave an earlier attempt in doubt."""
        in_doubt = attempt.in_doubt and outcome in (Outcome.REFUSED, Outcome.EXHAUSTED)
        self.entries.append(Settled(attempt.position, outcome, attempt.number, in_doubt, batch, reply))

    def _return(
        self,
        batch: int,
        attempt: Attempt,
        reply: Reply,
        at: float,
        said: _MailboxSaid,
        *,
        counted: bool = True,
        unclear: bool = False,
    ) -> None:
        """Send it again from ``at``, unless it has had its attempts."""
        if counted:
            attempt = attempt._replace(failures=attempt.failures + 1)
        if self._backoff.gives_up(attempt.failures, attempt.number, unclear=unclear and not attempt.in_doubt):
            self._settle(
                attempt, Outcome.REFUSED if unclear and not attempt.in_doubt else Outcome.EXHAUSTED, batch, reply
            )
        else:
            said.returned.append((at, attempt))

    def _conclude(self, mailbox: Mailbox, rows: int, said: _MailboxSaid, now: float) -> None:
        """Carry out what the replies said about their mailbox."""
        mailbox.held_back += said.held_back
        if said.closed is not None:
            self._close(mailbox, said, Outcome.REFUSED, said.closed)
            return
        if said.wait_s > self._limits.retry_after_s_max or mailbox.held_back >= self._limits.attempts_max:
            self._close(mailbox, said, Outcome.EXHAUSTED, WAIT_TOO_LONG)
            return
        for at, attempt in said.returned:
            mailbox.put_back(attempt, at)
            self.entries.append(Returned(*attempt))
        if said.refused:
            # Refusals of a batch wider than four are the fanout's doing; within four they mean other traffic.
            within_four = rows <= mailbox.limit_max
            mailbox.was_refused(some_went_through=said.good > 0, concurrency=said.concurrency and within_four)
        else:
            mailbox.went_well(said.good)
        if said.wait_s:
            self.block(mailbox, now + said.wait_s, now)

    def _close(self, mailbox: Mailbox, said: _MailboxSaid, outcome: Outcome, reply: Reply) -> None:
        """Its rows that were sent before end with the mailbox; those never sent are skipped by the ledger."""
        skipped = mailbox.end - mailbox.next
        for attempt in [attempt for _, attempt in said.returned] + mailbox.give_up():
            self._settle(attempt, outcome, BATCH_OF_LAST_SENDING, reply)
        self.entries.append(MailboxClosed(mailbox.number, reply, skipped))

    def block(self, mailbox: Mailbox, until: float, now: float) -> None:
        """Graph asked the mailbox to wait: it sends nothing before ``until``, a restart included."""
        mailbox.block(until, throttled=True)
        self.entries.append(MailboxBlocked(mailbox.number, until - now))

    def quarantine(self, mailbox: Mailbox, now: float, for_s: float) -> None:
        """A batch was lost: the mailbox waits while the service may be running it, a restart included."""
        mailbox.lost(now)
        self.entries.append(MailboxBlocked(mailbox.number, for_s))

    # -------------------------------------------------------------------------------------------- all rows of a batch

    def all_returned(self, flight: Flight, now: float) -> None:
        """Certainly not carried out, and nobody's fault: send again."""
        for mailbox, attempts in flight.parts:
            for attempt in attempts:
                mailbox.put_back(attempt, now)
                self.entries.append(Returned(*attempt))

    def never_sent(self, flight: Flight, now: float) -> None:
        """The batch did not reach Graph, so that this was no sending."""
        for mailbox, attempts in flight.parts:
            for attempt in attempts:
                unsent = attempt._replace(number=attempt.number - 1)
                mailbox.put_back(unsent, now)
                self.entries.append(Returned(*unsent))

    def all_in_doubt(self, flight: Flight, reply: Reply, now: float, *, counted: bool) -> None:
        """Perhaps carried out. ``counted`` is False while the service is out, which says nothing about these rows."""
        for mailbox, attempts in flight.parts:
            said = _MailboxSaid()
            for attempt in attempts:
                wait_s = self._backoff.item_wait_s(attempt.failures + 1, Reply(reply.status))
                doubtful = attempt._replace(in_doubt=True)
                self._return(flight.batch.number, doubtful, reply, now + wait_s, said, counted=counted)
            for at, attempt in said.returned:
                mailbox.put_back(attempt, at)
                self.entries.append(Returned(*attempt))

    def all_alone(self, flight: Flight) -> None:
        """The batch was refused as a whole: each row travels alone from now on, to find the one that spoils it."""
        for mailbox, attempts in flight.parts:
            mailbox.alone.extend(attempts)
            self.entries.extend(Returned(*attempt) for attempt in attempts)

    def refuse_all(self, flight: Flight, reply: Reply) -> None:
        """Graph refused the batch, and it held nothing else."""
        for _, attempts in flight.parts:
            for attempt in attempts:
                self._settle(attempt, Outcome.REFUSED, flight.batch.number, reply)
