"""Tests of the slots that lost calls may still hold after a restart and in a retry, against a model of the calls themselves."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.messages import Entry, MailboxBlocked, MailboxOpened
from purgeengine.core.model import Outcome
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.running import unfinished
from purgeengine.edges.ledger.running.unfinished import lost_slots
from purgeengine.edges.ledger.staging.names import User
from purgeengine.edges.ledger.staging.takeover import taken_over
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.edges.ledger.store.schema import TABLES
from tests.edges.ledger.running.test_journal import crashed
from tests.support.ledger_fixtures import (
    ID,
    NOW,
    FakeSource,
    a_source,
    ended,
    open_ledger,
    opened,
    returned,
    sent,
    settled,
)
from tests.support.properties import examples

ROWS = (80, 60, 40)
"""Rows of each mailbox, more than any history below sends."""
WINDOW_MS = 600_000


class Call(NamedTuple):
    """One batch as it happened. ``rows`` are those of each mailbox; ``ends_ms`` is None if the process died before."""

    sent_ms: int
    ends_ms: int | None
    status: int | None
    answered: bool
    rows: tuple[int, int, int]

    def ended_by(self, now_ms: int) -> bool:
        return self.ends_ms is not None and self.ends_ms <= now_ms

    def over_at(self, now_ms: int, cooldown_ms: int) -> int:
        """Return the latest instant at which the service can have run it, as known at ``now_ms``."""
        if self.answered and self.ended_by(now_ms):
            assert self.ends_ms is not None
            return self.ends_ms
        return self.lost_until(now_ms, cooldown_ms)

    def lost_until(self, now_ms: int, cooldown_ms: int) -> int:
        """Return until when it may run: the cooldown after its sending, and as long again as it was waited for, 40 s at most."""
        until_ms = self.sent_ms + cooldown_ms
        if self.ends_ms is not None and self.ends_ms <= now_ms:
            until_ms = max(until_ms, self.ends_ms + min(self.ends_ms - self.sent_ms, 40_000))
        return until_ms


LOST = [(None, False), (408, False), (500, False), (502, False), (503, False), (504, False), (599, False)]
ANSWERED = [(200, True), (201, True), (400, True), (401, True), (404, True), (413, True), (424, True), (429, True)]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Draw one call of the last three minutes. Some are sent in the same millisecond or second as others."""
    sent_ms = NOW + draw(st.one_of(st.integers(0, 180_000), st.integers(0, 180).map(lambda s: s * 1_000)))
    lasts_ms = draw(st.none() | st.integers(0, 100_000))
    status, answered = draw(st.sampled_from(LOST + ANSWERED))
    rows = draw(st.tuples(*[st.integers(0, 6)] * 3).filter(any))
    return Call(sent_ms, None if lasts_ms is None else sent_ms + lasts_ms, status, answered, rows)


HISTORIES = st.lists(calls(), max_size=6)
COOLDOWNS_MS = st.sampled_from([5_000, 17_500, 40_000, 80_000])


def record(ledger: Ledger, history: Sequence[Call], now_ms: int, firsts: Sequence[int] = (0, 80, 140)) -> None:
    """Write what a run that dies at ``now_ms`` has recorded of these calls, each turn at its time."""
    turns: list[tuple[int, list[Entry]]] = []
    nexts = list(firsts)
    for number, call in zip(count(1), sorted(history, key=lambda call: call.sent_ms), strict=False):
        if call.sent_ms > now_ms:
            continue
        shares = []
        for mailbox, rows in enumerate(call.rows):
            if rows:
                shares.append((mailbox, range(nexts[mailbox], nexts[mailbox] + rows)))
                nexts[mailbox] += rows
        turns.append((call.sent_ms, [sent(number, *shares)]))
        if call.ended_by(now_ms):
            assert call.ends_ms is not None
            positions = [position for _, share in shares for position in share]
            ends: list[Entry] = [ended(number, call.status)]
            if call.answered:
                ends += [settled(position, number, Outcome.REFUSED) for position in positions]
            else:
                ends += [returned(position, in_doubt=True) for position in positions]
            turns.append((call.ends_ms, ends))
    for at_ms, entries in sorted(turns, key=lambda turn: turn[0]):
        ledger.write(entries, at_ms)


def slots_held(history: Sequence[Call], mailbox: int, died_ms: int, cooldown_ms: int, at_ms: int) -> int:
    """Return the slots of a mailbox that the calls sent before ``died_ms`` may hold at ``at_ms``."""
    held = 0
    for call in history:
        if call.sent_ms > died_ms or (call.answered and call.ended_by(died_ms)):
            continue
        if call.lost_until(died_ms, cooldown_ms) > at_ms:
            held += min(call.rows[mailbox], 4)
    return min(held, 4)


def check_slots(
    boxes: Sequence[MailboxOpened], now_ms: int, history: Sequence[Call], died_ms: int, cooldown_ms: int
) -> None:
    """Compare the slots of each mailbox with the model, at each instant at which one of them can change."""
    instants = {now_ms} | {
        max(now_ms, call.lost_until(died_ms, cooldown_ms) + shift) for call in history for shift in (-1, 0)
    }
    for box in boxes:
        ends = [now_ms + round(from_now_s * 1000) for from_now_s, _ in box.lost_slots]
        assert ends == sorted(set(ends))
        assert all(end > now_ms for end in ends)
        for at_ms in instants:
            held = sum(slots for end, (_, slots) in zip(ends, box.lost_slots, strict=True) if end > at_ms)
            assert held == slots_held(history, box.mailbox, died_ms, cooldown_ms, at_ms), (box, at_ms)
        assert box.blocked_for_s == 0.0


def check_window(
    boxes: Sequence[MailboxOpened], now_ms: int, history: Sequence[Call], died_ms: int, cooldown_ms: int
) -> None:
    """Compare the requests of each mailbox with the model: those ahead to the millisecond, those of the past by the second."""
    for box in boxes:
        wanted: Counter[tuple[str, int]] = Counter()
        for call in history:
            at_ms = call.over_at(died_ms, cooldown_ms)
            if call.sent_ms <= died_ms and call.rows[box.mailbox]:
                wanted[("at", at_ms) if at_ms > now_ms else ("in", at_ms // 1_000)] += call.rows[box.mailbox]
        found: Counter[tuple[str, int]] = Counter()
        for age_s, rows in box.recent:
            at_ms = now_ms - round(age_s * 1_000)
            found[("at", at_ms) if at_ms > now_ms else ("in", at_ms // 1_000)] += rows
        assert found == wanted
        assert [age for age, _ in box.recent] == sorted((age for age, _ in box.recent), reverse=True)


@given(HISTORIES, st.integers(0, 300_000), st.integers(0, 100_000), COOLDOWNS_MS)
@examples(100)
def test_a_restart_knows_the_slots_of_every_call_that_may_still_run(
    history: list[Call], died: int, later: int, cooldown_ms: int
) -> None:
    """After a death at any instant, a restart knows for each instant how many slots lost calls may hold, and no mailbox is blocked.

    The model knows the calls, and nothing of the records.
    """
    died_ms, now_ms = NOW + died, NOW + died + later
    with TemporaryDirectory() as folder, open_ledger(Path(folder) / "L", a_source(*ROWS)) as ledger:
        record(ledger, history, died_ms)
        with crashed(ledger) as again:
            boxes = opened(again, now_ms, cooldown_ms / 1_000, WINDOW_MS / 1_000)
    check_slots(boxes, now_ms, history, died_ms, cooldown_ms)
    check_window(boxes, now_ms, history, died_ms, cooldown_ms)


@given(HISTORIES, st.integers(0, 300_000), st.tuples(*[st.integers(0, 60_000)] * 3), COOLDOWNS_MS)
@examples(60)
def test_a_retry_and_a_retry_of_it_know_the_slots_too(
    history: list[Call], died: int, later: tuple[int, int, int], cooldown_ms: int
) -> None:
    """What lost calls of the first run may hold is known to a retry of it, to a retry of that, and when that is resumed."""
    died_ms = NOW + died
    first_ms, second_ms, now_ms = died_ms + later[0], died_ms + sum(later[:2]), died_ms + sum(later)
    with TemporaryDirectory() as folder:
        with open_ledger(Path(folder) / "0", a_source(*ROWS)) as ledger:
            record(ledger, history, died_ms)
        for number, made_ms in enumerate((first_ms, second_ms)):
            open_ledger(
                Path(folder) / str(number + 1), a_retry(Path(folder) / str(number), made_ms, cooldown_ms)
            ).close()
        with Ledger.open(Path(folder) / "2", None) as last:
            boxes = opened(last, now_ms, cooldown_ms / 1_000, WINDOW_MS / 1_000)
    check_slots(boxes, now_ms, history, died_ms, cooldown_ms)


def a_retry(old: Path, now_ms: int, cooldown_ms: int = 40_000, *mailboxes: int) -> FakeSource:
    """Return rows of the same mailboxes, which take over what the ledger ``old`` knows at that time."""
    with closing(connect_to_read(old)) as connection:
        earlier = taken_over(connection, now_ms, cooldown_ms / 1_000, WINDOW_MS / 1_000)
    return a_source(*(mailboxes or ROWS), earlier=earlier)


def test_calls_of_one_second_hold_their_slots_until_their_own_ends(tmp_path: Path) -> None:
    """Of one second, lost calls that are over, others that are not, and an answer each count as what they are.

    So they do in a retry.
    """
    with open_ledger(tmp_path / "0", a_source(10)) as ledger:
        ledger.write([sent(1, (0, [0])), sent(2, (0, [1, 2, 3]))], NOW)
        ledger.write([sent(3, (0, [4])), sent(4, (0, [5]))], NOW + 700)
        ledger.write([ended(2), *(settled(n, 2, Outcome.REFUSED) for n in (1, 2, 3))], NOW + 40_100)
        (box,) = opened(ledger, NOW + 40_200)
    assert (box.lost_slots, box.recent) == (((0.5, 2),), ((0.1, 4), (-0.5, 2)))
    with open_ledger(tmp_path / "1", a_retry(tmp_path / "0", NOW + 40_200, 40_000, 3)) as retry:
        (box,) = opened(retry, NOW + 40_300)
    assert (box.lost_slots, box.recent) == (((0.4, 2),), ((0.2, 4), (-0.4, 2)))


@pytest.mark.parametrize(
    ("seen", "slots"),
    [
        ((), ()),
        (((3.0, 9), (0.0, 4)), ()),
        (((3.0, 9), (-1.0, 20)), ((1.0, 4),)),
        (((-1.0, 1), (-2.5, 2)), ((1.0, 1), (2.5, 2))),
        (((-1.0, 4), (-2.0, 3), (-3.0, 2)), ((2.0, 2), (3.0, 2))),
        (((-1.0, 4), (-2.0, 20)), ((2.0, 4),)),
    ],
)
def test_lost_calls_together_hold_four_slots_at_most(seen: Any, slots: Any) -> None:
    """Where lost calls had more than four rows, the slots of those that may run longest count; what is past holds none."""
    assert lost_slots(seen) == slots


def test_two_mailboxes_that_are_one_in_the_retry_share_its_four_slots(tmp_path: Path) -> None:
    """If a retry finds that two names are one mailbox, the lost calls of both hold its slots."""
    user = User(ID.format(1), "a@contoso.example")
    with open_ledger(tmp_path / "0", a_source(5, 5)) as ledger:
        ledger.write([sent(1, (0, [0, 1, 2]))], NOW)
        ledger.write([sent(2, (1, [5, 6, 7]))], NOW + 1_000)
    source = a_retry(tmp_path / "0", NOW + 2_000, 40_000, 5, 5)
    with open_ledger(tmp_path / "1", source, resolve=lambda names: dict.fromkeys(names, user)) as retry:
        (box,) = opened(retry, NOW + 3_000)
    assert box.lost_slots == ((37.0, 1), (38.0, 3))


def test_a_clock_turned_back_leaves_the_whole_cooldown(tmp_path: Path) -> None:
    """If the clock was set back, a lost call holds its slots for a whole cooldown, in its own ledger and in a retry.

    An answered call holds none.
    """
    with open_ledger(tmp_path / "0", a_source(5, 5)) as ledger:
        ledger.write([sent(1, (0, [0, 1])), sent(2, (1, [5])), sent(3, (0, [2]))], NOW)
        ledger.write([ended(2), settled(5, 2), ended(3, 503), returned(2, in_doubt=True)], NOW + 1_000)
        assert [box.lost_slots for box in opened(ledger, NOW - 3_600_000)] == [((40.0, 3),), ()]
    with open_ledger(tmp_path / "1", a_retry(tmp_path / "0", NOW + 2_000, 40_000, 5)) as retry:
        (box,) = opened(retry, NOW - 3_600_000)
    assert box.lost_slots == ((40.0, 3),)


def test_a_wait_that_an_earlier_version_recorded_for_a_lost_call_still_holds(tmp_path: Path) -> None:
    """Earlier versions recorded the cooldown as a wait of the whole mailbox: it holds as it stands, also in a retry."""
    with open_ledger(tmp_path / "0", a_source(5)) as ledger:
        ledger.write([sent(1, (0, [0, 1]))], NOW)
        lost = [ended(1, None), returned(0, in_doubt=True), returned(1, in_doubt=True), MailboxBlocked(0, 40.0)]
        ledger.write(lost, NOW + 30_000)
        (box,) = opened(ledger, NOW + 31_000)
    assert (box.blocked_for_s, box.lost_slots) == (39.0, ((29.0, 2),))
    with open_ledger(tmp_path / "1", a_retry(tmp_path / "0", NOW + 31_000, 40_000, 5)) as retry:
        (box,) = opened(retry, NOW + 32_000)
        assert (box.blocked_for_s, box.lost_slots) == (38.0, ((28.0, 2),))
        (box,) = opened(retry, NOW + 70_000)
        assert (box.blocked_for_s, box.lost_slots) == (0.0, ())


def test_only_the_parts_of_recent_batches_are_read() -> None:
    """Of a long ledger, every batch is looked at once, and only the recent ones are looked up in the table of parts.

    That table is several times as long as the table of batches.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        values = {"now": NOW, "cooldown": 40_000, "quarantine": 40_000, "since": NOW - 640_000}
        plan = [step for *_, step in connection.execute("EXPLAIN QUERY PLAN " + unfinished._RECENT, values)]
    assert [step for step in plan if "part" in step] == ["SEARCH part USING PRIMARY KEY (batch=?)"]
    assert [step for step in plan if step.endswith("batch")] == ["SCAN batch"]
