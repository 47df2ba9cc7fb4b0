"""How long to wait after a failure, and when to give up. The strategies are tenacity's; nothing here sleeps.

A strategy is evaluated only after a failure, because one evaluation costs some microseconds. The scheduler adds the seconds to
the time and gets an instant. The jitter is drawn from the generator that is handed in, so that the same seed repeats a run.
"""

from __future__ import annotations

import random
from typing import Any

from tenacity import Future, RetryCallState
from tenacity.stop import stop_after_attempt, stop_base
from tenacity.wait import wait_base, wait_chain, wait_exponential, wait_fixed

from purgeengine.core.model import Reply
from purgeengine.run_limits import Limits

SHORTEST_S = 0.5
"""Our own wait after a first failure is at most this many seconds if the reply asks for a wait."""
ITEM_WAITS_S = (0.5, 0.5, 1.0, 2.0, 8.0, 30.0, 60.0)
"""Seconds that a row waits after each fault. Half of it to all of it is used, by chance. Most rows fail once or twice only, and
the run ends with the last of them. The later waits are long, so that the attempts of a row outlast a trouble of minutes."""
LOST_WAITS_S = (0.5, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The same for a row whose whole call failed. That says little about the row, and the circuit breaker waits out an outage."""
PATIENT_ROW_SENDS = 4
"""Sendings after which a row that is refused as too fast waits longer than its mailbox."""


class wait_at_least_retry_after(wait_base):
    """The longer of two waits: the one that the reply asks for, and our own.

    A service that answers a wait of 0, or a time in the past, would otherwise be asked without a pause. After the first failure
    our own wait is cut to `SHORTEST_S`, so that a short wait that Graph asked for, and that cures the trouble, is not made long.
    """

    def __init__(self, own: wait_base) -> None:
        self._own = own

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the wait in seconds."""
        reply = retry_state.outcome.result() if retry_state.outcome else None
        own_s = self._own(retry_state)
        if not isinstance(reply, Reply) or reply.retry_after_s is None:
            return own_s
        if retry_state.attempt_number == 1:
            own_s = min(own_s, SHORTEST_S)
        return max(reply.retry_after_s, own_s)


class wait_seeded_jitter(wait_base):
    """Between half of another wait and all of it, drawn from our own generator; tenacity's jitter uses the global one."""

    def __init__(self, inner: wait_base, rng: random.Random) -> None:
        self._inner = inner
        self._rng = rng

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the wait in seconds."""
        return self._inner(retry_state) * self._rng.uniform(0.5, 1.0)


class Backoff:
    """Every wait of the scheduler after a failure, in seconds, and the most attempts of a row.

    ``failures``, ``refusals`` and ``times`` count from 1 and lengthen the wait. The wait is never shorter than the reply asks
    for.
    """

    def __init__(self, limits: Limits, rng: random.Random) -> None:
        def patient(growing: wait_base) -> wait_base:
            return wait_at_least_retry_after(wait_seeded_jitter(growing, rng))

        def exponential(first_s: float, longest_s: float) -> wait_base:
            return patient(wait_exponential(multiplier=first_s, max=min(longest_s, limits.own_wait_s_max)))

        def chain(waits_s: tuple[float, ...]) -> wait_base:
            return patient(wait_chain(*(wait_fixed(min(wait_s, limits.own_wait_s_max)) for wait_s in waits_s)))

        self._item = chain(ITEM_WAITS_S)
        self._lost = chain(LOST_WAITS_S)
        self._throttled = exponential(1.0, 120.0)
        self._call = exponential(1.0, 60.0)
        self._held_back = exponential(120.0, 1800.0)
        self._fault_stop: stop_base = stop_after_attempt(limits.attempts_max)
        self._unclear_stop: stop_base = stop_after_attempt(limits.unclear_attempts_max)
        self._sends_max = limits.sends_max

    def item_wait_s(self, failures: int, reply: Reply) -> float:
        """Return the wait of a row after a fault or an unclear answer."""
        return _seconds(self._item, failures, reply)

    def lost_wait_s(self, failures: int, reply: Reply) -> float:
        """Return the wait of a row whose whole call failed."""
        return _seconds(self._lost, failures, reply)

    def throttled_wait_s(self, refusals: int, reply: Reply) -> float:
        """Return the wait of a mailbox after a 429. ``refusals`` counts its refusals in a row, without a success between them."""
        return _seconds(self._throttled, refusals, reply)

    def throttled_row_wait_s(self, sends: int) -> float:
        """Return the wait of a row after a 429. ``sends`` counts its sendings.

        It is 0 for the first `PATIENT_ROW_SENDS` sendings, then it grows. Other rows of the mailbox may leave meanwhile.
        """
        return _seconds(self._item, sends - PATIENT_ROW_SENDS, Reply(429)) if sends > PATIENT_ROW_SENDS else 0.0

    def call_wait_s(self, failures: int, reply: Reply) -> float:
        """Return the wait of the whole run after a failed call."""
        return _seconds(self._call, failures, reply)

    def held_back_wait_s(self, times: int, reply: Reply) -> float:
        """Return the wait of a mailbox that is being moved or is in quarantine at Microsoft, which takes hours."""
        return _seconds(self._held_back, times, reply)

    def gives_up(self, failures: int, sends: int, *, unclear: bool) -> bool:
        """Return True if a row has used up its attempts: counted failures of one cause, or sendings of any cause."""
        if sends >= self._sends_max:
            return True
        stop = self._unclear_stop if unclear else self._fault_stop
        return bool(_ask(stop, failures, Reply(0)))


def _seconds(strategy: wait_base, attempt_number: int, reply: Reply) -> float:
    return float(_ask(strategy, attempt_number, reply))


def _ask(strategy: Any, attempt_number: int, reply: Reply) -> Any:
    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = max(1, attempt_number)
    state.outcome = Future.construct(state.attempt_number, reply, has_exception=False)
    return strategy(state)
