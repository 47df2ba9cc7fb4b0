"""Tests of the estimate before a run: worked out by hand, and compared with runs of the real scheduler."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.makespan.engine import run as played_s
from benchmarks.makespan.service import Service
from purgeengine.cli.commands.plan import plan
from purgeengine.core.forecast.estimate import Decider, estimate
from purgeengine.core.forecast.latency import USUAL, Dispatch, Latency
from purgeengine.run_limits import Fanout, Limits
from tests.support.cli_fixtures import rows_of, write_csv

EVEN = Latency(overhead_s=0.1, item_median_s=0.2, item_sigma=1e-9)
"""Every row takes 0.2 s and every call 0.1 s. A full batch, four rows at a time, takes 1.1 s, and a lane of twenty 4.1 s."""


def test_many_small_mailboxes_take_what_the_connections_take() -> None:
    """Connections decide many small mailboxes: 50 calls of 1.1 s on 5 connections take 11 s, and 4 more calls."""
    found = estimate([10] * 100, Limits(connections=5), EVEN)
    assert (found.calls, found.decider) == (50, Decider.CONNECTIONS)
    assert found.least_s == pytest.approx(11.0, rel=1e-3)
    assert found.expected_s == pytest.approx(11.0 + 4 * 1.1, rel=1e-3)
    assert (found.deciding_rows, found.deciding_mailboxes) == (0, 0)


def test_a_large_mailbox_takes_what_its_four_slots_take() -> None:
    """Slots decide one large mailbox: 800 rows in four lanes, 0.205 s a row, take 41 s, also beside smaller ones."""
    for job in ([800], [800, *[10] * 100]):
        found = estimate(job, Limits(connections=16), EVEN)
        assert found.decider is Decider.SLOTS
        assert found.least_s == pytest.approx(41.0, rel=1e-3)
        assert (found.deciding_rows, found.deciding_mailboxes) == (800, 1)
        assert found.of_a_mailbox_s(800) == pytest.approx(41.0, rel=1e-3)


def test_mailboxes_within_a_twentieth_of_the_least_time_decide_with_the_largest() -> None:
    """Mailboxes of 1,000 and 960 rows decide and one of 940 does not, and each has its own least time."""
    found = estimate([940, 1_000, 960], Limits(), EVEN)
    assert (found.deciding_rows, found.deciding_mailboxes) == (960, 2)
    assert found.of_a_mailbox_s(940) == pytest.approx(940 * 0.205 / 4, rel=1e-3)


def test_a_mailbox_over_its_window_waits_for_whole_windows_and_takes_the_rest_of_the_last() -> None:
    """A mailbox of 25,000 rows takes two windows of 600 s and its last 5,000 rows; one of 10,000 needs no second window."""
    found = estimate([25_000], Limits(), EVEN)
    assert found.decider is Decider.WINDOW
    assert (found.limits_s, found.calls) == (1_200.0, 1_250)
    assert found.bound.slots_s == pytest.approx(1_250.0, rel=1e-3)
    assert found.least_s == pytest.approx(1_200 + 250, rel=1e-3)
    slack_s, rounding_s = 1.0, 1.0
    assert found.expected_s == pytest.approx(1_450 + 2 * (slack_s + rounding_s) + 4 * 1.1, rel=1e-3)
    assert estimate([10_000], Limits(), EVEN).limits_s == pytest.approx(10_000 / 12_000)
    assert estimate([10_001], Limits(), EVEN).limits_s == 600.0


def test_the_rate_of_the_app_decides_when_it_is_slow() -> None:
    """A rate of one request a second decides over all other limits."""
    found = estimate([1] * 100, Limits(requests_per_s=1), EVEN)
    assert (found.decider, found.least_s, found.deciding_mailboxes) == (Decider.RATE, 100.0, 0)


def test_large_mailboxes_and_few_connections_decide_together() -> None:
    """Slots and connections decide together if five large mailboxes want 20 connections for lanes and there are 4.

    On a service that runs batches at once, a full batch takes 0.3 s: 0.3 slot-seconds and 0.015 connection-seconds a row. A lane
    takes 0.205 of both. Alone, the slots of a mailbox with 600 rows take 600 * 0.205 / 4 = 30.75 s, and the connections 3,000 *
    0.015 / 4 = 11.25 s. A mailbox that is to be done in T has 4 T / 600 slot-seconds a row, so that a share x of its rows can
    travel in full batches: 0.205 + 0.095 x = 4 T / 600. The 3,000 rows cost 0.205 - 0.19 x connection-seconds each, of which
    there are 4 T. So x = 492 / 627, and T = 41.93.
    """
    found = estimate([600] * 5, Limits(connections=4, fanout=4), EVEN)
    assert found.decider is Decider.SLOTS_AND_CONNECTIONS
    assert found.bound.slots_s == pytest.approx(30.0, rel=1e-3)
    assert found.bound.connections_s == pytest.approx(11.25, rel=1e-3)
    assert found.least_s == pytest.approx(41.93, rel=1e-3)
    assert (found.deciding_rows, found.deciding_mailboxes) == (560, 5)  # 559 * 0.3 / 4 = 41.93
    usual = estimate([600] * 5, Limits(connections=4, fanout=4))
    full_s = usual.menu.cheapest.slot_s / 4
    assert (usual.deciding_rows - 1) * full_s <= usual.least_s < usual.deciding_rows * full_s


def test_one_mailbox_by_itself_has_all_connections() -> None:
    """A mailbox's own time assumes that it has all connections: 930 rows take 47.7 s, too little to decide beside 1,000."""
    found = estimate([1_000, 930], Limits(connections=5), EVEN)
    assert found.of_a_mailbox_s(930) == pytest.approx(930 * 0.205 / 4, rel=1e-3)
    assert (found.decider, found.deciding_rows, found.deciding_mailboxes) == (Decider.SLOTS, 1_000, 1)


def test_smaller_batches_and_batches_that_run_at_once_begin_and_end_as_they_do() -> None:
    """The calls to start and end are as long as the batches: 0.7 s for ten rows four at a time, 0.3 s for twenty at once."""
    small = estimate([10] * 100, Limits(connections=5, batch_items_max=10), EVEN)
    assert (small.calls, small.least_s) == (100, pytest.approx(14.0, rel=1e-3))
    assert small.expected_s == pytest.approx(14.0 + 4 * 0.7, rel=1e-3)
    at_once = estimate([10] * 100, Limits(connections=5, fanout=4), EVEN)
    assert at_once.expected_s == pytest.approx(3.0 + 4 * 0.3, rel=1e-3)


def test_a_job_of_one_call_takes_one_call_more_than_the_least() -> None:
    """A job of one call is expected to take the least time and that one call.

    Twenty rows take 20 * 0.205 / 4 s in lanes, and 1.1 s. A window of one request does not hold up a single row.
    """
    assert estimate([20], Limits(), EVEN).expected_s == pytest.approx(1.025 + 1.1, rel=1e-3)
    assert estimate([1], Limits(mailbox_requests=1), EVEN).limits_s < 1.0


def test_without_lanes_all_calls_are_full() -> None:
    """Without lanes, 800 rows of one mailbox take 44 s in full batches of 1.1 s; with a fanout of 4, four rows take 0.3 s."""
    assert estimate([800], Limits(lanes=False), EVEN).least_s == pytest.approx(40 * 1.1, rel=1e-3)
    found = estimate([800], Limits(lanes=False, fanout=4), EVEN)
    assert found.least_s == pytest.approx(200 * 0.3, rel=1e-3)
    assert found.decider is Decider.SLOTS


def test_nothing_to_do_takes_no_time_and_one_row_takes_one_call() -> None:
    """No rows take no time, one row takes one call, and mailboxes without rows do not count."""
    for job in ([], [0, 0]):
        nothing = estimate(job, Limits())
        assert (nothing.calls, nothing.least_s, nothing.expected_s, nothing.decider) == (0, 0.0, 0.0, None)
        assert (nothing.deciding_rows, nothing.deciding_mailboxes) == (0, 0)
    assert estimate([1], Limits(), EVEN).expected_s == pytest.approx(0.205 / 4 + 0.3, rel=1e-3)


@pytest.mark.parametrize("fanout", ["auto", 4])
@pytest.mark.parametrize(
    "job",
    [[1_000], [10] * 1_000, [200] * 100, [250] * 20, [3_000, *[20] * 200]],
    ids=lambda job: f"{len(job)}-up-to-{max(job)}",
)
def test_runs_of_the_real_scheduler_take_about_what_is_expected(job: list[int], fanout: Fanout) -> None:
    """Simulated runs are hardly faster than the least time, and on average within 30 % of the estimate."""
    limits = Limits(fanout=fanout)
    found = estimate(job, limits)
    dispatch: Dispatch = "all" if fanout == 4 else "four"
    took_s = 0.0
    for seed in (1, 2, 3):
        service = Service(USUAL, dispatch, window_requests=10_000, window_s=600.0, seed=seed)
        took_s += played_s(job, limits, service) / 3
    assert took_s > 0.95 * found.least_s
    assert took_s == pytest.approx(found.expected_s, rel=0.3)


def planned(tmp_path: Path, counts: list[int], *more: str) -> str:
    """Return what ``plan`` prints."""
    source = write_csv(tmp_path / "input.csv", rows_of(counts))
    ended = CliRunner().invoke(plan, [str(source), *more], standalone_mode=False)
    assert ended.exception is None, ended.output
    return ended.stdout


def test_plan_names_the_mailboxes_that_decide(tmp_path: Path) -> None:
    """The plan command shows the least and the likely time, the limit that decides, and the deciding mailboxes."""
    told = planned(tmp_path, [300, 290, 20], "--mailbox-requests", "100")
    assert "At least 31 calls and 20 min 3 s, with 64 connections at usual latencies (assumed: " in told
    assert "Graph's limits on requests alone demand 20 min." in told
    assert "What decides: Graph's limit of 100 requests in 10 min to the largest mailboxes." in told
    assert "  user0000@contoso.example: 300 rows, 20 min 3 s at least by itself" in told
    assert "  user0001@contoso.example: 290 rows, 20 min 3 s at least by itself" in told
    assert "user0002@contoso.example: 20 rows" not in told

    found = json.loads(planned(tmp_path, [300, 290, 20], "--mailbox-requests", "100", "--json"))
    assert (found["calls_min"], found["limits_s"]) == (31, 1_200.0)
    assert (found["decides"], found["latencies"]) == ("window", "assumed")
    assert found["least_s"] == found["bounds_s"]["window"] == 1203.3
    assert found["expected_s"] == pytest.approx(1203.3 + 4 + (4 + 1.25) * 0.94, abs=0.1)
    assert [(m["user"], m["rows"]) for m in found["deciding_mailboxes"]] == [
        ("user0000@contoso.example", 300),
        ("user0001@contoso.example", 290),
    ]
    assert [m["least_s"] for m in found["deciding_mailboxes"]] == [1203.3, 1203.0]
    assert found["deciding_mailboxes_in_all"] == 2
    assert (found["item_median_s"], found["call_overhead_s"]) == (0.08, 0.06)


def test_plan_names_a_few_and_counts_the_others_and_none_where_no_mailbox_decides(tmp_path: Path) -> None:
    """The plan command names five of seven deciding mailboxes, and none if the connections decide."""
    told = planned(tmp_path, [30] * 7, "--mailbox-requests", "10")
    assert told.count("at least by itself") == 5
    assert told.endswith("  and 2 more\n")
    told = planned(tmp_path, [30] * 50, "--connections", "1")
    assert "What decides: the 1 connection (--connections); no mailbox does.\n" in told
    assert "What decides" not in planned(tmp_path, [30])
