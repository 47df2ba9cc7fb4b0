"""Takes up a ledger, new or left by an earlier run: a scheduler that knows what those runs did."""

from __future__ import annotations

import random
from collections.abc import Iterator

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.messages import MailboxOpened
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.ledger import Ledger
from purgeengine.engine.ports import Clock
from purgeengine.errors import RunStopped
from purgeengine.run_limits import Limits
from purgeengine.words import duration


def take_up(
    ledger: Ledger, limits: Limits, clock: Clock, seed: int | None, *, token_renewable: bool = True
) -> tuple[Scheduler, Iterator[MailboxOpened]]:
    """A scheduler that knows what earlier runs over this ledger did, and the mailboxes for it.

    Raises `RunStopped` when Graph asked for a wait that is not over and is longer than the longest wait of a run.
    """
    now_utc_ms = round(clock.utc() * 1000)
    blocked_s = ledger.run_blocked_for_s(now_utc_ms)
    if blocked_s > limits.retry_after_s_max:
        raise RunStopped(
            f"Graph asked the app to wait, and {duration(blocked_s)} of that are left. The longest wait of a run is "
            f"{duration(limits.retry_after_s_max)}. The same command goes on after that."
        )
    counts = ledger.counts()
    cooldown = LostCallCooldown(limits, ledger.slowest_call_s() or 0.0, ledger.answered_calls())
    first_batch = ledger.next_batch_number
    scheduler = Scheduler(
        limits,
        random.Random(None if seed is None else f"{seed} {first_batch}"),  # no two runs choose the same ids
        now=clock.monotonic(),
        first_batch=first_batch,
        run_blocked_for_s=blocked_s,
        cooldown=cooldown,
        rows_left=counts.waiting + counts.in_doubt,
        operation=ledger.deletion,
        token_renewable=token_renewable,
    )
    mailboxes = ledger.mailboxes(
        now_utc_ms=now_utc_ms,
        quarantine_s=cooldown.length_of_s(lane=limits.serial_lanes),  # no record tells which kind a batch was
        window_s=limits.mailbox_window_s + limits.window_slack_s,
    )
    return scheduler, mailboxes
