"""Tests of the work over time: calls and requests in each interval, and the work of the largest mailboxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from purgeengine.core.messages import MailboxBlocked, MailboxClosed
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.views.work_over_time import CallsInInterval, MailboxWork, TimeGrid
from purgeengine.sim.graph.faults import Faults
from tests.cli.test_main import QUICK, a_tenant
from tests.support.cli_fixtures import a_bench, rows_of
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, returned, sent, settled
from tests.support.report_fixtures import a_busy_ledger

GRID = TimeGrid(NOW, 1_000)


def test_a_grid_numbers_its_intervals_and_takes_a_clock_that_was_set_back() -> None:
    """A time belongs to the interval in which it lies, and one before the first to the first."""
    assert [GRID.number(NOW + ms) for ms in (-5_000, 0, 999, 1_000, 61_500)] == [0, 0, 0, 1, 61]


def test_calls_are_counted_in_the_interval_in_which_they_ended(tmp_path: Path) -> None:
    """Calls are answered, refused as a whole or lost. A request is put off if an answer came that did not decide its row."""
    with open_ledger(tmp_path / "L", a_source(6, 4)) as ledger, LedgerReader.open(tmp_path / "L") as reader:
        assert reader.calls_over_time(GRID) == {}
        ledger.write([sent(1, (0, [0, 1, 2]), (1, [6])), sent(2, (0, [3]))], NOW)
        assert reader.calls_over_time(GRID) == {}  # nothing has ended
        ledger.write([ended(1), returned(0), settled(1, 1), settled(2, 1), settled(6, 1)], NOW + 300)
        ledger.write([ended(2, None), returned(3, in_doubt=True)], NOW + 400)
        assert reader.calls_over_time(GRID) == {0: CallsInInterval(2, 1, 5, 1)}
        ledger.write([sent(3, (0, [Attempt(0, 2)]), (1, [7, 8]))], NOW + 1_000)
        ledger.write([ended(3, 429), returned(0, 2), returned(7), returned(8)], NOW + 2_100)
        ledger.write([sent(4, (0, [Attempt(0, 3), Attempt(3, 2, 0, True)]))], NOW + 2_200)
        ledger.write([ended(4), settled(0, 4, attempts=3), settled(3, 4, attempts=2)], NOW + 2_300)
        assert reader.calls_over_time(GRID) == {0: CallsInInterval(2, 1, 5, 1), 2: CallsInInterval(2, 0, 5, 3)}


def test_the_work_of_a_mailbox_is_told_by_interval(tmp_path: Path) -> None:
    """Each of the largest mailboxes has its rows over time, its requests sent again, its waits and its closing."""
    denied = Reply(403, "ErrorAccessDenied")
    with open_ledger(tmp_path / "L", a_source(2, 4, 3)) as ledger, LedgerReader.open(tmp_path / "L") as reader:
        idle = MailboxWork("b@contoso.example", 4, 0, None, None, None, {}, {}, {})
        assert reader.work_of_largest(GRID, 1) == [idle]
        ledger.write([sent(1, (0, [0]), (1, [2, 3])), sent(2, (2, [6]))], NOW)
        ledger.write([ended(1), settled(0, 1), settled(2, 1), returned(3), MailboxBlocked(1, 2.0)], NOW + 500)
        ledger.write([ended(2, None), returned(6, in_doubt=True)], NOW + 1_500)
        ledger.write([sent(3, (1, [Attempt(3, 2), 4]))], NOW + 3_000)
        refused = settled(3, 3, Outcome.REFUSED, attempts=2, reply=denied)
        ledger.write([ended(3), refused, settled(4, 3, Outcome.ABSENT), MailboxClosed(1, denied, 1)], NOW + 3_400)
        assert reader.work_of_largest(GRID, 2) == [
            MailboxWork("b@contoso.example", 4, 1, NOW + 3_400, NOW, NOW + 3_400, {0: 1, 3: 1}, {3: 1}, {0: 1}),
            MailboxWork("c@contoso.example", 3, 0, None, NOW, None, {}, {}, {1: 1}),
        ]


def test_the_sums_are_those_that_the_ledger_was_told(tmp_path: Path) -> None:
    """Over all intervals of any length, a busy ledger's calls and requests add up to what was written, and so do its mailboxes'."""
    told = a_busy_ledger(tmp_path / "L")
    with LedgerReader.open(tmp_path / "L") as reader:
        for interval_ms in (1_000, 7_000, 3_600_000):
            grid = TimeGrid(NOW, interval_ms)
            sums = [sum(counts) for counts in zip(*reader.calls_over_time(grid).values(), strict=True)]
            assert sums == [told.calls, told.lost, told.requests, told.put_off]
            works = reader.work_of_largest(grid, 99)
            again = sum(sum(work.sent_again.values()) for work in works)
            assert again == told.put_off + 4 * told.lost
            well = sum(sum(work.well.values()) for work in works)
            assert well == sum(reader.counts().outcomes[o] for o in (Outcome.PURGED, Outcome.ABSENT))


TRIES_ON_A_BUSY_MACHINE = 10


def test_the_tenant_counts_the_same_requests_as_put_off(tmp_path: Path) -> None:
    """A simulated tenant that throttles and fails has logged as many requests without a decision as the ledger tells."""
    rows = rows_of([60, 30, 10, 5])
    faults = Faults(item_throttled_before=0.1, item_error_before=0.05, retry_after_s_max=1)
    for attempt in range(TRIES_ON_A_BUSY_MACHINE):
        tenant = a_tenant(rows, faults=faults, settings=replace(QUICK, log=True))
        folder = tmp_path / str(attempt)
        folder.mkdir()
        with a_bench(folder, tenant, rows) as bench:
            assert bench.run_here().code == 0
            with LedgerReader.open(bench.ledger) as reader:
                counts = reader.calls_over_time(TimeGrid(reader.first_sent_ms, 1_000)).values()
        if not sum(interval.lost for interval in counts):
            break  # a call whose answer came after half a second was given up, and its rows were asked for twice
    assert sum(interval.lost for interval in counts) == 0
    put_off = sum(seen.status in (424, 429) or seen.status >= 500 for seen in tenant.log)
    assert put_off == sum(interval.put_off for interval in counts) > 5
    assert sum(interval.requests for interval in counts) == len(tenant.log) == len(rows) + put_off
