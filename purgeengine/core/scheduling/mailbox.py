"""One mailbox, and everything that the end of a batch does to it.

Every change of a mailbox is a method of `Mailbox` or of its base classes: `MailboxLimits` (what may leave) and `MailboxRows`
(what is left). No other code assigns to its attributes.
"""

from __future__ import annotations

from typing import Self

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.experience import CONFIRM_S, all_alike, all_trouble
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.messages import MailboxOpened
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.remedies import WAIT_TOO_LONG_SAYS
from purgeengine.core.scheduling.mailbox_limits import MailboxLimits
from purgeengine.core.scheduling.news import Blame, MailboxNews
from purgeengine.run_limits import Limits


class Mailbox(MailboxLimits):
    """The rows of one mailbox, its limits and waits, and what its answers have shown.

    Instants are monotonic seconds. ``lane`` says whether a batch was a lane.
    """

    __slots__ = ()

    @classmethod
    def from_ledger(cls, opened: MailboxOpened, limits: Limits, cooldown: LostCallCooldown, now: float) -> Self:
        """Return the mailbox with its rows, and with what earlier runs left: requests, lost calls, and a wait of Graph's."""
        window = Window(limits.mailbox_requests, limits.mailbox_window_s + limits.window_slack_s)
        for age_s, requests in opened.recent:
            window.restore(requests, now - age_s)
        mailbox = cls(
            opened.mailbox,
            opened.next,
            opened.end,
            window,
            cooldown,
            limits.mailbox_concurrent_max,
            opened.doubt_end,
            opened.unsettled,
            now,
        )
        mailbox.block(now + opened.blocked_for_s)
        for for_s, slots in opened.lost_slots:
            mailbox.lost_slots.restore(now + for_s, slots)
        return mailbox

    @property
    def closes_now(self) -> bool:
        """True if the mailbox is to be closed and none of its rows is in flight."""
        return self.closing is not None and not self.slots_taken

    # ----------------------------------------------------------------------------------------- what the end of a batch does

    def purged(self, rows: int, now: float, *, lane: bool) -> None:
        """Record that all of its ``rows`` in a batch were purged."""
        self._land(rows, lane=lane)
        self.window.answered(rows, now)
        self.broke(0, rows, lane_rows=rows if lane else 0)
        self.experience.went_well()
        if self.closing is None:
            self.went_well(rows)

    def answered(
        self, news: MailboxNews, sent_at: float, now: float, *, lane: bool, limits: Limits, backoff: Backoff
    ) -> None:
        """Record what the replies of one batch say about the mailbox, and take back the rows that are sent again.

        ``sent_at`` is when the batch left. An answer to a batch that left before the last counted answer came is not counted.
        """
        self._land(news.rows, lane=lane)
        self.window.answered(news.tried, now)
        self.window.never_arrived(news.unsent)
        # With more than four rows, refusals come from the fanout. With four or fewer, others use the mailbox too.
        within_four = lane or news.rows <= self.limit_max
        own = within_four and not news.app_too_fast
        tried = news.tried - news.gone_in_doubt  # doubtful rows stand at the end of a lane, where a break costs little
        breaks = tried - news.done - (0 if own else news.throttled)
        self.broke(breaks, tried, lane_rows=news.rows if lane else 0)
        # Rows whose lane broke before them cost no call, and those that were too fast show in the waits of the mailbox.
        self.returned -= news.unsent + news.throttled
        self.held_back += news.held_back
        self._learn(news, sent_at, now, limits, backoff)
        if news.wait_s:
            self.told_to_wait(now, news.wait_s)
        self._close_if_told(news, limits)
        for at, attempt in news.returned:
            self.put_back(attempt, at)
        if self.closing is not None:
            return
        if not news.throttled:
            self.went_well(news.good)
            return
        if news.app_too_fast:
            return
        again = self.experience.was_too_fast(sent_at, now)
        concurrency = news.concurrency and within_four
        self.was_refused(good=news.good, concurrency=concurrency, wait_s=news.wait_s, again=again)

    def landed(self, rows: int, now: float, *, lane: bool) -> None:
        """Record the end of a batch with ``rows`` of its rows that was refused as a whole, or whose answer cannot be read.

        The service has ended its work on the batch, and the requests count.
        """
        self._land(rows, lane=lane)
        self.window.answered(rows, now)

    def lost_while_running(
        self, batch: int, rows: int, sent_at: float, now: float, *, lane: bool, cooldown_s: float, keep_s: float = 0.0
    ) -> None:
        """Record at ``now`` that no answer came for a batch, and that the service may still be running it.

        ``rows`` rows of this mailbox were in it, and it left at ``sent_at``. It holds their slots until ``cooldown_s`` seconds
        after ``sent_at``, or until ``keep_s`` seconds after ``now`` if that is later. Later answers may change the cooldown.
        """
        self._land(rows, lane=lane)
        self.window.answered(rows, max(now + keep_s, sent_at + cooldown_s))
        self.lost_slots.add(batch, sent_at, self.slots_of(rows, lane=lane), lane=lane, not_before=now + keep_s)

    def came_late(self, batch: int, now: float, *, gone: bool, wait_s: float) -> None:
        """Record that the answer to a batch came after all, so that the batch holds no slots any more.

        ``gone`` says whether a row is gone by this answer, ``wait_s`` for how many seconds it asks the mailbox to wait.
        """
        self.lost_slots.release(batch)
        if gone:
            self.experience.went_well()
        if wait_s:
            self.told_to_wait(now, wait_s)

    def never_sent(self, rows: int, *, lane: bool) -> None:
        """Record that a batch with ``rows`` of its rows did not reach Graph."""
        self._land(rows, lane=lane)
        self.window.never_arrived(rows)
        self.returned -= rows

    def _learn(self, news: MailboxNews, sent_at: float, now: float, limits: Limits, backoff: Backoff) -> None:
        """Add an answer to the experience. That may make the whole mailbox wait, or close it."""
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
            if news.app_too_fast and news.throttled and not fault and not news.held_back:
                return
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
        """Record a 401 that concerns this mailbox, or of which that is not known yet."""
        self.experience.unauthorized_once = True
        if news.blame is Blame.UNSETTLED:
            self.experience.was_unauthorized(sent_at, now)
            self.refusal = reply
        elif news.blame is Blame.MAILBOX and self.experience.was_unauthorized(sent_at, now):
            self.close_with(Outcome.REFUSED, reply)

    def _wait_as_one(self, news: MailboxNews, reply: Reply, now: float, limits: Limits, backoff: Backoff) -> None:
        """Make the whole mailbox wait after an answer with only trouble, longer each time.

        The mailbox is closed after a bounded number of such answers.
        """
        experience = self.experience
        if experience.fails_always(limits.attempts_max):
            outcome = Outcome.REFUSED if news.unclear and not news.faulty else Outcome.EXHAUSTED
            self.close_with(outcome, all_trouble(experience.fruitless, reply))
        elif (
            experience.troubled and not news.throttled and not news.held_back
        ):  # after those verdicts the mailbox waits anyway
            self.block(now + backoff.item_wait_s(experience.fruitless, Reply(reply.status)))

    def _close_if_told(self, news: MailboxNews, limits: Limits) -> None:
        """Close the mailbox if the answer demands it.

        The cases: it cannot be served; Graph asked it to wait for longer than a run waits; it was held back too often.
        """
        if news.closed is not None:
            self.close_with(Outcome.REFUSED, news.closed)
        elif news.wait_s > limits.retry_after_s_max:
            self.close_for_wait(news.wait_s, news.trouble or Reply(0))
        elif self.held_back >= limits.attempts_max and news.trouble is not None:
            self.close_with(Outcome.EXHAUSTED, news.trouble)

    # ------------------------------------------------------------------------------------------------ closing, parking

    def close_with(self, outcome: Outcome, reply: Reply) -> None:
        """Send nothing more, and end its rows with this outcome and reply once nothing is in flight. The first reason stays."""
        self.closing = self.closing or (outcome, reply)

    def close_for_wait(self, wait_s: float, reply: Reply) -> None:
        """Close the mailbox, because ``reply`` asked it to wait for longer than a run waits."""
        too_long = f"{WAIT_TOO_LONG_SAYS} ({round(wait_s / 3600, 1):,g} hours)."
        self.close_with(Outcome.EXHAUSTED, reply._replace(message=too_long))

    def park(self) -> None:
        """Send nothing until `release`."""
        self.parked = True

    def release(self) -> None:
        """Send again: the token has proved to be good, or there is another one."""
        self.parked = False
