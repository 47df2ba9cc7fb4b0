"""What the coordinator's process needs of the place where the shards are run: on this machine, or on the disks of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from purgeengine.core.coordination.coordinator_messages import Collect, CoordinatorEvent, Give, Redo
from purgeengine.core.coordination.lease_messages import Tenure
from purgeengine.core.coordination.shard_lease import LeaseTimes
from purgeengine.core.coordination.shard_record import ShardRecord
from purgeengine.edges.cluster import WorkerCluster
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.jobs.coordination.shard_task import ShardReturn, ShardTask
from purgeengine.jobs.purge_request import PurgeRequest

Records = Mapping[int, ShardRecord]
"""How the shards stand, by number."""


@dataclass(frozen=True, slots=True)
class SharedWork:
    """What is purged, from which ledger, and by whom. ``folders`` are those of the shards at home, by number."""

    head: HeadLedger
    purge: str
    """Names the purge: the identity of the cut."""
    folders: Mapping[int, Path]
    cluster: WorkerCluster
    request: PurgeRequest
    """Without its input, and with the limits of all workers together."""
    times: LeaseTimes

    def task(self, folder: Path, tenure: Tenure, disk: str) -> ShardTask:
        """Return what a worker is asked to do."""
        return ShardTask(self.request, folder, self.purge, tenure, disk, self.times)

    def key(self, tenure: Tenure, term: int) -> str:
        """Return the key of the task of a run. Dask takes two tasks with one key for one."""
        return f"{self.purge[:12]}-shard-{tenure.shard}-e{tenure.epoch}-t{term}"


class ShardHost(Protocol):
    """Carries out what the coordinator decides, and tells what happens. It is used by one thread."""

    @property
    def returns(self) -> Sequence[ShardReturn]:
        """What the runs returned, in the order in which they ended."""

    @property
    def workers(self) -> int:
        """How many workers were there at the last look."""

    @property
    def given(self) -> int:
        """How many runs are waited for."""

    def begin(self, wake: Callable[[], None]) -> None:
        """Begin. ``wake`` is called in any thread when something has happened."""

    def happened(self, records: Records) -> list[CoordinatorEvent]:
        """Return what has happened since the last call."""

    def look(self, records: Records) -> list[CoordinatorEvent]:
        """Return what must be looked up, because nobody reports it: which workers are there."""

    def give(self, command: Give, term: int) -> None:
        """Start a run."""

    def collect(self, command: Collect) -> None:
        """Begin to merge what a shard recorded into the head. Raises `LedgerError` if the head cannot be written."""

    def redo(self, command: Redo) -> None:
        """Take a lost generation back, and stage the next one. Raises `LedgerError` if the head cannot be written."""

    def close(self) -> None:
        """Wait for nothing more."""
