"""Tests of dealing mailboxes out: near the best division that a search finds, and by the time that a mailbox needs alone."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.forecast.bound import bound, by_rows
from purgeengine.core.sharding.balance import balanced
from purgeengine.run_limits import Limits
from tests.support.properties import examples

SHARE = Limits(connections=8, requests_per_s=1_500)


def loads(rows: list[int], shard_of: list[int], shards: int) -> list[int]:
    """Return the rows of each shard."""
    found = [0] * shards
    for mailbox, shard in zip(rows, shard_of, strict=True):
        found[shard] += mailbox
    return found


@given(st.lists(st.integers(1, 50), min_size=1, max_size=7), st.integers(1, 3))
@examples(60)
def test_no_division_ends_much_earlier(rows: list[int], shards: int) -> None:
    """The least time of the slowest shard is at most a third above that of the best of all divisions."""

    def slowest_s(shard_of: list[int]) -> float:
        parts: list[list[int]] = [[] for _ in range(shards)]
        for mailbox, shard in zip(rows, shard_of, strict=True):
            parts[shard].append(mailbox)
        return max(bound(by_rows(part), SHARE).least_s for part in parts)

    best_s = min(slowest_s(list(division)) for division in product(range(shards), repeat=len(rows)))
    assert slowest_s(list(balanced(rows, shards, SHARE))) <= best_s * 4 / 3 + 1e-9


def test_many_mailboxes_alike_are_dealt_out_evenly() -> None:
    """Rows differ by less than a mailbox, and so does the number of mailboxes."""
    rows = [200] * 5_000 + [199] * 3
    shard_of = list(balanced(rows, 8, SHARE))
    assert max(loads(rows, shard_of, 8)) - min(loads(rows, shard_of, 8)) <= 200
    assert max(Counter(shard_of).values()) - min(Counter(shard_of).values()) <= 1


def test_a_mailbox_that_needs_hours_alone_gets_few_others() -> None:
    """A mailbox of 100,000 rows waits for nine windows. Its shard gets none of the others, which the rest can end meanwhile."""
    rows = [100_000, *[100] * 600]
    shard_of = list(balanced(rows, 4, SHARE))
    assert shard_of.count(shard_of[0]) == 1
    others = [load for shard, load in enumerate(loads(rows, shard_of, 4)) if shard != shard_of[0]]
    assert max(others) - min(others) <= 100


@pytest.mark.parametrize("shards", [1, 5, 9])
def test_every_shard_gets_a_mailbox_and_the_same_arguments_give_the_same_result(shards: int) -> None:
    """With at least as many mailboxes as shards, none stays empty."""
    rows = [3, 1, 4, 1, 5, 9, 2, 6, 5]
    shard_of = list(balanced(rows, shards, SHARE))
    assert set(shard_of) == set(range(shards))
    assert shard_of == list(balanced(rows, shards, SHARE))
