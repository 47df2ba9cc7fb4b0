"""Tests of the stragglers against an oracle that draws them: rows that fail by chance and are sent again, and slow answers."""

from __future__ import annotations

from math import log
from random import Random

import pytest

from purgeengine.core.forecast.stragglers import RowRepeats, SlowAnswers, tail_s

NONE = SlowAnswers(0.0, 0.0)


def drawn_tail_s(chance: float, within_s: float, repeats: RowRepeats, slow: SlowAnswers, draws: int = 4_000) -> float:
    """Return by how much the last of the things comes late, as found by drawing: the quantile of many draws."""
    rng, ends = Random(1), []
    for _ in range(draws):
        end = 0.0
        for _ in range(round(repeats.things)):
            at = rng.uniform(-within_s, 0.0)
            while rng.random() < repeats.share:
                at += repeats.again_s
            end = max(end, at)
        for _ in range(round(slow.calls)):
            end = max(end, rng.uniform(-within_s, 0.0) + rng.expovariate(1.0 / slow.excess_s))
        ends.append(end)
    ends.sort()
    return ends[int(chance * draws)]


@pytest.mark.parametrize("chance", [0.5, 0.95])
@pytest.mark.parametrize(
    ("within_s", "repeats", "slow"),
    [
        (2.0, RowRepeats(60, 0.1, 1.5), NONE),
        (20.0, RowRepeats(100, 0.3, 1.0), NONE),
        (1.0, RowRepeats(10, 0.4, 2.0), NONE),
        (5.0, RowRepeats(0, 0.0, 0.0), SlowAnswers(40, 0.6)),
    ],
)
def test_the_formula_finds_what_draws_find(
    chance: float, within_s: float, repeats: RowRepeats, slow: SlowAnswers
) -> None:
    """The quantiles of the formula agree with those of 4,000 draws, to a tenth of the longest delay."""
    longest_s = max(repeats.again_s, slow.excess_s)
    found = tail_s(chance, within_s, (repeats,), slow)
    assert found == pytest.approx(drawn_tail_s(chance, within_s, repeats, slow), abs=0.15 * longest_s + 0.05)


def test_without_failures_nothing_comes_late() -> None:
    """Nothing that fails and no slow answer: the end is the end of the bulk."""
    assert tail_s(0.95, 10.0, (RowRepeats(1_000, 0.0, 5.0),), NONE) == 0.0


def test_a_slow_answer_alone_follows_its_law() -> None:
    """One call whose excess is exponential, worked out by hand."""
    assert tail_s(0.5, 1e-9, (), SlowAnswers(1.0, 2.0)) == pytest.approx(2.0 * log(1.0 / log(2.0)), abs=0.02)
