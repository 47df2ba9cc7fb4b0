"""Prints how many calls and how much time a purge will take, and what decides that, as text or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from purgeengine.core.forecast.estimate import Decider, Estimate
from purgeengine.core.forecast.latency import Latency
from purgeengine.core.graph.text import printable
from purgeengine.json_output.plan_output import DecidingMailbox
from purgeengine.words import counted, duration, number

DECIDING_SHOWN = 5
WORTH_EXPLAINING_S = 60.0
"""The reason for the duration is shown for runs of at least this many seconds."""


def cost_fields(cost: Estimate, largest: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return the fields of `PlanOutput` about calls and time. ``largest`` are the largest mailboxes, largest first."""
    bound = cost.bound
    return {
        "calls_min": cost.calls,
        "limits_s": round(cost.limits_s, 1),
        "least_s": round(cost.least_s, 1),
        "expected_s": round(cost.expected_s, 1),
        "decides": cost.decider.value if cost.decider is not None else None,
        "deciding_mailboxes": [_mailbox(cost, user, rows) for user, rows in _deciding(cost, largest)],
        "deciding_mailboxes_in_all": cost.deciding_mailboxes,
        "bounds_s": {
            Decider.SLOTS.value: round(bound.slots_s, 1),
            Decider.WINDOW.value: round(bound.window_s, 1),
            Decider.CONNECTIONS.value: round(bound.connections_s, 1),
            Decider.RATE.value: round(bound.app_s, 1),
            Decider.SLOTS_AND_CONNECTIONS.value: round(bound.coupled_s, 1),
        },
        "item_median_s": cost.latency.item_median_s,
        "call_overhead_s": cost.latency.overhead_s,
    }


def _mailbox(cost: Estimate, user: str, rows: int) -> DecidingMailbox:
    return DecidingMailbox(user=user, rows=rows, least_s=round(cost.of_a_mailbox_s(rows), 1))


def show_cost(cost: Estimate, largest: Sequence[tuple[str, int]]) -> None:
    """Print the calls, the time and the reason as text."""
    if not cost.calls:
        click.echo("Nothing to purge: a run would send nothing.")
        return
    limits = cost.limits
    click.echo(
        f"At least {counted(cost.calls, 'call')} and {duration(cost.least_s)}, with {counted(limits.connections, 'connection')} "
        f"at {in_words(cost.latency)}."
    )
    demanded = f"; Graph's limits on requests alone demand {duration(cost.limits_s)}" if cost.limits_s >= 1 else ""
    click.echo(f"About {duration(cost.expected_s)} is likely where Graph asks for no waits{demanded}.")
    if cost.decider is not None and cost.expected_s >= WORTH_EXPLAINING_S:
        click.echo(f"What decides: {_reason(cost)}.")
        deciding = _deciding(cost, largest)
        for user, rows in deciding[:DECIDING_SHOWN]:
            least_s = cost.of_a_mailbox_s(rows)
            click.echo(f"  {printable(user)}: {counted(rows, 'row')}, {duration(least_s)} at least by itself")
        if cost.deciding_mailboxes > DECIDING_SHOWN:
            click.echo(f"  and {number(cost.deciding_mailboxes - min(DECIDING_SHOWN, len(deciding)))} more")


def in_words(latency: Latency) -> str:
    """Return the assumed latencies as text. Nothing has been measured before a run."""
    item_ms, call_ms = round(latency.item_median_s * 1000), round(latency.overhead_s * 1000)
    return f"usual latencies (assumed: half of the rows take less than {item_ms} ms, and a call {call_ms} ms more)"


def _reason(cost: Estimate) -> str:
    limits, largest = cost.limits, "the largest mailbox" if cost.deciding_mailboxes == 1 else "the largest mailboxes"
    match cost.decider:
        case Decider.SLOTS:
            return f"Graph's limit of {limits.mailbox_concurrent_max} requests at once to {largest}"
        case Decider.WINDOW:
            requests, window = number(limits.mailbox_requests), duration(limits.mailbox_window_s)
            return f"Graph's limit of {requests} requests in {window} to {largest}"
        case Decider.CONNECTIONS:
            return f"the {counted(limits.connections, 'connection')} (--connections); no mailbox does"
        case Decider.RATE:
            return f"the {counted(limits.requests_per_s, 'row')} a second that may be sent (--rate); no mailbox does"
        case _:
            return (
                f"the {counted(limits.connections, 'connection')} (--connections) and Graph's limit of "
                f"{limits.mailbox_concurrent_max} requests at once to {largest}, together"
            )


def _deciding(cost: Estimate, largest: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(user, rows) for user, rows in largest if cost.deciding_rows and rows >= cost.deciding_rows]
