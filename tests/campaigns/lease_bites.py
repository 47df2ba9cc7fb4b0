"""Does the judge of shared purges notice mistakes? Puts in one at a time, and counts the seeds until it is found.

``python -m tests.campaigns.lease_bites``
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import click
import pytest

from purgeengine.core.coordination.app_waits import AppWaits
from purgeengine.core.coordination.coordinator import Coordinator
from purgeengine.core.coordination.coordinator_messages import Save
from purgeengine.core.coordination.lease_clock import LeaseClock
from purgeengine.core.coordination.lease_holder import LeaseHolder
from purgeengine.core.coordination.lost_generation import LostGeneration
from purgeengine.core.coordination.quota_book import NO_QUOTA, QuotaBook
from purgeengine.core.coordination.shard_lease import ShardLease
from tests.simulation.leases.plot import drawn
from tests.simulation.leases.world import play

Patch = pytest.MonkeyPatch
MISTAKES: dict[str, Callable[[Patch], None]] = {}


class Found(NamedTuple):
    """After how many seeds a mistake was found (None: not at all), and what the judge said."""

    seeds: int | None
    said: str


def mistake(name: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a mistake under its name."""

    def enter(put_in: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MISTAKES[name] = put_in
        return put_in

    return enter


@mistake("windows are forgotten with a lost disk")
def _forgets_windows(patch: Patch) -> None:
    patch.setattr(LostGeneration, "seen", property(lambda self: (self.settles_utc_ms, 0)))


@mistake("doubt is forgotten with a lost disk")
def _forgets_doubt(patch: Patch) -> None:
    patch.setattr(LostGeneration, "in_doubt", lambda self, *, settled: False)


@mistake("a run goes on when its lease has ended")
def _ignores_lease(patch: Patch) -> None:
    right = LeaseHolder.left_s

    def wrong(self: Any, now: Any) -> float:
        return 60.0 if self.over is None and self.quota != NO_QUOTA else right(self, now)

    patch.setattr(LeaseHolder, "left_s", wrong)


@mistake("a delayed answer extends the lease from its arrival")
def _extends_late(patch: Patch) -> None:
    right = LeaseHolder.heard

    def wrong(self: Any, said: Any) -> Any:
        if hasattr(said, "number") and said.run == self.run and said.number < self._clock.asked:
            said = replace(said, number=self._clock.asked)
        return right(self, said)

    patch.setattr(LeaseHolder, "heard", wrong)


@mistake("the lease counts from when the answer came")
def _counts_from_answer(patch: Patch) -> None:
    right = LeaseClock.left_s
    patch.setattr(LeaseClock, "left_s", lambda self, now: right(self, now) + 60.0)


@mistake("a quota is given before another one is given back")
def _gives_quota_early(patch: Patch) -> None:
    patch.setattr(QuotaBook, "reserved", property(lambda self: NO_QUOTA))


@mistake("what was just granted counts, and not what is still used")
def _believes_grants(patch: Patch) -> None:
    right = QuotaBook.ask

    def wrong(self: Any, holder: int, holds: Any, *, wants: bool) -> Any:
        granted = right(self, holder, holds, wants=wants)
        self._holdings[holder].reserved = granted
        return granted

    patch.setattr(QuotaBook, "ask", wrong)


@mistake("a silent run's quota is free at once")
def _frees_silent(patch: Patch) -> None:
    right = Coordinator._look_at

    def wrong(self: Any, number: int, shard: ShardLease, utc: float) -> None:
        if self._now > shard._heard_at + 10.0:
            self._free(number)
        right(self, number, shard, utc)

    patch.setattr(Coordinator, "_look_at", wrong)


@mistake("a shard is given before its run is fenced")
def _fences_early(patch: Patch) -> None:
    patch.setattr(ShardLease, "fenced_at", property(lambda self: self._heard_at + 10.0))


@mistake("an epoch and its run are told before they are durable")
def _saves_late(patch: Patch) -> None:
    right = Coordinator.handle

    def wrong(self: Any, *events: Any, **when: Any) -> Any:
        return sorted(right(self, *events, **when), key=lambda command: isinstance(command, Save))

    patch.setattr(Coordinator, "handle", wrong)


@mistake("a new coordinator takes for granted that nobody sends")
def _forgets_runs(patch: Patch) -> None:
    patch.setattr(QuotaBook, "find", lambda self, holder: None)


@mistake("a coordinator does not look whether there is another")
def _ignores_term(patch: Patch) -> None:
    right = Coordinator.handle
    patch.setattr(
        Coordinator, "handle", lambda self, *events, term_on_disk, **when: right(self, *events, term_on_disk=0, **when)
    )
    patch.setattr(LeaseHolder, "_term", property(lambda self: -inf, lambda self, term: None), raising=False)


@mistake("a run on another disk may own the epoch")
def _takes_any_disk(patch: Patch) -> None:
    right = ShardLease.belongs_to
    patch.setattr(
        ShardLease, "belongs_to", lambda self, question: right(self, replace(question, disk=str(self.record.disk)))
    )


@mistake("a wait of the app is not passed on")
def _keeps_waits(patch: Patch) -> None:
    patch.setattr(AppWaits, "passed_on", lambda self, run, client_id, heard, now: None)


def bite(name: str, seeds: int) -> Found:
    """Play seeds until something notices the mistake."""
    with pytest.MonkeyPatch.context() as patch:
        MISTAKES[name](patch)
        for seed in range(1, seeds + 1):
            try:
                play(drawn(seed))
            except AssertionError as error:
                return Found(seed, str(error).rsplit("}: ", 1)[-1][:160])
    return Found(None, "")


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=500, show_default=True, help="Seeds for each mistake.")
def main(seeds: int) -> None:
    """Put in each mistake and play seeds until it is found. Exit code 1 if one is not found."""
    found = {name: bite(name, seeds) for name in MISTAKES}
    for name, (seed, said) in found.items():
        click.echo(f"{seed or 'LIVES':>5}  {name}: {said}")
    sys.exit(any(one.seeds is None for one in found.values()))


if __name__ == "__main__":
    main()
