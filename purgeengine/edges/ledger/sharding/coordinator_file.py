"""The file in which a coordinator records who was given which shard. It lies beside the shards, and is as durable as a ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from purgeengine.core.coordination.plain_form import plain_record, record_of
from purgeengine.core.coordination.shard_record import HeadRecord, ShardRecord
from purgeengine.edges.ledger.running.shard_events import COORDINATOR_FILE, Cut
from purgeengine.edges.ledger.store.storage import durable_file, translated
from purgeengine.errors import LedgerError


class CoordinatorFile:
    """The record of the coordinators of one cut. Whoever uses it holds the lock of the ledger that was cut."""

    def __init__(self, folder: Path, cut: Cut) -> None:
        """``folder`` is that of the shards."""
        self._path = folder / COORDINATOR_FILE
        self._cut = cut

    def read(self) -> HeadRecord | None:
        """Return the record, or None if there is none for this cut. Raises `LedgerError` if it cannot be understood."""
        with translated(f"{self._path} cannot be read"):
            if not self._path.exists():
                return None
            text = self._path.read_bytes()
        try:
            kept = json.loads(text)
            return record_of(kept["record"]) if kept["cut"] == self._cut.id else None
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(
                f"{self._path} is not a record of this version: {error}. Nothing was sent. If no shard was ever given to a "
                "--scheduler, delete the file, run each shard beside it (purgeengine run --ledger), and collect them (purgeengine "
                "shard collect)."
            ) from error

    def left(self) -> HeadRecord:
        """Return what the previous coordinator has left, with the shards marked that are collected."""
        left = self.read() or HeadRecord(0, {})
        shards = {number: left.shards.get(number, ShardRecord()) for number in range(self._cut.shards)}
        shards |= {number: replace(shards[number], done=True) for number in self._cut.collected}
        return HeadRecord(left.term, shards, left.waits)

    def begin(self, left: HeadRecord | None = None) -> HeadRecord:
        """Record a new coordinator, and return what it begins with: what the one before has ``left``."""
        left = left or self.left()
        begun = replace(left, term=left.term + 1)
        self.write(begun)
        return begun

    def write(self, record: HeadRecord) -> None:
        """Make the record durable. Raises `LedgerError` if it cannot be written."""
        text = json.dumps({"cut": self._cut.id, "record": plain_record(record)})
        with translated(f"{self._path} cannot be written"), durable_file(self._path) as file:
            file.write(text.encode())
