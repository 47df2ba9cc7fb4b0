"""Cutting and collecting in processes of their own, killed at any moment (SIGKILL) and given again until they end."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from uuid import UUID

from purgeengine.core.messages import BatchSent
from purgeengine.core.model import FirstAttempts, MailboxShare, Outcome
from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.sharding.cutting import shard_name
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, opened, settled

SUMMARY = "Killed cuts and collects: each row in one shard, and every record of every shard in the head, once."
SEEDS_PER_CHUNK = 1
ROWS = 20_000
TRIES_MAX = 40
"""After so many kills a call is left to end by itself."""
AWAITED_S = 0.4
"""The longest time in seconds before a kill, from the moment at which all is imported. About half of the calls end before."""
_CUT = """
from pathlib import Path
from purgeengine.edges.ledger.sharding.cutting import cut
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.run_limits import Limits
print("ready", flush=True)
with HeadLedger.open(Path("head")) as head:
    cut(head, {shards}, Path("shards"), Limits())
"""
_COLLECT = """
from pathlib import Path
from purgeengine.edges.ledger.sharding.collecting import collect
from purgeengine.edges.ledger.sharding.head import HeadLedger
print("ready", flush=True)
with HeadLedger.open(Path("head")) as head:
    for folder in sorted(Path("shards").glob("shard-*")):
        collect(head, folder)
"""


def case(seed: int) -> Counter[str]:
    """Play one cut and one collect. Raises AssertionError if a row is in two shards or none, or if a record is lost or doubled."""
    draw = random.Random(seed)
    mailboxes, shards = draw.randint(20, 600), draw.randint(2, 6)
    found = Counter(cuts=1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = [(f"m{row * 7_919 % mailboxes}@c.example", "", f"c-{row}") for row in range(ROWS)]
        open_ledger(folder / "head", FakeSource(rows)).close()
        found["kills"] += _until_done(folder, _CUT.format(shards=shards), draw, named_only_when_made)
        places = [folder / "shards" / shard_name(number, shards) for number in range(shards)]
        origins: Counter[str] = Counter()
        calls = 0
        for place in places:
            with LedgerReader.open(place) as reader:
                for batch in reader.rows(columns=("origin_row",)):
                    origins.update(batch.column(0).to_pylist())
            calls += settle(place)
        assert len(origins) == origins.total() == ROWS, "a row is in two shards, or in none"
        found["kills"] += _until_done(folder, _COLLECT, draw, whole_shards_only)
        with LedgerReader.open(folder / "head") as reader:
            counts = reader.counts()
            assert counts.outcomes[Outcome.PURGED] == ROWS, counts
            assert reader.batches().calls == calls, "calls of a shard are there twice, or not at all"
    return found


def settle(place: Path) -> int:
    """Settle every row of a shard, and return the number of calls."""
    with open_ledger(place, None) as ledger:
        for mailbox in opened(ledger):
            number, rows = ledger.next_batch_number, range(mailbox.next, mailbox.end)
            share = MailboxShare(mailbox.mailbox, FirstAttempts(rows))
            ledger.write([BatchSent(number, str(UUID(int=number)), (share,))], NOW)
            ledger.write([ended(number), *(settled(position, number) for position in rows)], NOW)
    with LedgerReader.open(place) as reader:
        return reader.batches().calls


def named_only_when_made(folder: Path) -> None:
    """A shard has its name only if the head knows that all were made."""
    named = [place for place in (folder / "shards").glob("shard-*") if not place.suffix]
    with LedgerReader.open(folder / "head") as reader:
        known = reader.cut()
    assert not named or (known is not None and known.made), "a shard was released too early"


def whole_shards_only(folder: Path) -> None:
    """The settled rows are those of the collected shards."""
    with LedgerReader.open(folder / "head") as reader:
        known, counts = reader.cut(), reader.counts()
    assert known is not None
    expected = sum(known.planned[number].rows for number in known.collected)
    assert counts.outcomes[Outcome.PURGED] == expected, "a shard was collected in part"


def _until_done(folder: Path, program: str, draw: random.Random, check: object) -> int:
    """Call a program until it has ended by itself. Return how often it was killed."""
    assert callable(check)
    for kills in range(TRIES_MAX + 1):
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        try:
            _, said = process.communicate(timeout=None if kills == TRIES_MAX else draw.uniform(0.0, AWAITED_S))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            check(folder)
            continue
        assert process.returncode == 0, said
        return kills
    raise AssertionError("the last call has no time-out")
