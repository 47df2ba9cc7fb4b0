"""Deal mailboxes out to shards, so that the shards end at about the same time.

A mailbox is never divided: Graph's limits for a mailbox hold for the app, wherever its calls come from. So two things bound the
time of a shard (`purgeengine.core.forecast.bound`). Its rows together need its connections and its share of the app's rate. Its
largest mailbox needs its four slots and its request windows, however little else there is. No schedule is quicker than the greater
of the two, and a good one needs no more than their sum (Graham 1966). The sum is what is balanced here: by the greater one alone,
all small mailboxes would go to the shard whose largest one is a little smaller.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from heapq import heapreplace

from purgeengine.core.forecast.bound import window_s
from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.shapes import CallKinds, shape_menu
from purgeengine.run_limits import Limits


def balanced(rows_by_mailbox: Sequence[int], shards: int, limits: Limits) -> array[int]:
    """Return the shard of each mailbox, from 0. ``limits`` are those of one shard.

    The largest mailbox comes first, and each goes to the shard that has the least to do so far. Equal mailboxes are dealt out in
    their order. The same arguments give the same result. Every shard gets a mailbox if there are enough of them.
    """
    menu = shape_menu(CallTimes(limits.batch_items_max), CallKinds("four", lanes=True), limits)
    row_s = max(menu.cheapest.connection_s / limits.connections, 1 / limits.requests_per_s)
    shard_of = array("l", bytes(array("l").itemsize * len(rows_by_mailbox)))
    heap = [(0.0, 0.0, shard) for shard in range(shards)]
    for mailbox in sorted(range(len(rows_by_mailbox)), key=lambda mailbox: -rows_by_mailbox[mailbox]):
        rows = rows_by_mailbox[mailbox]
        load_s, alone_s, shard = heap[0]
        shard_of[mailbox] = shard
        together_s = load_s - alone_s + rows * row_s
        alone_s = max(alone_s, window_s(rows, limits, menu.item_s) if rows else 0.0)
        heapreplace(heap, (together_s + alone_s, alone_s, shard))
    return shard_of
