"""Tests of `purgeengine.core.limits.experience`."""

from __future__ import annotations

import random

from purgeengine.core.limits.experience import PATIENT_ANSWERS_MAX, PROBE_ROWS, Experience

ATTEMPTS_MAX = 8


def failing(answers: int, rows: int, *, fault: bool = True) -> Experience:
    """Return the experience with a mailbox whose last answers were fruitless."""
    experience = Experience()
    for number in range(answers):
        assert experience.was_fruitless(rows, sent_at=float(number), now=number + 0.5, fault=fault)
    return experience


def test_eight_answers_to_three_rows_each_close_a_mailbox() -> None:
    """The eighth is the first that does."""
    assert not failing(7, PROBE_ROWS).fails_always(ATTEMPTS_MAX)
    assert failing(8, PROBE_ROWS).fails_always(ATTEMPTS_MAX)


def test_eight_answers_to_single_rows_do_not() -> None:
    """They may be chance. Twenty-four of them are not."""
    assert not failing(23, 1).fails_always(ATTEMPTS_MAX)
    assert failing(24, 1).fails_always(ATTEMPTS_MAX)


def test_rows_of_answers_to_earlier_batches_count_as_rows_only() -> None:
    """Three batches that leave together are one answer of three rows, however they were packed."""
    experience = Experience()
    for number in range(8):
        told = [experience.was_fruitless(1, float(number), number + 0.5, fault=True) for _ in range(3)]
        assert told == [True, False, False]
    assert experience.fruitless == 8
    assert experience.fails_always(ATTEMPTS_MAX)


def test_answers_that_are_only_too_fast_are_borne_longer() -> None:
    """Only their number counts, as none of them is a fault."""
    assert not failing(PATIENT_ANSWERS_MAX - 1, 20, fault=False).fails_always(ATTEMPTS_MAX)
    assert failing(PATIENT_ANSWERS_MAX, 1, fault=False).fails_always(ATTEMPTS_MAX)


def test_a_row_with_an_outcome_ends_the_count() -> None:
    """What came before it is forgotten."""
    experience = failing(7, PROBE_ROWS)
    experience.answered()
    experience.was_fruitless(PROBE_ROWS, sent_at=100.0, now=100.5, fault=True)
    assert (experience.faults, experience.faulty_rows) == (1, PROBE_ROWS)
    assert not experience.fails_always(ATTEMPTS_MAX)


def test_a_healthy_mailbox_of_which_six_rows_in_ten_fail_is_not_closed() -> None:
    """One mailbox of 100 rows in a thousand at most, however many rows each answer holds."""
    rng, closed = random.Random(14), 0
    for number in range(2_000):
        experience, now = Experience(), 0.0
        for _ in range(100):
            rows, now = 1 + number % 3, now + 1
            if all(rng.random() < 0.6 for _ in range(rows)):
                experience.was_fruitless(rows, now, now + 0.5, fault=True)
            else:
                experience.answered()
            closed += experience.fails_always(ATTEMPTS_MAX)
    assert closed <= 2
