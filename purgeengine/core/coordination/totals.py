"""Adds up the figures of all runs of a purge, and stops all of them at a threshold or if something looks wrong."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial, reduce
from operator import add

from purgeengine.core.policy.auto_stop import AutoStop, FailureThreshold
from purgeengine.core.policy.run_figures import RunFigures, StopFigures


class Totals:
    """The figures of all runs. Each run tells all of its figures again and again, and only its latest count."""

    def __init__(self, threshold: FailureThreshold | None = None, auto_stop: AutoStop | None = None) -> None:
        self._threshold = threshold
        self._auto_stop = auto_stop
        self._figures: dict[tuple[int, str], RunFigures] = {}
        self._weighed: dict[tuple[int, str], StopFigures] = {}

    @property
    def figures(self) -> RunFigures:
        """All runs together."""
        return reduce(add, self._figures.values(), RunFigures())

    def take(self, shard: int, run: str, figures: RunFigures, stop: StopFigures) -> str | None:
        """Take the figures of a run, newer than all that were taken of it. Return why all runs must stop, or None."""
        key = (shard, run)
        self._figures[key] = figures
        before = self._weighed.get(key, StopFigures())
        self._weighed[key] = stop
        reason = None if self._threshold is None else self.figures.crossed(self._threshold)
        if reason is None and self._auto_stop is not None and stop != before:
            reason = self._auto_stop.weigh(stop.since(before, partial(_of_shard, shard)))
        return reason

    def ended(self, shard: int, run: str) -> None:
        """Take in that a run has ended: it settles no more rows a second, and its end is known."""
        key = (shard, run)
        if key in self._figures:
            self._figures[key] = self._figures[key].ended()


def _of_shard(shard: int, mailbox: Hashable) -> Hashable:
    """Return a name of a mailbox that holds over all shards."""
    return shard, mailbox
