"""Tests of taking a lost shard back: what its last copy knows is kept, everything else is in doubt, with full windows."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from purgeengine.core.coordination.lost_generation import LostGeneration
from purgeengine.core.coordination.shard_record import HeadRecord, ShardRecord
from purgeengine.core.model import Attempt, Outcome
from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.sharding import losing
from purgeengine.edges.ledger.sharding.collecting import collect
from purgeengine.edges.ledger.sharding.coordinator_file import CoordinatorFile
from purgeengine.edges.ledger.sharding.cutting import cut, shard_name
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.losing import lose
from purgeengine.edges.ledger.sharding.overview import ShardedPurge
from purgeengine.edges.ledger.store.checking import check
from purgeengine.errors import LedgerMismatch, UsageProblem
from purgeengine.run_limits import Limits
from tests.support.crash_points import die_at, lines_of, some_of
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, opened, returned, sent, settled

LIMITS = Limits(connections=8, requests_per_s=100)
FENCED_MS = NOW + 60_000
FACTS = LostGeneration(FENCED_MS, 40.0, LIMITS.mailbox_requests)
ROWS = [(f"m{row % 12}@c.example", "", f"c-{row}") for row in range(120)]


def utc() -> float:
    """The time of the coordinator."""
    return NOW / 1000.0 + 60.5


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """A ledger that is cut into three shards."""
    open_ledger(tmp_path / "head", FakeSource(ROWS)).close()
    with HeadLedger.open(tmp_path / "head") as opened_head:
        cut(opened_head, 3, tmp_path / "shards", LIMITS, utc=utc)
    return tmp_path / "head"


def shards_of(head: Path) -> list[Path]:
    """Return the folders of the shards."""
    return [head.with_name("shards") / shard_name(number, 3) for number in range(3)]


def begin(shard: Path) -> None:
    """Send one row that is purged, one that comes back, and one whose call never ends."""
    with open_ledger(shard, None) as ledger:
        mailbox = next(iter(opened(ledger)))
        doubt = mailbox.doubt_end > mailbox.next
        places = [mailbox.next + n for n in range(3)]
        for batch, place in enumerate(places, start=ledger.next_batch_number):
            ledger.write([sent(batch, (mailbox.mailbox, [Attempt(place, in_doubt=doubt)]))], NOW)
            if place == places[0]:
                ledger.write([ended(batch), settled(place, batch, in_doubt=doubt)], NOW)
            elif place == places[1]:
                ledger.write([ended(batch, 503), returned(place, in_doubt=doubt)], NOW)


def settle(shard: Path) -> None:
    """Settle every row of a shard."""
    with open_ledger(shard, None) as ledger:
        for mailbox in opened(ledger):
            for again in mailbox.unsettled:
                number = ledger.next_batch_number
                attempt = again._replace(number=again.number + 1)
                ledger.write([sent(number, (mailbox.mailbox, [attempt]))], NOW)
                ledger.write([ended(number), settled(again.position, number, attempts=2)], NOW)
            for position in range(mailbox.next, mailbox.end):
                number = ledger.next_batch_number
                doubt = position < mailbox.doubt_end
                ledger.write([sent(number, (mailbox.mailbox, [Attempt(position, in_doubt=doubt)]))], NOW)
                ledger.write([ended(number), settled(position, number)], NOW)


def lost(head: Path, number: int = 1) -> losing.LostShard:
    """Take a shard for lost."""
    with HeadLedger.open(head) as opened_head:
        return lose(opened_head, number, 1, head.with_name("shards"), FACTS, LIMITS, utc)


def test_what_the_copy_knows_is_kept_and_the_rest_is_in_doubt(head: Path) -> None:
    """Of a generation with a purged, a returned and a flying row: 39 rows again, all in doubt, blocked, with full windows."""
    shard = shards_of(head)[1]
    begin(shard)
    elsewhere = head.with_name("elsewhere")
    shutil.copytree(shard, elsewhere)
    assert lost(head) == losing.LostShard(1, 1, 39)
    with open_ledger(shard, None) as ledger:
        found = opened(ledger, now=FENCED_MS + 1_000)
        assert ledger.counts().in_doubt == 39
        assert ledger.counts().waiting == 0
        assert ledger.mark is not None
        assert ledger.mark.generation == 2
        for mailbox in found:
            assert mailbox.blocked_for_s == pytest.approx(39.0), (
                "calls of the lost generation may run for the whole quarantine"
            )
            assert sum(rows for _, rows in mailbox.recent) >= LIMITS.mailbox_requests, "the window is full"
            assert mailbox.doubt_end == mailbox.end
    check(head)
    with HeadLedger.open(head) as opened_head, pytest.raises(LedgerMismatch, match="of no account"):
        collect(opened_head, elsewhere)
    with ShardedPurge.open([head, *shards_of(head)]) as whole:  # type: ignore[union-attr]
        counts = whole.counts(whole.standings())
        assert (counts.waiting, counts.in_doubt, counts.outcomes[Outcome.PURGED]) == (80, 39, 1)


def test_all_shards_end_in_one_ledger_after_a_loss(head: Path) -> None:
    """Every row has its outcome once, and the head passes its own check."""
    for shard in shards_of(head):
        begin(shard)
    lost(head)
    lost_again(head)
    finish(head)


def lost_again(head: Path) -> None:
    """Lose the second generation, too, after it has settled a row."""
    shard = shards_of(head)[1]
    begin(shard)
    with HeadLedger.open(head) as opened_head:
        found = lose(opened_head, 1, 2, head.with_name("shards"), FACTS, LIMITS, utc)
    assert found == losing.LostShard(1, 1, 38)


def finish(head: Path) -> None:
    """Settle and collect everything, and look at the rows."""
    for shard in shards_of(head):
        settle(shard)
        with HeadLedger.open(head) as opened_head:
            collect(opened_head, shard)
    check(head)
    with LedgerReader.open(head) as reader:
        contacts: Counter[str] = Counter()
        for batch in reader.rows(columns=("contact", "outcome")):
            contacts.update(zip(*(batch.column(name).to_pylist() for name in ("contact", "outcome")), strict=True))
    assert contacts == Counter((row[2], "purged") for row in ROWS)


def test_without_a_copy_all_rows_are_run_again(head: Path) -> None:
    """The folder is gone: the head knows which mailboxes no other shard has."""
    shutil.rmtree(shards_of(head)[1])
    assert lost(head) == losing.LostShard(1, 0, 40)
    with open_ledger(shards_of(head)[1], None) as ledger:
        assert ledger.counts().in_doubt == 40
    finish(head)


def test_rows_of_a_copy_cannot_be_taken_back_while_its_ledger_is_elsewhere(head: Path) -> None:
    """``shard collect --unfinished`` would let two ledgers send the same rows."""
    with HeadLedger.open(head) as opened_head:
        known = opened_head.cut()
        assert known is not None
        file = CoordinatorFile(head.with_name("shards"), known)
        file.write(HeadRecord(1, {0: ShardRecord(), 1: ShardRecord(epoch=1, disk="d1", run="r", begun=True)}))
        with pytest.raises(UsageProblem, match="is a copy"):
            collect(opened_head, shards_of(head)[1], unfinished=True)
        assert collect(opened_head, shards_of(head)[0], unfinished=True).left == 40


def test_a_copy_without_open_rows_counts_as_collected(head: Path) -> None:
    """The last copy was complete: nothing is run again."""
    settle(shards_of(head)[1])
    assert lost(head) == losing.LostShard(1, 40, 0)
    with HeadLedger.open(head) as opened_head:
        known = opened_head.cut()
    assert known is not None
    assert known.out == [0, 2]
    check(head)


def test_a_loss_that_is_interrupted_anywhere_goes_on(head: Path, tmp_path: Path) -> None:
    """Whatever line the process dies at, the same call ends with the same shard."""
    begin(shards_of(head)[1])

    def fresh(name: str) -> Path:
        shutil.copytree(head, tmp_path / name / "head")
        shutil.copytree(head.with_name("shards"), tmp_path / name / "shards")
        return tmp_path / name / "head"

    lines = lines_of(lambda: lost(fresh("first")), [losing])
    assert len(lines) > 30
    for number, line in enumerate(some_of(lines)):
        copy = fresh(str(number))
        assert die_at(lambda: lost(copy), [losing], line)  # noqa: B023
        lost(copy)
        with open_ledger(shards_of(copy)[1], None) as ledger:
            assert ledger.counts().in_doubt == 39
        with HeadLedger.open(copy) as opened_head:
            known = opened_head.cut()
        assert known is not None
        assert known.generation(1) == 2
        assert {path.name for path in copy.with_name("shards").iterdir()} == {f"shard-0{n}" for n in range(3)}
