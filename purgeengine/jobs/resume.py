"""Starts a run from a ledger, wherever the ledger was left: new, stopped in order, or after a crash.

The three cases share one path. The ledger says what earlier runs did and what Graph may still count against the app (`PriorRuns`);
a new ledger says that there were none. A batch that was in flight when a process died has no end in the ledger. Its rows are then
unsettled and in doubt, and it holds slots of its mailboxes for as long as the service may still be running it. So does every
other call whose answer was lost shortly before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.messages import MailboxOpened
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.ports import Clock, PriorRuns
from purgeengine.errors import RunStopped
from purgeengine.run_limits import Limits
from purgeengine.words import AGAIN, Spelling, as_fields, duration


def take_up(
    ledger: PriorRuns,
    limits: Limits,
    clock: Clock,
    seed: int | None,
    *,
    token_renewable: bool = True,
    spelling: Spelling = as_fields,
) -> tuple[Scheduler, Iterator[MailboxOpened]]:
    """Return a scheduler that knows what earlier runs over this ledger did, and the mailboxes to give it.

    With the same ``seed`` and ledger the scheduler makes the same decisions. None draws a new seed.
    Raises `RunStopped` if Graph asked the app to wait and the rest of that wait is longer than the longest wait of a run.
    Raises `LedgerError` if the ledger cannot be read.
    """
    now_utc_ms = round(clock.utc() * 1000)
    blocked_s = ledger.run_blocked_for_s(now_utc_ms)
    if blocked_s > limits.retry_after_s_max:
        raise RunStopped(
            f"Graph asked the app to wait, and {duration(blocked_s)} of that wait are left. A run waits "
            f"{duration(limits.retry_after_s_max)} at most. To resume, {spelling(AGAIN)} after that time."
        )
    cooldown = LostCallCooldown(limits, ledger.slowest_call_s() or 0.0, ledger.answered_calls())
    first_batch = ledger.next_batch_number
    scheduler = Scheduler(
        limits,
        random.Random(None if seed is None else f"{seed} {first_batch}"),  # no two runs choose the same ids
        now=clock.monotonic(),
        first_batch=first_batch,
        run_blocked_for_s=blocked_s,
        cooldown=cooldown,
        rows_left=ledger.rows_left(),
        operation=ledger.deletion,
        token_renewable=token_renewable,
        learned_rate=ledger.learned_rate(now_utc_ms),
    )
    mailboxes = ledger.mailboxes(
        now_utc_ms=now_utc_ms,
        cooldown_s=cooldown.length_of_s(lane=limits.lanes),  # no record tells which kind a batch was
        window_s=limits.mailbox_window_s + limits.window_slack_s,
        quarantine_s=limits.quarantine_s,
    )
    return scheduler, _as_of_opening(mailboxes, clock, clock.monotonic())


def _as_of_opening(mailboxes: Iterator[MailboxOpened], clock: Clock, since: float) -> Iterator[MailboxOpened]:
    """Yield the mailboxes with waits, ages and lost slots as of now. The ledger gave them as of ``since`` (monotonic seconds).

    A long run opens most mailboxes late. By then most of what earlier runs left is over.
    """
    for mailbox in mailboxes:
        passed_s = clock.monotonic() - since
        if passed_s and (mailbox.blocked_for_s or mailbox.recent or mailbox.lost_slots):
            mailbox = replace(
                mailbox,
                blocked_for_s=max(0.0, mailbox.blocked_for_s - passed_s),
                recent=tuple((age_s + passed_s, rows) for age_s, rows in mailbox.recent),
                lost_slots=tuple((for_s - passed_s, slots) for for_s, slots in mailbox.lost_slots if for_s > passed_s),
            )
        yield mailbox
