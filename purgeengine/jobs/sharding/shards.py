"""Cut a purge into shards, and collect them. What is checked and asked before a purge is checked and asked before its cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from purgeengine.core.graph.text import printable
from purgeengine.core.sharding.shares import equal_shares
from purgeengine.edges.ledger.running.shard_events import sharding_of
from purgeengine.edges.ledger.sharding.collecting import ShardResult, collect, refuse_twice
from purgeengine.edges.ledger.sharding.cutting import cut, release, shard_name
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store.storage import DATABASE
from purgeengine.errors import PurgeEngineError, UsageProblem
from purgeengine.jobs.purge_steps import prepared_ledger
from purgeengine.words import number

if TYPE_CHECKING:
    from purgeengine.core.graph.operations import Action
    from purgeengine.edges.ledger.running.shard_events import Cut, PlannedShard
    from purgeengine.edges.ledger.views.counts import Counts
    from purgeengine.jobs.callbacks import Callbacks
    from purgeengine.jobs.purge_request import PurgeRequest
    from purgeengine.jobs.request_input import Opener


_SHARD_FOLDER = re.compile(r"shard-\d{2,}")
"""The name of a shard's folder. A script that moves shards may leave other folders beside them."""


class MadeShard(NamedTuple):
    """A shard that was made: its number, its folder, its rows, and its shares of the limits."""

    number: int
    folder: Path
    planned: PlannedShard
    connections: int
    requests_per_s: int


@dataclass(frozen=True, slots=True)
class CutResult:
    """A ledger that was cut, and its shards."""

    head: Path
    cut: Cut
    folder: Path
    before: bool
    """True if an earlier call had made the shards."""

    @property
    def shards(self) -> Iterator[MadeShard]:
        """The shards, by number."""
        connections, rate = (
            equal_shares(total, self.cut.shards) for total in (self.cut.connections, self.cut.requests_per_s)
        )
        for shard, planned in enumerate(self.cut.planned):
            place = self.folder / shard_name(shard, self.cut.shards)
            yield MadeShard(shard, place, planned, connections[shard], rate[shard])


@dataclass(frozen=True, slots=True)
class CollectResult:
    """What became of the folders of a call, and of the ledger that was cut."""

    head: Path
    cut: Cut
    shards: Sequence[ShardResult]
    problems: Sequence[PurgeEngineError]
    """Why some folders were not collected, in the order in which they were named."""
    counts: Counts
    action: Action


def cut_into_shards(
    request: PurgeRequest,
    shards: int,
    folder: Path,
    callbacks: Callbacks,
    open_input: Opener | None = None,
    environment: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] = lambda made, of: None,
) -> CutResult:
    """Stage the input of the request, or take its ledger, and cut what is left to send into shards below ``folder``.

    Everything is checked and confirmed as for `purgeengine.jobs.purge_steps.purge`, and nothing is sent. The same call goes on
    with a cut that was interrupted. Raises what `purge` raises, and `UsageProblem` if so many shards cannot be made, or if shards
    of another cut are out.
    """
    assert request.folder is not None, "the caller has looked"
    head = request.folder
    if head.absolute() == folder.absolute() or head.absolute() in folder.absolute().parents:
        raise UsageProblem(
            f"{folder} lies in the ledger that is cut. Name a folder of its own for the shards. No shard was made."
        )
    if state_of(head) is FolderState.STAGED and sharding_of(head).mark is not None:
        raise UsageProblem(
            f"The ledger in {head} is a shard itself. Cut the ledger that it was cut from, after collecting it. No shard was made."
        )
    with prepared_ledger(request, callbacks, open_input, environment):
        pass  # the cut takes the lock itself
    with HeadLedger.open(head) as opened:
        known = opened.cut()
        before = known is not None and known.made and bool(known.out)
        if known is not None and before:
            _refuse_other_cut(head, known, shards, folder)
            release(known, folder)
            return CutResult(head, known, folder, before=True)
        made = cut(opened, shards, folder, request.limits, on_progress, request.spelling)
    return CutResult(head, made, folder, before=False)


def _refuse_other_cut(head: Path, known: Cut, shards: int, folder: Path) -> None:
    if known.shards != shards or Path(known.folder) != folder.absolute():
        raise UsageProblem(
            f"The ledger in {head} was cut into {number(known.shards)} shards in {printable(known.folder)} before, and not "
            "all of them are collected. Collect them first, with --unfinished those that are not to be finished; then it can be "
            "cut anew. "
            "No shard was made."
        )


def collect_shards(head: Path, folders: Sequence[Path], *, unfinished: bool = False) -> CollectResult:
    """Collect the shards in these folders, or in the folders below them, into the ledger in ``head``.

    A shard that cannot be collected does not keep the others from it. Raises `UsageProblem` if a shard is named twice, and
    `LedgerError` if the head cannot be read or written.
    """
    found: list[ShardResult] = []
    problems: list[PurgeEngineError] = []
    with HeadLedger.open(head) as opened:
        named = shards_below(folders)
        refuse_twice(opened, named)
        for folder in named:
            try:
                found.append(collect(opened, folder, unfinished=unfinished))
            except PurgeEngineError as error:
                problems.append(error)
        known = opened.cut()
        if known is None:
            raise problems[0]
        counts, action = opened.reader.counts(), opened.reader.deletion.action
    return CollectResult(head, known, found, problems, counts, action)


def _is_shard_folder(folder: Path) -> bool:
    return _SHARD_FOLDER.fullmatch(folder.name) is not None and folder.is_dir()


def shards_below(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of shards: those that were named, and those in a folder that a cut made."""
    named: list[Path] = []
    for folder in folders:
        is_ledger = (folder / DATABASE).exists()
        inside = [] if is_ledger or not folder.is_dir() else sorted(filter(_is_shard_folder, folder.iterdir()))
        named += inside or [folder]
    return named
