"""One mailbox, and everything that the end of a batch does to it.

Every change of a mailbox is a method of `Mailbox` or of the classes that it extends: `MailboxLimits` (what may leave) and
`MailboxRows` (what is left). Nothing else assigns to its attributes.
"""

from __future__ import annotations

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.remedies import WAIT_TOO_LONG_SAYS
from purgeengine.core.scheduling.experience import CONFIRM_S, PATIENT_ANSWERS_MAX, all_alike, all_trouble
from purgeengine.core.scheduling.mailbox_limits import MailboxLimits
from purgeengine.core.scheduling.news import Blame, MailboxNews
from purgeengine.run_limits import Limits


class Mailbox(MailboxLimits):
    """The rows of one mailbox, its limits and waits, and what its answers have shown of it."""

    __slots__ = ()

    @property
    def closes_now(self) -> bool:
        """Whether it is to be closed and nothing of it is in flight any more."""
        return self.closing is not None and not self.slots_taken

    # ----------------------------------------------------------------------------------------- what the end of a batch does

    def purged(self, rows: int, now: float, *, lane: bool) -> None:
        """All of its ``rows`` in the batch were purged."""
        self._land(rows, lane=lane)
        self.window.answered(rows, now)
        if lane:
            self.lane_carried(rows, rows)
        self.experience.went_well()
        if self.closing is None:
            self.went_well(rows)

    def answered(
        self, news: MailboxNews, sent_at: float, now: float, *, lane: bool, limits: Limits, backoff: Backoff
    ) -> None:
        """Take in what the replies of one batch say about it, and the rows that come back.

        ``sent_at`` is when the batch left, in monotonic seconds: answers that left before the last one came are no new experience.
        """
        self._land(news.rows, lane=lane)
        self.window.answered(news.tried, now)
        if lane:
            self.window.never_arrived(news.unsent)
            self.lane_carried(news.tried, news.rows)
        self.held_back += news.held_back
        self._learn(news, sent_at, now, limits, backoff)
        if news.wait_s:
            self.block(now + news.wait_s, throttled=True)
        self._close_if_told(news, limits)
        for at, attempt in news.returned:
            self.put_back(attempt, at)
        if self.closing is not None:
            return
        if not news.throttled:
            self.went_well(news.good)
            return
        # Refusals of a batch wider than four are the fanout's doing; within four they mean other traffic.
        within_four = lane or news.rows <= self.limit_max
        again = self.experience.was_too_fast(sent_at, now)
        self.was_refused(some_went_through=news.good > 0, concurrency=news.concurrency and within_four, again=again)

    def refused(self, rows: int, now: float, *, lane: bool) -> None:
        """The batch with its ``rows`` was refused as a whole: nothing was carried out, and the requests count."""
        self._land(rows, lane=lane)
        self.window.answered(rows, now)

    def lost(self, rows: int, now: float, *, lane: bool, cooldown_s: float | None) -> None:
        """No answer came for the batch with its ``rows``.

        The service may still be running it for ``cooldown_s`` seconds, or less, as later answers may show. The mailbox sends
        nothing meanwhile. None where the service has ended its work.
        """
        self._land(rows, lane=lane)
        self.window.answered(rows, now + (cooldown_s or 0.0))
        if cooldown_s is not None:
            self.cool_down(now, lane=lane)

    def never_sent(self, rows: int, *, lane: bool) -> None:
        """The batch with its ``rows`` did not reach Graph."""
        self._land(rows, lane=lane)
        self.window.never_arrived(rows)

    def _learn(self, news: MailboxNews, sent_at: float, now: float, limits: Limits, backoff: Backoff) -> None:
        """Add an answer to the experience; that may make the mailbox wait as one, or be closed."""
        experience = self.experience
        if news.unauthorized is not None:
            self._was_unauthorized(news, news.unauthorized, sent_at, now)
        if news.good:
            experience.went_well()
            return
        if news.known or news.unknown or news.closed is not None:
            experience.answered()
        elif news.trouble is not None and news.unauthorized is None:
            fault = news.faulty or news.unclear
            if experience.was_fruitless(news.tried, sent_at, now, fault=fault):
                self._wait_as_one(news, news.trouble, now, limits, backoff)
        if news.unknown and not experience.went_through:
            for reply in news.unknown:
                experience.was_unknown(reply, 1, sent_at, now)
            if experience.refuses_all:
                self.close_with(Outcome.REFUSED, all_alike(experience.alike, news.unknown[-1]))
            elif experience.to_be_confirmed:
                self.block(now + CONFIRM_S)

    def _was_unauthorized(self, news: MailboxNews, reply: Reply, sent_at: float, now: float) -> None:
        """A 401: of the mailbox's own, or while it is not known whose it is."""
        self.experience.unauthorized_once = True
        if news.blame is Blame.UNSETTLED:
            self.experience.was_unauthorized(sent_at, now)
            self.refusal = reply
        elif news.blame is Blame.MAILBOX and self.experience.was_unauthorized(sent_at, now):
            self.close_with(Outcome.REFUSED, reply)

    def _wait_as_one(self, news: MailboxNews, reply: Reply, now: float, limits: Limits, backoff: Backoff) -> None:
        """The mailbox answers nothing but trouble: it waits, longer each time, and ends after a bounded number of answers."""
        experience = self.experience
        if experience.faults >= limits.attempts_max or experience.fruitless >= PATIENT_ANSWERS_MAX:
            outcome = Outcome.REFUSED if news.unclear and not news.faulty else Outcome.EXHAUSTED
            self.close_with(outcome, all_trouble(experience.fruitless, reply))
        elif experience.troubled and not news.throttled and not news.held_back:  # those wait anyway
            self.block(now + backoff.item_wait_s(experience.fruitless, Reply(reply.status)))

    def _close_if_told(self, news: MailboxNews, limits: Limits) -> None:
        """The cases: it cannot be served; it was told to wait longer than a run waits; it was held back too often."""
        if news.closed is not None:
            self.close_with(Outcome.REFUSED, news.closed)
        elif news.wait_s > limits.retry_after_s_max:
            told = news.trouble or Reply(0)
            too_long = f"{WAIT_TOO_LONG_SAYS} ({round(news.wait_s / 3600, 1):,g} hours)."
            self.close_with(Outcome.EXHAUSTED, told._replace(message=too_long))
        elif self.held_back >= limits.attempts_max and news.trouble is not None:
            self.close_with(Outcome.EXHAUSTED, news.trouble)

    # ------------------------------------------------------------------------------------------------ closing, parking

    def close_with(self, outcome: Outcome, reply: Reply) -> None:
        """Send nothing more, and end its rows like this once nothing is in flight. The first reason stays."""
        self.closing = self.closing or (outcome, reply)

    def park(self) -> None:
        """Send nothing until `release`."""
        self.parked = True

    def release(self) -> None:
        """The token is known to be good, or there is another: the mailbox may be asked again."""
        self.parked = False
