"""What happens to the rows of a batch that has ended: each is settled, returned to its mailbox, or closed with it.

Every row of an ended batch passes through here exactly once and is in exactly one entry. A settled row has its outcome for good.
A returned row is sent again, in doubt or not. A `Settlement` is a value: the entries, and what the batch says about the run. What
the batch says about a mailbox goes into the `Mailbox` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from purgeengine.core.graph.verdicts import TABLE, Verdict, VerdictTable
from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.messages import (
    BATCH_OF_LAST_SENDING,
    Entry,
    MailboxBlocked,
    MailboxClosed,
    Returned,
    Settled,
)
from purgeengine.core.model import PURGED_REPLY, Answer, Attempt, Outcome, Reply
from purgeengine.core.policy.remedies import WAIT_TOO_LONG_SAYS
from purgeengine.core.scheduling.flights import Flight, neighbours
from purgeengine.core.scheduling.judged_rows import JudgedRow, RowJudge, mailbox_news, settled
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.news import Blame, MailboxNews, RunNews
from purgeengine.core.scheduling.token_watch import TokenWatch
from purgeengine.run_limits import Limits

NO_REPLY = Reply(0, message="Graph's answer did not mention this row.")
WAIT_TOO_LONG = Reply(0, message=f"{WAIT_TOO_LONG_SAYS}.")
"""The reply for a mailbox that Graph, in an earlier run, asked to wait for longer than a run waits."""
FAILED_DEPENDENCY = 424
NO_NEWS = RunNews()
ALL_PURGED = RunNews(went_through=True, proven=True)


class Settlement(NamedTuple):
    """What the end of a batch leaves: entries for the ledger, in their order, and what the batch says about the run."""

    entries: tuple[Entry, ...]
    news: RunNews = NO_NEWS


class Settler:
    """Settles ended batches, one call for each batch. It keeps nothing from one batch to the next.

    ``now`` is in monotonic seconds. Every method records the end of the batch in its mailboxes.
    """

    def __init__(
        self, limits: Limits, backoff: Backoff, verdicts: VerdictTable = TABLE, token: TokenWatch | None = None
    ) -> None:
        self._limits = limits
        self._backoff = backoff
        self._token = token or TokenWatch()
        self._rows = RowJudge(backoff, verdicts, self._token)

    def settle(self, flight: Flight, answer: Answer, now: float) -> Settlement:
        """Settle a batch by its sub-responses. A row without a sub-response, or with two that differ, is in doubt."""
        replies = answer.replies
        assert replies is not None, "the batch was refused as a whole"
        if list(replies.values()).count(PURGED_REPLY) == flight.size:  # nearly always: no reply needs a judgement
            return self._all_purged(flight, now)
        # A good token is recognised before any 401 is judged, so that the order of the rows does not matter.
        proven = any(reply is not None and self._rows.is_good(reply) for reply in replies.values())
        if proven:
            self._token.proven(flight.token_generation)
        entries: list[Entry] = []
        everything: list[JudgedRow] = []
        throttled: list[int] = []
        token_refused = None
        first = 0
        for mailbox, attempts in flight.shares:
            rows = self._judged(flight, mailbox, attempts, replies, first, now)
            everything += rows
            asked_s = max([answer.waits.get(index, 0.0) for index in range(first, first + len(attempts))])
            first += len(attempts)
            news = mailbox_news(rows, asked_s)._replace(app_too_fast=flight.app_wait_s is not None)
            if news.unauthorized is not None:
                news = news._replace(blame=self._token.blame(flight.token_generation, now))
                token_refused = news.unauthorized if news.blame is Blame.TOKEN else token_refused
            throttled.append(news.throttled)
            entries += [row.settled(flight.batch.number) for row in rows if row.outcome is not None]
            entries += self._taken_in(flight, mailbox, news, now)
        return Settlement(
            tuple(entries),
            RunNews(
                went_through=any(row.verdict not in (None, Verdict.TOKEN_REFUSED, Verdict.FAULT) for row in everything),
                proven=proven,
                token_refused=token_refused,
                app_refused=_last_reply(everything, Verdict.APP_REFUSED),
                no_such_action=_last_reply(everything, Verdict.NO_SUCH_ACTION),
                throttled=tuple(throttled) if any(throttled) else (),
                unsent=sum(row.verdict is None for row in everything),
            ),
        )

    def _all_purged(self, flight: Flight, now: float) -> Settlement:
        """Settle a batch of which every row was purged. Neighbours share an entry."""
        self._token.proven(flight.token_generation)
        batch, lane = flight.batch.number, flight.batch.lane
        entries = []
        for mailbox, attempts in flight.shares:
            for first, count, sendings in neighbours(attempts):
                entries.append(Settled(first, Outcome.PURGED, sendings, False, batch, PURGED_REPLY, count))
            mailbox.purged(len(attempts), now, lane=lane)
        return Settlement(tuple(entries), ALL_PURGED)

    def _judged(
        self,
        flight: Flight,
        mailbox: Mailbox,
        attempts: Sequence[Attempt],
        replies: dict[int, Reply | None],
        first: int,
        now: float,
    ) -> list[JudgedRow]:
        """Judge the rows of one mailbox, whose sub-requests are numbered from ``first``."""
        judged = []
        broken = False
        for index, attempt in enumerate(attempts, first):
            reply = replies.get(index) or NO_REPLY
            if broken and reply.status == FAILED_DEPENDENCY:
                unsent = attempt._replace(number=attempt.number - 1)
                judged.append(JudgedRow(None, unsent, reply, again_at=now))
                continue
            broken = broken or (flight.batch.lane and reply.status >= 400 and reply.status != FAILED_DEPENDENCY)
            judged.append(self._rows.judge(flight, mailbox, attempt, reply, now))
        return judged

    def _taken_in(self, flight: Flight, mailbox: Mailbox, news: MailboxNews, now: float) -> list[Entry]:
        """Tell the mailbox what its replies say, and return the entries of that."""
        lane = flight.batch.lane
        mailbox.answered(news, flight.sent_at, now, lane=lane, limits=self._limits, backoff=self._backoff)
        if news.blame is Blame.UNSETTLED:
            self._token.suspect(mailbox)
        entries: list[Entry] = []
        if news.wait_s:  # recorded even if the mailbox closes: another run may use it
            until = now + news.wait_s  # computed as the mailbox does, so that a resumed run gets the same instant
            entries.append(MailboxBlocked(mailbox.number, until - now))
        entries += _returned(mailbox, [attempt for _, attempt in news.returned])
        return entries

    # --------------------------------------------------------------------------------------- batches without sub-responses

    def settle_refused(self, flight: Flight, reply: Reply, now: float, wait_s: float = 0.0) -> Settlement:
        """Settle a batch that Graph refused as a whole through no fault of its rows: all rows are sent again.

        Nothing was carried out. The rows may leave after ``wait_s`` seconds.
        """
        for mailbox, attempts in flight.shares:
            mailbox.landed(len(attempts), now, lane=flight.batch.lane)
        return Settlement(self._all_again(flight, reply, lambda attempt: now + wait_s, counted=False))

    def settle_intercepted(self, flight: Flight, reply: Reply, now: float, *, counted: bool) -> Settlement:
        """Settle a batch that something between here and Graph refused, so that Graph did not get it.

        ``counted`` says whether the attempts count as failed. It is False while no other call goes through either.
        """
        for mailbox, attempts in flight.shares:
            mailbox.landed(len(attempts), now, lane=flight.batch.lane)
        return Settlement(self._all_again(flight, reply, self._after_backoff(reply, now), counted=counted))

    def settle_one_by_one(self, flight: Flight, now: float) -> Settlement:
        """Settle a batch that Graph refused as a whole because of one of its rows.

        Each row travels alone from now on, so that the faulty row is found.
        """
        entries: list[Entry] = []
        for mailbox, attempts in flight.shares:
            mailbox.landed(len(attempts), now, lane=flight.batch.lane)
            mailbox.send_alone(attempts)
            entries += _returned(mailbox, attempts)
        return Settlement(tuple(entries))

    def settle_for_good(self, flight: Flight, reply: Reply, now: float) -> Settlement:
        """Settle a batch of a single row that Graph refused as a whole: the row is refused."""
        entries: list[Entry] = []
        for mailbox, attempts in flight.shares:
            mailbox.landed(len(attempts), now, lane=flight.batch.lane)
            entries += [settled(attempt, Outcome.REFUSED, flight.batch.number, reply) for attempt in attempts]
        return Settlement(tuple(entries))

    def settle_lost(
        self, flight: Flight, reply: Reply, now: float, *, counted: bool, cooldown_s: float | None
    ) -> Settlement:
        """Settle a batch without an answer: all rows are in doubt and are sent again.

        ``counted`` says whether the attempts count as failed. It is False during an outage, which says nothing about these rows.
        The service may run the batch until ``cooldown_s`` seconds after its sending, and the batch holds its slots until then. It
        also holds them from ``now`` on for as long again as it was waited for, at most ``quarantine_s``. None means that the
        service has ended its work.
        """
        batch, lane = flight.batch.number, flight.batch.lane
        # A call that took longer than any before it, such as one that a gateway gave up, may take as long again.
        keep_s = min(now - flight.sent_at, self._limits.quarantine_s)
        for mailbox, attempts in flight.shares:
            if cooldown_s is None:
                mailbox.landed(len(attempts), now, lane=lane)
            else:
                rows = len(attempts)
                mailbox.lost_while_running(
                    batch, rows, flight.sent_at, now, lane=lane, cooldown_s=cooldown_s, keep_s=keep_s
                )
        entries = self._all_again(flight, reply, self._after_backoff(reply, now), counted=counted, in_doubt=True)
        return Settlement(entries, RunNews(unanswered=flight.size))

    def settle_late(self, flight: Flight, answer: Answer, now: float) -> Settlement:
        """Settle the rows of a batch whose answer came after it had been given up.

        Only rows are settled that are gone by this answer and that wait to be sent again. All others were settled, or are in
        flight again, and get their outcome elsewhere. Waits that the answer asks for are kept.
        """
        replies = answer.replies or {}
        entries: list[Entry] = []
        gone_anywhere = False
        first = 0
        for mailbox, attempts in flight.shares:
            numbered = range(first, first + len(attempts))
            first = numbered.stop
            said = [replies.get(index) for index in numbered]
            asked = [reply for reply in said if reply is not None and reply.retry_after_s]
            wait_s = max(answer.waits.get(index, 0.0) for index in numbered)
            wait_s = max([wait_s, *(reply.retry_after_s or 0.0 for reply in asked)])
            gone = [
                (attempt, reply)
                for attempt, reply in zip(attempts, said, strict=True)
                if reply is not None and self._rows.is_good(reply)
            ]
            mailbox.came_late(flight.batch.number, now, gone=bool(gone), wait_s=wait_s)
            if wait_s > self._limits.retry_after_s_max:
                mailbox.close_for_wait(wait_s, asked[-1] if asked else NO_REPLY)
            gone_anywhere = gone_anywhere or bool(gone)
            if wait_s:
                entries.append(MailboxBlocked(mailbox.number, wait_s))
            for attempt, reply in gone:
                waiting = mailbox.take_back(attempt.position)
                if waiting is not None:
                    sent_since = waiting.number > attempt.number
                    attempt = attempt._replace(in_doubt=attempt.in_doubt or sent_since)
                    row = self._rows.judge(flight, mailbox, attempt, reply, now)
                    entries.append(row._replace(attempt=waiting._replace(in_doubt=False)).settled(flight.batch.number))
        return Settlement(tuple(entries), RunNews(went_through=gone_anywhere, unanswered=-flight.size))

    def settle_never_sent(self, flight: Flight, now: float) -> Settlement:
        """Settle a batch that did not reach Graph. The attempts do not count."""
        entries: list[Entry] = []
        for mailbox, attempts in flight.shares:
            mailbox.never_sent(len(attempts), lane=flight.batch.lane)
            unsent = [attempt._replace(number=attempt.number - 1) for attempt in attempts]
            for attempt in unsent:
                mailbox.put_back(attempt, now)
            entries += _returned(mailbox, unsent)
        return Settlement(tuple(entries))

    def _after_backoff(self, reply: Reply, now: float) -> Callable[[Attempt], float]:
        """Return a function that gives the instant from which a row may be sent again.

        A wait that Graph asked for is kept by the circuit breaker, and not here.
        """
        return lambda attempt: now + self._backoff.lost_wait_s(attempt.failures + 1, Reply(reply.status))

    def _all_again(
        self,
        flight: Flight,
        reply: Reply,
        from_when: Callable[[Attempt], float],
        *,
        counted: bool,
        in_doubt: bool = False,
    ) -> tuple[Entry, ...]:
        """Send every row again, unless it has used up its attempts. The mailboxes have recorded the end of the batch before."""
        entries: list[Entry] = []
        for mailbox, attempts in flight.shares:
            returned = []
            for attempt in attempts:
                attempt = attempt._replace(in_doubt=attempt.in_doubt or in_doubt)
                row = self._rows.again(None, attempt, reply, from_when(attempt), counted=counted)
                if row.outcome is not None:
                    entries.append(row.settled(flight.batch.number))
                else:
                    returned.append(row)
            for row in returned:
                mailbox.put_back(row.attempt, row.again_at)
            entries += _returned(mailbox, [row.attempt for row in returned])
        return tuple(entries)

    # ------------------------------------------------------------------------------------------------- closed mailboxes

    def close(self, mailbox: Mailbox) -> Settlement:
        """Settle the rows of a mailbox that closes.

        Rows that were sent before get its outcome. Rows that were never sent are skipped; the ledger adds most of them by itself.
        None of its rows may be in flight, because a row that came back later would wait for ever in a closed mailbox.
        """
        assert mailbox.closing is not None, "closed without a reason"
        assert not mailbox.in_flight, "closed while in flight"
        outcome, reply = mailbox.closing
        skipped = mailbox.end - mailbox.next
        entries: list[Entry] = []
        for attempt in mailbox.give_up():
            entries.append(
                settled(attempt, outcome if attempt.number else Outcome.SKIPPED, BATCH_OF_LAST_SENDING, reply)
            )
        return Settlement((*entries, MailboxClosed(mailbox.number, reply, skipped)))

    def give_up(self, mailbox: Mailbox) -> Settlement:
        """Close a mailbox that Graph, in an earlier run, asked to wait for longer than a run waits."""
        mailbox.close_with(Outcome.EXHAUSTED, WAIT_TOO_LONG)
        return self.close(mailbox)

    def close_suspect(self, mailbox: Mailbox) -> Settlement:
        """Close a mailbox that answers 401, once no other mailbox can show what the 401 is about."""
        mailbox.close_with(Outcome.REFUSED, mailbox.refusal)
        return self.close(mailbox)


def _returned(mailbox: Mailbox, attempts: Sequence[Attempt]) -> list[Entry]:
    """Return the entries of rows that go back to their mailbox.

    If the mailbox closes in this turn, there are none, because its rows are settled with it.
    """
    return [] if mailbox.closes_now else [Returned(*attempt) for attempt in attempts]


def _last_reply(rows: Sequence[JudgedRow], verdict: Verdict) -> Reply | None:
    return next((row.reply for row in reversed(rows) if row.verdict is verdict), None)
