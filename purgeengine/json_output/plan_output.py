"""The object of ``plan``, and of ``run`` and ``retry`` with ``--dry-run``: what a run would do."""

from __future__ import annotations

from typing import Literal

import msgspec

from purgeengine.json_output.shared import InputOutput, Outcomes, ShownMailbox


class InvalidRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the input that cannot be sent."""

    row: int
    """Its number in the input, from 0."""
    line: int
    """Its line in ``file``, from 1."""
    file: str
    """The name of the file."""
    reason: str
    """What is wrong."""
    value: str
    """The cell that is wrong, cut to a short line. Empty if no single cell is to blame."""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that a filter keeps from being sent."""

    code: str
    """Which filter."""
    message: str
    """Why, in a sentence."""
    rows: int
    """The rows."""
    mailboxes: int
    """The mailboxes."""


class DecidingMailbox(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox that decides how long the purge takes."""

    user: str
    """The mailbox, as the list names it."""
    rows: int
    """Its rows to purge."""
    least_s: float
    """The lower bound if it were the only mailbox, in seconds."""


class PlanOutput(InputOutput, frozen=True, kw_only=True):
    """What a run would do. It sends nothing."""

    dry_run: bool
    """True for ``run --dry-run`` and ``retry --dry-run``, false for ``plan``."""
    rows: int
    """All rows of the input: those to purge, those that a filter leaves out, and those that have an outcome."""
    to_purge: int
    """Rows that would be sent."""
    in_doubt: int
    """Those of the rows to purge that were sent before and whose answer is unknown."""
    mailboxes: int
    """Mailboxes that the valid rows name."""
    mailboxes_to_purge: int
    """Mailboxes with rows to purge."""
    outcomes: Outcomes
    """Rows that have an outcome already: invalid rows, duplicates, and what earlier runs of the ledger settled."""
    invalid_by_reason: dict[str, int]
    """Invalid rows by reason. Empty if a ledger was looked at."""
    invalid_examples: list[InvalidRow]
    """Some invalid rows. Empty if a ledger was looked at."""
    left_out: list[LeftOut]
    """Rows that filters keep from being sent."""
    largest_mailboxes: list[ShownMailbox]
    """The mailboxes with the most rows to purge, largest first."""
    calls_min: int
    """The fewest calls: every batch is full."""
    limits_s: float
    """Seconds that the limits on requests (window and rate) demand, however quick Graph is."""
    least_s: float
    """The lower bound: no schedule can finish these rows faster, in seconds, at the latencies assumed."""
    expected_s: float
    """The likely time in seconds. Waits that Graph asks for come on top."""
    decides: Literal["slots", "window", "connections", "rate", "slots and connections"] | None
    """The limit that decides. Null if there is nothing to do."""
    deciding_mailboxes: list[DecidingMailbox]
    """The mailboxes that decide, at most 100. Empty if the connections or the rate decide."""
    deciding_mailboxes_in_all: int
    """The number of all deciding mailboxes."""
    bounds_s: dict[str, float]
    """The lower bound of each limit by itself, in seconds, by the names of ``decides``."""
    latencies: Literal["assumed"] = "assumed"
    """Where the latencies come from. Nothing has been timed before a run."""
    item_median_s: float
    """The median time of a request for a row that is assumed, in seconds."""
    call_overhead_s: float
    """The time that a call adds to its rows that is assumed, in seconds."""
    warnings: list[str]
    """What suggests that this is not the list that was meant, in sentences."""
