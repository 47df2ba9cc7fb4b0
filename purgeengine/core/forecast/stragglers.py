"""How long the last rows of a run keep it waiting, after most are done.

Rows and calls of the last seconds may fail and be sent again, and answers may be slow. How many of them are still unfinished
``t`` seconds after the others follows a Poisson law with the mean ``n(t)``, so the run has ended by then with the probability
``exp(-n(t))``. Four kinds of stragglers add up to ``n(t)``: rows that are sent again, calls that are lost, slow answers, and
mailboxes of which lost calls hold all slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, log, sqrt
from typing import NamedTuple

HALF, NEARLY_ALL = 0.5, 0.95
"""The chances at which the end is asked for: as likely sooner as later, and hardly ever later."""
ROUNDS_MAX = 8
"""Sendings of the same row that are looked at. Fewer than one row in a hundred needs more where half of all sendings fail."""
STEPS = 14
"""Steps of the search, each of which halves the interval: to less than a thousandth of the longest time."""


MEAN_MAX = 30.0
"""The largest mean for which the terms of a Poisson law are added up."""


class RowRepeats(NamedTuple):
    """Things of which some fail and are done again.

    ``things`` are left, ``share`` of them fails, and ``again_s`` seconds pass until each next try.
    """

    things: float
    share: float
    again_s: float


class SlowAnswers(NamedTuple):
    """Calls that are left, and by how many seconds the slowness of an answer exceeds the usual one on average, where it does."""

    calls: float
    excess_s: float


class Delays(NamedTuple):
    """Things that happen ``events`` times, and each delays its rows by ``delay_s`` seconds."""

    events: float
    delay_s: float


def tail_s(
    chance: float, within_s: float, repeats: Sequence[RowRepeats], slow: SlowAnswers, delays: Sequence[Delays] = ()
) -> float:
    """Return by how many seconds the end comes later than the bulk of the work, with this ``chance`` to end sooner.

    The things that are left are spread evenly over the last ``within_s`` seconds of the bulk.
    """
    expected = -log(chance)
    repeats = [one for one in repeats if one.share > 0.0 and one.things > 0.0]
    if _unfinished(0.0, within_s, repeats, slow, delays) <= expected:
        return 0.0
    longest_s = max([ROUNDS_MAX * one.again_s for one in repeats] + [one.delay_s for one in delays], default=0.0)
    longest_s += 16.0 * slow.excess_s
    low, high = 0.0, longest_s
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _unfinished(middle, within_s, repeats, slow, delays) > expected:
            low = middle
        else:
            high = middle
    return high


def unlucky_s(chance: float, mailboxes: Sequence[tuple[float, float, int]], pauses_each_s: float) -> float:
    """Return after how many seconds the last of these mailboxes is done, with this ``chance`` to end sooner.

    Each of the ``mailboxes`` is a tuple: the seconds that it needs without pauses, the pauses that it will have on average, and how
    many mailboxes are like it. The number of pauses follows a Poisson law, and each takes ``pauses_each_s`` seconds.
    """
    expected = -log(chance)
    low = high = max([needs_s for needs_s, _, _ in mailboxes], default=0.0)
    most = max([pauses for _, pauses, _ in mailboxes], default=0.0)
    if most <= 0.0 or pauses_each_s <= 0.0:
        return high
    high += pauses_each_s * 4.0 * (2.0 + most)
    for _ in range(STEPS):
        middle = (low + high) / 2
        late = sum(
            count * more_than((middle - needs_s) / pauses_each_s, pauses) for needs_s, pauses, count in mailboxes
        )
        if late > expected:
            low = middle
        else:
            high = middle
    return high


def more_than(events: float, mean: float) -> float:
    """Return the probability of more than so many events of a Poisson law, with a straight line between whole numbers."""
    if events < 0.0:
        return 1.0
    if mean > MEAN_MAX:  # a normal law is as good, and its tail is cut off where nothing is left of it
        deviations = (events - mean) / sqrt(mean)
        return 0.5 * erfc(deviations / sqrt(2.0))
    whole = int(events)
    term = found = exp(-mean)
    for number in range(1, whole + 1):
        term *= mean / number
        found += term
    following = found + term * mean / (whole + 1)
    return max(0.0, 1.0 - found - (events - whole) * (following - found))


def _unfinished(
    after_s: float, within_s: float, repeats: Sequence[RowRepeats], slow: SlowAnswers, delays: Sequence[Delays]
) -> float:
    """Return the expected number of things that end later than ``after_s`` seconds after the bulk."""
    found = sum(events / within_s * min(delay_s - after_s, within_s) for events, delay_s in delays if delay_s > after_s)
    if slow.excess_s > 0.0 and slow.calls > 0.0:
        ratio = within_s / slow.excess_s
        found += slow.calls * exp(-after_s / slow.excess_s) * (1.0 - exp(-ratio)) / ratio
    for things, share, again_s in repeats:
        each = things * (1.0 - share) / within_s
        for times in range(1, ROUNDS_MAX + 1):
            each *= share
            late_s = times * again_s - after_s
            if late_s > 0.0:
                found += each * min(late_s, within_s)
    return found
