"""Does the judge notice mistakes? Breaks one promise at a time, and counts the seeds until something notices.

Each mutant is a mistake that a maintainer could make, put into the product while a seed is played. A judge that lets
one live for hundreds of seeds has a hole. It also matters what catches it: the judge, an assertion of the product, or
its ledger.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import click
import pytest
import structlog

from purgeengine.core.graph import decode
from purgeengine.core.graph.verdicts import Verdict
from purgeengine.core.limits import lost_calls, window
from purgeengine.core.limits.circuit_breaker import CircuitBreaker
from purgeengine.core.messages import Send
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.core.scheduling import batching, judged_rows, mailbox, mailbox_limits, settlement
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.ledger import ledger
from purgeengine.edges.ledger.running import journal, unfinished
from purgeengine.edges.ledger.staging import duplicates
from purgeengine.engine.loop import Engine
from tests.simulation.scenario import chaos, crashing
from tests.simulation.virtual_time import Deadlock, Livelock
from tests.simulation.world import play

Patch = pytest.MonkeyPatch
MUTANTS: dict[str, Mutant] = {}


@dataclass(frozen=True)
class Mutant:
    """A mistake: which promise of docs/reliability.md it breaks, and how it is put in."""

    name: str
    promise: int
    put_in: Callable[[Patch], None]


@dataclass(frozen=True)
class Bite:
    """How a mutant was found: after how many seeds (None: not at all), by what, and with which message."""

    mutant: str
    promise: int
    seeds: int | None
    by: str = ""
    said: str = ""


def mutant(name: str, promise: int) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a mutant under its name."""

    def enter(put_in: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTANTS[name] = Mutant(name, promise, put_in)
        return put_in

    return enter


def _around(patch: Patch, where: Any, name: str, wrong: Callable[..., Any]) -> None:
    """Replace a function by one that gets the right one as its first argument."""
    right = getattr(where, name)
    patch.setattr(where, name, lambda *args, **kwargs: wrong(right, *args, **kwargs))


# ------------------------------------------------------------------------------------------------ 1: recorded before sent


@mutant("a batch leaves before its intent is recorded", 1)
def _sends_first(patch: Patch) -> None:
    right = Engine._carry_out

    async def wrong(self: Any, commands: Any) -> None:
        for command in commands:
            if isinstance(command, Send):
                self._errands.start(self._send(command.batch, self._sender.encode(command.batch)))
        await right(self, [command for command in commands if not isinstance(command, Send)])

    patch.setattr(Engine, "_carry_out", wrong)


@mutant("what is recorded is committed a turn later", 1)
def _commits_late(patch: Patch) -> None:
    kept: dict[int, list[Any]] = {}

    def wrong(right: Any, self: Any, entries: Any, at_utc_ms: int) -> None:
        before, kept[id(self)] = kept.get(id(self), []), list(entries)
        right(self, before, at_utc_ms)

    _around(patch, journal.Journal, "write", wrong)


# ------------------------------------------------------------------------------------------- 2: one outcome for every row


@mutant("duplicates are sent like any other row", 2)
def _sends_duplicates(patch: Patch) -> None:
    patch.setattr(duplicates.Duplicates, "found", lambda self: iter(()))


@mutant("a row that the answer leaves out is forgotten", 2)
def _drops_unanswered(patch: Patch) -> None:
    def wrong(right: Any, self: Any, *args: Any) -> list[Any]:
        return [row for row in right(self, *args) if row.reply is not settlement.NO_REPLY]

    _around(patch, settlement.Settler, "_judged", wrong)


@mutant("rows to be sent again are forgotten when their mailbox is closed", 2)
def _forgets_when_closing(patch: Patch) -> None:
    _around(patch, mailbox.Mailbox, "give_up", lambda right, self: right(self)[:0])


@mutant("a row is given up after its first fault", 2)
def _gives_up_early(patch: Patch) -> None:
    patch.setattr(
        "purgeengine.core.limits.backoff.Backoff.gives_up", lambda self, failures, sends, *, unclear: failures >= 1
    )


@mutant("a 424 uses up an attempt", 2)
def _counts_424(patch: Patch) -> None:
    _judges(patch, lambda reply: reply.status == 424, Verdict.UNCLEAR)


@mutant("a 429 uses up an attempt", 2)
def _counts_429(patch: Patch) -> None:
    def wrong(right: Any, self: Any, verdict: Any, attempt: Attempt, reply: Reply, at: float, **how: Any) -> Any:
        how["counted"] = how.get("counted", True) or reply.status == 429
        return right(self, verdict, attempt, reply, at, **how)

    _around(patch, judged_rows.RowJudge, "again", wrong)


@mutant("a refused token leaves its row in doubt", 4)
def _doubts_401(patch: Patch) -> None:
    _judges(patch, lambda reply: reply.status == 401, Verdict.FAULT)


@mutant("a mailbox is closed for one item's 404", 2)
def _closes_for_404(patch: Patch) -> None:
    _judges(patch, lambda reply: reply.status == 404, Verdict.CLOSED)


# ------------------------------------------------------------------------------------------------- 3: limits and waits


@mutant("the window holds one request too many", 3)
def _window_one_more(patch: Patch) -> None:
    _around(patch, window.Window, "__init__", lambda right, self, limit, length_s: right(self, limit + 1, length_s))


@mutant("the window is ten seconds short", 3)
def _window_short(patch: Patch) -> None:
    _around(patch, window.Window, "__init__", lambda right, self, limit, length_s: right(self, limit, length_s - 10.0))


@mutant("requests count in the window from their sending", 3)
def _window_from_sending(patch: Patch) -> None:
    def sent(right: Any, self: Any, requests: int) -> None:
        right(self, requests)
        self._seen.append((int(_now()), requests))

    def answered(self: Any, requests: int, at: float) -> None:
        self._land(requests)

    _around(patch, window.Window, "sent", sent)
    patch.setattr(window.Window, "answered", answered)


@mutant("a lost call frees its slots at once", 3)
def _no_cooldown(patch: Patch) -> None:
    patch.setattr(lost_calls.LostSlots, "add", lambda self, *lost, **more: None)


@mutant("a mailbox may have more than four slots in use", 3)
def _two_batches(patch: Patch) -> None:
    def wrong(right: Any, self: Any, shares: Any, now: float, *rest: Any, **more: Any) -> Any:
        flight = right(self, shares, now, *rest, **more)
        for box, _ in shares:
            box.slots_taken = 0
            self._open_mailboxes.place(box, now)
        return flight

    _around(patch, batching.Batching, "_flight", wrong)


@mutant("the Retry-After of a row is ignored", 3)
def _ignores_item_wait(patch: Patch) -> None:
    patch.setattr(mailbox_limits.MailboxLimits, "block", lambda self, until, *, throttled=False: None)


@mutant("the Retry-After of a row is cut by a hundredth", 3)
def _cuts_item_wait(patch: Patch) -> None:
    def wrong(right: Any, rows: Any, asked_s: float) -> Any:
        news = right(rows, asked_s)
        return news._replace(wait_s=0.99 * news.wait_s)

    _around(patch, settlement, "mailbox_news", wrong)


@mutant("a shorter Retry-After of a call replaces a longer one", 3)
def _replaces_wait(patch: Patch) -> None:
    patch.setattr(CircuitBreaker, "asked_to_wait", lambda self, now, for_s: setattr(self, "_asked_until", now + for_s))
    patch.setattr(Scheduler, "may_leave", lambda self, batch, now: True)


@mutant("the Retry-After of a call is ignored", 3)
def _ignores_call_wait(patch: Patch) -> None:
    patch.setattr(CircuitBreaker, "asked_to_wait", lambda self, now, for_s: None)
    patch.setattr(Scheduler, "may_leave", lambda self, batch, now: True)


@mutant("a wait is lost where another answer contradicts it", 3)
def _loses_contradicted_wait(patch: Patch) -> None:
    _around(
        patch,
        sys.modules["purgeengine.engine.sending"],
        "decode_answer",
        lambda right, *a: replace(right(*a), waits={}),
    )


# ---------------------------------------------------------------------------------------- 4: purged and absent are true


@mutant("gone is always absent", 4)
def _always_absent(patch: Patch) -> None:
    patch.setattr(judged_rows, "outcome_when_gone", lambda in_doubt: Outcome.ABSENT)


@mutant("gone is always purged", 4)
def _always_purged(patch: Patch) -> None:
    patch.setattr(judged_rows, "outcome_when_gone", lambda in_doubt: Outcome.PURGED)


@mutant("any 404 means gone", 4)
def _any_404(patch: Patch) -> None:
    _judges(patch, lambda reply: reply.status == 404, Verdict.GONE)


@mutant("a lost call leaves no doubt", 4)
def _lost_without_doubt(patch: Patch) -> None:
    def wrong(right: Any, self: Any, *args: Any, in_doubt: bool = False, **how: Any) -> Any:
        return right(self, *args, **how)

    _around(patch, settlement.Settler, "_all_again", wrong)


@mutant("a row that the answer leaves out is not in doubt", 4)
def _unanswered_without_doubt(patch: Patch) -> None:
    _judges(patch, lambda reply: reply is settlement.NO_REPLY, Verdict.NOT_ATTEMPTED)


@mutant("a 5xx for a row leaves no doubt", 4)
def _fault_without_doubt(patch: Patch) -> None:
    _judges(patch, lambda reply: reply.status >= 500 and reply.status != 507, Verdict.NOT_ATTEMPTED)


@mutant("a 429 or 424 forgets an earlier doubt", 4)
def _forgets_doubt(patch: Patch) -> None:
    def wrong(right: Any, self: Any, verdict: Any, attempt: Attempt, *rest: Any, **how: Any) -> Any:
        attempt = attempt._replace(in_doubt=attempt.in_doubt and how.get("counted", True))
        return right(self, verdict, attempt, *rest, **how)

    _around(patch, judged_rows.RowJudge, "again", wrong)


@mutant("every 429 and 424 leaves a doubt", 4)
def _doubts_everything(patch: Patch) -> None:
    def wrong(right: Any, self: Any, verdict: Any, attempt: Attempt, *rest: Any, **how: Any) -> Any:
        return right(self, verdict, attempt._replace(in_doubt=True), *rest, **how)

    _around(patch, judged_rows.RowJudge, "again", wrong)


@mutant("of two answers to a row the last counts", 4)
def _believes_the_last(patch: Patch) -> None:
    patch.setattr(decode, "_agreed", lambda first, second: second)


# ----------------------------------------------------------------------------------------------------- 5: after a crash


@mutant("doubt is forgotten by a resumed run", 5)
def _resume_without_doubt(patch: Patch) -> None:
    def wrong(right: Any, *args: Any) -> tuple[Attempt, ...]:
        return tuple(attempt._replace(in_doubt=False) for attempt in right(*args))

    _around(patch, unfinished, "unsettled", wrong)


@mutant("the window is forgotten by a resumed run", 5)
def _resume_without_window(patch: Patch) -> None:
    patch.setattr(unfinished, "seen_lately", lambda *args: {})


@mutant("a resumed run uses slots that lost calls may still hold", 5)
def _resume_without_lost_slots(patch: Patch) -> None:
    patch.setattr(unfinished, "lost_slots", lambda *args: ())


@mutant("waits are forgotten by a resumed run", 5)
def _resume_without_waits(patch: Patch) -> None:
    for module in (unfinished, ledger):
        patch.setattr(module, "rest_s", lambda *args: 0.0)


@mutant("attempts are counted anew by a resumed run", 5)
def _resume_without_attempts(patch: Patch) -> None:
    def wrong(right: Any, *args: Any) -> tuple[Attempt, ...]:
        return tuple(attempt._replace(number=1) for attempt in right(*args))

    _around(patch, unfinished, "unsettled", wrong)


@mutant("a resumed run sends settled rows again", 5)
def _resume_from_the_start(patch: Patch) -> None:
    def wrong(right: Any, connection: Any, *args: Any) -> Iterator[Any]:
        firsts = dict(connection.execute("SELECT number, first FROM mailbox"))
        for opened in right(connection, *args):
            yield replace(opened, next=firsts[opened.mailbox], unsettled=())

    _around(patch, ledger, "unfinished_mailboxes", wrong)


@mutant("rows in flight at a death are taken for never sent", 5)
def _forgets_flights(patch: Patch) -> None:
    def wrong(connection: Any) -> None:
        connection.execute("UPDATE part SET fresh = 0 WHERE batch IN (SELECT number FROM batch WHERE ended_ms IS NULL)")

    patch.setattr(journal, "adopt_lost_rows", wrong)


def _judges(patch: Patch, these: Callable[[Reply], bool], verdict: Verdict) -> None:
    _around(patch, judged_rows, "judge", lambda right, reply, *ids: verdict if these(reply) else right(reply, *ids))


def _now() -> float:
    import asyncio

    return asyncio.get_running_loop().time()


# ------------------------------------------------------------------------------------------------------------- the hunt


def bite(name: str, seeds: int) -> Bite:
    """Play seeds, with and without deaths in turn, until something notices a mistake."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    wrong = MUTANTS[name]
    with pytest.MonkeyPatch.context() as patch:
        wrong.put_in(patch)
        for number in range(seeds):
            scenario = (chaos, crashing)[number % 2](number // 2 + 1)
            try:
                play(scenario)
            except AssertionError as error:
                if isinstance(error.__cause__, TypeError | AttributeError):
                    raise  # not the intended mistake: the code that it replaces is called differently now
                by, said = _by_whom(error)
                return Bite(name, wrong.promise, number + 1, by, said)
    return Bite(name, wrong.promise, None)


def _by_whom(error: AssertionError) -> tuple[str, str]:
    said = str(error).split("}: ", 1)[-1].replace("\n", " ")
    match error.__cause__:
        case None:
            return "the judge", said
        case Deadlock() | Livelock():
            return "the clock", said
        case AssertionError():
            return "an assertion", said
        case cause:
            return type(cause).__name__, said


EPILOG = """\b
Examples:
  python -m tests.campaigns.bites
  python -m tests.campaigns.bites --only "gone is always purged" --seeds 1000"""


@click.command(epilog=EPILOG)
@click.option("--seeds", type=click.IntRange(min=1), default=200, show_default=True, help="Seeds for each mutant.")
@click.option("--only", multiple=True, type=click.Choice(sorted(MUTANTS)), help="These mutants; all by default.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a mutant.")
def main(seeds: int, only: tuple[str, ...], jobs: int, as_json: bool) -> None:
    """Put in each mutant and play seeds until it is found. Exit code 1 if one is not found."""
    names = list(only or MUTANTS)
    alive = 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for found in pool.map(bite, names, [seeds] * len(names)):
            alive += found.seeds is None
            if as_json:
                click.echo(json.dumps(vars(found)))
            else:
                click.echo(
                    f"{found.seeds or 'LIVES':>5}  {found.promise}  {found.mutant}: {found.by}: {found.said[:120]}"
                )
    click.echo(f"{len(names) - alive} of {len(names)} mutants found out within {seeds} seeds.", err=True)
    sys.exit(1 if alive else 0)


if __name__ == "__main__":
    main()
