"""The request window of one mailbox: at most ``limit`` requests in any ``length_s`` seconds, as the *service* counts them.

Graph allows 10,000 requests in 10 minutes for an app and a mailbox (throttling-limits). A request counts from the moment it
leaves. Its time in the window starts only with the answer, because the service has certainly seen it by then. If its time started
when it was sent, the last rows of a slow batch could exceed the limit.
"""

from __future__ import annotations

from collections import deque
from math import inf

BUCKET_S = 1.0
"""Requests are counted by the second, so that a mailbox has at most ``length_s`` buckets."""


class Window:
    """Counts the requests that a mailbox got lately. Allows all of the limit, and never one request more.

    Instants are monotonic seconds.
    """

    __slots__ = ("_in_flight", "_length_s", "_limit", "_seen", "_total")

    def __init__(self, limit: int, length_s: float) -> None:
        self._limit = limit
        self._length_s = length_s
        self._seen: deque[tuple[int, int]] = deque()  # (second, requests), the oldest first
        self._in_flight = 0
        self._total = 0

    def room(self, now: float) -> int:
        """Return how many requests may leave now."""
        while self._seen and self._leaves_at(self._seen[0][0]) <= now:
            self._total -= self._seen.popleft()[1]
        return self._limit - self._total

    def opens_at(self, now: float) -> float:
        """Return when the next request may leave: ``now``, a later instant, or `inf` if an answer must come first."""
        if self._total < self._limit or self.room(now) > 0:  # time only makes more room
            return now
        return self._leaves_at(self._seen[0][0]) if self._seen else inf

    def carries_at(self, requests: int, now: float) -> float:
        """Return the earliest instant at which ``requests`` further requests can all have left.

        That is ``now`` if there is room for all of them. Requests in flight are counted as if they were answered now.
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
        """Count ``requests`` that are leaving. The caller has asked `room` first."""
        self._total += requests
        self._in_flight += requests
        assert self._total <= self._limit, f"{self._total} requests where {self._limit} may be"

    def answered(self, requests: int, at: float) -> None:
        """Record that the service has seen ``requests`` at ``at`` at the latest. For a lost call ``at`` may be in the future."""
        self._land(requests)
        self._remember(requests, at)

    def never_arrived(self, requests: int) -> None:
        """Give back ``requests`` that did not reach the mailbox."""
        self._land(requests)
        self._total -= requests

    def restore(self, requests: int, at: float) -> None:
        """Count ``requests`` that another process sent until ``at``. They may exceed the limit if that process did."""
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
