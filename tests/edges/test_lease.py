"""Tests of the lease on this machine: its clocks, its thread, and that nothing passes the fence when it has ended."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from purgeengine.core.coordination.lease_clock import Instant
from purgeengine.core.coordination.lease_holder import LeaseHolder
from purgeengine.core.coordination.lease_messages import Grant, Notice, Over, PassedWait, Question, Tenure
from purgeengine.core.coordination.quota_book import AppQuota
from purgeengine.core.messages import AskedToWait, QuotaChanged
from purgeengine.edges.http.transport import HttpTransport, Timeouts
from purgeengine.edges.lease import ABANDONED_S, FencedTransport, RunLease, boot_time, instant, sleep_counting_clock
from purgeengine.errors import HeldBack, NoAnswer
from tests.support.https_server import answering, hanging, serving, write_ca


class Hand:
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.at = Instant(1_000.0, 1_700_000_000.0)

    def __call__(self) -> Instant:
        return self.at

    def pass_s(self, seconds: float, *, wall_s: float | None = None) -> None:
        self.at = Instant(self.at.boot + seconds, self.at.wall + (seconds if wall_s is None else wall_s))


class Scene:
    """A lease of 30 seconds whose questions a test answers."""

    def __init__(self, ask: Callable[[Question], None] | None = None, ask_s: float = 60.0) -> None:
        self.now = Hand()
        self.questions: list[Question] = []
        holder = LeaseHolder(Tenure(3, 1, 1), "run", "disk", "app", 30.0)
        self.lease = RunLease(holder, ask or self.questions.append, ask_s=ask_s, now=self.now)

    def granted(self) -> RunLease:
        """Let the lease ask once, and grant it."""
        with self.lease.renewed():
            until(lambda: bool(self.questions))
            self.lease.heard(Grant("run", self.questions[-1].number, 1, AppQuota(100, 4)))
        return self.lease


def until(true: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.002)


# ---------------------------------------------------------------------------------------------------------------- clocks


@pytest.mark.parametrize(
    ("platform", "clock"), [("linux", "CLOCK_BOOTTIME"), ("darwin", "CLOCK_MONOTONIC"), ("win32", "CLOCK_BOOTTIME")]
)
def test_the_clock_is_one_that_counts_sleep_where_there_is_one(platform: str, clock: str) -> None:
    """Each system has its own; Windows has no such clock, and its monotonic time counts sleep anyway."""
    assert sleep_counting_clock(platform) == getattr(time, clock, None)


def test_both_clocks_of_this_machine_go_on() -> None:
    """They count seconds, as the monotonic and the wall clock of Python do."""
    first, before = instant(), time.monotonic()
    time.sleep(0.02)
    passed_s = time.monotonic() - before
    second = instant()
    assert second.boot - first.boot >= 0.02
    assert second.boot - first.boot == pytest.approx(passed_s, abs=0.5)
    assert abs(second.wall - time.time()) < 5.0
    assert boot_time() >= second.boot


# ------------------------------------------------------------------------------------------------------------ the lease


def test_a_lease_counts_from_before_it_was_asked_for_and_ends_by_itself() -> None:
    """The answer comes ten seconds later, so that twenty are left; then nothing may be sent, until it is granted again."""
    scene = Scene()
    with scene.lease.renewed():
        until(lambda: bool(scene.questions))
        scene.now.pass_s(10.0)
        scene.lease.heard(Grant("run", 1, 1, AppQuota(100, 4)))
        assert scene.lease.left_s == 20.0
        assert scene.lease.at(0.0).allowed
        assert scene.lease.at(0.0).for_s == 1.0
        scene.now.pass_s(19.5)
        assert scene.lease.at(0.0).for_s == 0.5
        scene.now.pass_s(0.5)
        window = scene.lease.at(0.0)
    assert (window.allowed, window.over) == (False, None)
    assert 0.0 < window.for_s < 1.0


def test_a_run_that_no_coordinator_wants_any_more_ends_by_itself() -> None:
    """For two minutes after the end of its lease it waits for a coordinator that is started again. Then its ledger must be free."""
    scene = Scene()
    lease = scene.granted()
    scene.now.pass_s(30.0 + ABANDONED_S - 1.0)
    assert lease.at(0.0).over is None
    scene.now.pass_s(2.0)
    assert "no coordinator was heard of" in str(lease.at(0.0).over)


def test_the_thread_asks_again_and_again_and_at_once_with_news() -> None:
    """It asks regularly, and at once if Graph asks for a wait or if the run wants a share again; after the end it is gone."""
    scene = Scene(ask_s=0.01)
    with scene.lease.renewed():
        until(lambda: len(scene.questions) >= 3)
    asked = len(scene.questions)
    slow = Scene(ask_s=60.0)
    with slow.lease.renewed():
        until(lambda: len(slow.questions) == 1)
        slow.lease.asked_to_wait(30.0, cut=True)
        until(lambda: len(slow.questions) == 2)
        slow.lease.want(False)
        until(lambda: len(slow.questions) == 3)
    wait = slow.questions[1].wait
    assert wait is not None
    assert (wait.number, wait.for_s, wait.cut) == (1, 30.0, True)
    assert not slow.questions[2].wants
    assert len(scene.questions) == asked
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_what_came_before_the_engine_listened_is_told_first() -> None:
    """The share of the first grant and a wait reach the engine when it begins, in order, and later ones at once."""
    scene, told = Scene(), []
    lease = scene.granted()
    lease.heard(Notice("run", 1, PassedWait(1, 12.0, True)))
    with lease.telling(told.append):
        assert told == [QuotaChanged(100.0, 4), AskedToWait(12.0, True)]
        lease.heard(Notice("run", 1, PassedWait(2, 60.0, False)))
        assert told[2:] == [AskedToWait(60.0)]


def test_a_run_learns_that_it_has_the_lease_or_that_another_has_it() -> None:
    """Waiting for the lease ends with a grant, with the word that it is over, or in time."""
    assert Scene().granted().begins(10.0)
    assert not Scene().lease.begins(0.01)
    told = Scene().granted()
    told.heard(Notice("run", 1, stop="too many rows failed"))
    assert (told.at(0.0).over, told.at(0.0).allowed) == ("too many rows failed", True)
    scene = Scene()
    scene.lease.heard(Over("run", 1, "shard 3 is not this run's any more"))
    assert not scene.lease.begins(10.0)
    assert scene.lease.at(0.0).over == "shard 3 is not this run's any more"


# ------------------------------------------------------------------------------------------------------------ the fence


async def post(fenced: FencedTransport) -> int:
    """Post an empty batch, and return the status."""
    return (await fenced.post(b'{"requests":[]}', "1111", "token")).status


def test_a_fenced_transport_sends_the_same_while_the_lease_lasts(tmp_path: Path) -> None:
    """Body, length and type are as without a fence."""
    lease = Scene().granted()

    async def scene() -> None:
        async with (
            serving(answering(200, b"{}")) as server,
            HttpTransport.open(graph_url=server.url, connections=2, ca_file=write_ca(tmp_path)) as plain,
        ):
            await plain.post(b'{"requests":[]}', "1111", "token")
            assert await post(FencedTransport(plain, lease)) == 200
            first, second = server.requests
            assert (first.headers, first.body) == (second.headers, second.body)

    asyncio.run(scene())


def test_nothing_is_sent_once_the_lease_has_ended(tmp_path: Path) -> None:
    """Not even a connection is made."""
    scene_of = Scene()
    lease = scene_of.granted()
    scene_of.now.pass_s(30.0)

    async def scene() -> None:
        async with (
            serving(answering()) as server,
            HttpTransport.open(graph_url=server.url, connections=2, ca_file=write_ca(tmp_path)) as plain,
        ):
            with pytest.raises(HeldBack):
                await post(FencedTransport(plain, lease))
            assert (server.requests, server.connections) == ([], 0)

    asyncio.run(scene())


@pytest.mark.parametrize("clock", ["boot", "wall"])
def test_a_body_is_not_written_if_the_lease_ends_while_the_connection_comes_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """The lease has ended by either clock when the connection stands: the server gets no byte, and no row is in doubt."""
    scene_of = Scene()
    lease = scene_of.granted()
    resolved = []

    class SlowNames(aiohttp.ThreadedResolver):
        """A resolver that takes 31 seconds by one of the clocks."""

        async def resolve(self, *args: Any, **more: Any) -> Any:
            resolved.append(args)
            scene_of.now.pass_s(31.0 if clock == "boot" else 0.0, wall_s=31.0 if clock == "wall" else 0.0)
            return await super().resolve(*args, **more)

    monkeypatch.setattr("purgeengine.edges.http.transport.a_resolver", SlowNames)

    async def scene() -> None:
        async with (
            serving(answering()) as server,
            HttpTransport.open(
                graph_url=f"https://localhost:{server.port}", connections=2, ca_file=write_ca(tmp_path)
            ) as plain,
        ):
            with pytest.raises(HeldBack):
                await asyncio.wait_for(post(FencedTransport(plain, lease)), 10.0)
            await asyncio.sleep(0.05)
            assert resolved
            assert server.requests == []

    asyncio.run(scene())


def test_a_lost_answer_is_lost_also_behind_a_fence(tmp_path: Path) -> None:
    """The body was written, so that its rows are in doubt, whatever becomes of the lease later."""
    scene_of = Scene()
    lease = scene_of.granted()

    async def scene() -> None:
        async with (
            serving(hanging) as server,
            HttpTransport.open(
                graph_url=server.url, connections=2, ca_file=write_ca(tmp_path), timeouts=Timeouts(call_s=0.3)
            ) as plain,
        ):
            with pytest.raises(NoAnswer):
                await post(FencedTransport(plain, lease))
            scene_of.now.pass_s(31.0)
            with suppress(HeldBack):
                await post(FencedTransport(plain, lease))
            assert len(server.requests) == 1

    asyncio.run(scene())
