"""Tests of the loop between scheduler and edges, in simulated time: order, failures and stops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from purgeengine import log_events
from purgeengine.core.limits.adaptive_timeout import FIRST_S
from purgeengine.core.messages import (
    AskedToWait,
    BatchAnswered,
    BatchEnded,
    BatchLost,
    BatchSent,
    Entry,
    QuotaChanged,
    Returned,
    RunBlocked,
    SendWindow,
    Settled,
)
from purgeengine.core.model import Batch
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.loop import DRAIN_S_MAX, Engine
from purgeengine.engine.ports import UNOBSERVED, Hours, Observer
from purgeengine.engine.tally import Tally
from purgeengine.errors import LedgerError, NoAnswer, NotSent, TokenError
from purgeengine.run_limits import Limits
from purgeengine.sim.server.simulated_transport import Received
from tests.simulation.memory_ledger import MemoryLedger
from tests.simulation.virtual_time import VirtualClock, run_virtually


def all_purged(body: bytes) -> Received:
    """Return an answer with 204 for every sub-request."""
    count = body.count(b'"method"')
    answers = ",".join(f'{{"id":"{index}","status":204}}' for index in range(count))
    return Received(200, {}, f'{{"responses":[{answers}]}}'.encode(), 0.0)


@dataclass
class Scene:
    """An engine with edges that a test can change; ``history`` has the events in order."""

    rows: int = 40
    post: Callable[[bytes], Awaitable[Received]] | None = None
    before_write: Callable[[Sequence[Entry]], None] | None = None
    trouble: LedgerError | None = None
    token_error: Exception | None = None
    before_token: Callable[[], Awaitable[None]] | None = None
    hours: Hours | None = None
    observer: Observer = UNOBSERVED
    limits: Limits = field(default_factory=lambda: Limits(fanout=4, lanes=False))
    token_s: float = 0.0
    """Seconds that the login takes."""
    history: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def run(self, meanwhile: Callable[[Engine], Awaitable[None]] | None = None) -> Scene:
        """Run the engine to its end."""
        run_virtually(self._run(meanwhile))
        return self

    async def _run(self, meanwhile: Callable[[Engine], Awaitable[None]] | None) -> None:
        scene = self
        ledger = MemoryLedger([self.rows])

        class Recorder:
            trouble: LedgerError | None = None

            async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
                if scene.before_write is not None:
                    scene.before_write(entries)
                await ledger.write(entries, at_utc_ms)
                self.trouble = scene.trouble
                scene.entries += entries
                scene.history += [f"intent {e.client_request_id}" for e in entries if isinstance(e, BatchSent)]

            folder_rows = staticmethod(ledger.folder_rows)
            user_of = staticmethod(ledger.user_of)

        class Transport:
            async def post(self, body: bytes, client_request_id: str, token: str) -> Received:
                scene.history.append(f"post {client_request_id}")
                await asyncio.sleep(0.1)
                return await scene.post(body) if scene.post is not None else all_purged(body)

        class Tokens:
            async def token(self) -> str:
                if scene.before_token is not None:
                    await scene.before_token()
                await asyncio.sleep(scene.token_s)
                if scene.token_error is not None:
                    raise scene.token_error
                return "token"

            async def renew(self, stale: str, claims: str = "") -> str:
                raise TokenError("The token cannot be renewed.")

        self.engine = Engine(
            Scheduler(scene.limits, random.Random(1)),
            ledger.mailboxes(),
            ledger=Recorder(),
            transport=Transport(),
            tokens=Tokens(),
            clock=VirtualClock(asyncio.get_running_loop()),
            watcher=Tally(self.rows, {}),
            hours=self.hours,
            observer=self.observer,
        )
        errand = asyncio.ensure_future(meanwhile(self.engine)) if meanwhile else None
        try:
            await self.engine.run()
        finally:
            self.ended_at = asyncio.get_running_loop().time()
            if errand is not None:
                errand.cancel()

    @property
    def settled(self) -> int:
        """The number of rows with an outcome."""
        return sum(entry.rows for entry in self.entries if isinstance(entry, Settled))


def test_every_intent_is_durable_before_its_batch_leaves() -> None:
    """Every batch is recorded before it is posted."""
    history = Scene().run().history
    posts = [line.split()[1] for line in history if line.startswith("post")]
    assert len(posts) == 10
    for number in posts:
        assert history.index(f"intent {number}") < history.index(f"post {number}")


def test_nothing_leaves_when_the_intent_cannot_be_recorded() -> None:
    """If a batch cannot be recorded, the run stops with the ledger's error and the batch is not sent."""

    def full(entries: Sequence[Entry]) -> None:
        if any(isinstance(entry, BatchSent) and entry.batch == 3 for entry in entries):
            raise LedgerError("The disk is full.")

    scene = Scene(before_write=full)
    with pytest.raises(LedgerError, match="full"):
        scene.run()
    assert sum(line.startswith("post") for line in scene.history) == 2


def test_a_ledger_short_of_room_takes_in_what_is_in_flight() -> None:
    """A ledger without room for new batches still records the answers in flight, and then ends the run with its error."""
    scene = Scene(trouble=LedgerError("The ledger has no room left."))
    with pytest.raises(LedgerError, match="no room left"):
        scene.run()
    posts = sum(line.startswith("post") for line in scene.history)
    assert 1 <= posts < 10
    assert scene.settled == 4 * posts


def test_a_stop_takes_in_what_is_in_flight() -> None:
    """A stop sends nothing more and records the answers in flight, and the engine keeps its reason."""

    async def stop(engine: Engine) -> None:
        await asyncio.sleep(0.15)
        engine.stop("SIGTERM was received")

    scene = Scene().run(stop)
    assert scene.engine.stop_reason == "SIGTERM was received"
    assert scene.settled == 4 * sum(line.startswith("post") for line in scene.history)
    assert scene.settled < 40


class Hanging:
    """Answers at once, but some calls, by their number from 1, only after so many seconds. Counts what becomes of those."""

    def __init__(self, *calls: int, for_s: float = 10_000.0) -> None:
        self._calls = calls
        self._for_s = for_s
        self.posted = 0
        self.cancelled = 0
        self.answered = 0

    async def __call__(self, body: bytes) -> Received:
        self.posted += 1
        if self.posted in self._calls:
            try:
                await asyncio.sleep(self._for_s)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            self.answered += 1
        return all_purged(body)


def ends_of(scene: Scene, batch: int) -> list[int | None]:
    """Return the status of each end of this batch in the ledger."""
    return [entry.status for entry in scene.entries if isinstance(entry, BatchEnded) and entry.batch == batch]


def test_a_stop_does_not_wait_for_ever() -> None:
    """A stop ends when a call without an answer is given up: after thirty seconds, while nothing is known of the service."""

    async def stop(engine: Engine) -> None:
        await asyncio.sleep(1)
        engine.stop("stopped")

    scene = Scene(post=Hanging(1)).run(stop)
    assert scene.ended_at == pytest.approx(FIRST_S, abs=0.1)
    assert ends_of(scene, 1) == [None]
    assert {entry.in_doubt for entry in scene.entries if isinstance(entry, Returned)} == {True}


def test_a_stop_waits_no_longer_than_the_longest_drain() -> None:
    """If answers have shown that the service is slow, a stop ends after the longest drain, and the batch has no end."""

    async def stop(engine: Engine) -> None:
        await asyncio.sleep(100)
        engine.stop("stopped")

    async def slow_and_then_never(body: bytes) -> Received:
        await asyncio.sleep(9.9 if len(scene.history) < 20 else 10_000)
        return all_purged(body)

    scene = Scene(post=slow_and_then_never)
    scene.run(stop)
    posted = scene.history[-1]
    assert posted.startswith("post")
    assert scene.settled < 40
    assert scene.ended_at <= 100 + DRAIN_S_MAX + 0.1


def test_a_stop_does_not_wait_for_a_call_that_answers_have_shown_to_be_overdue() -> None:
    """After fifteen answers within a tenth of a second each, a stop waits one second for a call that hangs."""

    async def stop(engine: Engine) -> None:
        await asyncio.sleep(2)
        engine.stop("stopped")

    post = Hanging(16)
    scene = Scene(rows=400, post=post).run(stop)
    assert post.posted == 16
    assert scene.ended_at < 3.5
    assert ends_of(scene, 16) == [None]
    assert post.cancelled == 1


def test_a_call_that_hangs_is_given_up_once_and_its_late_answer_is_read() -> None:
    """A call that hangs is logged once. Its rows are settled by its answer, three seconds after it, and not sent again."""
    post = Hanging(16, for_s=3.0)
    with capture_logs() as seen:
        scene = Scene(rows=80, post=post).run()
    told = [(line["batch"], line["reason"]) for line in seen if line["event"] == log_events.BATCH_LOST]
    assert told == [(16, "No answer came within 0.5 s.")]
    assert ends_of(scene, 16) == [None, 200]
    assert (post.posted, post.answered, scene.settled) == (20, 1, 80)
    late = [entry for entry in scene.entries if isinstance(entry, Settled) and entry.batch == 16]
    assert [(entry.attempts, entry.in_doubt) for entry in late] == [(1, False)] * 4


def test_a_call_that_fails_after_it_was_given_up_is_logged_and_recorded_once() -> None:
    """A call that was given up and then breaks has one line in the log and one end in the ledger, and its rows are sent again."""
    post = Hanging(16, for_s=3.0)

    async def breaking(body: bytes) -> Received:
        hung = post.posted == 15
        received = await post(body)
        if hung:
            raise NoAnswer("The connection broke.")
        return received

    with capture_logs() as seen:
        scene = Scene(rows=80, post=breaking).run()
    assert [line["batch"] for line in seen if line["event"] == log_events.BATCH_LOST] == [16]
    assert ends_of(scene, 16) == [None]
    assert (post.posted, scene.settled) == (21, 80)


def test_calls_beyond_those_that_may_be_late_are_cancelled() -> None:
    """With two connections at most two late answers are waited for. The older two of four calls that hang are cancelled."""
    limits = Limits(fanout=4, lanes=False, connections=2, quarantine_s=0.5, quarantine_s_min=0.1)
    post = Hanging(16, 17, 18, 19)
    cancelled_at_end: list[int] = []

    async def watch(engine: Engine) -> None:
        while post.posted < 30:
            await asyncio.sleep(0.1)
        cancelled_at_end.append(post.cancelled)

    scene = Scene(rows=400, post=post, limits=limits).run(watch)
    assert scene.settled == 400
    assert cancelled_at_end == [2]
    assert post.cancelled == 4  # the others end with the run


def test_a_stop_waits_for_no_batch_that_has_not_left() -> None:
    """A stop does not wait for batches that have not left, as while the login hangs: their rows are returned as never sent."""

    async def stop(engine: Engine) -> None:
        await asyncio.sleep(1)
        engine.stop("stopped")

    scene = Scene(token_s=10_000).run(stop)
    assert scene.ended_at == pytest.approx(1, abs=0.1)
    assert not any(line.startswith("post") for line in scene.history)
    sent, returned = ([e for e in scene.entries if isinstance(e, kind)] for kind in (BatchSent, Returned))
    assert [entry.number for entry in returned] == [0] * sum(len(p.attempts) for e in sent for p in e.shares)
    assert not any(entry.in_doubt for entry in returned)


def test_a_mistake_of_ours_ends_the_run_instead_of_hanging() -> None:
    """An exception that no edge may raise ends the run instead of hanging it."""

    async def broken(body: bytes) -> Received:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Scene(post=broken).run()


def test_without_a_token_the_run_stops_and_no_row_is_in_doubt() -> None:
    """A run that gets no token stops, and its rows are never sent and not in doubt."""
    scene = Scene(token_error=TokenError("No token."))
    with pytest.raises(TokenError, match="No token"):
        scene.run()
    assert not any(line.startswith("post") for line in scene.history)
    assert not any(getattr(entry, "in_doubt", False) for entry in scene.entries)


def test_a_token_that_cannot_be_renewed_stops_the_run() -> None:
    """A refused token that cannot be renewed stops the run with the token's own error."""

    async def refused(body: bytes) -> Received:
        return Received(401, {}, b'{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}', 0.0)

    with pytest.raises(TokenError, match="cannot be renewed"):
        Scene(post=refused).run()


def test_a_lost_batch_is_told_with_the_reason() -> None:
    """Every lost batch is logged with its reason, and a batch kept back by a wait is not logged as lost."""
    misfortunes = iter([NotSent("no way out"), NoAnswer("cut off"), Received(200, {}, b"{", 0.0)])

    async def unlucky(body: bytes) -> Received:
        misfortune = next(misfortunes, None)
        if isinstance(misfortune, Exception):
            raise misfortune
        return misfortune or all_purged(body)

    with capture_logs() as told:
        Scene(rows=4, post=unlucky).run()
    reasons = [event["reason"] for event in told if event["event"] == log_events.BATCH_LOST]
    assert reasons[:2] == ["no way out", "cut off"]
    assert reasons[2].startswith("Graph answered 200, and its body was cut short")
    assert len(reasons) == 3


def test_an_answer_that_cannot_be_read_needs_no_cooldown() -> None:
    """Unreadable answers give no cooldown, because the service has ended its work: the rows are settled within seconds."""
    answers = iter([b"<html>", b"{", b""])

    async def garbled(body: bytes) -> Received:
        body_of_answer = next(answers, None)
        return all_purged(body) if body_of_answer is None else Received(200, {}, body_of_answer, 0.0)

    scene = Scene(rows=4, post=garbled).run()
    assert scene.settled == 4
    assert scene.ended_at < 30


# --------------------------------------------------------------------------------------------------- who watches the run


class Watching:
    """An observer that remembers what it was told."""

    def __init__(self) -> None:
        self.left: dict[int, float] = {}
        self.ends: dict[int, BatchAnswered | BatchLost | None] = {}
        self.took_s: dict[int, float] = {}
        self.entries: list[Entry] = []

    def call_left(self, batch: Batch, now: float) -> None:
        assert batch.number not in self.left
        self.left[batch.number] = now

    def call_ended(self, batch: Batch, end: BatchAnswered | BatchLost | None, now: float) -> None:
        assert batch.number not in self.ends
        self.ends[batch.number] = end
        if batch.number in self.left:
            self.took_s[batch.number] = now - self.left[batch.number]

    def recorded(self, entries: Sequence[Entry], took_s: float) -> None:
        assert took_s >= 0.0
        self.entries += entries


def test_an_observer_is_told_of_every_call_and_of_every_entry_once() -> None:
    """An observer is told when each call leaves and ends, with its answer and time, and of each entry that is durable."""
    watching = Watching()
    scene = Scene(observer=watching).run()
    assert set(watching.left) == set(watching.ends) == set(range(1, 11))
    assert all(isinstance(end, BatchAnswered) for end in watching.ends.values())
    assert list(watching.took_s.values()) == pytest.approx([0.1] * 10)
    assert watching.entries == scene.entries


def test_an_observer_is_told_of_calls_that_nobody_waits_for_any_more() -> None:
    """A call that is cancelled at the end of a run ends for the observer as well, without an answer."""
    watching = Watching()

    async def stop(engine: Engine) -> None:
        await asyncio.sleep(0.15)
        engine.stop("SIGTERM was received")

    Scene(observer=watching, post=Hanging(1)).run(stop)
    assert set(watching.ends) == set(watching.left)
    assert [number for number, end in watching.ends.items() if end is None] == [1]


def test_an_observer_sees_that_a_batch_did_not_leave() -> None:
    """A batch for which no token can be had ends without having left."""
    watching = Watching()
    with pytest.raises(TokenError):
        Scene(observer=watching, token_error=TokenError("no token")).run()
    assert watching.left == {}
    assert watching.ends
    assert all(isinstance(end, BatchLost) and not end.sent for end in watching.ends.values())


class LeaseUntil:
    """Hours that end at an instant that nobody knows before, as a lease does."""

    def __init__(self, clock: Callable[[], float], end: float, again: float) -> None:
        self._clock, self._end, self._again = clock, end, again

    def at(self, utc: float) -> SendWindow:
        allowed = not self._end <= self._clock() < self._again
        return SendWindow(allowed, 30.0 if allowed else 0.2, None)


def test_the_hours_are_asked_again_just_before_a_batch_leaves() -> None:
    """A batch whose token comes after a lease has ended does not leave, although the hours seemed to last. It goes later."""
    waits = iter([5.0])

    async def wait() -> None:
        await asyncio.sleep(next(waits, 0.0))

    scene = Scene(rows=4, before_token=wait, hours=LeaseUntil(lambda: asyncio.get_running_loop().time(), 4.0, 60.0))
    scene.run()
    assert [line.split()[0] for line in scene.history] == ["intent", "intent", "post"]
    assert scene.ended_at == pytest.approx(60.0, abs=1.0)
    assert not any(getattr(entry, "in_doubt", False) for entry in scene.entries)


def test_what_other_runs_make_necessary_reaches_the_scheduler_and_is_recorded() -> None:
    """A share of nothing stops the sending, a share starts it again, and a wait of the app is in the ledger."""
    posted: list[int] = []

    async def others(engine: Engine) -> None:
        engine.tell(QuotaChanged(0.0, 0))
        await asyncio.sleep(50.0)
        posted.append(sum(line.startswith("post") for line in scene.history))
        engine.tell(AskedToWait(30.0))
        engine.tell(QuotaChanged(100.0, 4))

    scene = Scene(rows=400, limits=Limits(fanout=4, lanes=False, connections=4))
    scene.run(others)
    assert posted[0] <= 4
    assert scene.settled == 400
    assert RunBlocked(30.0, passed_on=True) in scene.entries
    assert scene.ended_at > 80.0
