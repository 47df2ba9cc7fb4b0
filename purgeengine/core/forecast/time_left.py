"""The time left of a run: seconds, or what is waited for where nobody can know. One value, and one sentence for all who show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from purgeengine.core.command_words import UNTIL
from purgeengine.words import counted, duration


class Awaited(StrEnum):
    """What must happen before the time left can be known. The values are keys in JSON."""

    FIRST_ANSWERS = "first_answers"
    """The run has no answer yet, so that nobody knows how long calls take."""
    HOURS = "hours"
    """The hours of the run have not come yet, and it has no answer. The wait itself is told beside it."""
    ANSWERS = "answers"
    """Every row that is left is in flight, and an answer is later than usual. It may be lost."""
    GRAPH = "graph"
    """One call after another fails. Nobody knows how long the outage lasts."""
    TOKEN = "token"  # noqa: S105 - no secret
    """Another token is being fetched."""
    MAILBOXES = "mailboxes"
    """Mailboxes decide the end that let nothing through, that wait for minutes, or that Graph makes wait again and again, much more
    than others. They are tried again."""
    RETRY_AFTER = "retry_after"
    """Graph asked the whole app to wait, and nothing is in flight. The time left is known as well."""
    LOST_CALLS = "lost_calls"
    """Nothing is in flight, and lost calls hold the slots of the mailboxes that are left. The time left is known as well."""
    UNTIL = "until"
    """The time that was set for the end of the run comes first."""


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The time that a run will probably still take, or why it is not known. If nothing is in flight, also what it waits for."""

    seconds: float | None
    """Seconds until the end. None if they cannot be known."""
    awaited: Awaited | None = None
    """What is waited for. None if the run works and the seconds are known."""
    count: int = 0
    """How many answers or mailboxes are waited for; 0 for what is not counted."""
    for_s: float | None = None
    """For answers: the most seconds until they are there or are given up. For Graph, mailboxes and lost calls: the seconds until
    the next try. For a wait that Graph asked for: the seconds until its end. None if that is not known."""
    largest_left: int | None = None
    """The rows left of the largest mailbox, if it ends long after all others. None if it does not."""

    def later(self, by_s: float) -> Self:
        """Return what is left of it ``by_s`` seconds later, if nothing else is learned meanwhile."""
        return replace(
            self,
            seconds=None if self.seconds is None else max(0.0, self.seconds - by_s),
            for_s=None if self.for_s is None else max(0.0, self.for_s - by_s),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the keys that every JSON output has for it. Seconds are rounded to tenths."""
        return {
            "left_s": _tenths(self.seconds),
            "waiting_for": None if self.awaited is None else self.awaited.value,
            "waiting_count": self.count or None,
            "waiting_s": _tenths(self.for_s),
        }

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Self:
        """Return what `as_json` wrote. Raises KeyError, TypeError or ValueError if it is something else."""
        seconds, awaited, for_s = found["left_s"], found["waiting_for"], found["waiting_s"]
        return cls(
            seconds=None if seconds is None else float(seconds),
            awaited=None if awaited is None else Awaited(awaited),
            count=int(found["waiting_count"] or 0),
            for_s=None if for_s is None else float(for_s),
            largest_left=None if (largest := found.get("largest_left")) is None else int(largest),
        )


NOTHING_LEFT = TimeLeft(0.0)


def in_words(left: TimeLeft) -> str:
    """Return what people read about the time left: left about 3 min 20 s; waiting for 38 answers, 21 s at most."""
    parts = [] if left.seconds is None else [f"left about {duration(max(1.0, left.seconds))}"]
    if parts and left.largest_left:
        parts.append(f"the largest mailbox decides: {counted(left.largest_left, 'row')} left")
    if left.awaited is not None:
        parts.append(awaited_words(left))
    return ", ".join(parts) or "time left not known"


def awaited_words(left: TimeLeft) -> str:
    """Return what people read about what a run waits for. Empty if it waits for nothing."""
    match left.awaited:
        case Awaited.UNTIL:
            return f"{UNTIL} comes before the end"
        case Awaited.FIRST_ANSWERS:
            return "waiting for the first answers of this run" + _at_most(left.for_s)
        case Awaited.HOURS:
            return "time left known once it sends"
        case Awaited.ANSWERS:
            return f"waiting for {counted(left.count, 'answer')}" + _at_most(left.for_s)
        case Awaited.GRAPH:
            return "waiting for Graph to answer" + _next_try(left.for_s)
        case Awaited.TOKEN:
            return "waiting for another token"
        case Awaited.MAILBOXES:
            return f"waiting for {counted(left.count, 'mailbox')} that Graph keeps waiting" + _next_try(left.for_s)
        case Awaited.RETRY_AFTER:
            return f"waiting {duration(max(1.0, left.for_s or 0.0))} as Graph asked"
        case Awaited.LOST_CALLS:
            return f"waiting for {counted(left.count, 'mailbox')} after lost calls" + _next_try(left.for_s)
        case _:
            return ""


def _at_most(for_s: float | None) -> str:
    return "" if for_s is None else f", {duration(max(1.0, for_s))} at most"


def _next_try(for_s: float | None) -> str:
    return "" if not for_s else f", next try in {duration(max(1.0, for_s))}"


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
