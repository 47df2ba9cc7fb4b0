"""The limit of the whole app: so many requests over all mailboxes in a sliding window. Time is an argument."""

from __future__ import annotations

from collections import deque

from purgeengine.sim.graph.counters import Counters
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import SubResponse, over_app_limit


class AppWindow:
    """Counts the requests of one app, refused ones included."""

    def __init__(self, settings: TenantSettings, counters: Counters) -> None:
        self._window_s = settings.app_window_s
        self._retry_after_s = settings.app_retry_after_s
        self._counters = counters
        self._latest: deque[float] = deque(maxlen=settings.app_requests)

    def allow(self, requests: int | None) -> None:
        """Allow another number of requests in the window from now on; None for any number. What was counted stays counted."""
        self._latest = deque(self._latest, maxlen=requests)

    def admit(self, now: float) -> SubResponse | None:
        """Count a request that arrives now (tenant time). Return the refusal if it is one too many.

        It is one too many exactly if as many as allowed came within the window before it.
        """
        if self._count(now):
            return None
        self._counters.refused_app += 1
        return over_app_limit(self._retry_after_s)

    def note_others(self, now: float, requests: int) -> None:
        """Count requests that another program sends now as the same app."""
        for _ in range(requests):
            self._count(now)

    def _count(self, now: float) -> bool:
        """Count a request, and return True if it is within the limit."""
        latest, most = self._latest, self._latest.maxlen
        if most is None:
            return True
        within = len(latest) < most or latest[0] <= now - self._window_s
        latest.append(now)
        return within
