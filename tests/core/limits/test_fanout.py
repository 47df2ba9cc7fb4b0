"""Tests of the fanout probe: which refusals keep four rows of a mailbox in a batch, and which allow twenty."""

from __future__ import annotations

from purgeengine.core.limits.fanout import TALLY_ROWS, VOID_PROBES_MAX, WIDE_PROBES, FanoutProbe


def a_wide_fanout() -> FanoutProbe:
    probe = FanoutProbe("auto", 4, 20)
    for rows in (8, *[20] * WIDE_PROBES):
        probe.sent(rows)
        probe.answered(rows, 0)
    assert probe.decided == 20
    return probe


def test_a_wide_fanout_narrows_when_more_than_a_fifth_is_refused_for_long() -> None:
    """A wide fanout goes back to four if more than a fifth of over two hundred rows is refused.

    Three of twenty never suffice.
    """
    probe = a_wide_fanout()
    batches = 0
    while probe.decided == 20:
        probe.answered(20, 5)
        batches += 1
        assert batches < TALLY_ROWS
    assert probe.decided == 4
    assert batches * 20 > TALLY_ROWS / 2
    assert batches * 20 < TALLY_ROWS
    patient = a_wide_fanout()
    for _ in range(1_000):
        patient.answered(20, 3)
    assert patient.decided == 20


def test_a_probe_whose_answer_was_lost_is_made_again() -> None:
    """A probe whose answer was lost is made again, and a lost narrow batch is no probe."""
    probe = FanoutProbe("auto", 4, 20)
    probe.sent(8)
    probe.lost(4)
    assert probe.first_width == 4
    probe.lost(8)
    assert probe.first_width == 8
    probe.sent(8)
    probe.answered(8, 0)
    for _ in range(WIDE_PROBES):
        assert probe.first_width == 20
        probe.sent(20)
    assert probe.first_width == 4
    probe.lost(20)
    assert probe.first_width == 20
    probe.sent(20)
    probe.answered(20, 0)
    assert probe.first_width == 4  # two clean ones and two in flight are enough to decide


def test_a_narrow_batch_shows_nothing_and_one_of_five_something() -> None:
    """A batch of four rows proves nothing, and one of five that goes through is a clean probe."""
    probe = FanoutProbe("auto", 4, 20)
    for refused in (0, 1, 3, 4):
        probe.sent(4)
        probe.answered(4, refused)
    assert (probe.decided, probe.first_width) == (None, 8)
    probe.sent(5)
    probe.answered(5, 0)
    assert probe.first_width == 20


def test_three_unclear_probes_decide_and_two_do_not() -> None:
    """Three unclear probes keep the fanout at four, and two do not decide."""
    probe = FanoutProbe("auto", 4, 20)
    decided = []
    for _ in range(3):
        probe.sent(8)
        probe.answered(8, 2)
        decided.append(probe.decided)
    assert decided == [None, None, 4]


def test_rows_that_say_nothing_are_left_out_of_a_probe() -> None:
    """Of twenty rows at once, four run and sixteen are refused. If one of them is left out of the answer, the rest still tells."""
    probe = FanoutProbe("auto", 4, 20)
    probe.sent(20)
    probe.answered(20, 15)
    assert probe.decided is None
    probe.sent(20)
    probe.answered(20, 15, silent=1)
    assert probe.decided == 4


def test_a_probe_of_which_too_few_rows_say_something_is_sent_again() -> None:
    """Five rows that run at once could be the four that any service runs, and one more."""
    probe = FanoutProbe("auto", 4, 20)
    probe.sent(8)
    probe.answered(8, 0, silent=3)
    assert (probe.decided, probe.first_width) == (None, 8)
    probe.sent(8)
    probe.answered(8, 0, silent=0)
    assert probe.first_width == 20


def test_probes_that_say_nothing_end() -> None:
    """A service whose every fifth row fails would be probed for ever; after twenty such probes the fanout stays four."""
    probe = FanoutProbe("auto", 4, 20)
    decided = []
    for _ in range(VOID_PROBES_MAX):
        assert probe.first_width == 8
        probe.sent(8)
        probe.answered(8, 0, silent=1)
        decided.append(probe.decided)
    assert decided == [*[None] * (VOID_PROBES_MAX - 1), 4]


def test_failures_beside_refusals_do_not_end_a_wide_fanout_at_once() -> None:
    """Twelve of twenty rows fail and four are refused: a service that runs everything at once would refuse sixteen."""
    probe = a_wide_fanout()
    probe.answered(20, 4, silent=12)
    assert probe.decided == 20


def test_a_third_of_a_wide_probe_refused_is_no_reason_to_stay_narrow() -> None:
    """Six of twenty rows refused are no reason for a narrow fanout: a service that runs whole batches would refuse sixteen."""
    probe = FanoutProbe("auto", 4, 20)
    for rows, refused in ((8, 0), *[(20, 6)] * WIDE_PROBES):
        probe.sent(rows)
        probe.answered(rows, refused)
    assert probe.decided == 20


def test_a_long_good_time_does_not_outweigh_a_bad_one() -> None:
    """A long time without refusals does not hide a bad one.

    Eight of twenty refused narrow the fanout within some twenty batches.
    """
    probe = a_wide_fanout()
    for _ in range(1_000):
        probe.answered(20, 0)
    for _ in range(20):
        probe.answered(20, 8)
    assert probe.decided == 4


def test_a_bad_minute_fades() -> None:
    """Short bad times with long good ones between them do not narrow the fanout."""
    probe = a_wide_fanout()
    for _ in range(20):
        for _ in range(6):
            probe.answered(20, 7)
        for _ in range(100):
            probe.answered(20, 0)
    assert probe.decided == 20
