"""Tests of what a ledger takes over from an earlier one.

That is its identity, its waits, and the requests that the service still counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from purgeengine.core.messages import MailboxBlocked, RunBlocked
from purgeengine.edges.ledger.staging.names import User
from purgeengine.edges.ledger.staging.takeover import Takeover, identity, taken_over
from purgeengine.edges.ledger.store.database import connect_to_read, read_meta
from tests.support.ledger_fixtures import ID, NOW, FakeSource, ended, open_ledger, returned, rows_of, sent

ROWS = [*rows_of("Ann", 6), *rows_of("b", 5), *rows_of("c", 4), *rows_of("d", 3), *rows_of("e", 2), *rows_of("f", 1)]
KEYS = [f"{name}@contoso.example" for name in ("ann", "b", "c", "d", "e", "f")]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger: mailbox 0 is blocked, 1 has a call in flight, 2 and 3 have both.

    Mailbox 4 had to wait until now, and 5 was
    never sent to.
    """
    with open_ledger(tmp_path / "L", FakeSource(ROWS)) as ledger:
        ledger.write([sent(7, (0, [0, 1])), ended(7), returned(0), returned(1)], NOW)
        ledger.write([MailboxBlocked(0, 90.0), MailboxBlocked(4, 10.0), RunBlocked(30.0)], NOW)
        ledger.write([sent(8, (1, [6]), (2, [11]), (3, [15, 16]))], NOW + 5)
        ledger.write([MailboxBlocked(2, 60.0), MailboxBlocked(3, 20.0)], NOW + 6)
        with closing(connect_to_read(tmp_path / "L")) as found:
            yield found


def test_what_an_earlier_ledger_knows_of_the_service_is_taken_over(connection: sqlite3.Connection) -> None:
    """A wait is taken over with its start, an expired one is not, and requests count from their end.

    A call in flight is no wait. It counts from the end of its cooldown, which lies ahead.
    """
    now, call_over = NOW + 10_000, NOW + 5 + 40_500
    found = taken_over(connection, now, cooldown_s=40.5, window_s=600.25)
    assert found.run_blocked == (NOW + 30_000, NOW)
    assert found.blocked == {
        0: (NOW + 90_000, NOW),
        2: (NOW + 60_006, NOW + 6),
        3: (NOW + 20_006, NOW + 6),
    }
    assert found.seen == {0: [(NOW, 2)], 1: [(call_over, 1)], 2: [(call_over, 1)], 3: [(call_over, 2)]}
    assert found.mailboxes == dict(zip(KEYS[:4], range(4), strict=True))
    assert found.about == read_meta(connection)


@pytest.mark.parametrize(("age_ms", "is_seen"), [(640_749, True), (640_750, False)])
def test_what_the_service_counts_no_longer_is_not_taken_over(
    connection: sqlite3.Connection, age_ms: int, is_seen: bool
) -> None:
    """A call that is older than the request window and the cooldown is not taken over, nor is an expired call in flight."""
    found = taken_over(connection, NOW + age_ms, cooldown_s=40.5, window_s=600.25)
    assert (0 in found.seen) == (KEYS[0] in found.mailboxes) == is_seen
    assert found.blocked == {}


def test_a_ledger_is_told_from_others_by_what_was_drawn_when_it_was_staged(tmp_path: Path) -> None:
    """Two ledgers of one input differ before anything is sent, and a ledger stays itself when it gets its first call."""
    found = []
    for name in ("one", "two"):
        with open_ledger(tmp_path / name, FakeSource(ROWS)) as ledger, closing(connect_to_read(tmp_path / name)) as its:
            before = identity(its)
            ledger.write([sent(1, (0, [0])), ended(1), returned(0)], NOW)
            assert identity(its) == before
            found.append(before)
    assert found[0] != found[1]


def test_the_first_ledger_of_a_chain_is_its_root_unless_that_is_not_known(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """A run on a list is the root of its chain and its retry names it. A run on an export does not know the root."""
    first = taken_over(connection, NOW, 40.0, 600.0)
    assert first.root == first.parent == identity(connection)
    assert first.origin == {"parent": first.parent, "root": first.parent}
    on_export = FakeSource([(*row, str(number)) for number, row in enumerate(rows_of("a", 2))], ("origin_row",))
    for name, source, root in (
        ("on export", on_export, None),
        ("retry", replace(on_export, earlier=first), first.parent),
    ):
        open_ledger(tmp_path / name, source).close()
        with closing(connect_to_read(tmp_path / name)) as later:
            found = taken_over(later, NOW, 40.0, 600.0)
        assert (found.root, found.parent != first.parent) == (root, True)
        assert found.origin == {"parent": found.parent, **({"root": root} if root else {})}


def an_earlier_ledger(
    run_blocked: tuple[int, int],
    blocked: dict[int, tuple[int, int]],
    seen: dict[int, list[tuple[int, int]]],
    mailboxes: dict[str, int],
) -> Takeover:
    """Return a takeover with these waits and requests."""
    return Takeover(None, "parent", run_blocked, blocked, seen, mailboxes, {})


def test_what_is_taken_over_goes_to_mailboxes_of_the_same_name() -> None:
    """Waits and requests go to the mailboxes with the same name in the new ledger; those of other mailboxes are dropped."""
    earlier = an_earlier_ledger(
        (9, 8),
        {4: (20, 10), 6: (21, 11), 9: (22, 12)},
        {6: [(5, 1), (6, 2)], 5: [(7, 3)], 9: [(8, 4)]},
        {KEYS[0]: 4, KEYS[1]: 5, KEYS[2]: 6, "x": 9},
    )
    assert earlier.statements([{KEYS[2]}, {KEYS[5]}, {KEYS[0]}, {KEYS[1]}]) == [
        ("UPDATE run SET blocked_until_ms = ?, blocked_set_ms = ?", [(9, 8)]),
        ("UPDATE mailbox SET blocked_until_ms = ?, blocked_set_ms = ? WHERE number = ?", [(21, 11, 0), (20, 10, 2)]),
        ("INSERT INTO seen VALUES (?, ?, ?)", [(0, 5, 1), (0, 6, 2), (3, 7, 3)]),
    ]


def test_two_mailboxes_of_one_user_may_be_one_in_the_other_ledger() -> None:
    """If two mailboxes become one, it gets the longer wait and all requests.

    If one becomes two, each gets its wait and requests.
    """
    earlier = an_earlier_ledger(
        (0, 0),
        {0: (20, 10), 1: (30, 5), 2: (40, 1)},
        {0: [(5, 1)], 1: [(6, 2)], 2: [(7, 3)]},
        {"a": 0, "id-of-a": 1, "b": 2, "id-of-b": 2},
    )
    _, (_, waits), (_, seen) = earlier.statements([{"a", "id-of-a"}, {"b"}, {"id-of-b", "b"}, {"c"}])
    assert list(waits) == [(30, 5, 0), (40, 1, 1), (40, 1, 2)]
    assert list(seen) == [(0, 5, 1), (0, 6, 2), (1, 7, 3), (2, 7, 3)]


def test_what_is_taken_over_is_found_by_every_name_that_was_looked_up(tmp_path: Path) -> None:
    """A mailbox is found by its user principal name and by its object id, whichever the input has."""
    user = User(ID.format(1), "ann@contoso.example")
    with open_ledger(
        tmp_path / "L", FakeSource(ROWS[:7]), resolve=lambda names: dict.fromkeys(names, None) | {KEYS[0]: user}
    ) as ledger:
        ledger.write([sent(7, (0, [0]), (1, [6])), ended(7), returned(0), returned(6)], NOW)
    with closing(connect_to_read(tmp_path / "L")) as connection:
        found = taken_over(connection, NOW, 40.0, 600.0)
    assert found.mailboxes == {KEYS[0]: 0, user.object_id: 0, KEYS[1]: 1}
