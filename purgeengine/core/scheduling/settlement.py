"""What becomes of the rows of a batch that has ended: settled, returned to their mailbox, or closed with it.

Every row of an ended batch passes through here exactly once, and leaves one entry. It is either
settled (for good) or returned (to be sent again, in doubt or not). What a reply says about the mailbox is carried out on the spot;
what it says about the run is left in `said` for the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from purgeengine.core.graph.verdicts import TABLE, Verdict, VerdictTable, judge, outcome_when_gone
from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.fanout import FanoutProbe
from purgeengine.core.messages import (
    BATCH_OF_LAST_SENDING,
    BatchEnded,
    Entry,
    MailboxBlocked,
    MailboxClosed,
    Returned,
    Settled,
)
from purgeengine.core.model import PURGED_REPLY, Attempt, Outcome, Reply
from purgeengine.core.policy.remedies import WAIT_TOO_LONG_SAYS
from purgeengine.core.scheduling.flight import Flight, neighbours
from purgeengine.core.scheduling.learning import Learning
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.news import MailboxNews, RunNews
from purgeengine.core.scheduling.token_watch import Blame, TokenWatch
from purgeengine.run_limits import Limits

NO_REPLY = Reply(0, message="Graph's answer did not mention this row.")
WAIT_TOO_LONG = Reply(0, message=f"{WAIT_TOO_LONG_SAYS}.")
"""For a mailbox that an earlier run was told to leave alone for so long."""
FAILED_DEPENDENCY = 424


class Settlement:
    """Turns replies into entries, and puts rows back into their mailboxes."""

    def __init__(
        self, limits: Limits, backoff: Backoff, verdicts: VerdictTable = TABLE, token: TokenWatch | None = None
    ) -> None:
        self._limits = limits
        self._token = token or TokenWatch()
        self._backoff = backoff
        self._learning = Learning(limits, backoff, self._token)
        self._verdicts = verdicts
        self.said = RunNews()
        self.entries: list[Entry] = []
        self.throttled = 0
        """Sub-requests refused as too fast, over the whole run."""
        self.unanswered = 0
        """Sub-requests whose call brought no answer to them, over the whole run."""

    def begin(self, flight: Flight, status: int | None, request_id: str) -> None:
        """Start with an ended batch; what follows adds to its `entries`."""
        self.said = RunNews()
        self.entries = [BatchEnded(flight.batch.number, status, request_id)]

    # ------------------------------------------------------------------------------------------- replies to single rows

    def replies(
        self, flight: Flight, replies: dict[int, Reply | None], waits: dict[int, float], now: float, fanout: FanoutProbe
    ) -> None:
        """Judge the sub-responses. A row that was not answered, or in two ways, is in doubt."""
        if list(replies.values()).count(PURGED_REPLY) == flight.size:  # nearly always, and nothing to judge
            self._all_purged(flight, now, fanout)
            return
        serial = flight.batch.serial
        index = 0
        self._look_for_proof(flight, replies)
        for mailbox, attempts in flight.parts:
            said = MailboxNews()
            broken = False
            for attempt in attempts:
                said.wait_s = max(said.wait_s, waits.get(index, 0.0))
                reply = replies.get(index) or NO_REPLY
                index += 1
                if broken and reply.status == FAILED_DEPENDENCY:
                    said.returned.append((now, attempt._replace(number=attempt.number - 1)))
                    self.said.unsent += 1
                    continue
                broken = broken or (serial and reply.status >= 400 and reply.status != FAILED_DEPENDENCY)
                self._reply(flight, attempt, reply, mailbox, said, now)
            self.said.refused += said.refused
            self._ended(mailbox, len(attempts), said.refused, now, fanout, lane=serial)
            self._conclude(mailbox, flight, len(attempts), said, now)

    def _look_for_proof(self, flight: Flight, replies: dict[int, Reply | None]) -> None:
        """Whether the answer shows that its token is good, before any 401 of it is judged: the order of rows must not matter."""
        for reply in replies.values():
            if reply is not None and judge(reply, self._verdicts) in (Verdict.PURGED, Verdict.GONE):
                self.said.proven = True
                self._token.proven(flight.token_generation)
                return

    def _all_purged(self, flight: Flight, now: float, fanout: FanoutProbe) -> None:
        """Every row of the batch is gone; neighbours share an entry."""
        self.said.went_through = self.said.proven = True
        self._token.proven(flight.token_generation)
        batch, lane = flight.batch.number, flight.batch.serial
        for mailbox, attempts in flight.parts:
            rows = len(attempts)
            for first, count, sendings in neighbours(attempts):
                self.entries.append(Settled(first, Outcome.PURGED, sendings, False, batch, PURGED_REPLY, count))
            self._ended(mailbox, rows, 0, now, fanout, lane=lane)
            mailbox.experience.went_well()
            if mailbox.closing is None:
                mailbox.went_well(rows)

    def _ended(self, mailbox: Mailbox, rows: int, refused: int, now: float, fanout: FanoutProbe, *, lane: bool) -> None:
        """The service is done with these rows of the mailbox, of which it refused some as too fast."""
        if lane:
            self._lane_ended(mailbox, rows, now)
        else:
            mailbox.window.answered(rows, now)
            fanout.answered(rows, refused)

    def _lane_ended(self, mailbox: Mailbox, rows: int, now: float) -> None:
        """Rows that were not tried did not reach the mailbox."""
        unsent = self.said.unsent
        mailbox.window.answered(rows - unsent, now)
        mailbox.window.never_arrived(unsent)
        mailbox.lane_carried(rows - unsent, rows)

    def _reply(
        self, flight: Flight, attempt: Attempt, reply: Reply, mailbox: Mailbox, said: MailboxNews, now: float
    ) -> None:
        batch = flight.batch.number
        verdict = judge(reply, self._verdicts)
        if verdict is not Verdict.TOKEN_REFUSED and verdict is not Verdict.FAULT:
            self.said.went_through = True
        match verdict:
            case Verdict.PURGED | Verdict.GONE:
                said.good += 1
                gone = Outcome.PURGED if verdict is Verdict.PURGED else outcome_when_gone(attempt.in_doubt)
                self._settle(attempt, gone, batch, reply)
            case Verdict.REFUSED:
                said.known += 1
                self._settle(attempt, Outcome.REFUSED, batch, reply)
            case Verdict.UNKNOWN:
                said.unknown.append(reply)
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
                said.trouble = reply
                row_wait_s = self._backoff.throttled_row_wait_s(attempt.number)
                self._return(batch, attempt, reply, now + row_wait_s, said, counted=False)
            case Verdict.HELD_BACK:
                wait_s = self._backoff.held_back_wait_s(mailbox.held_back + 1, reply)
                said.wait_s = max(said.wait_s, wait_s)
                said.held_back = True
                said.trouble = reply
                self._return(batch, attempt, reply, now, said, counted=False)
            case Verdict.FAULT | Verdict.UNREACHED:
                wait_s = self._backoff.item_wait_s(attempt.failures + 1, reply)
                if reply.retry_after_s is not None:
                    said.wait_s = max(said.wait_s, wait_s)
                said.trouble, said.faulty = reply, True
                attempt = attempt._replace(in_doubt=attempt.in_doubt or verdict is Verdict.FAULT)
                self._return(batch, attempt, reply, now + wait_s, said)
            case Verdict.UNCLEAR:
                wait_s = self._backoff.item_wait_s(attempt.failures + 1, reply)
                said.trouble, said.unclear = reply, True
                self._return(batch, attempt, reply, now + wait_s, said, unclear=True)
            case Verdict.NOT_ATTEMPTED:
                wait_s = self._backoff.item_wait_s(attempt.number, reply)
                said.trouble = reply
                self._return(batch, attempt, reply, now + wait_s, said, counted=False)
            case Verdict.TOKEN_REFUSED:
                said.unauthorized = reply
                blamed = self._token.blame(flight.token_generation, now) is Blame.MAILBOX
                wait_s = self._backoff.item_wait_s(attempt.failures + 1, reply) if blamed else 0.0
                self._return(batch, attempt, reply, now + wait_s, said, counted=blamed, unclear=True)
            case Verdict.APP_REFUSED:
                self.said.app_refused = reply
                self._return(batch, attempt, reply, now, said, counted=False)
            case Verdict.NO_SUCH_ACTION:
                self.said.no_such_action = reply
                self._return(batch, attempt, reply, now, said, counted=False)
            case Verdict.INTERCEPTED:
                raise AssertionError("said of whole batches only")
            case _:
                assert_never(verdict)

    def _settle(self, attempt: Attempt, outcome: Outcome, batch: int, reply: Reply) -> None:
        """For good. Purged and absent say where the contact is; any other outcome may leave an earlier attempt in doubt."""
        in_doubt = attempt.in_doubt and outcome in (Outcome.REFUSED, Outcome.EXHAUSTED, Outcome.SKIPPED)
        self.entries.append(Settled(attempt.position, outcome, attempt.number, in_doubt, batch, reply))

    def _return(
        self,
        batch: int,
        attempt: Attempt,
        reply: Reply,
        at: float,
        said: MailboxNews,
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

    def _conclude(self, mailbox: Mailbox, flight: Flight, rows: int, said: MailboxNews, now: float) -> None:
        """Carry out what the replies said about their mailbox."""
        mailbox.held_back += said.held_back
        tried = rows - (self.said.unsent if flight.batch.serial else 0)
        ended = self._learning.learn(mailbox, flight, tried, said, now)
        self.said.token_refused = ended or self.said.token_refused
        if said.wait_s:
            self.block(mailbox, now + said.wait_s, now)  # also one that is closed: another run may be about to ask it
        if said.closed is not None:
            mailbox.closing = mailbox.closing or (Outcome.REFUSED, said.closed)
        elif said.wait_s > self._limits.retry_after_s_max:
            told = said.trouble or WAIT_TOO_LONG
            too_long = told._replace(message=f"{WAIT_TOO_LONG_SAYS} ({round(said.wait_s / 3600, 1):,g} hours).")
            mailbox.closing = mailbox.closing or (Outcome.EXHAUSTED, too_long)
        elif mailbox.held_back >= self._limits.attempts_max and said.trouble is not None:
            mailbox.closing = mailbox.closing or (Outcome.EXHAUSTED, said.trouble)
        for at, attempt in said.returned:
            self._put_back(mailbox, attempt, at, rows)
        if mailbox.closing is not None:
            return
        if said.refused:
            # Refusals of a batch wider than four are the fanout's doing; within four they mean other traffic.
            within_four = rows <= mailbox.limit_max or flight.batch.serial
            again = mailbox.experience.was_too_fast(flight.sent_at, now)
            mailbox.was_refused(
                some_went_through=said.good > 0, concurrency=said.concurrency and within_four, again=again
            )
        else:
            mailbox.went_well(said.good)

    def give_up(self, mailbox: Mailbox) -> None:
        """The mailbox would have to wait for longer than a run does, as an earlier run was told; adds to `entries`, from none."""
        self.entries = []
        mailbox.closing = (Outcome.EXHAUSTED, WAIT_TOO_LONG)
        self.close(mailbox)

    def close_suspect(self, mailbox: Mailbox) -> None:
        """No other mailbox is left that could show whose its 401 is; adds to `entries`, from none."""
        self.entries = []
        mailbox.closing = (Outcome.REFUSED, mailbox.refusal)
        self.close(mailbox)

    def _put_back(self, mailbox: Mailbox, attempt: Attempt, at: float, rows: int) -> None:
        """A row of a batch with so many ``rows`` of the mailbox is to be sent again.

        Where the mailbox is closing and nothing else of it is in flight, the row is settled with it in this very turn instead.
        """
        mailbox.put_back(attempt, at)
        if mailbox.closing is None or mailbox.rows_in_flight > rows:
            self.entries.append(Returned(*attempt))

    def close(self, mailbox: Mailbox) -> None:
        """Its rows that were sent before end with the mailbox; those never sent are skipped, most of them by the ledger.

        Nothing of it may be in flight: a row that comes back later would find its mailbox closed and would wait for ever.
        """
        assert mailbox.closing is not None, "closed without a reason"
        assert not mailbox.in_flight, "closed while in flight"
        outcome, reply = mailbox.closing
        skipped = mailbox.end - mailbox.next
        for attempt in mailbox.give_up():
            ending = outcome if attempt.number else Outcome.SKIPPED
            self._settle(attempt, ending, BATCH_OF_LAST_SENDING, reply)
        self.entries.append(MailboxClosed(mailbox.number, reply, skipped))

    def block(self, mailbox: Mailbox, until: float, now: float) -> None:
        """Graph asked the mailbox to wait: it sends nothing before ``until``, a restart included."""
        mailbox.block(until, throttled=True)
        self.entries.append(MailboxBlocked(mailbox.number, until - now))

    def cooldown(self, mailbox: Mailbox, now: float, for_s: float, *, lane: bool) -> None:
        """A batch was lost: the mailbox waits while the service may be running it, a restart included."""
        mailbox.lost(now, lane=lane)
        self.entries.append(MailboxBlocked(mailbox.number, for_s))

    # -------------------------------------------------------------------------------------------- all rows of a batch

    def all_returned(self, flight: Flight, reply: Reply, now: float, wait_s: float = 0.0) -> None:
        """Certainly not carried out, and not these rows' fault: send again after a wait, unless sent too often already."""
        self._all_again(flight, reply, lambda attempt: now + wait_s, counted=False)

    def never_sent(self, flight: Flight, now: float) -> None:
        """The batch did not reach Graph, so that this was no sending."""
        for mailbox, attempts in flight.parts:
            for attempt in attempts:
                unsent = attempt._replace(number=attempt.number - 1)
                self._put_back(mailbox, unsent, now, len(attempts))

    def all_in_doubt(self, flight: Flight, reply: Reply, now: float, *, counted: bool) -> None:
        """Perhaps carried out. ``counted`` is False while the service is out, which says nothing about these rows."""
        self.unanswered += flight.size
        self._all_again(flight, reply, self._after_backoff(reply, now), counted=counted, in_doubt=True)

    def all_intercepted(self, flight: Flight, reply: Reply, now: float, *, counted: bool) -> None:
        """Somebody in between said no, and Graph did not get it. ``counted`` is False while nothing else goes through either."""
        self._all_again(flight, reply, self._after_backoff(reply, now), counted=counted)

    def _after_backoff(self, reply: Reply, now: float) -> Callable[[Attempt], float]:
        """The instant from which a row may be sent again; a wait that was asked for is kept elsewhere."""
        return lambda attempt: now + self._backoff.item_wait_s(attempt.failures + 1, Reply(reply.status))

    def _all_again(
        self,
        flight: Flight,
        reply: Reply,
        from_when: Callable[[Attempt], float],
        *,
        counted: bool,
        in_doubt: bool = False,
    ) -> None:
        """Send every row of the batch again, unless it has had its attempts. ``counted`` says whether this one counts as failed."""
        for mailbox, attempts in flight.parts:
            said = MailboxNews()
            for attempt in attempts:
                again = attempt._replace(in_doubt=attempt.in_doubt or in_doubt)
                self._return(flight.batch.number, again, reply, from_when(attempt), said, counted=counted)
            for at, attempt in said.returned:
                self._put_back(mailbox, attempt, at, len(attempts))

    def all_alone(self, flight: Flight) -> None:
        """The batch was refused as a whole: each row travels alone from now on, to find the one that spoils it."""
        for mailbox, attempts in flight.parts:
            mailbox.alone.extend(attempts)
            if mailbox.closing is None or mailbox.rows_in_flight > len(attempts):
                self.entries.extend(Returned(*attempt) for attempt in attempts)

    def refuse_all(self, flight: Flight, reply: Reply) -> None:
        """Graph refused the batch, and it held nothing else."""
        for _, attempts in flight.parts:
            for attempt in attempts:
                self._settle(attempt, Outcome.REFUSED, flight.batch.number, reply)
