"""Cut a list into shards and collect them: time and peak memory of each step, in a process of its own.

    python -m benchmarks.sharding                               # 1,000,000 rows in 5,000 mailboxes, 8 shards
    python -m benchmarks.sharding --rows 10000000 --shards 16

The shards are settled without a network: what a run records is written as a run writes it, four rows of five mailboxes in a call.
The ratios compare with staging the same list, which one run has to do as well. Needs a POSIX system.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from purgeengine.core.messages import BatchEnded, BatchSent, Settled
from purgeengine.core.model import FirstAttempts, MailboxShare, Outcome, Reply
from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.edges.ledger.sharding.collecting import collect
from purgeengine.edges.ledger.sharding.cutting import cut, shard_name
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.memory import lean_memory
from purgeengine.run_limits import Limits

ROWS, MAILBOXES, SHARDS = 1_000_000, 5_000, 8
BATCH_ROWS = 8_192
SHARE_ROWS, SHARES = 4, 5
BATCHES_A_TURN = 50


@dataclass(frozen=True)
class MadeInput:
    """Rows of mailboxes in a shuffled order, with ids of ordinary length. They are made while they are read."""

    rows: int
    mailboxes: int
    files: tuple[Path, ...] = (Path("made.csv"),)
    extra_columns: tuple[str, ...] = ()
    earlier: None = None

    def digest(self) -> str:
        """Return a digest of the arguments."""
        return hashlib.sha256(f"{self.rows} {self.mailboxes}".encode()).hexdigest()

    def batches(self) -> Iterator[Any]:
        """Yield the rows."""
        for start in range(0, self.rows, BATCH_ROWS):
            numbers = range(start, min(self.rows, start + BATCH_ROWS))
            users = [f"user{number * 7_919 % self.mailboxes:06d}@contoso.example" for number in numbers]
            contacts = [f"AAMkAGI2{'T' * 96}{number:012d}=" for number in numbers]
            yield pa.RecordBatch.from_pydict(
                {
                    "row": pa.array(numbers, pa.int64()),
                    "line": pa.array(numbers, pa.int64()),
                    "source": pa.array([0] * len(numbers), pa.int32()),
                    "user": pa.array(users),
                    "folder": pa.array([""] * len(numbers)),
                    "contact": pa.array(contacts),
                    "reason": pa.nulls(len(numbers), pa.string()),
                }
            )


def stage(folder: Path, rows: int, mailboxes: int, _: int) -> None:
    """Stage the list into the head."""
    Ledger.open(folder / "head", MadeInput(rows, mailboxes), tenant_id="t").close()


def make_shards(folder: Path, _: int, __: int, shards: int) -> None:
    """Cut the head."""
    with HeadLedger.open(folder / "head") as head:
        cut(head, shards, folder / "shards", Limits())


def settle_shards(folder: Path, _: int, __: int, shards: int) -> None:
    """Settle every row of every shard as purged."""
    for number in range(shards):
        with Ledger.open(folder / "shards" / shard_name(number, shards), None) as ledger:
            _settle(ledger)


def collect_shards(folder: Path, _: int, __: int, shards: int) -> None:
    """Collect all shards, and check that every row is purged."""
    with HeadLedger.open(folder / "head") as head:
        for number in range(shards):
            collect(head, folder / "shards" / shard_name(number, shards))
    with LedgerReader.open(folder / "head") as reader:
        counts = reader.counts()
    assert counts.outcomes[Outcome.PURGED] == counts.rows, counts


def export_head(folder: Path, _: int, __: int, ___: int) -> None:
    """Read every row of the head with its outcome, as an export does."""
    with LedgerReader.open(folder / "head") as reader:
        for _rows in reader.rows():
            pass


STEPS: dict[str, Callable[[Path, int, int, int], None]] = {
    "stage the head": stage,
    "cut": make_shards,
    "settle the shards": settle_shards,
    "collect": collect_shards,
    "read the head": export_head,
}


def _settle(ledger: Ledger) -> None:
    purged, now_ms = Reply(204), round(time.time() * 1000)
    left = [
        [mailbox.mailbox, mailbox.next, mailbox.end]
        for mailbox in ledger.mailboxes(now_utc_ms=0, cooldown_s=0.0, window_s=0.0)
    ]
    number = ledger.next_batch_number
    while left:
        sent: list[Any] = []
        ends: list[Any] = []
        for _ in range(BATCHES_A_TURN):
            taken = [(one[0], range(one[1], min(one[2], one[1] + SHARE_ROWS)), one) for one in left[:SHARES]]
            if not taken:
                break
            shares = tuple(MailboxShare(mailbox, FirstAttempts(rows)) for mailbox, rows, _ in taken)
            sent.append(BatchSent(number, str(UUID(int=number)), shares))
            ends.append(BatchEnded(number, 200, str(UUID(int=number + 1))))
            ends += [Settled(rows.start, Outcome.PURGED, 1, False, number, purged, len(rows)) for _, rows, _ in taken]
            number += 1
            for _, rows, one in taken:
                one[1] = rows.stop
            left = [one for one in left[:SHARES] if one[1] < one[2]] + left[SHARES:]
        ledger.write(sent, now_ms)
        ledger.write(ends, now_ms + 100)


def _measured(name: str, arguments: tuple[Any, ...], answer: Any) -> None:
    with suppress(Exception):
        lean_memory()
    started = time.perf_counter()
    STEPS[name](*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer.send((time.perf_counter() - started, peak / 1024 / (1024 if sys.platform == "darwin" else 1)))


def main() -> None:
    """Measure all steps, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--mailboxes", type=int, default=MAILBOXES)
    parser.add_argument("--shards", type=int, default=SHARDS)
    options = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="sharding-") as scratch:
        first_s = 0.0
        print(f"{options.rows:,} rows in {options.mailboxes:,} mailboxes, {options.shards} shards\n")
        print("| step | seconds | times staging | peak MiB |\n|---|---|---|---|")
        for name in STEPS:
            ours, theirs = processes.Pipe(duplex=False)
            arguments = (Path(scratch), options.rows, options.mailboxes, options.shards)
            process = processes.Process(target=_measured, args=(name, arguments, theirs))
            process.start()
            theirs.close()
            took_s, peak_mib = ours.recv()
            process.join()
            first_s = first_s or took_s
            print(f"| {name} | {took_s:.1f} | {took_s / first_s:.2f} | {peak_mib:.0f} |", flush=True)


if __name__ == "__main__":
    main()
