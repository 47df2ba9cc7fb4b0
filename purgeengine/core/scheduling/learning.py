"""What an answer teaches about its mailbox: that it waits as one, that it is to be closed, or that its token has ended.

`purgeengine.core.scheduling.experience` counts; here the counts lead to something. Rows are settled elsewhere.
"""

from __future__ import annotations

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.scheduling.experience import CONFIRM_S, PATIENT_ANSWERS_MAX
from purgeengine.core.scheduling.flight import Flight
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.news import MailboxNews
from purgeengine.core.scheduling.token_watch import Blame, TokenWatch
from purgeengine.run_limits import Limits


class Learning:
    """One for a run. A mailbox that is to be closed is told why (`Mailbox.closing`); it closes once nothing of it is in flight."""

    def __init__(self, limits: Limits, backoff: Backoff, token: TokenWatch) -> None:
        self._limits = limits
        self._backoff = backoff
        self._token = token

    def learn(self, mailbox: Mailbox, flight: Flight, tried: int, said: MailboxNews, now: float) -> Reply | None:
        """Add an answer to the experience with the mailbox; may decide that the mailbox is to be closed.

        ``tried`` rows of it reached the mailbox. Returns the reply that says that the token has ended, or None.
        """
        experience = mailbox.experience
        ended = None if said.unauthorized is None else self._unauthorized(mailbox, flight, said.unauthorized, now)
        if said.good:
            experience.went_well()
            return ended
        if said.known or said.unknown or said.closed is not None:
            experience.answered()
        elif said.trouble is not None and said.unauthorized is None:
            fault = said.faulty or said.unclear
            if experience.was_fruitless(tried, flight.sent_at, now, fault=fault):
                self._wait_as_one(mailbox, said, said.trouble, now)
        if said.unknown and not experience.went_through:
            for reply in said.unknown:
                experience.was_unknown(reply, 1, flight.sent_at, now)
            if experience.refuses_all:
                mailbox.closing = mailbox.closing or (Outcome.REFUSED, _all_alike(experience.alike, said.unknown[-1]))
            elif experience.to_be_confirmed:
                mailbox.block(now + CONFIRM_S)
        return ended

    def _wait_as_one(self, mailbox: Mailbox, said: MailboxNews, reply: Reply, now: float) -> None:
        """The mailbox answers nothing but trouble: it waits, longer each time, and ends after a bounded number of answers."""
        experience = mailbox.experience
        if experience.faults >= self._limits.attempts_max or experience.fruitless >= PATIENT_ANSWERS_MAX:
            outcome = Outcome.REFUSED if said.unclear and not said.faulty else Outcome.EXHAUSTED
            mailbox.closing = mailbox.closing or (outcome, _all_trouble(experience.fruitless, reply))
        elif experience.troubled and not said.refused and not said.held_back:  # those wait anyway
            mailbox.block(now + self._backoff.item_wait_s(experience.fruitless, Reply(reply.status)))

    def _unauthorized(self, mailbox: Mailbox, flight: Flight, reply: Reply, now: float) -> Reply | None:
        """Find out whose a 401 is, and act on it where it is the mailbox's. Returns the reply where it may be the token's."""
        mailbox.experience.unauthorized_once = True
        match self._token.blame(flight.token_generation, now):
            case Blame.OLD_TOKEN:
                pass
            case Blame.TOKEN:
                return reply
            case Blame.UNSETTLED:
                mailbox.experience.was_unauthorized(flight.sent_at, now)
                mailbox.refusal = reply
                self._token.suspect(mailbox)
            case Blame.MAILBOX:
                if mailbox.experience.was_unauthorized(flight.sent_at, now):
                    mailbox.closing = mailbox.closing or (Outcome.REFUSED, reply)
        return None


def _all_alike(rows: int, reply: Reply) -> Reply:
    """Why a mailbox is closed that refused its first rows alike, with what it said."""
    said = f" It said: {reply.message}" if reply.message else ""
    return reply._replace(message=f"The mailbox refused its first {rows} rows alike and let none through.{said}")


def _all_trouble(answers: int, reply: Reply) -> Reply:
    """Why a mailbox is closed that answered nothing but trouble."""
    said = f" The last one said: {reply.message}" if reply.message else ""
    return reply._replace(message=f"{answers} answers of the mailbox in a row brought nothing.{said}")
