"""The sliding window of one mailbox: so many requests in so many seconds, as the *service* counts them.

Requests count from the moment they leave, but their time in the window starts only when the service can have seen the last of
them, that is with the answer. Counting from the sending would let the last rows of a slow batch overrun the limit.
"""

from __future__ import annotations

from collections import deque
from math import inf

BUCKET_S = 1.0
"""Requests are remembered by the second: at most ``length_s`` buckets a mailbox."""


class Window:
    """Counts what a mailbox has been asked lately. Spends all of the limit and not one more."""

    __slots__ = ("_in_flight", "_length_s", "_limit", "_seen", "_total")

    def __init__(self, limit: int, length_s: float) -> None:
        self._limit = limit
        self._length_s = length_s
        self._seen: deque[tuple[int, int]] = deque()  # (second, requests), oldest first
        self._in_flight = 0
        self._total = 0

    def room(self, now: float) -> int:
        """Requests that may leave now."""
        while self._seen and self._leaves_at(self._seen[0][0]) <= now:
            self._total -= self._seen.popleft()[1]
        return self._limit - self._total

    def opens_at(self, now: float) -> float:
        """When the next request may leave: now, later, or infinity when an answer must come first."""
        if self._total < self._limit or self.room(now) > 0:  # what leaves the window only makes more room
            return now
        return self._leaves_at(self._seen[0][0]) if self._seen else inf

    def carries_at(self, requests: int, now: float) -> float:
        """The earliest time at which all of these further ``requests`` can have left, in seconds of the same clock as ``now``.

        Requests in flight are counted as if they were answered now. ``now`` itself where there is room for all of them.
        """
        over = requests - self.room(now)
        if requests <= 0 or over <= 0:
            return now
        turns, ahead = divmod(over - 1, self._limit)
        for bucket, seen in self._seen:
            ahead -= seen
            if ahead < 0:
                return self._leaves_at(bucket) + turns * self._length_s
        return now + (turns + 1) * self._length_s

    def sent(self, requests: int) -> None:
        """Requests are leaving; the caller asked for room first."""
        self._total += requests
        self._in_flight += requests
        assert self._total <= self._limit, f"{self._total} requests where {self._limit} may be"

    def answered(self, requests: int, at: float) -> None:
        """The service has seen these for the last time at ``at``, which may lie ahead for a lost call."""
        self._land(requests)
        self._remember(requests, at)

    def never_arrived(self, requests: int) -> None:
        """These did not reach the mailbox and are given back."""
        self._land(requests)
        self._total -= requests

    def restore(self, requests: int, at: float) -> None:
        """Count requests that another process sent; they may exceed the limit if it did."""
        self._total += requests
        self._remember(requests, at)

    def _land(self, requests: int) -> None:
        self._in_flight -= requests
        assert self._in_flight >= 0, "more answers than requests"

    def _leaves_at(self, bucket: int) -> float:
        return (bucket + 1) * BUCKET_S + self._length_s

    def _remember(self, requests: int, at: float) -> None:
        bucket = int(at / BUCKET_S)
        if self._seen and self._seen[-1][0] >= bucket:
            last, count = self._seen.pop()
            self._seen.append((last, count + requests))
        else:
            self._seen.append((bucket, requests))
