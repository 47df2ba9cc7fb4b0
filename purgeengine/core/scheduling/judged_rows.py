"""Judges the reply to each row: the row is settled with an outcome, or sent again from an instant on.

A judged row is a value, and nothing is changed here. `Mailbox.answered` takes in the news, and `Settler` makes the entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from purgeengine.core.graph.verdicts import Verdict, VerdictTable, judge, outcome_when_gone
from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.messages import Settled
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.core.scheduling.flights import Flight
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.news import Blame, MailboxNews
from purgeengine.core.scheduling.token_watch import TokenWatch

GOOD = (Verdict.DONE, Verdict.GONE)
"""Verdicts that show that the token and the mailbox are good."""


class JudgedRow(NamedTuple):
    """What happens to one row of an answered batch.

    ``outcome`` is None if the row is sent again, from ``again_at`` on.
    """

    verdict: Verdict | None
    """None for a row of a lane that was not tried, and for the rows of a batch that is settled as a whole."""
    attempt: Attempt
    """The attempt as it is recorded, with its failures counted and its doubt noted."""
    reply: Reply
    outcome: Outcome | None = None
    again_at: float = 0.0
    """Monotonic seconds."""
    mailbox_wait_s: float = 0.0
    """Seconds for which the reply makes the whole mailbox wait."""

    def settled(self, batch: int) -> Settled:
        """Return the entry of a row that has its outcome. ``batch`` is the number of the batch that decided it."""
        assert self.outcome is not None, "settled without an outcome"
        return settled(self.attempt, self.outcome, batch, self.reply)


def settled(attempt: Attempt, outcome: Outcome, batch: int, reply: Reply) -> Settled:
    """Return the entry of a row that has its outcome."""
    in_doubt = attempt.in_doubt and outcome.may_leave_doubt
    return Settled(attempt.position, outcome, attempt.number, in_doubt, batch, reply)


class RowJudge:
    """Judges rows by a table of verdicts. Their waits and the most attempts of a row come from ``backoff``."""

    def __init__(self, backoff: Backoff, verdicts: VerdictTable, token: TokenWatch) -> None:
        self._backoff = backoff
        self._verdicts = verdicts
        self._token = token

    def is_good(self, reply: Reply) -> bool:
        """Return True if the reply shows that the contact is gone."""
        return judge(reply, self._verdicts) in GOOD

    def judge(self, flight: Flight, mailbox: Mailbox, attempt: Attempt, reply: Reply, now: float) -> JudgedRow:
        """Judge the reply to one row of ``mailbox`` at ``now`` (monotonic seconds)."""
        backoff = self._backoff
        verdict = judge(reply, self._verdicts)
        match verdict:
            case Verdict.DONE:
                return JudgedRow(verdict, attempt, reply, Outcome.PURGED)
            case Verdict.GONE:
                return JudgedRow(verdict, attempt, reply, outcome_when_gone(attempt.in_doubt))
            case Verdict.REFUSED | Verdict.UNKNOWN | Verdict.CLOSED:
                return JudgedRow(verdict, attempt, reply, Outcome.REFUSED)
            case Verdict.THROTTLED:
                if flight.app_wait_s is not None:  # neither the row nor its mailbox is to blame
                    wait_s = max(flight.app_wait_s, backoff.throttled_wait_s(1, reply))
                    return JudgedRow(verdict, attempt, reply, None, now, wait_s)
                wait_s = backoff.throttled_wait_s(mailbox.refusals + 1, reply)
                at = now + backoff.throttled_row_wait_s(attempt.number)
                return self.again(verdict, attempt, reply, at, counted=False, mailbox_wait_s=wait_s)
            case Verdict.HELD_BACK:
                wait_s = backoff.held_back_wait_s(mailbox.held_back + 1, reply)
                return self.again(verdict, attempt, reply, now, counted=False, mailbox_wait_s=wait_s)
            case Verdict.FAULT | Verdict.UNREACHED:
                wait_s = backoff.item_wait_s(attempt.failures + 1, reply)
                asked_s = wait_s if reply.retry_after_s is not None else 0.0
                attempt = attempt._replace(in_doubt=attempt.in_doubt or verdict is Verdict.FAULT)
                return self.again(verdict, attempt, reply, now + wait_s, mailbox_wait_s=asked_s)
            case Verdict.UNCLEAR:
                at = now + backoff.item_wait_s(attempt.failures + 1, reply)
                return self.again(verdict, attempt, reply, at, unclear=True)
            case Verdict.NOT_ATTEMPTED:
                at = now + backoff.item_wait_s(attempt.number, reply)
                return self.again(verdict, attempt, reply, at, counted=False)
            case Verdict.TOKEN_REFUSED:
                blamed = self._token.blame(flight.token_generation, now) is Blame.MAILBOX
                wait_s = backoff.item_wait_s(attempt.failures + 1, reply) if blamed else 0.0
                return self.again(verdict, attempt, reply, now + wait_s, counted=blamed, unclear=True)
            case Verdict.APP_REFUSED | Verdict.NO_SUCH_ACTION:
                return self.again(verdict, attempt, reply, now, counted=False)
            case Verdict.INTERCEPTED:
                raise AssertionError("a verdict on whole batches only")
            case _:
                assert_never(verdict)

    def again(
        self,
        verdict: Verdict | None,
        attempt: Attempt,
        reply: Reply,
        at: float,
        *,
        counted: bool = True,
        unclear: bool = False,
        mailbox_wait_s: float = 0.0,
    ) -> JudgedRow:
        """Send the row again from ``at`` on (monotonic seconds), unless it has used up its attempts.

        A row that has used them up is exhausted, or refused if certainly nothing was done. ``counted`` says whether this attempt
        counts as failed. After an ``unclear`` reply, nothing was done by this attempt.
        """
        if counted:
            attempt = attempt._replace(failures=attempt.failures + 1)
        not_done = unclear and not attempt.in_doubt
        outcome = None
        if self._backoff.gives_up(attempt.failures, attempt.number, unclear=not_done):
            outcome = Outcome.REFUSED if not_done else Outcome.EXHAUSTED
        return JudgedRow(verdict, attempt, reply, outcome, at, mailbox_wait_s)


def mailbox_news(rows: Sequence[JudgedRow], asked_s: float) -> MailboxNews:
    """Return what the replies to the rows of one mailbox say together.

    ``asked_s`` is the longest wait in seconds that the batch's answer asked of the mailbox.
    """
    good = done = gone_in_doubt = known = throttled = unsent = 0
    unknown: list[Reply] = []
    closed = trouble = unauthorized = None
    concurrency = held_back = faulty = unclear = False
    wait_s = asked_s
    for row in rows:
        reply = row.reply
        wait_s = max(wait_s, row.mailbox_wait_s)
        match row.verdict:
            case None:
                unsent += 1
            case Verdict.DONE | Verdict.GONE:
                good += 1
                done += row.verdict is Verdict.DONE
                gone_in_doubt += row.verdict is Verdict.GONE and row.attempt.in_doubt
            case Verdict.REFUSED:
                known += 1
            case Verdict.UNKNOWN:
                unknown.append(reply)
            case Verdict.CLOSED:
                closed = reply
            case Verdict.THROTTLED:
                throttled += 1
                concurrency = concurrency or "concurrency" in reply.message.lower()
                trouble = reply
            case Verdict.HELD_BACK:
                held_back, trouble = True, reply
            case Verdict.FAULT | Verdict.UNREACHED:
                faulty, trouble = True, reply
            case Verdict.UNCLEAR:
                unclear, trouble = True, reply
            case Verdict.NOT_ATTEMPTED:
                trouble = reply
            case Verdict.TOKEN_REFUSED:
                unauthorized = reply
    return MailboxNews(
        rows=len(rows),
        unsent=unsent,
        good=good,
        done=done,
        gone_in_doubt=gone_in_doubt,
        known=known,
        unknown=tuple(unknown),
        closed=closed,
        throttled=throttled,
        concurrency=concurrency,
        held_back=held_back,
        wait_s=wait_s,
        trouble=trouble,
        faulty=faulty,
        unclear=unclear,
        unauthorized=unauthorized,
        returned=tuple((row.again_at, row.attempt) for row in rows if row.outcome is None),
    )
