"""The whole engine in simulated time: the ledger compared with what the service saw.

Invariants: intent before send; one outcome per row; no settled row sent again; never over the mailbox limits because
of us; no Retry-After cut short; purged and absent are true; and, when the faults stop, the run ends within bounds.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import Trouble
from tests.simulation.scenario import Scenario, chaos, crashing, zipf
from tests.simulation.world import World, play

SEEDS = Path(__file__).parents[1] / "seeds"
SEEDS_PLAYED = 120
"""Of each campaign, whose first seeds these are: ``python -m tests.campaigns chaos`` and ``crashes`` play thousands."""

JOB = zipf(4_000, 150)


def test_a_skewed_sorted_job_is_purged_in_full_calls_and_without_a_refusal() -> None:
    """4,000 rows in 150 skewed mailboxes: at most 320 calls, nothing refused, nothing early."""
    world = World(rows_by_mailbox=JOB).run()
    world.judge()
    assert world.counts == Counter({Outcome.PURGED: 4_000})
    assert world.calls <= 320
    assert world.scheduler.fanout == 20
    assert world.tenant.counters.refused_concurrency == 0
    assert world.scheduler.view.throttled == 0


def test_a_service_that_runs_batches_all_at_once_is_recognised_by_one_probe() -> None:
    """The test of the fanout costs four refusals, and then no mailbox has more than four rows in a batch."""
    world = World(rows_by_mailbox=JOB, settings=TenantSettings(dispatch="all")).run()
    world.judge()
    assert world.counts == Counter({Outcome.PURGED: 4_000})
    assert world.scheduler.fanout == 4
    assert world.tenant.counters.refused_concurrency == 4


@pytest.mark.parametrize("dispatch", ["four", "all"])
def test_fanout_four_is_never_refused_on_either_service(dispatch: str) -> None:
    """A fanout of four gets no refusal at all."""
    world = World(
        rows_by_mailbox=zipf(1_000, 30), limits=Limits(fanout=4), settings=TenantSettings(dispatch=dispatch)
    ).run()
    world.judge()
    assert world.tenant.counters.refused_concurrency == 0


def test_the_request_window_of_a_mailbox_is_kept_and_spent() -> None:
    """250 rows at 100 in 60 s take two full windows, and no request is refused for the rate."""
    limits = Limits(mailbox_requests=100, mailbox_window_s=60.0)
    world = World(
        rows_by_mailbox=[250, 10],
        limits=limits,
        settings=TenantSettings(mailbox_requests=100, mailbox_window_s=60.0),
    ).run()
    world.judge()
    assert world.tenant.counters.refused_rate == 0
    assert 120.0 < world.duration_s < 150.0


def test_a_mailbox_under_two_names_is_one_once_they_are_looked_up() -> None:
    """GUID and UPN share positions, limits and duplicates, and the service's limits are kept as if there were one name."""
    world = World(rows_by_mailbox=zipf(600, 20), two_names=True, resolved=True, duplicates=0.1, shuffled=True).run()
    world.judge()
    assert world.counts[Outcome.DUPLICATE] > 0
    assert world.tenant.counters.refused_concurrency == 0


def test_a_mailbox_under_two_names_that_nobody_looked_up_is_survived() -> None:
    """Both names may be in flight at once, a known limit: refusals lower both, every row ends, and purged rows are gone."""
    world = World(rows_by_mailbox=[400, 300], two_names=True, shuffled=True).run()
    assert world.counts == Counter({Outcome.PURGED: 700})
    assert world.tenant.truth.remaining() == 0
    counters = world.tenant.counters
    assert 0 < counters.refused_concurrency < 70
    assert counters.violations == counters.refused_rate == 0


def test_closed_mailboxes_do_not_stop_the_run() -> None:
    """The rows of one denied and one missing mailbox are refused or skipped; all others are purged."""
    world = World(rows_by_mailbox=[40] * 10, troubles={3: Trouble.DENIED, 5: Trouble.MISSING}).run()
    world.judge()
    assert world.counts[Outcome.PURGED] == 320
    assert world.counts[Outcome.REFUSED] + world.counts[Outcome.SKIPPED] == 80
    assert world.counts[Outcome.SKIPPED] > 0


def test_a_token_that_expires_is_renewed_and_fails_no_row() -> None:
    """Every expiry costs one renewal, and every row is purged."""
    world = World(rows_by_mailbox=zipf(3_000, 100), faults=Faults(expired_token=0.02)).run()
    world.judge()
    assert world.counts == Counter({Outcome.PURGED: 3_000})
    assert 1 <= world.tokens.renewals <= 10


def test_an_outage_of_eight_seconds_is_sat_out() -> None:
    """Everything fails for 8 s: no row is lost to it, and the run continues afterwards."""
    world = World(rows_by_mailbox=zipf(3_000, 100), faults=Faults(outage=(2.0, 10.0))).run()
    world.judge()
    assert world.counts == Counter({Outcome.PURGED: 3_000})
    assert world.duration_s < 150.0


@pytest.mark.parametrize("fault", sorted(set(Faults.probabilities()) - {"item_throttled_after"}))
def test_each_fault_alone_costs_no_row(fault: str) -> None:
    """With a fault in one tenth of all chances, the ledger still equals the truth and no row is given up."""
    world = World(
        rows_by_mailbox=zipf(300, 12),
        limits=Limits(attempts_max=30, unclear_attempts_max=30),
        faults=Faults(**{fault: 0.1}),
        absent=0.1,
    )
    world.run().judge()
    assert set(world.counts) <= {Outcome.PURGED, Outcome.ABSENT}
    assert world.counts[Outcome.ABSENT] <= sum(not there for there in world.existed.values())


@pytest.mark.parametrize("skew_s", [-7_200.0, -1.5, 1.5, 7_200.0])
def test_a_retry_after_as_a_date_needs_no_clock_to_be_right(skew_s: float) -> None:
    """With clocks up to two hours apart, no wait until a date is cut short, and none becomes hours."""
    faults = Faults(item_throttled_before=0.2, call_throttled=0.05)
    world = World(rows_by_mailbox=[40] * 20, faults=faults)
    world.utc_offset_s = skew_s
    world.run().judge()
    assert world.counts == Counter({Outcome.PURGED: 800})
    assert world.duration_s < 600.0


@pytest.mark.parametrize("by_s", [-86_400.0, -3_600.0, -1.0, 1.0, 3_600.0, 86_400.0])
def test_a_wall_clock_that_is_set_decides_nothing(by_s: float) -> None:
    """A wall clock set by up to a day in the middle of a run changes neither its calls nor its duration."""
    faults = Faults(item_throttled_before=0.1, item_error_after=0.05, reset_after=0.05)
    worlds = [World(rows_by_mailbox=[30] * 20, faults=faults, clock_steps=steps) for steps in ((), ((2.0, by_s),))]
    for world in worlds:
        world.run().judge()
    assert worlds[0].duration_s == worlds[1].duration_s
    assert [seen.contact for seen in worlds[0].tenant.log] == [seen.contact for seen in worlds[1].tenant.log]


@pytest.mark.parametrize("for_s", [5.0, 60.0, 86_400.0])
@pytest.mark.parametrize(
    "faults", [Faults(), Faults(item_throttled_before=0.1, call_error_before=0.2, reset_after=0.05)]
)
def test_a_machine_that_sleeps_in_the_middle_of_a_run_goes_on(for_s: float, faults: Faults) -> None:
    """If the monotonic clock runs on during sleep (as on Windows), there is no outage, and every row is purged."""
    world = World(rows_by_mailbox=[30] * 20, faults=faults, suspensions=((1.0, for_s), (3.0 + for_s, for_s)))
    world.run_once()
    assert world.error is None
    world.judge()
    assert world.counts == Counter({Outcome.PURGED: 600})


@pytest.mark.parametrize("seed", range(1, SEEDS_PLAYED + 1))
def test_chaos_breaks_no_promise(seed: int) -> None:
    """With a random service, job and faults from one seed, every promise holds, and once the faults stop, the run ends."""
    play(chaos(seed))


@pytest.mark.parametrize("seed", range(1, SEEDS_PLAYED + 1))
def test_death_between_any_two_steps_breaks_no_promise(seed: int) -> None:
    """If the process dies one to five times, the same command finishes the job, and nothing recorded is lost or sent again."""
    play(crashing(seed))


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*.json")), ids=lambda path: path.stem)
def test_what_once_failed_holds(path: Path) -> None:
    """A scenario that once broke a promise is always played, from its drawn options and not from its seed."""
    play(Scenario.from_json(path.read_bytes()))


def test_a_scenario_comes_back_from_its_json() -> None:
    """The JSON printed with a failure repeats the scenario."""
    for seed in range(50):
        assert Scenario.from_json(chaos(seed).to_json()) == chaos(seed)
        assert Scenario.from_json(crashing(seed).to_json()) == crashing(seed)


OWN_NAME = ("""INSERT INTO "meta" VALUES('id',""", """INSERT INTO "meta" VALUES('crc',""")


def test_the_same_seed_gives_the_same_ledger_byte_for_byte() -> None:
    """Two plays of one scenario export the same bytes, including ids and times, and have the same records.

    Only the name that each ledger draws for itself differs, and with it the checksum of what stands beside it.
    """

    def once() -> tuple[bytes, list[str]]:
        world = World(replace(crashing(57), faults=Faults.everything(0.02))).run()
        world.judge_of_runs.exported()
        with closing(connect_to_read(world.folder)) as connection:
            records = [one for one in connection.iterdump() if not one.startswith(OWN_NAME)]
        return world.folder.with_name("export.csv").read_bytes(), records

    assert once() == once()
