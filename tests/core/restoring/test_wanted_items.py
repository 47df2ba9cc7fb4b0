"""Which rows can only be brought back together. The oracle is brute force over all pairs of rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.restoring.wanted_items import SPAN_GAP_MS, PurgedRow, PurgedRows

ROWS = st.lists(
    st.builds(
        PurgedRow,
        user=st.sampled_from(["ada@x.example", "ADA@x.example", "bob@x.example"]),
        contact=st.sampled_from([f"id-{number}" for number in range(12)]),
        names=st.lists(st.sampled_from("ABCDEFG"), max_size=2, unique=True).map(tuple),
        first_sent_ms=st.integers(0, 10 * SPAN_GAP_MS),
        settled_ms=st.integers(0, 10 * SPAN_GAP_MS),
        in_doubt=st.booleans(),
    ).map(lambda row: row if row.first_sent_ms <= row.settled_ms else swapped(row)),
    max_size=14,
)


def swapped(row: PurgedRow) -> PurgedRow:
    return PurgedRow(row.user, row.contact, row.names, row.settled_ms, row.first_sent_ms, row.in_doubt)


def taken(rows: list[PurgedRow]) -> PurgedRows:
    found = PurgedRows()
    for row in rows:
        found.add(row)
    return found


def components(rows: list[PurgedRow]) -> set[frozenset[str]]:
    """Return the contacts of one mailbox in groups: joined as long as any two groups share a name."""
    groups = [({row.contact}, set(row.names)) for row in rows]
    merging = True
    while merging:
        merging = False
        for one in groups:
            other = next((o for o in groups if o is not one and (o[1] & one[1] or not (o[1] or one[1]))), None)
            if other is not None:
                groups.remove(other)
                one[0].update(other[0])
                one[1].update(other[1])
                merging = True
                break
    return {frozenset(names) | {f"{len(contacts)} rows"} for contacts, names in groups}


@given(ROWS)
def test_groups_are_the_rows_that_share_names(rows: list[PurgedRow]) -> None:
    """In each mailbox, whatever its spelling, groups have no name in common, and as many rows as brute force finds."""
    found = taken(rows)
    for mailbox in ("ada@x.example", "bob@x.example"):
        of_mailbox = [row for row in found if row.user.lower() == mailbox]
        groups = [group for group in found.groups() if group.user.lower() == mailbox]
        assert {frozenset(group.names) | {f"{group.rows} rows"} for group in groups} == components(of_mailbox)
        assert sum(group.rows for group in groups) == len({row.contact for row in rows if row.user.lower() == mailbox})


@given(ROWS)
def test_a_contact_counts_once_and_its_time_covers_all_its_attempts(rows: list[PurgedRow]) -> None:
    """What several ledgers say of a contact is joined, and it is in doubt only if all of them doubt."""
    found = {(row.user.lower(), row.contact): row for row in taken(rows)}
    for row in rows:
        joined = found[row.user.lower(), row.contact]
        assert joined.first_sent_ms <= row.first_sent_ms <= row.settled_ms <= joined.settled_ms
        assert set(row.names) <= set(joined.names)
        assert row.in_doubt or not joined.in_doubt


@given(ROWS)
def test_spans_cover_every_row_and_no_long_pause(rows: list[PurgedRow]) -> None:
    """Every row's time lies in a span of its group, and no span bridges a time that is more than a minute from all rows."""
    found = taken(rows)
    for group in found.groups():
        own = [r for r in found if r.user.lower() == group.user.lower() and set(r.names) & set(group.names)]
        own = own if group.names else [r for r in found if r.user.lower() == group.user.lower() and not r.names]
        for row in own:
            assert any(begin <= row.first_sent_ms and row.settled_ms <= end for begin, end in group.spans_ms)
        assert list(group.spans_ms) == sorted(group.spans_ms)
        for before, after in zip(group.spans_ms, group.spans_ms[1:], strict=False):
            assert after[0] - before[1] > SPAN_GAP_MS


def test_rows_without_a_name_are_one_group_of_their_mailbox() -> None:
    """They are told by time alone, and never mixed with those that have names."""
    rows = taken([PurgedRow("a@x.example", str(n), ("N",) if n == 2 else (), n, n, in_doubt=n == 1) for n in range(4)])
    assert [(group.names, group.rows, group.in_doubt) for group in rows.groups()] == [((), 3, 1), (("N",), 1, 0)]
