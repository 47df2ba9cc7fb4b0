"""How many rows went through lately. Instants are monotonic seconds."""

from __future__ import annotations

from collections import deque

LATELY_S = 10.0
"""Seconds for which rows are remembered. Services count in windows that are often longer than this, and rarely longer than a
minute."""
STEP_S = 0.1
"""Seconds that share one entry, which bounds the entries."""


class Throughput:
    """Counts rows over the last `LATELY_S` seconds before `stand`, and all rows after it until `go_on`."""

    def __init__(self, now: float) -> None:
        self._rows: deque[tuple[float, int]] = deque()
        self._from = now
        self._left_out_s = 0.0
        self._stands = False

    def count(self, rows: int, now: float) -> None:
        """Count rows that went through now."""
        counted = self._rows
        if counted and now - counted[-1][0] < STEP_S:
            counted[-1] = (counted[-1][0], counted[-1][1] + rows)
        else:
            counted.append((now, rows))
        while not self._stands and counted[0][0] < now - LATELY_S:
            counted.popleft()

    def stand(self, now: float) -> None:
        """Forget nothing from now on, so that the time without rows counts as well."""
        self._from = max(self._from, now - LATELY_S)
        self._stands = True

    def leave_out(self, for_s: float) -> None:
        """Do not count so many seconds of the time since `stand`."""
        self._left_out_s += for_s

    def go_on(self, now: float) -> None:
        """Count anew from now on."""
        self._left_out_s = 0.0
        self._from = now
        self._stands = False

    def per_s(self, now: float, within_s: float = LATELY_S) -> float:
        """Return the rows per second over the last ``within_s`` seconds, or since `go_on` if that is shorter.

        After `stand`, ``within_s`` is ignored.
        """
        begun = self._from if self._stands else max(self._from, now - within_s)
        return sum(rows for at, rows in self._rows if at >= begun) / max(STEP_S, now - begun - self._left_out_s)
