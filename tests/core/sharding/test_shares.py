"""Tests of shares: whole numbers that add up to the whole, and the numbers of shards that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.sharding.shares import equal_shares, refuse_wrong_number
from purgeengine.errors import UsageProblem


@given(st.integers(0, 100_000), st.integers(1, 1_000))
def test_shares_add_up_and_differ_by_one_at_most(total: int, shards: int) -> None:
    """No request more leaves over all shards than over one."""
    found = equal_shares(total, shards)
    assert (sum(found), len(found)) == (total, shards)
    assert max(found) - min(found) <= 1
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("shards", "mailboxes", "connections", "rate", "said"),
    [
        (0, 9, 64, 12_000, "from 1 to 1,000"),
        (1_001, 9_999, 64, 12_000, "from 1 to 1,000"),
        (2, 0, 64, 12_000, "nothing to cut"),
        (10, 9, 64, 12_000, "9 mailboxes have rows to purge"),
        (8, 9, 7, 12_000, "connections is 7"),
        (8, 9, 64, 7, "requests_per_s is 7"),
    ],
)
def test_a_number_that_cannot_be_made_is_refused(
    shards: int, mailboxes: int, connections: int, rate: int, said: str
) -> None:
    """The sentence says what is possible."""
    with pytest.raises(UsageProblem, match=said):
        refuse_wrong_number(shards, mailboxes, connections, rate)


def test_a_shard_for_each_mailbox_and_each_connection_is_possible() -> None:
    """The bounds themselves are allowed."""
    refuse_wrong_number(9, 9, 9, 9)
    refuse_wrong_number(1_000, 1_000, 1_000, 1_000)
