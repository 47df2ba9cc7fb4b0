"""Tests of writing entries: what is written is durable, adds up and is never undone, compared with a model entry by entry."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.messages import Entry, MailboxBlocked, MailboxClosed, RunBlocked
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import (
    NOW,
    FakeSource,
    a_source,
    ended,
    open_ledger,
    opened,
    returned,
    rows_of,
    sent,
    settled,
)
from tests.support.properties import examples

REFUSED = Reply(403, "ErrorAccessDenied", "Access is denied.")
GONE = Reply(404, "ErrorInvalidUser", "No such user.")


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    """Open a ledger with two mailboxes: positions 0 to 49, and 50 to 69."""
    with open_ledger(tmp_path / "L", a_source(50, 20)) as opened_ledger:
        yield opened_ledger


def crashed(ledger: Ledger) -> Ledger:
    """Reopen the ledger as after a crash: nothing was closed in order."""
    ledger._reading.close()
    ledger._writing.close()
    ledger._lock.release()
    ledger._closed = True
    return open_ledger(ledger.folder, None)


def test_rows_in_flight_are_in_doubt_and_settled_ones_counted(ledger: Ledger) -> None:
    """Rows in flight count as in doubt, settled rows by outcome, and all counts add up to the rows at each step."""
    ledger.write([sent(1, (0, [0, 1, 2]), (1, [50]))], NOW)
    counts = ledger.counts()
    assert (counts.waiting, counts.in_doubt) == (66, 4)
    entries = [ended(1), settled(0, 1), settled(1, 1, Outcome.ABSENT, reply=GONE), returned(2), settled(50, 1)]
    ledger.write(entries, NOW + 800)
    counts = ledger.counts()
    assert (counts.waiting, counts.in_doubt) == (67, 0)
    assert (counts.outcomes[Outcome.PURGED], counts.outcomes[Outcome.ABSENT]) == (2, 1)
    assert sum(counts.outcomes.values()) + counts.waiting + counts.in_doubt == counts.rows


def test_row_returned_and_sent_again_in_one_write_keeps_its_first_time(ledger: Ledger) -> None:
    """A row that is returned and sent again in one write keeps the time of its first sending and gets the batch of its last."""
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    again = sent(2, (0, [Attempt(0, 2, 1, True), Attempt(1, 2)]))
    ledger.write([ended(1, None), returned(0, 1, 1, in_doubt=True), returned(1), again], NOW + 1_000)
    ledger.write([ended(2), settled(0, 2, attempts=2), settled(1, 2, attempts=2)], NOW + 2_000)
    with LedgerReader.open(ledger.folder) as reader:
        rows = next(reader.rows()).slice(0, 2).to_pylist()
    assert [row["attempts"] for row in rows] == [2, 2]
    assert {row["first_sent_utc"].timestamp() * 1000 for row in rows} == {NOW}
    assert {row["client_request_id"][-1] for row in rows} == {"2"}


def test_neighbours_that_share_an_entry_are_recorded_each_as_it_was_sent(ledger: Ledger) -> None:
    """Neighbours that share an entry keep their own time of sending and batch.

    An entry with rows that were settled before is refused.
    """
    ledger.write([sent(1, (0, [0, 1, 2]))], NOW)
    again = sent(2, (0, [Attempt(1, 1), 3, 4]))
    ledger.write([ended(1), settled(0, 1), returned(1, 0), settled(2, 1), again], NOW + 1_000)
    ledger.write([sent(3, (0, [5, 6]))], NOW + 1_500)
    entry = settled(3, 2)._replace(rows=2)
    ledger.write([ended(2), ended(3), settled(1, 2), entry, settled(5, 3)._replace(rows=2)], NOW + 2_000)
    with LedgerReader.open(ledger.folder) as reader:
        rows = next(reader.rows()).slice(0, 7).to_pylist()
    assert [(row["first_sent_utc"].timestamp() * 1000 - NOW, row["client_request_id"][-1]) for row in rows] == [
        (0, "1"), (1_000, "2"), (0, "1"), (1_000, "2"), (1_000, "2"), (1_500, "3"), (1_500, "3"),
    ]  # fmt: skip
    assert ledger.counts().in_doubt == 0
    with pytest.raises(LedgerError, match="settled twice"):
        ledger.write([settled(5, 3)._replace(rows=3)], NOW + 3_000)


def test_one_entry_may_hold_rows_sent_once_and_rows_sent_again(ledger: Ledger) -> None:
    """One entry may settle both rows that were sent once and rows that were returned unsent and sent again."""
    ledger.write([sent(1, (0, [0, 1, 2]))], NOW)
    ledger.write([ended(1, None), *(returned(row, 0) for row in range(3))], NOW + 500)
    ledger.write([sent(2, (0, [Attempt(0), Attempt(1), Attempt(2), 3, 4]))], NOW + 1_000)
    ledger.write([ended(2), settled(0, 2)._replace(rows=5)], NOW + 2_000)
    assert ledger.counts().outcomes[Outcome.PURGED] == 5
    with LedgerReader.open(ledger.folder) as reader:
        rows = next(reader.rows()).slice(0, 6).to_pylist()
    assert [row["outcome"] for row in rows[:5]] == ["purged"] * 5
    assert {row["first_sent_utc"].timestamp() * 1000 - NOW for row in rows[:5]} == {1_000}
    assert not rows[5]["outcome"]


def test_neighbours_settled_alike_share_a_record(ledger: Ledger) -> None:
    """Twenty neighbours with the same outcome share one record; one row between them with another outcome makes three records."""
    ledger.write([sent(1, (0, list(range(20)))), ended(1), *(settled(row, 1) for row in range(20))], NOW)
    odd = [settled(row, 2, Outcome.REFUSED if row == 30 else Outcome.PURGED) for row in range(20, 40)]
    ledger.write([sent(2, (0, list(range(20, 40)))), ended(2), *odd], NOW)
    runs = ledger._reading.execute("SELECT first, rows FROM outcome ORDER BY first").fetchall()
    assert runs == [(0, 20), (20, 10), (30, 1), (31, 9)]


def test_row_that_never_left_has_no_time_of_sending(ledger: Ledger) -> None:
    """A batch that never reached Graph does not count as a sending: the next batch gives the row its first time."""
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    ledger.write([ended(1, None), returned(0, 0), returned(1, 0)], NOW + 10)
    assert opened(ledger)[0].unsettled == (Attempt(0, 0), Attempt(1, 0))
    ledger.write([sent(2, (0, [0, 1]))], NOW + 5_000)
    ledger.write([ended(2), settled(0, 2), settled(1, 2)], NOW + 6_000)
    with LedgerReader.open(ledger.folder) as reader:
        rows = next(reader.rows()).slice(0, 2).to_pylist()
    assert {row["first_sent_utc"].timestamp() * 1000 for row in rows} == {NOW + 5_000}


def test_closed_mailbox_skips_what_was_never_sent(ledger: Ledger) -> None:
    """A closed mailbox settles the rows that were sent, each with the batch of its last sending, and skips the others."""
    ledger.write([sent(1, (0, [0, 1, 2]))], NOW)
    ledger.write([ended(1), settled(0, 1), returned(1), returned(2)], NOW + 1)
    ledger.write([sent(2, (0, [Attempt(1, 2), 3]))], NOW + 2)
    closing = [ended(2), settled(1, 2, Outcome.REFUSED, attempts=2, reply=GONE)]
    closing += [settled(3, 0, Outcome.REFUSED, reply=GONE), settled(2, 0, Outcome.REFUSED, reply=GONE)]
    ledger.write([*closing, MailboxClosed(0, GONE, 46)], NOW + 3)
    counts = ledger.counts()
    assert counts.outcomes[Outcome.SKIPPED] == 46
    assert (counts.waiting, counts.in_doubt) == (20, 0)
    assert [mailbox.mailbox for mailbox in opened(ledger)] == [1]
    with LedgerReader.open(ledger.folder) as reader:
        rows = next(reader.rows()).to_pylist()
    assert [row["client_request_id"][-1:] for row in rows[:5]] == ["1", "2", "1", "2", ""]
    assert (rows[4]["outcome"], rows[4]["status"], rows[4]["message"]) == ("skipped", 404, "No such user.")


# ------------------------------------------------------------------------------------------------------- our own mistakes


@pytest.mark.parametrize(
    "mistake",
    [
        [settled(0, 1)],
        [settled(10, 1)],
        [returned(10)],
        [sent(2, (0, [2, 3])), ended(2), settled(2, 2)],
        [sent(1, (0, [2]))],
    ],
    ids=["settled twice", "settled unsent", "returned unsent", "ended with a row left over", "batch sent twice"],
)
def test_mistake_of_ours_is_refused_and_nothing_is_written_after_it(ledger: Ledger, mistake: list[Entry]) -> None:
    """An impossible entry is refused as our mistake, its transaction leaves no trace, and the ledger refuses later writes."""
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    ledger.write([ended(1), settled(0, 1), settled(1, 1)], NOW)
    before = ledger.counts()
    with pytest.raises(LedgerError, match="mistake in purgeengine"):
        ledger.write(mistake, NOW)
    with pytest.raises(LedgerError, match="mistake in purgeengine"):
        ledger.write([sent(3, (1, [50]))], NOW)
    assert ledger.counts() == before


# ---------------------------------------------------------------------------------------------------------- full disks


def test_full_disk_is_a_sentence_and_keeps_what_was_acknowledged(ledger: Ledger) -> None:
    """A full disk raises a sentence, and every write that returned before is still there; the failed one left nothing."""
    pages = ledger._writing.execute("PRAGMA page_count").fetchone()[0]
    ledger._writing.execute(f"PRAGMA max_page_count = {pages + 3}")
    acknowledged = 0
    try:
        for position in range(50):
            told = Reply(400, "ErrorInvalidId", f"{position} " * 500)
            ledger.write([sent(position + 1, (0, [position]))], NOW)
            ledger.write([ended(position + 1), settled(position, 0, Outcome.REFUSED, reply=told)], NOW)
            acknowledged += 1
    except LedgerError as error:
        assert "the disk is full" in str(error)  # noqa: PT017
    assert 0 < acknowledged < 50
    with pytest.raises(LedgerError, match="disk is full"):
        ledger.write([RunBlocked(1.0)], NOW)
    with crashed(ledger) as again:
        assert again.counts().outcomes[Outcome.REFUSED] == acknowledged
        again.write([sent(500, (1, [50]))], NOW)


def test_database_lost_under_our_feet_is_a_sentence(ledger: Ledger) -> None:
    """A database that fails under the ledger raises a sentence that names the ledger."""
    ledger._writing.close()
    with pytest.raises(LedgerError, match=r"The ledger in .* cannot be written"):
        ledger.write([RunBlocked(1.0)], NOW)


def test_message_with_half_a_character_is_written(ledger: Ledger) -> None:
    """A reply with half a surrogate pair and a long message is written, shortened and replaced, and the row gets its outcome."""
    ledger.write([sent(1, (0, [0]))], NOW)
    ledger.write([ended(1), settled(0, 1, Outcome.REFUSED, reply=Reply(400, "bad\ud800", "m" * 5_000))], NOW)
    with LedgerReader.open(ledger.folder) as reader:
        (failure,) = reader.failures(5)
    assert (failure.status, failure.code, len(failure.message), failure.count) == (400, "bad?", 2_000, 1)


# ------------------------------------------------------------------------------------------------------ against a model


@dataclass
class Model:
    """What a ledger must know, as dictionaries: three mailboxes of 12 rows, each in at most four batches at a time.

    An earlier ledger left the first 5 rows of the first mailbox in doubt, and all of the third.
    """

    ends: tuple[int, ...] = (12, 24, 36)
    doubt_ends: tuple[int, ...] = (5, 0, 36)
    next: list[int] = field(default_factory=lambda: [0, 12, 24])
    attempts: dict[int, Attempt] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    flights: dict[int, dict[int, list[Attempt]]] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    batch: int = 0

    def batches_of(self, mailbox: int) -> int:
        return sum(mailbox in flight for flight in self.flights.values())

    def in_flight(self) -> set[int]:
        """Positions of the rows that are in a batch."""
        return {a.position for parts in self.flights.values() for attempts in parts.values() for a in attempts}

    def send(self, wanted: list[tuple[int, int]]) -> list[Entry]:
        parts: dict[int, list[Attempt]] = {}
        for mailbox, count in wanted:
            if mailbox in parts or mailbox in self.closed or self.batches_of(mailbox) >= 4:  # lanes allow four
                continue
            first, end, flying = self.ends[mailbox] - 12, self.ends[mailbox], self.in_flight()
            waiting = [a for p, a in sorted(self.attempts.items()) if first <= p < end and p not in flying]
            old = [a._replace(number=a.number + 1) for a in waiting[:count]]
            unsent = range(self.next[mailbox], min(end, self.next[mailbox] + count - len(old)))
            fresh = [Attempt(p, in_doubt=p < self.doubt_ends[mailbox]) for p in unsent]
            self.next[mailbox] += len(fresh)
            if old or fresh:
                parts[mailbox] = old + fresh
        if not parts:
            return []
        self.batch += 1
        self.flights[self.batch] = parts
        return [sent(self.batch, *parts.items())]

    def end(self, fates: list[int]) -> list[Entry]:
        if not self.flights:
            return []
        batch = min(self.flights)
        parts, entries, fate = self.flights.pop(batch), [ended(batch, None if fates[0] == 5 else 200)], iter(fates * 20)
        for mailbox, attempts in parts.items():
            closing, closed = False, mailbox in self.closed
            for attempt in attempts:
                what = next(fate)
                if closed and what not in (0, 1):  # another of its batches closed it meanwhile
                    what = 4
                closing |= what == 4
                if what in (0, 1, 4):
                    outcome = (Outcome.PURGED, Outcome.ABSENT, None, None, Outcome.REFUSED)[what]
                    assert outcome is not None
                    entries.append(self.settle(attempt, outcome, batch))
                else:
                    number = attempt.number - (fates[0] == 5)
                    kept = attempt._replace(number=number, failures=attempt.failures + (what == 3), in_doubt=what == 3)
                    self.attempts[attempt.position] = kept
                    entries.append(returned(kept.position, kept.number, kept.failures, in_doubt=kept.in_doubt))
            if closing and not closed:
                entries += self.close(mailbox)
        return entries

    def settle(self, attempt: Attempt, outcome: Outcome, batch: int) -> Entry:
        self.attempts.pop(attempt.position, None)
        self.outcomes[attempt.position] = outcome
        return settled(attempt.position, batch, outcome, attempts=attempt.number, in_doubt=attempt.in_doubt)

    def close(self, mailbox: int) -> list[Entry]:
        self.closed.add(mailbox)
        first, end, flying = self.ends[mailbox] - 12, self.ends[mailbox], self.in_flight()
        left = [a for p, a in self.attempts.items() if first <= p < end and p not in flying]
        entries = [self.settle(attempt, Outcome.REFUSED, 0) for attempt in left]
        return [*entries, MailboxClosed(mailbox, GONE, self.ends[mailbox] - self.next[mailbox])]

    def crash(self) -> None:
        for parts in self.flights.values():
            for attempts in parts.values():
                self.attempts.update({a.position: a._replace(in_doubt=True) for a in attempts})
        self.flights.clear()

    def doubtful(self) -> int:
        sending = self.in_flight()
        unsent = {p for n, end in enumerate(self.doubt_ends) if n not in self.closed for p in range(self.next[n], end)}
        return len(sending | unsent | {p for p, a in self.attempts.items() if a.in_doubt})


STEPS = st.one_of(
    st.tuples(st.just("send"), st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=1, max_size=3)),
    st.tuples(st.just("end"), st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 5]), min_size=1, max_size=6)),
    st.tuples(st.just("end"), st.lists(st.sampled_from([0, 3, 4]), min_size=1, max_size=6)),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("write"), st.none()),
)


@examples(40)
@given(st.lists(STEPS, max_size=30))
def test_ledger_agrees_with_a_model_over_any_history(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
) -> None:
    """Sendings, answers, closings and crashes in any order give the counts, unsettled rows and export of the model."""
    model = Model()
    source = a_source(12, 12, 12, doubtful=frozenset([*range(5), *range(24, 36)]))
    ledger = open_ledger(tmp_path_factory.mktemp("model") / "L", source)
    pending: list[Entry] = []
    try:
        for name, value in [*steps, ("write", None)]:
            if name in ("send", "end"):
                pending += getattr(model, name)(value)
                continue
            ledger.write(pending, NOW)
            pending = []
            if name == "crash":
                model.crash()
                ledger = crashed(ledger)
        agree(ledger, model)
        model.crash()
        ledger = crashed(ledger)
        agree(ledger, model)
        unfinished = {m.mailbox: m for m in opened(ledger)}
        for mailbox, end in enumerate(model.ends):
            left = {a for p, a in model.attempts.items() if end - 12 <= p < end}
            if mailbox in model.closed or (not left and model.next[mailbox] == end):
                assert mailbox not in unfinished
            else:
                assert set(unfinished[mailbox].unsettled) == left
                assert (unfinished[mailbox].next, unfinished[mailbox].end) == (model.next[mailbox], end)
                assert unfinished[mailbox].doubt_end == model.doubt_ends[mailbox]
    finally:
        ledger.close()


def agree(ledger: Ledger, model: Model) -> None:
    skipped = {p for m in model.closed for p in range(model.next[m], model.ends[m])}
    expected = {**model.outcomes, **dict.fromkeys(skipped, Outcome.SKIPPED)}
    counts = ledger.counts()
    assert Counter({outcome: count for outcome, count in counts.outcomes.items() if count}) == Counter(
        expected.values()
    )
    assert counts.in_doubt == model.doubtful()
    assert counts.waiting == 36 - len(expected) - model.doubtful()
    with LedgerReader.open(ledger.folder) as reader:
        exported = [row for batch in reader.rows() for row in batch.to_pylist()]
    assert [row["outcome"] for row in exported] == [expected.get(position) for position in range(36)]
    assert sum(row["in_doubt"] and row["outcome"] is None for row in exported) == model.doubtful()


# -------------------------------------------------------------------------------------------------------------- crashes


def test_every_acknowledged_write_survives_a_crash(tmp_path: Path) -> None:
    """After a crash that follows a write, the reopened ledger has the whole write."""
    ledger = open_ledger(tmp_path / "L", FakeSource(rows_of("a", 8)))
    for position in range(8):
        ledger.write([sent(position + 1, (0, [position]))], NOW)
        ledger = crashed(ledger)
        lost = opened(ledger)[0].unsettled
        assert lost == (Attempt(position, in_doubt=True),)
        ledger.write([sent(100 + position, (0, [Attempt(position, 2, 0, True)]))], NOW)
        ledger.write([ended(100 + position), settled(position, 100 + position, attempts=2)], NOW)
        ledger = crashed(ledger)
        assert ledger.counts().outcomes[Outcome.PURGED] == position + 1
    assert not ledger.has_work()
    ledger.close()


def test_writing_may_happen_on_another_thread(ledger: Ledger) -> None:
    """A thread may write to the ledger while the loop reads rows from it."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as worker:
        write: Callable[..., None] = ledger.write
        worker.submit(write, [sent(1, (0, [0]))], NOW).result()
        assert len(ledger.items([0, 1])) == 2
    assert ledger.counts().in_doubt == 1


def test_longest_wait_of_a_mailbox_holds(ledger: Ledger) -> None:
    """The longest wait of a mailbox holds: a shorter one that comes later does not cut it short."""
    ledger.write([MailboxBlocked(0, 60.0), MailboxBlocked(0, 1.0005)], NOW)
    ledger.write([MailboxBlocked(0, 5.0)], NOW + 10_000)
    assert opened(ledger, NOW + 10_000)[0].blocked_for_s == 50.0


def test_tables_are_those_of_the_documentation(ledger: Ledger) -> None:
    """The database has exactly the tables of the documentation and can be read with plain SQLite."""
    connection = sqlite3.connect(ledger.folder / "ledger.sqlite")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    known = {"meta", "file", "mailbox", "run", "detail", "batch", "part", "attempt", "outcome", "resolved"}
    assert tables == known | {"doubt", "seen", "start"}
