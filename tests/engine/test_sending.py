"""Tests of sending one batch: it is kept back, lost, or answered, and the token that it left with is known."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from purgeengine import logs
from purgeengine.core.graph.operations import PERMANENT
from purgeengine.core.messages import BatchAnswered, BatchLost, Held, InputEnded, Send
from purgeengine.core.model import Batch
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.errands import Errands
from purgeengine.engine.sending import BatchSender
from purgeengine.errors import HeldBack, NoAnswer, NotSent, RunStopped
from purgeengine.run_limits import Limits
from purgeengine.sim.server.simulated_transport import Received
from tests.simulation.memory_ledger import MemoryLedger
from tests.simulation.virtual_time import VirtualClock, run_virtually

WAIT = Received(429, {"retry-after": "30"}, b'{"error":{"code":"TooManyRequests","message":"wait"}}', 0.0)


class TwoBatches:
    """Two batches that were decided on, and a sender whose edges a test can change."""

    def __init__(self, post: Callable[[], Awaitable[Received]]) -> None:
        ledger = MemoryLedger([4, 4])
        self.scheduler = Scheduler(Limits(fanout=4, lanes=False, connections=2, batch_items_max=4), random.Random(1))
        commands = self.scheduler.handle(*ledger.mailboxes(), InputEnded(), now=0.0)
        self.first, self.second = (command.batch for command in commands if isinstance(command, Send))
        self.posted = 0
        pair = self

        class Transport:
            async def post(self, body: bytes, client_request_id: str, token: str) -> Received:
                pair.posted += 1
                return await post()

        class Tokens:
            async def token(self) -> str:
                return "secret"

            async def renew(self, stale: str, claims: str = "") -> str:
                raise AssertionError("renewing is not the sender's")

        self.sender = BatchSender(
            self.scheduler,
            Errands(lambda error: None),
            ledger=ledger,
            transport=Transport(),
            tokens=Tokens(),
            clock=VirtualClock(asyncio.get_running_loop()),
            operation=PERMANENT,
            on_leave=lambda: None,
            log=logs.get_logger(),
        )

    async def send(self, batch: Batch) -> BatchAnswered | BatchLost:
        return await self.sender.send(batch, self.sender.encode(batch))


def test_a_batch_stays_when_another_answer_asked_everybody_to_wait_a_moment_ago() -> None:
    """A batch stays if an answer that the scheduler was not given yet asked the whole app to wait."""

    async def scene() -> None:
        async def wait() -> Received:
            return WAIT

        pair = TwoBatches(wait)
        assert isinstance(await pair.send(pair.first), BatchAnswered)
        kept = await pair.send(pair.second)
        assert isinstance(kept, BatchLost)
        assert (kept.sent, kept.held, pair.posted) == (False, True, 1)
        with pytest.raises(KeyError):  # it left with no token
            pair.sender.token_of(pair.second.number)

    run_virtually(scene())


def test_a_batch_stays_when_sending_was_suspended_meanwhile() -> None:
    """A batch that was decided on stays if sending was suspended since then."""

    async def scene() -> None:
        async def never() -> Received:
            raise AssertionError("it left")

        pair = TwoBatches(never)
        pair.scheduler.handle(Held(60.0), now=0.0)
        kept = await pair.send(pair.first)
        assert isinstance(kept, BatchLost)
        assert kept.held

    run_virtually(scene())


@pytest.mark.parametrize(("error", "sent"), [(NotSent("no way out"), False), (NoAnswer("cut off"), True)])
def test_what_the_transport_raises_says_whether_the_batch_left(error: Exception, sent: bool) -> None:
    """NotSent means that the batch did not leave; NoAnswer means that it may have left."""

    async def scene() -> None:
        async def fail() -> Received:
            raise error

        pair = TwoBatches(fail)
        lost = await pair.send(pair.first)
        assert lost == BatchLost(pair.first.number, sent=sent, reason=str(error))

    run_virtually(scene())


def test_a_refusal_that_no_batch_can_pass_goes_to_the_engine() -> None:
    """RunStopped of the transport passes on to the engine."""

    async def scene() -> None:
        async def fail() -> Received:
            raise RunStopped("The proxy refuses.")

        pair = TwoBatches(fail)
        with pytest.raises(RunStopped):
            await pair.send(pair.first)

    run_virtually(scene())


def test_the_token_that_a_batch_left_with_is_known_until_its_end_is_handled() -> None:
    """The token of a batch is known until `forget`, which may be called twice."""

    async def scene() -> None:
        async def refused() -> Received:
            return Received(401, {}, b'{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}', 0.0)

        pair = TwoBatches(refused)
        await pair.send(pair.first)
        assert pair.sender.token_of(pair.first.number) == "secret"
        pair.sender.forget(pair.first.number)
        pair.sender.forget(pair.first.number)
        with pytest.raises(KeyError):
            pair.sender.token_of(pair.first.number)

    run_virtually(scene())


def test_a_batch_that_we_hold_back_says_nothing_about_the_service() -> None:
    """A transport that may not send any more is no failed call, and a batch stays when the hours have ended meanwhile."""

    async def scene() -> None:
        async def fail() -> Received:
            raise HeldBack("the lease was over")

        pair = TwoBatches(fail)
        assert await pair.send(pair.first) == BatchLost(
            pair.first.number, sent=False, reason="the lease was over", held=True
        )
        pair.sender._allowed_now = lambda: False
        kept = await pair.send(pair.second)
        assert isinstance(kept, BatchLost)
        assert (kept.sent, kept.held, pair.posted) == (False, True, 1)

    run_virtually(scene())
