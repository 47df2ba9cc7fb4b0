"""The objects of ``shard cut`` and ``shard collect``, and how ``status`` tells a shard."""

from __future__ import annotations

from typing import Literal

import msgspec

from purgeengine.json_output.envelope import Error, Output
from purgeengine.json_output.shared import Outcomes


class ShownShard(msgspec.Struct, frozen=True, kw_only=True):
    """A shard of a ledger that was cut."""

    number: int
    """Its number, from 0."""
    ledger: str | None
    """Its folder. Null if that was not named."""
    rows: int
    """Its rows."""
    state: Literal["collected", "finished", "running", "unfinished", "not_named"]
    """``collected``: the ledger that was cut has its records. ``finished``: every row has its outcome. ``running``: a run is going
    on. ``unfinished``: rows are left, and no run is going on. ``not_named``: what became of its rows is not counted."""
    waiting: int | None
    """Its rows that are still to be sent. Null if its folder was not named, or if it was collected."""
    in_doubt: int | None
    """Its rows that were sent and whose answer is unknown. Null if its folder was not named, or if it was collected."""


class CutShard(msgspec.Struct, frozen=True, kw_only=True):
    """A shard that was made."""

    number: int
    """Its number, from 0."""
    ledger: str
    """Its folder, as it was made. It may be moved."""
    rows: int
    """Its rows."""
    in_doubt: int
    """Those of its rows that an earlier run sent and that have no answer."""
    mailboxes: int
    """Its mailboxes."""
    connections: int
    """Its share of the connections."""
    requests_per_s: int
    """Its share of the rate."""


class ShardCutOutput(Output, frozen=True, kw_only=True):
    """The shards of a ledger."""

    ledger: str
    """The folder of the ledger that was cut."""
    made_before: bool
    """True if an earlier call had made the shards, and this one only told them."""
    rows: int
    """The rows of all shards."""
    made_shards: list[CutShard]
    """The shards, by number."""


class ShardFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A shard that was named and is collected."""

    number: int
    """Its number, from 0."""
    ledger: str
    """Its folder."""
    rows: int
    """Its rows."""
    left: int
    """Its rows without an outcome, which the ledger that was cut has back."""
    collected_before: bool
    """True if an earlier call had collected it."""


class ShardCollectOutput(Output, frozen=True, kw_only=True):
    """What was collected, and what the ledger that was cut holds now."""

    ledger: str
    """The folder of the ledger that was cut."""
    shards_in_all: int
    """The shards of the cut."""
    collected: list[ShardFolder]
    """The named shards that are collected."""
    missing: list[int]
    """The numbers of the shards that are not collected."""
    problems: list[Error]
    """Why some of the named folders were not collected."""
    rows: int
    """All rows of the ledger that was cut."""
    outcomes: Outcomes
    """Its rows by outcome."""
    waiting: int
    """Its rows that are still to be sent, those of the shards that are not collected included."""
    in_doubt: int
    """Its rows that were sent and whose answer is unknown."""
    complete: bool
    """True if every row has its outcome."""
