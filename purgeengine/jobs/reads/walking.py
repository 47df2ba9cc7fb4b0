"""Walks through many mailboxes at once: the engine and the scheduler of a purge, with pages to read in place of rows to delete."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from purgeengine import logs
from purgeengine.core.graph.operations import IdType, list_page
from purgeengine.core.inventory.mailbox_walk import MailboxWalk
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.answer_ledger import GraphWaits
from purgeengine.engine.loop import Engine
from purgeengine.engine.ports import Clock, Hours, Tokens, Transport
from purgeengine.engine.walk_ledger import WalkLedger
from purgeengine.errors import RunStopped
from purgeengine.jobs.reads.reading import Heedless, app_refused, stopped
from purgeengine.run_limits import Limits

ANSWER_BYTES_MAX = 48 * 2**20
"""The most bytes that are read of one answer: twenty pages with the longest contacts that are usual."""
OPEN_PER_CONNECTION = 32
"""Mailboxes held open for each connection. Most have two pages at a time, so ten of them fill a batch, and some wait."""
READ_COOLDOWN_S = 5.0
"""Seconds for which a lost read may hold a slot of its mailbox. Nothing is at stake, so a short time is enough."""


def walking_limits(limits: Limits) -> Limits:
    """Return the limits of walks: those of a purge, without lanes, and with a short cooldown after a lost read."""
    return replace(
        limits,
        lanes=False,
        fanout=4,
        open_per_connection=max(limits.open_per_connection, OPEN_PER_CONNECTION),
        quarantine_s=min(limits.quarantine_s, READ_COOLDOWN_S),
        quarantine_s_min=min(limits.quarantine_s_min, READ_COOLDOWN_S),
    )


async def walk_mailboxes(
    mailboxes: Iterator[tuple[int, MailboxWalk]],
    on_done: Callable[[int, MailboxWalk], Awaitable[None]],
    *,
    transport: Transport,
    tokens: Tokens,
    clock: Clock,
    waits: GraphWaits,
    limits: Limits,
    id_type: IdType = IdType.DEFAULT,
    on_wait: Callable[[str, float], None] = lambda key, for_s: None,
    hours: Hours | None = None,
    rng: random.Random | None = None,
    token_renewable: bool = True,
    again: str = "give the same command again",
) -> WalkLedger:
    """Read all the mailboxes. ``on_done`` gets each one when it was read or could not be.

    Raises `TokenError` if Graph refuses the token or the app, and `RunStopped` if it cannot be reached, if it asks for too long a
    wait, or if the hours for sending are over. Mailboxes that were not done by then were not given to ``on_done``.
    """
    limits = walking_limits(limits)
    operation = list_page(id_type)
    ledger = WalkLedger(
        mailboxes,
        on_done,
        waits,
        clock,
        cooldown_s=limits.quarantine_s,
        window_s=limits.mailbox_window_s + limits.window_slack_s,
        on_wait=on_wait,
    )
    now = clock.monotonic()
    scheduler = Scheduler(
        limits,
        rng or random.Random(),
        now=now,
        run_blocked_for_s=waits.app_left_s(now),
        operation=operation,
        token_renewable=token_renewable,
    )
    engine = Engine(
        scheduler,
        ledger.openings(),
        ledger=ledger,
        transport=transport,
        tokens=tokens,
        clock=clock,
        watcher=Heedless(),
        hours=hours,
        operation=operation,
        log=logs.silent_logger(),
    )
    await engine.run()
    if ledger.refused_batch is not None:
        raise app_refused(ledger.refused_batch)
    if engine.halted is not None:
        raise stopped(engine.halted, engine.claims, again)
    if engine.stop_reason is not None:
        raise RunStopped(f"{engine.stop_reason} Mailboxes that were read stay read. To go on, {again}.")
    return ledger
