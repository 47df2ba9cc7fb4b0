"""What the coordinator asks of a worker on another machine, beside running a shard: who it is, and to take and to copy ledgers."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from purgeengine import version
from purgeengine.edges.ledger.sharding.worker_disk import CopyMade, WorkerDisk
from purgeengine.errors import PurgeEngineError
from purgeengine.jobs.coordination.shard_task import ShardReturn, ShardTask, run_shard
from purgeengine.jobs.sign_in import sign_in, tokens_of_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purgeengine.jobs.purge_request import PurgeRequest


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a worker says of itself. ``problem`` is why it cannot purge, as a sentence; None if it can."""

    version: str
    utc: float
    """Its clock, in seconds since 1970."""
    folder: str = ""
    disk: str = ""
    tenant_id: str = ""
    client_id: str = ""
    roles: tuple[str, ...] = ()
    problem: str | None = None


def introduce(request: PurgeRequest) -> Introduction:
    """Sign in with the environment of this worker, and look at its folder."""
    here = WorkerDisk.here()
    found = Introduction(version.__version__, time.time(), str(here.folder))
    try:
        identity = sign_in(tokens_of_environment(request.endpoint()))
        return replace(
            found,
            utc=time.time(),
            disk=here.id,
            tenant_id=str(identity.tenant_id),
            client_id=str(identity.client_id),
            roles=tuple(identity.roles),
        )
    except PurgeEngineError as error:
        return replace(found, problem=str(error))


@dataclass(frozen=True, slots=True)
class ReceivedShard:
    """What a worker has of a shard: all of it, or so many bytes of each file."""

    whole: bool
    files: Mapping[str, int]


def received(name: str) -> ReceivedShard:
    """Say what this worker has of a shard."""
    here = WorkerDisk.here()
    return ReceivedShard(True, {}) if here.has(name) else ReceivedShard(False, here.received(name))


def take_piece(name: str, file: str, offset: int, piece: bytes) -> None:
    """Write a piece of a shard."""
    WorkerDisk.here().take(name, file, offset, piece)


def complete_shard(name: str, files: Mapping[str, tuple[int, int]]) -> bool:
    """Give a shard that was received its name. Return False if it is not what was sent."""
    return WorkerDisk.here().complete(name, files)


def drop_shard(name: str) -> None:
    """Delete a shard whose records are in the head."""
    WorkerDisk.here().drop(name)


def make_copy(name: str, number: int) -> CopyMade:
    """Copy the database of a shard."""
    return WorkerDisk.here().make_copy(name, number)


def read_copy(name: str, number: int, offset: int) -> bytes:
    """Read a piece of a copy."""
    return WorkerDisk.here().read_copy(name, number, offset)


def run_shard_here(task: ShardTask) -> ShardReturn:
    """Run a shard whose ledger is in this worker's folder under the name of the task's folder."""
    return run_shard(replace(task, folder=WorkerDisk.here().shard(Path(task.folder).name)))
