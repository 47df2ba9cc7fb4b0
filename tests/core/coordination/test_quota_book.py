"""Tests of the book of shares: what all may use together never exceeds the total, whatever order messages come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.coordination.quota_book import NO_QUOTA, AppQuota, QuotaBook

TOTAL = AppQuota(100, 8)


def test_the_first_to_ask_does_not_get_what_others_will_ask_for() -> None:
    """Of four shards that were given out, each gets a quarter from its first question on."""
    book = QuotaBook(TOTAL)
    for shard in range(4):
        book.expect(shard)
    assert [book.ask(shard, NO_QUOTA, wants=True) for shard in range(4)] == [AppQuota(25, 2)] * 4


def test_a_share_is_lowered_first_confirmed_and_then_given() -> None:
    """A newcomer gets nothing until the first holder has asked again with its smaller share."""
    book = QuotaBook(TOTAL)
    assert book.ask(1, NO_QUOTA, wants=True) == TOTAL
    assert book.ask(2, NO_QUOTA, wants=True) == NO_QUOTA
    assert book.ask(1, TOTAL, wants=True) == AppQuota(50, 4)
    assert book.ask(2, NO_QUOTA, wants=True) == NO_QUOTA, "the first may not have heard it yet"
    assert book.ask(1, AppQuota(50, 4), wants=True) == AppQuota(50, 4)
    assert book.ask(2, NO_QUOTA, wants=True) == AppQuota(50, 4)


def test_a_lost_holders_share_stays_until_it_is_freed() -> None:
    """Nobody gets more while a silent holder may still send, and all of it afterwards."""
    book = QuotaBook(TOTAL)
    book.expect(1)
    book.expect(2)
    one, other = book.ask(1, NO_QUOTA, wants=True), book.ask(2, NO_QUOTA, wants=True)
    assert book.ask(2, other, wants=True) == other == one
    book.free(1)
    assert book.ask(2, other, wants=True) == TOTAL


def test_a_shard_that_only_waits_holds_no_share() -> None:
    """Its share goes to the others as soon as it has confirmed, and it gets its part again when it wants to send."""
    book = QuotaBook(TOTAL)
    for shard in (1, 2):
        book.expect(shard)
        book.ask(shard, NO_QUOTA, wants=True)
    assert book.ask(1, AppQuota(50, 4), wants=False) == NO_QUOTA
    assert book.ask(2, AppQuota(50, 4), wants=True) == AppQuota(50, 4)
    assert book.ask(1, NO_QUOTA, wants=False) == NO_QUOTA
    assert book.ask(2, AppQuota(50, 4), wants=True) == TOTAL
    assert book.ask(1, NO_QUOTA, wants=True) == NO_QUOTA
    assert book.ask(2, TOTAL, wants=True) == AppQuota(50, 4)


def test_nobody_gets_more_while_one_holder_is_not_known() -> None:
    """After a coordinator's crash, shares may only fall until all are heard or fenced."""
    book = QuotaBook(TOTAL)
    book.find(1)
    book.find(2)
    assert book.reserved == TOTAL
    assert book.ask(1, AppQuota(10, 1), wants=True) == AppQuota(10, 1)
    assert book.ask(2, AppQuota(90, 7), wants=True) == AppQuota(50, 4)
    assert book.ask(1, AppQuota(10, 1), wants=True) == AppQuota(10, 1)
    book.ask(2, AppQuota(50, 4), wants=True)
    assert book.ask(1, AppQuota(10, 1), wants=True) == AppQuota(50, 4)


def test_an_old_question_of_a_fenced_holder_reserves_nothing() -> None:
    """It claims a share that others have by now."""
    book = QuotaBook(TOTAL)
    book.ask(1, NO_QUOTA, wants=True)
    book.free(1)
    book.ask(2, NO_QUOTA, wants=True)
    assert book.ask(1, TOTAL, wants=True) == NO_QUOTA
    assert book.reserved == TOTAL


def test_more_shards_than_connections_are_served_in_turn() -> None:
    """Those that come first get one each, the others none until one of them is free."""
    book = QuotaBook(AppQuota(100, 2))
    for shard in range(3):
        book.expect(shard)
    given = [book.ask(shard, NO_QUOTA, wants=True) for shard in range(3)]
    assert [share.connections for share in given] == [1, 1, 0]
    assert [share.empty for share in given] == [False, False, True]
    book.free(0)
    assert book.ask(2, given[2], wants=True).connections == 1


class Holder:
    """A holder as it really is: it hears an answer late or never, and sends with the share that it heard last."""

    def __init__(self) -> None:
        self.quota = NO_QUOTA
        self.answers: list[AppQuota] = []


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "hear", "idle", "free", "join"]), st.integers(0, 4)), min_size=1, max_size=200
)


@given(st.integers(1, 50), st.integers(1, 6), STEPS)
def test_what_all_use_together_never_exceeds_the_total(
    rate: int, connections: int, steps: list[tuple[str, int]]
) -> None:
    """Holders join, ask, hear, rest and are fenced in any order; answers are lost and only the newest is heard."""
    total = AppQuota(rate, connections)
    book, holders = QuotaBook(total), dict[int, Holder]()
    for what, number in steps:
        holder = holders.get(number)
        if what == "join":
            book.expect(number)
            holders.setdefault(number, Holder())
        elif holder is None:
            continue
        elif what == "hear":
            if holder.answers:
                holder.quota = holder.answers[-1]
        elif what == "free":
            book.free(number)  # it is fenced: it sends no more
            del holders[number]
        else:
            holder.answers = [book.ask(number, holder.quota, wants=what == "ask")]
        assert book.reserved[0] <= total[0]
        assert book.reserved[1] <= total[1]
        for place in (0, 1):
            assert sum(one.quota[place] for one in holders.values()) <= total[place]
