"""What a ledger records about sharding: that it was cut, that its shards were made, and which of them were collected.

These facts stand in the table ``start`` beside the runs. So they are sealed like them, they are written in the same transaction as
what they tell of, and a ledger has the same tables as ever. The latest cut of a ledger counts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from purgeengine.edges.ledger.store.database import connect_to_read, read_meta
from purgeengine.edges.ledger.store.schema import crc_of
from purgeengine.edges.ledger.store.storage import reading_records

EVENT = "shard_event"
"""The key by which a row of ``start`` is told from a run."""
COORDINATOR_FILE = "coordinator.json"
"""The file beside the shards in which a coordinator records who was given which shard."""
HERE = "here"
"""What that file calls the disk of the shards' folder. A ledger on another disk is the one of which the folder has a copy."""
_CUT, _MADE, _COLLECTED, _CLOSED, _LOST = "cut", "made", "collected", "closed", "lost"


class ShardMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a shard knows about itself, recorded when it is staged."""

    cut: str
    """The identity of the cut."""
    head: str
    """The identity of the ledger that was cut."""
    head_name: str
    """The name of that ledger's folder, for messages."""
    number: int
    """Its number, from 0."""
    shards: int
    """How many shards the cut has."""
    connections: int
    """Its share of the connections."""
    requests_per_s: int
    """Its share of the rate."""
    generation: int = 1
    """2 or more if the disk with the ledger of the generation before was lost."""


class PlannedShard(NamedTuple):
    """What the head knows about a shard. ``places_crc`` tells which rows it has, and in which order."""

    rows: int
    in_doubt: int
    mailboxes: int
    places_crc: int


class CollectedShard(NamedTuple):
    """A shard whose records are in the head. ``left`` of its rows had no outcome then; the head has them back."""

    number: int
    left: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The latest cut of a ledger."""

    id: str
    folder: str
    """The folder of the shards, as an absolute path of the machine that cut."""
    connections: int
    """The connections of all shards together."""
    requests_per_s: int
    """The rate of all shards together."""
    planned: tuple[PlannedShard, ...]
    made: bool = False
    """True once every shard was staged. Only then may any of them be run."""
    collected: Mapping[int, CollectedShard] = field(default_factory=dict)
    generations: Mapping[int, int] = field(default_factory=dict)
    """The generation of each shard of which one was lost. ``planned`` is that of this generation."""

    def generation(self, shard: int) -> int:
        """Return the generation of a shard: 1 if none of it was lost. The ledgers of those before are of no account."""
        return self.generations.get(shard, 1)

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return len(self.planned)

    @property
    def out(self) -> list[int]:
        """The numbers of the shards that are not collected."""
        return [number for number in range(self.shards) if number not in self.collected]


def mark_of(about: Mapping[str, Any]) -> ShardMark | None:
    """Return the mark of a shard from what its ledger recorded about itself. None if the ledger is no shard."""
    kept = about.get("shard")
    return None if kept is None else msgspec.convert(kept, ShardMark)


def cut_of(connection: sqlite3.Connection) -> Cut | None:
    """Return the latest cut of this ledger, or None if it was never cut. Raises ValueError if somebody changed the records."""
    cut: Cut | None = None
    for at_ms, event in _events(connection):
        if event[EVENT] == _CUT:
            planned = tuple(PlannedShard(*map(int, shard)) for shard in event["planned"])
            cut = Cut(event["id"], event["folder"], event["connections"], event["requests_per_s"], planned)
        elif cut is not None and event.get("id") == cut.id:
            if event[EVENT] == _MADE:
                cut = replace(cut, made=True)
            elif event[EVENT] == _COLLECTED:
                shard = CollectedShard(int(event["number"]), int(event["left"]), at_ms)
                cut = replace(cut, collected={**cut.collected, shard.number: shard})
            elif event[EVENT] == _LOST:
                number = int(event["number"])
                replaced = [*cut.planned]
                replaced[number] = PlannedShard(*map(int, event["planned"]))
                generations = {**cut.generations, number: int(event["generation"])}
                cut = replace(cut, planned=tuple(replaced), generations=generations)
    return cut


def cuts_of(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the identities of all cuts of this ledger."""
    return frozenset(event["id"] for _, event in _events(connection) if event[EVENT] == _CUT)


def collected_into(connection: sqlite3.Connection) -> str | None:
    """Return the name of the ledger into which this shard was collected before it was finished. None if it was not."""
    return next((event["head_name"] for _, event in _events(connection) if event[EVENT] == _CLOSED), None)


def highest_epoch(folder: Path) -> int:
    """Return the highest epoch of the runs over this ledger that had a lease; 0 if none had. Raises `LedgerError`."""
    with reading_records(folder), closing(connect_to_read(folder)) as connection:
        found = [json.loads(options) for (options,) in connection.execute("SELECT options FROM start")]
    return max((int(options.get("epoch", 0)) for options in found if EVENT not in options), default=0)


class Sharding(NamedTuple):
    """What a ledger has to do with shards: it was cut, it is a shard, or it is a shard that was collected unfinished."""

    cut: Cut | None
    mark: ShardMark | None
    collected_into: str | None


def sharding_of(folder: Path) -> Sharding:
    """Return what the ledger in ``folder`` has to do with shards. Raises `LedgerError` if it cannot be read."""
    with reading_records(folder), closing(connect_to_read(folder)) as connection:
        return Sharding(cut_of(connection), mark_of(read_meta(connection)), collected_into(connection))


def is_lent(shard: Path, mark: ShardMark) -> bool:
    """Return True if the ledger in this folder is only a copy of one that is, or was last, on the disk of a worker elsewhere.

    That is so, too, if the record of the coordinators is there and nobody can read it.
    """
    try:
        kept = json.loads((shard.absolute().parent / COORDINATOR_FILE).read_bytes())
        if kept["cut"] != mark.cut:
            return False
        record = kept["record"]["shards"][str(mark.number)]
        return not record["done"] and record["disk"] not in (None, HERE)
    except FileNotFoundError:
        return False  # no coordinator has given it to anybody
    except (OSError, ValueError, KeyError, TypeError):
        return True


def keep_cut(connection: sqlite3.Connection, cut: Cut, at_ms: int) -> None:
    """Record a cut that begins."""
    said = {
        EVENT: _CUT,
        "id": cut.id,
        "folder": cut.folder,
        "connections": cut.connections,
        "requests_per_s": cut.requests_per_s,
        "planned": [list(shard) for shard in cut.planned],
    }
    _keep(connection, said, at_ms)


def keep_made(connection: sqlite3.Connection, cut: Cut, at_ms: int) -> None:
    """Record that every shard of the cut was staged."""
    _keep(connection, {EVENT: _MADE, "id": cut.id}, at_ms)


def keep_collected(connection: sqlite3.Connection, cut: Cut, shard: CollectedShard) -> None:
    """Record that a shard was collected, in the transaction that collects it."""
    _keep(connection, {EVENT: _COLLECTED, "id": cut.id, "number": shard.number, "left": shard.left}, shard.at_ms)


def keep_lost(connection: sqlite3.Connection, cut: Cut, number: int, planned: PlannedShard, at_ms: int) -> None:
    """Record that a generation of a shard was lost, and what is planned for the next one, in the transaction that takes it back."""
    generation = cut.generation(number) + 1
    told = {EVENT: _LOST, "id": cut.id, "number": number, "generation": generation, "planned": list(planned)}
    _keep(connection, told, at_ms)


def keep_closed(connection: sqlite3.Connection, mark: ShardMark, at_ms: int) -> None:
    """Record in an unfinished shard that it is being collected. A run over it is refused from then on."""
    _keep(connection, {EVENT: _CLOSED, "id": mark.cut, "head_name": mark.head_name}, at_ms)


def without_events(rows: Sequence[tuple[int, str]]) -> list[tuple[int, dict[str, Any]]]:
    """Return, of the rows of ``start``, those that are runs, with their options."""
    found = [(at_ms, json.loads(options)) for at_ms, options in rows]
    return [(at_ms, options) for at_ms, options in found if EVENT not in options]


def _events(connection: sqlite3.Connection) -> Iterator[tuple[int, dict[str, Any]]]:
    for at_ms, options in connection.execute("SELECT at_ms, options FROM start ORDER BY rowid"):
        if EVENT in options and EVENT in (event := json.loads(options)):
            yield at_ms, event


def _keep(connection: sqlite3.Connection, said: Mapping[str, Any], at_ms: int) -> None:
    text = json.dumps(said)
    connection.execute("INSERT INTO start VALUES (?, ?, ?)", (at_ms, text, crc_of(text)))
