"""Tests of collecting: the head equals the ledger of one run that had the same answers, row by row and wait by wait."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.messages import BATCH_OF_LAST_SENDING, BatchSent, Entry, MailboxBlocked, MailboxClosed, RunBlocked
from purgeengine.core.model import Attempt, MailboxShare, Outcome, Reply
from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.edges.ledger.running.shard_events import sharding_of
from purgeengine.edges.ledger.sharding import collecting, head, merging, place_map
from purgeengine.edges.ledger.sharding.collecting import collect, refuse_twice
from purgeengine.edges.ledger.sharding.cutting import cut, shard_name
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.merging import fill_holes
from purgeengine.edges.ledger.sharding.open_rows import open_mailboxes
from purgeengine.edges.ledger.sharding.overview import ShardedPurge
from purgeengine.edges.ledger.store.database import connect_to_read, transaction
from purgeengine.errors import LedgerError, LedgerMismatch, UsageProblem
from purgeengine.run_limits import Limits
from tests.support.crash_points import die_at, lines_of, some_of
from tests.support.ledger_fixtures import NOW, PURGED, FakeSource, ended, open_ledger, opened, returned, settled
from tests.support.properties import examples

GONE = Reply(404, "ErrorItemNotFound", "Not found.")
DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")
BUSY = Reply(503, "UnknownError", "Busy.")
FATES = ("purged", "purged", "purged", "absent", "refused", "exhausted", "returned", "doubt", "flying")
LATER = 5_000


@dataclass
class Script:
    """What Graph answers to each sending of each contact, and what else happens in each mailbox. All of it follows from a seed."""

    seed: int
    sendings: Counter[str] = field(default_factory=Counter)
    """How often each contact was sent by the head before it was cut."""

    def draw(self, *about: object) -> random.Random:
        return random.Random(f"{self.seed} {about}")

    def fate(self, contact: str, sending: int) -> str:
        fate = self.draw("fate", contact, sending).choice(FATES)
        return "purged" if sending > 5 else fate

    def at_ms(self, *about: object) -> int:
        """Return a time. Those after the cut are later than those before it, because no clock is turned back here."""
        return NOW + self.draw("time", *about).randrange(100_000) + (200_000 if "after" in about else 0)

    def request_id(self, contact: str, sending: int) -> str:
        return str(UUID(int=self.draw("id", contact, sending).getrandbits(128)))


class Player:
    """Writes into a ledger what the script says of its mailboxes, as a run would."""

    def __init__(self, ledger: Ledger, script: Script, prior: Mapping[str, int], doubtful: frozenset[str]) -> None:
        self.ledger, self.script, self.prior, self.doubtful = ledger, script, prior, doubtful
        self.own: Counter[str] = Counter()
        self.unended: list[str] = []
        self.batch = ledger.next_batch_number

    def contact(self, position: int) -> str:
        return self.ledger.items([position])[0].contact

    def play(self, phase: str, rounds_max: int) -> None:
        """Play some rounds of every mailbox."""
        for mailbox in opened(self.ledger):
            user = self.ledger.user_of(mailbox.mailbox)
            draw = self.script.draw(phase, user)
            rounds = draw.randint(0, rounds_max)
            if draw.random() < 0.3:
                self.ledger.write(
                    [MailboxBlocked(mailbox.mailbox, draw.choice([1.0, 7_200.0]))], self.script.at_ms(phase, user)
                )
            for number in range(rounds):
                if not self.round(mailbox.mailbox, phase, user, number, draw.randint(0, 4)):
                    break
            else:
                if draw.random() < 0.25:
                    self.close(mailbox.mailbox, phase, user)

    def round(self, number: int, phase: str, user: str, turn: int, chunk: int) -> bool:
        """Send again what was sent before, row by row, then a batch of the next rows. Return False if a call never ended."""
        mailbox = next((one for one in opened(self.ledger) if one.mailbox == number), None)
        if mailbox is None:
            return False
        for attempt in mailbox.unsettled:
            if not self.send(
                [Attempt(attempt.position, attempt.number + 1, attempt.failures, attempt.in_doubt)], number
            ):
                return False
        following = mailbox.next
        while following < mailbox.end and self.is_single(self.contact(following)):
            doubt = following < mailbox.doubt_end
            if not self.send([Attempt(following, 1, 0, doubt)], number):
                return False
            following += 1
        fresh = range(following, min(mailbox.end, following + chunk))
        return not fresh or self.send([Attempt(position) for position in fresh], number)

    def is_single(self, contact: str) -> bool:
        return contact in self.doubtful or self.prior.get(contact, 0) > 0

    def send(self, attempts: list[Attempt], mailbox: int) -> bool:
        """Send a batch and settle it as the script says. Return False if it has no answer."""
        contacts = [self.contact(attempt.position) for attempt in attempts]
        numbers = [self.prior.get(contact, 0) + self.own[contact] + 1 for contact in contacts]
        batch, self.batch = self.batch, self.batch + 1
        identity = self.script.request_id(contacts[0], numbers[0])
        at_ms = self.script.at_ms(contacts[0], numbers[0])
        self.ledger.write([BatchSent(batch, identity, (MailboxShare(mailbox, tuple(attempts)),))], at_ms)
        self.own.update(contacts)
        fates = [self.script.fate(contact, number) for contact, number in zip(contacts, numbers, strict=True)]
        if fates[0] == "flying":
            return False
        entries: list[Entry] = [ended(batch)]
        for attempt, fate in zip(attempts, fates, strict=True):
            entries.append(self.ending(attempt, fate, batch))
        self.ledger.write(entries, at_ms + LATER)
        return True

    def ending(self, attempt: Attempt, fate: str, batch: int) -> Entry:
        position, number, failures, doubt = attempt
        if fate == "purged" or (fate == "absent" and doubt):
            return settled(position, batch, attempts=number, reply=PURGED if fate == "purged" else GONE)
        if fate == "absent":
            return settled(position, batch, Outcome.ABSENT, attempts=number, reply=GONE)
        if fate == "refused":
            return settled(position, batch, Outcome.REFUSED, attempts=number, in_doubt=doubt, reply=DENIED)
        if fate == "exhausted":
            return settled(position, batch, Outcome.EXHAUSTED, attempts=number, in_doubt=doubt, reply=BUSY)
        return returned(position, number, failures + 1, in_doubt=doubt or fate in ("doubt", "flying"))

    def close(self, number: int, phase: str, user: str) -> None:
        mailbox = next((one for one in opened(self.ledger) if one.mailbox == number), None)
        if mailbox is None:
            return
        entries: list[Entry] = [
            settled(
                one.position,
                BATCH_OF_LAST_SENDING,
                Outcome.EXHAUSTED,
                attempts=one.number,
                in_doubt=one.in_doubt,
                reply=DENIED,
            )
            for one in mailbox.unsettled
        ]
        entries.append(MailboxClosed(number, DENIED, mailbox.end - mailbox.next))
        self.ledger.write(entries, self.script.at_ms("closed", phase, user))


def told(folder: Path) -> list[dict[str, Any]]:
    """Return every row of a ledger with everything that an export tells, but the ids that count the batches of one ledger."""
    with LedgerReader.open(folder) as reader:
        rows = [row for batch in reader.rows() for row in batch.to_pylist()]
    for row in rows:
        del row["request_id"]
    return rows


def left(folder: Path) -> list[Any]:
    """Return what a later run would get: rows, waits, the requests in the window, held slots."""
    with open_ledger(folder, None) as ledger:
        found = opened(ledger, NOW + 400_000, window_s=100_000.0)
        waits = ledger.run_blocked_for_s(NOW + 1)
    return [*sorted(found, key=lambda mailbox: mailbox.mailbox), waits]


def inputs(sizes: list[int], draw: random.Random) -> FakeSource:
    rows = [
        (f"m{mailbox}@c.example", "F", f"m{mailbox}-{row}") for mailbox, size in enumerate(sizes) for row in range(size)
    ]
    draw.shuffle(rows)
    rows += [rows[0], ("nobody", "", "x")]
    doubtful = frozenset(row for row in range(len(rows) - 2) if draw.random() < 0.1)
    return FakeSource(rows, doubtful=doubtful)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=7),
    shards=st.integers(1, 4),
    seed=st.integers(0, 1 << 32),
    begun=st.booleans(),
)
@examples(60)
def test_the_head_is_what_one_run_would_have_left(sizes: list[int], shards: int, seed: int, begun: bool) -> None:
    """Whatever happened before the cut and in the shards, all that is told of a row and all that a later run gets is the same."""
    script = Script(seed)
    source = inputs(sizes, script.draw("input"))
    doubtful = frozenset(str(source.rows[row][2]) for row in source.doubtful)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prior: Counter[str] = Counter()
        for name in ("one", "head"):
            with open_ledger(folder / name, source) as ledger:
                player = Player(ledger, script, {}, doubtful)
                if begun:
                    player.play("before", 2)
                prior = player.own
        with HeadLedger.open(folder / "head") as opened_head:
            mailboxes = list(open_mailboxes(opened_head.connection))
            if not mailboxes:
                return
            shards = min(shards, len(mailboxes))
            made = cut(opened_head, shards, folder / "shards", Limits(), utc=lambda: NOW / 1000)
        assert sum(planned.rows for planned in made.planned) == sum(mailbox.rows for mailbox in mailboxes)
        with open_ledger(folder / "one", None) as ledger:
            Player(ledger, script, prior, doubtful).play("after", 3)
            ledger.write([RunBlocked(5.0)], NOW)
        for number in range(made.shards):
            with open_ledger(folder / "shards" / shard_name(number, made.shards), None) as ledger:
                Player(ledger, script, prior, doubtful).play("after", 3)
                if number == 0:
                    ledger.write([RunBlocked(5.0)], NOW)
        shards_made = [folder / "shards" / shard_name(number, made.shards) for number in range(made.shards)]
        with_shards = ShardedPurge.open([*shards_made, folder / "head"])
        assert with_shards is not None
        with with_shards:
            before = with_shards.counts(with_shards.standings())
        with HeadLedger.open(folder / "head") as opened_head:
            for number in script.draw("order").sample(range(made.shards), made.shards):
                collect(opened_head, folder / "shards" / shard_name(number, made.shards), unfinished=True)
        with open_ledger(folder / "one", None) as ledger:
            expected = ledger.counts()
        with LedgerReader.open(folder / "head") as reader:
            assert reader.counts() == expected
        assert Counter(before.outcomes) == Counter(expected.outcomes)
        assert (before.waiting, before.in_doubt) == (expected.waiting, expected.in_doubt)
        assert told(folder / "head") == told(folder / "one")
        assert left(folder / "head") == left(folder / "one")


# ------------------------------------------------------------------------------------------------------------- crashes


def purge_all(folder: Path) -> None:
    """Purge every row of a ledger, in a batch for each mailbox. The ids say which mailbox it is."""
    with open_ledger(folder, None) as ledger:
        for mailbox in opened(ledger):
            batch, positions = ledger.next_batch_number, range(mailbox.next, mailbox.end)
            name = str(UUID(int=sum(map(ord, ledger.user_of(mailbox.mailbox)))))
            share = MailboxShare(mailbox.mailbox, tuple(map(Attempt, positions)))
            ledger.write([BatchSent(batch, name, (share,))], NOW)
            ledger.write([ended(batch), *(settled(position, batch) for position in positions)], NOW + LATER)


@dataclass(frozen=True)
class Sharded:
    """A head of 20 rows in five mailboxes, and its three finished shards."""

    folder: Path

    @property
    def head(self) -> Path:
        return self.folder / "head"

    def shard(self, number: int) -> Path:
        return self.folder / "shards" / shard_name(number, 3)

    def collect(self, *numbers: int, unfinished: bool = False) -> None:
        with HeadLedger.open(self.head) as opened_head:
            for number in numbers:
                collect(opened_head, self.shard(number), unfinished=unfinished)


def rows_of_five() -> FakeSource:
    return FakeSource([(f"m{row % 5}@c.example", "F", f"c-{row}") for row in range(20)])


def a_sharded(folder: Path, finished: tuple[int, ...] = (0, 1, 2)) -> Sharded:
    open_ledger(folder / "head", rows_of_five()).close()
    with HeadLedger.open(folder / "head") as opened_head:
        cut(opened_head, 3, folder / "shards", Limits())
    found = Sharded(folder)
    for number in finished:
        purge_all(found.shard(number))
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of one run."""
    folder = tmp_path_factory.mktemp("one")
    open_ledger(folder / "one", rows_of_five()).close()
    purge_all(folder / "one")
    return told(folder / "one")


def test_a_crash_at_any_line_of_collecting_loses_nothing_and_doubles_nothing(
    tmp_path: Path, expected: list[dict[str, Any]]
) -> None:
    """Wherever the process dies, the same call again leaves the ledger of one run, with a finished and an unfinished shard."""
    modules = (collecting, merging, place_map, head)
    prepared = a_sharded(tmp_path / "prepared", finished=(0, 1))
    purged = tmp_path / "purged"
    shutil.copytree(prepared.shard(2), purged)
    lines = lines_of(lambda: copy_of(prepared, tmp_path / "first").collect(0, 1, 2, unfinished=True), modules)
    assert len(lines) > 100
    for number, line in enumerate(some_of(lines)):
        for time in (1, 2):
            sharded = copy_of(prepared, tmp_path / f"{number}-{time}")
            if not die_at(lambda: sharded.collect(0, 1, 2, unfinished=True), modules, line, time):  # noqa: B023
                continue
            with LedgerReader.open(sharded.head) as reader:
                counts = reader.counts()
                known = reader.cut()
            assert known is not None
            assert counts.outcomes[Outcome.PURGED] == sum(
                known.planned[shard].rows for shard in known.collected if shard != 2
            )
            sharded.collect(0, 1, 2, unfinished=True)
            purge_all(sharded.head)  # the rows that the unfinished shard left
            assert told(sharded.head) == expected
            shutil.rmtree(sharded.folder)


def copy_of(sharded: Sharded, folder: Path) -> Sharded:
    shutil.copytree(sharded.folder, folder)
    return Sharded(folder)


def test_a_shard_that_crashed_between_closing_and_collecting_is_not_run_again(tmp_path: Path) -> None:
    """The unfinished shard is closed before its rows go back, so that no row has two ledgers that may send it."""
    sharded = a_sharded(tmp_path, finished=())
    place = next(
        line for line in lines_of(lambda: copy_of(sharded, tmp_path / "x").collect(0, unfinished=True), [merging])
    )
    assert die_at(lambda: sharded.collect(0, unfinished=True), [merging], place)
    assert sharding_of(sharded.shard(0)).collected_into == "head"
    with HeadLedger.open(sharded.head) as opened_head:
        known = opened_head.cut()
    assert known is not None
    assert known.out == [0, 1, 2]


# ------------------------------------------------------------------------------------------------------------ refusals


def test_a_shard_or_a_head_of_another_moment_is_refused(tmp_path: Path) -> None:
    """If the head was put back to a copy from before it was cut, nothing is collected. An older copy of a shard is unfinished."""
    open_ledger(tmp_path / "head", rows_of_five()).close()
    shutil.copytree(tmp_path / "head", tmp_path / "before")
    with HeadLedger.open(tmp_path / "head") as opened_head:
        cut(opened_head, 3, tmp_path / "shards", Limits())
    sharded = Sharded(tmp_path)
    shutil.copytree(sharded.shard(0), tmp_path / "old")
    purge_all(sharded.shard(0))
    with HeadLedger.open(tmp_path / "before") as other, pytest.raises(LedgerMismatch, match="never cut"):
        collect(other, sharded.shard(0))
    with HeadLedger.open(sharded.head) as opened_head:
        with pytest.raises(UsageProblem, match="is not finished"):
            collect(opened_head, tmp_path / "old")
        with pytest.raises(UsageProblem, match="are both shard 0"):
            refuse_twice(opened_head, [sharded.shard(0), tmp_path / "old"])


def test_rows_that_the_head_settled_itself_are_not_collected_over(tmp_path: Path) -> None:
    """A head that was run all the same, by a copy from elsewhere, no longer has the rows of the shard, which is refused."""
    sharded = a_sharded(tmp_path)
    purge_all(sharded.head)
    with HeadLedger.open(sharded.head) as opened_head, pytest.raises(LedgerMismatch, match="does not have the rows"):
        collect(opened_head, sharded.shard(0))
    with LedgerReader.open(sharded.head) as reader:
        assert reader.batches().calls == 5


def test_a_shard_that_is_running_is_refused(tmp_path: Path) -> None:
    """A shard that is open is not collected, and the sentence says so."""
    sharded = a_sharded(tmp_path)
    with (
        open_ledger(sharded.shard(1), None),
        HeadLedger.open(sharded.head) as opened_head,
        pytest.raises(LedgerError, match="in use by this process"),
    ):
        collect(opened_head, sharded.shard(1))


def test_an_earlier_cut_is_told_from_the_present_one(tmp_path: Path) -> None:
    """A shard of a cut that is over is refused, although it is this head's."""
    sharded = a_sharded(tmp_path, finished=(0,))
    shutil.copytree(sharded.shard(1), tmp_path / "old")
    sharded.collect(0, 1, 2, unfinished=True)
    with HeadLedger.open(sharded.head) as opened_head:
        cut(opened_head, 2, tmp_path / "again", Limits())
        with pytest.raises(LedgerMismatch, match="an earlier cut of this ledger"):
            collect(opened_head, tmp_path / "old")


@pytest.mark.parametrize("closed", [True, False])
def test_rows_without_a_state_before_the_last_one_that_was_sent_are_in_doubt(tmp_path: Path, closed: bool) -> None:
    """In a closed mailbox such rows are exhausted, in doubt; in an open one they are in doubt, and are sent again."""
    with open_ledger(tmp_path / "L", FakeSource([("a@c.example", "F", f"c-{row}") for row in range(8)])) as ledger:
        share = MailboxShare(0, tuple(map(Attempt, range(6))))
        ledger.write([BatchSent(1, str(UUID(int=1)), (share,))], NOW)
        ledger.write([ended(1), *(settled(position, 1) for position in range(6))], NOW)
        if closed:
            ledger.write([MailboxClosed(0, DENIED, 2)], NOW)
    with HeadLedger.open(tmp_path / "L") as ledger, transaction(ledger.connection):
        ledger.connection.execute("UPDATE outcome SET first = 3, rows = 1")
        ledger.connection.execute(
            "INSERT INTO outcome (first, rows, outcome, detail, attempts, in_doubt, settled_ms, batch) "
            "VALUES (5, 1, 1, 1, 1, 0, 5, 1)"
        )
        fill_holes(ledger.connection, 0)
        fill_holes(ledger.connection, 0)
    with LedgerReader.open(tmp_path / "L") as reader:
        counts = reader.counts()
    holes = Counter({Outcome.EXHAUSTED: 4, Outcome.SKIPPED: 2}) if closed else Counter()
    assert Counter(counts.outcomes) == holes + Counter({Outcome.PURGED: 2})
    assert (counts.in_doubt, counts.waiting) == ((0, 0) if closed else (4, 2))
    with closing(connect_to_read(tmp_path / "L")) as connection:
        assert connection.execute("SELECT count(*) FROM attempt").fetchone() == (0 if closed else 4,)
