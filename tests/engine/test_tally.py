"""Tests of the tally: counts, thresholds, and numbers in words."""

from __future__ import annotations

import pytest

from purgeengine.cli.commands.run import run
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.purge_options import limits_from
from purgeengine.core.messages import BatchEnded, BatchSent, MailboxClosed, Settled
from purgeengine.core.model import Attempt, MailboxShare, Outcome, Reply
from purgeengine.core.policy.auto_stop import FailureThreshold
from purgeengine.engine.tally import Tally
from purgeengine.errors import UsageProblem
from purgeengine.jobs.summary import exit_code_of
from purgeengine.words import counted, duration, number, rate, times


@pytest.mark.parametrize(
    ("outcomes", "unfinished", "code"),
    [
        ({Outcome.PURGED: 5, Outcome.ABSENT: 2, Outcome.DUPLICATE: 1}, 0, 0),
        ({}, 0, 0),
        ({Outcome.PURGED: 5, Outcome.REFUSED: 1}, 0, 1),
        ({Outcome.PURGED: 5, Outcome.EXHAUSTED: 1}, 0, 1),
        ({Outcome.PURGED: 5, Outcome.INVALID: 1}, 0, 1),
        ({Outcome.PURGED: 5, Outcome.SKIPPED: 1}, 0, 1),
        ({Outcome.PURGED: 5, Outcome.REFUSED: 1}, 1, 4),
    ],
)
def test_the_exit_code_tells_how_the_run_ended(outcomes: dict[Outcome, int], unfinished: int, code: int) -> None:
    """The exit code is 0 if all rows ended well, 1 if one did not, and 4 while rows have no outcome."""
    assert exit_code_of(outcomes, unfinished) == code


def test_a_tally_adds_up() -> None:
    """A tally adds up outcomes, calls, requests, lost calls and the rows that a closed mailbox skips."""
    tally = Tally(10, {Outcome.INVALID: 1})
    sent = BatchSent(1, "id", (MailboxShare(0, (Attempt(0, 1), Attempt(1, 1))), MailboxShare(1, (Attempt(5, 1),))))
    settled = Settled(0, Outcome.PURGED, 1, False, 1, Reply(204))
    assert tally.seen([sent, BatchEnded(1, None, ""), settled, MailboxClosed(1, Reply(403), 4)]) is None
    assert (tally.calls, tally.requests, tally.lost_calls) == (1, 3, 1)
    assert tally.outcomes == {Outcome.INVALID: 1, Outcome.PURGED: 1, Outcome.SKIPPED: 4}
    assert (tally.settled, tally.left) == (6, 4)


def test_a_late_answer_makes_its_call_no_lost_one() -> None:
    """A call that was given up is lost until its answer comes late. It is told as that then."""
    tally = Tally(1, {})
    tally.seen([BatchEnded(1, None, "")])
    assert (tally.lost_calls, tally.late_answers) == (1, 0)
    tally.seen([BatchEnded(1, 200, "id", late=True)])
    assert (tally.lost_calls, tally.late_answers) == (0, 1)


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    """The rate is that of the last ten seconds: 10 a second after 100 rows in 10 s, and 0 later, also if it is asked seldom."""
    tally = Tally(1_000, {})
    tally.seen([Settled(row, Outcome.PURGED, 1, False, 1, Reply(204)) for row in range(60)])
    tally.seen([Settled(60, Outcome.PURGED, 1, False, 1, Reply(204), rows=40)])
    assert tally.rate(10.0) == 10.0
    for second in range(11, 20):
        assert tally.rate(float(second)) == pytest.approx(100 / second)
    assert tally.rate(20.0) == 0.0
    tally.seen([Settled(100, Outcome.PURGED, 1, False, 1, Reply(204), rows=40)])
    assert tally.rate(60.0) == 1.0


def test_thresholds_by_count_and_by_share() -> None:
    """A threshold is crossed by more than N failures, or by more than P per cent once a hundred rows are settled."""
    count, share = FailureThreshold.parse("5"), FailureThreshold.parse("10%")
    assert FailureThreshold.parse("100%").share == 1.0
    assert count.crossed(5, 5) is None
    assert count.crossed(6, 600) is not None
    assert share.crossed(99, 99) is None
    assert share.crossed(10, 100) is None
    assert share.crossed(11, 100) is not None


@pytest.mark.parametrize("text", ["", "x", "-1", "5 %%", "101%", "1.5"])
def test_a_threshold_that_makes_no_sense_is_refused(text: str) -> None:
    """A threshold that makes no sense is refused with a sentence that says what to write."""
    with pytest.raises(UsageProblem, match="max_failures takes"):
        FailureThreshold.parse(text)
    with pytest.raises(UsageProblem, match="--max-failures takes"):
        FailureThreshold.parse(text, as_flags)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (277_200, "3 d 5 h")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """A duration has at most two units."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [
        (0.0, "0/s"),
        (0.04, "2.4/min"),
        (0.1, "0.1/s"),
        (4.54, "4.5/s"),
        (9.94, "9.9/s"),
        (9.96, "10/s"),
        (1234.4, "1,234/s"),
    ],
)
def test_rates_read_as_people_say_them(per_s: float, text: str) -> None:
    """A rate is shown by the second, or by the minute if it is slow."""
    assert rate(per_s) == text


@pytest.mark.parametrize(
    ("factor", "text"),
    [(0.994, "0.99"), (1.99, "1.99"), (1.996, "2.0"), (9.94, "9.9"), (9.96, "10"), (114.23, "114"), (3093.3, "3,093")],
)
def test_ratios_have_the_digits_that_matter(factor: float, text: str) -> None:
    """A ratio has fewer digits the larger it is."""
    assert times(factor) == f"{text} times"


def test_counts_read_as_people_say_them() -> None:
    """A count has its separators and the right singular or plural."""
    assert (number(1_234_567), counted(1, "row"), counted(2_000, "mailbox")) == (
        "1,234,567",
        "1 row",
        "2,000 mailboxes",
    )


@pytest.mark.parametrize(("asked_s", "shortest_s"), [(40.0, 5.0), (3_600.0, 5.0), (5.0, 5.0), (1.0, 1.0)])
def test_a_longest_cooldown_below_the_shortest_lowers_that_too(asked_s: float, shortest_s: float) -> None:
    """A --quarantine-s below the shortest cooldown also lowers that one, because the option is the longest of all."""
    context = run.make_context("run", ["input.csv", "--ledger", "ledger", "--quarantine-s", str(asked_s)])
    limits = limits_from(context.params)
    assert (limits.quarantine_s, limits.quarantine_s_min) == (asked_s, shortest_s)


def test_a_late_answer_takes_a_lost_call_back() -> None:
    """A call that was given up counts as lost until its answer comes."""
    tally = Tally(10, {})
    tally.seen([BatchEnded(1, None, ""), BatchEnded(2, None, "")])
    tally.seen([BatchEnded(1, 200, "request", late=True)])
    assert tally.lost_calls == 1
