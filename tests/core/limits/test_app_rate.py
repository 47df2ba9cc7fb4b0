"""Tests of the app's rate against small models of a service, which know times and rows and nothing of our code."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest

from purgeengine.core.limits import app_rate
from purgeengine.core.limits.app_rate import AppRate, LearnedRate

CALL_S = 0.3
"""Seconds of a call in these models."""
Service = Callable[[float], bool]
"""Says for a row that comes at a time whether it is taken."""


def window(requests: int, window_s: float, *, refused_count: bool = True) -> Service:
    """A service that takes so many requests in a sliding window."""
    seen: deque[float] = deque()

    def takes(now: float) -> bool:
        while seen and seen[0] <= now - window_s:
            seen.popleft()
        taken = len(seen) < requests
        if taken or refused_count:
            seen.append(now)
        return taken

    return takes


def by_chance(refused: float, seed: int = 1) -> Service:
    """A service that refuses a share of all rows, whatever the rate."""
    rng = Random(seed)
    return lambda now: rng.random() >= refused


class Client:
    """Sends rows of 60 mailboxes in turn, at most ``calls`` batches at once, as the rate allows."""

    def __init__(
        self, service: Service, *, learned: LearnedRate | None = None, mailboxes: int = 60, calls: int = 16
    ) -> None:
        self.rate = AppRate(20, 0.0, learned)
        self.now = 0.0
        self.taken = self.refused = 0
        self.most_at_once = 0
        self.in_flight_max = calls * 20
        self._service = service
        self._mailboxes = mailboxes
        self._calls = calls
        self._next = count()
        self._flying: list[tuple[float, int, float, list[tuple[int, bool]]]] = []

    def send_until(self, end: float, rows: float = float("inf")) -> Client:
        """Go on until this time, or until so many rows were taken in all."""
        rate, order = self.rate, count()
        while self.now < end and self.taken < rows:
            rate.refill(self.now)
            while rate.allowed and len(self._flying) < self._calls:
                size = rate.rows_max
                sent = [(next(self._next) % self._mailboxes, self._service(self.now)) for _ in range(size)]
                rate.spend(size)
                self.most_at_once = max(self.most_at_once, size)
                heappush(self._flying, (self.now + CALL_S, next(order), self.now, sent))
            self.now = min(
                [end, *[one[0] for one in self._flying[:1]], *([rate.allowed_at] if rate.allowed_at > self.now else [])]
            )
            while self._flying and self._flying[0][0] <= self.now:
                self._answer(*heappop(self._flying))
        return self

    def _answer(self, now: float, _: int, sent_at: float, rows: list[tuple[int, bool]]) -> None:
        passed = sum(taken for _, taken in rows)
        self.taken += passed
        self.refused += len(rows) - passed
        refused: dict[int, int] = {}
        for mailbox, taken in rows:
            if not taken:
                refused[mailbox] = refused.get(mailbox, 0) + 1
        self.rate.answered(passed, list(refused.items()), 1.0, sent_at, now)


@pytest.mark.parametrize("refused_count", [True, False])
@pytest.mark.parametrize(("requests", "window_s"), [(100, 5.0), (2_000, 10.0), (20, 10.0), (50, 1.0), (3_000, 60.0)])
def test_a_limit_is_found_and_used(requests: int, window_s: float, refused_count: bool) -> None:
    """Within 1.5 of the least time, and with fewer refusals than rows, whether or not refused requests count."""
    rows = round(requests / window_s * 60) + requests
    client = Client(window(requests, window_s, refused_count=refused_count)).send_until(1_000.0, rows)
    least_s = (rows - requests) / (requests / window_s)
    assert client.now <= 1.5 * (least_s + window_s)
    assert client.refused < rows + client.in_flight_max  # nothing can be known before the first answer
    assert client.rate.per_s is not None


def test_an_attempt_at_a_higher_rate_costs_few_refusals_and_comes_later_each_time() -> None:
    """Once the limit is known, less than a twentieth of all rows is refused."""
    client = Client(window(100, 5.0)).send_until(60.0)
    early = client.refused
    client.send_until(660.0)
    assert client.refused - early < client.taken / 20
    assert client.taken > 0.8 * 20 * 660


def test_a_limit_that_falls_is_followed_down_and_one_that_rises_up() -> None:
    """From 200 rows a second to 20, and back: the new rate is used within one minute on the way down, and two on the way up."""
    high, low = window(1_000, 5.0), window(100, 5.0)
    client = Client(lambda now: low(now) if 60.0 <= now < 180.0 else high(now)).send_until(60.0)
    client.send_until(120.0)
    taken = client.taken
    client.send_until(180.0)
    assert 0.7 * 20 * 60 < client.taken - taken <= 20 * 60 + 100
    client.send_until(300.0)
    taken = client.taken
    client.send_until(340.0)
    assert client.taken - taken > 0.7 * 200 * 40


def test_a_limit_that_goes_away_is_forgotten() -> None:
    """Some minutes after the service takes everything again, nothing is held back."""
    limited = window(100, 5.0)
    client = Client(lambda now: limited(now) if now < 60.0 else True).send_until(60.0)
    assert client.rate.per_s is not None
    assert client.rate.worth_recording(client.now) is not None
    client.send_until(300.0)
    assert client.rate.per_s is None
    assert client.rate.rows_max == 20
    assert client.rate.worth_recording(client.now) == 0.0


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1, 0.3])
def test_rows_refused_by_chance_are_no_limit(share: float) -> None:
    """A share below a half that does not come from the rate never holds a row back."""
    client = Client(by_chance(share)).send_until(60.0)
    assert client.rate.per_s is None
    assert client.taken > 0.9 * (1 - share) * 60 * 16 * 20 / CALL_S


@pytest.mark.parametrize("seed", range(5))
def test_a_limit_that_no_lower_rate_helps_against_is_dropped(seed: int) -> None:
    """Of all rows 60 % are refused by chance: the mistake is seen within two minutes, and rarely made again."""
    client = Client(by_chance(0.6, seed))
    assert any(client.send_until(at).rate.per_s is None for at in range(5, 121, 5))
    client.send_until(600.0)
    assert client.taken > 0.7 * 0.4 * 600 * 16 * 20 / CALL_S


def test_two_mailboxes_are_not_the_app() -> None:
    """However often they are refused, nothing is concluded from fewer than three mailboxes."""
    client = Client(by_chance(1.0), mailboxes=2).send_until(30.0)
    assert client.refused > 1_000
    assert client.rate.per_s is None


def test_a_service_that_takes_nothing_at_all_leaves_the_mailboxes_to_themselves() -> None:
    """While everything is refused, single rows ask, ever more rarely, and after a bounded number of them the limit is dropped."""
    client = Client(by_chance(1.0)).send_until(5.0)
    asked = client.refused
    client.send_until(300.0)
    assert client.rate.rows_max == 1
    assert client.refused - asked <= app_rate.PROBES_MAX
    client.send_until(370.0)
    assert client.rate.per_s is None


def test_a_slow_rate_leaves_in_small_batches() -> None:
    """At 20 rows a second no batch has more than ten rows, so that the limit is not exceeded in bursts."""
    client = Client(window(100, 5.0)).send_until(20.0)
    client.most_at_once = 0
    client.send_until(60.0)
    assert 1 < client.most_at_once <= 10


def test_a_learned_rate_holds_from_the_first_row() -> None:
    """A run that begins with the rate of an earlier run is hardly refused. Nothing is recorded anew."""
    client = Client(window(100, 5.0), learned=LearnedRate(19.0, 5.0))
    assert client.rate.worth_recording(0.0) is None
    client.send_until(60.0)
    assert client.refused <= 60 < Client(window(100, 5.0)).send_until(60.0).refused
    assert client.taken >= 0.8 * 20 * 60


def test_a_learned_rate_is_trusted_less_with_time() -> None:
    """After ten minutes it counts double, and after an hour it is forgotten."""
    fresh, older, oldest = (AppRate(20, 0.0, LearnedRate(100.0, age_s)).per_s for age_s in (0.0, 600.0, 3_600.0))
    assert fresh is not None
    assert older is not None
    assert older == pytest.approx(2 * fresh)
    assert oldest is None


def test_what_is_worth_recording_is_told_once() -> None:
    """A found rate is recorded when it is found, and then only when it has changed by more than a tenth."""
    client = Client(window(100, 5.0))
    assert client.rate.worth_recording(0.0) is None
    client.send_until(8.0)
    told = client.rate.worth_recording(client.now)
    assert told == client.rate.per_s
    assert client.rate.worth_recording(client.now) is None


def test_only_the_app_is_blamed_for_what_left_too_fast() -> None:
    """Refusals of batches that left before the pause are the app's doing; a stray one at a rate that holds is its mailbox's."""
    rate = AppRate(20, 0.0)
    assert rate.answered(20, (), 0.0, 0.0, 0.3) is None
    assert rate.answered(8, [(1, 4), (2, 4), (3, 4)], 1.0, 0.1, 0.4) is None
    assert rate.answered(0, [(4, 10), (5, 10)], 1.0, 0.2, 0.5) == 0.0
    assert rate.answered(0, [(6, 20)], 1.0, 0.4, 0.6) == 0.0
    assert rate.answered(20, (), 0.0, 0.4, 0.6) is None
    rate.refill(1.4)
    assert not rate.allowed
    assert rate.allowed_at == 1.5
    rate.refill(1.5)
    assert rate.allowed
    rate.spend(1)
    assert not rate.allowed
    assert rate.answered(1, (), 0.0, 1.5, 1.8) is None
    assert rate.rows_max > 1
    assert rate.answered(0, [(7, 2)], 1.0, 0.4, 1.9) == 0.0
    assert rate.answered(3, [(8, 1)], 1.0, 2.0, 2.3) is None


def paused(*, passed_s: float = 10.0) -> AppRate:
    """Return a rate that pauses at 10.0 s, after 200 rows a second went through for so long."""
    rate = AppRate(20, 0.0)
    for turn in range(1, round(passed_s * 10) + 1):
        rate.refill(turn / 10)
        rate.answered(20, (), 0.0, turn / 10 - 0.05, turn / 10)
    assert rate.answered(0, [(number, 10) for number in range(30)], 1.0, 9.99, 10.0) == 0.0
    assert rate.rows_max == 1
    return rate


def test_a_mailbox_whose_single_row_was_refused_lets_another_one_try() -> None:
    """It waits for longer than the pause. Nothing is blamed on the app if the mailbox has a cause of its own."""
    rate = paused()
    rate.refill(11.0)
    rate.spend(1)
    waits_s = rate.answered(0, [(1, 1)], 0.0, 11.0, 11.2)
    assert waits_s is not None
    assert 11.2 + waits_s > rate.allowed_at > 11.2
    assert rate.answered(0, (), 0.0, 11.0, 11.2) is None


def test_a_batch_that_was_decided_on_before_a_pause_may_not_leave_in_it() -> None:
    """Only what was decided on since, a single row, may leave."""
    rate = paused()
    assert not rate.covers(9.9)
    assert rate.covers(11.0)
    assert AppRate(20, 0.0).covers(0.0)


@pytest.mark.parametrize("away_s", [60.0, 36_000.0])
def test_hours_without_sending_are_not_taken_for_a_slow_service(away_s: float) -> None:
    """A pause that an outage or `--window` makes long gives the same rate as a short one."""
    rates = []
    for away in (0.0, away_s):
        rate = paused()
        at = 11.0 + away
        rate.refill(at)
        rate.spend(1)
        rate.answered(1, (), 0.0, at, at + 0.2)
        rates.append(rate.per_s)
    assert rates[1] == pytest.approx(rates[0], rel=0.05)
