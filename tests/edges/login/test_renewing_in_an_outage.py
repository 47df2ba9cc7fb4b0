"""Tests of a login outage during a run, in virtual time: the run waits and continues, or stops and can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from purgeengine.edges.login import Issued, LoginUnavailable, RenewingTokens
from purgeengine.edges.login.renewing import RUN_PATIENCE_S, START_PATIENCE_S
from purgeengine.errors import TokenError
from purgeengine.run_limits import Limits
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.tenant_settings import TenantSettings
from tests.simulation import world
from tests.simulation.virtual_time import VirtualClock
from tests.simulation.world import World

ROWS = 100
SLOW = TenantSettings(latency_median_s=2.0, latency_s_max=4.0)


class SimulatedLogin:
    """A login that asks the simulated login without a network."""

    method, tenant_id, client_id = "client secret", "contoso", "app"
    remedy, credential, skew_s, claims = "Check the network.", "", None, ""

    def __init__(self, login: LoginEndpoint, clock: VirtualClock, started_at: float) -> None:
        self._login = login
        self._now: Callable[[], float] = lambda: started_at + clock.monotonic()

    def acquire(self) -> Issued:
        """Return a token, or raise `LoginUnavailable` during an outage."""
        app = self._login.app
        form = {
            "grant_type": "client_credentials",
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "scope": "https://graph.example/.default",
        }
        path = f"/{app.tenant_id}/oauth2/v2.0/token"
        answer = self._login.answer("POST", path, form, self._now(), "https://login.example")
        assert answer is not None
        if answer.status == 503:
            raise LoginUnavailable("the login answered 503")
        return Issued(self._login.issue(self._now()), self._login.lifetime_s)


@pytest.fixture(autouse=True)
def renewing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gives the simulated world the real `RenewingTokens`.

    It asks its login in the loop itself, because virtual time has no threads.
    """

    async def at_once(function: Callable[[], Any]) -> Any:
        return function()

    def tokens(login: LoginEndpoint, clock: VirtualClock, started_at: float) -> RenewingTokens:
        return RenewingTokens(SimulatedLogin(login, clock, started_at), clock=clock)

    monkeypatch.setattr("purgeengine.edges.login.renewing.beside_the_loop", at_once)
    monkeypatch.setattr(world, "SimulatedTokens", tokens)
    return


def a_job() -> World:
    """Return a job with a hundred slow rows of one mailbox and tokens that live for 20 seconds."""
    job = World(rows_by_mailbox=(ROWS,), settings=SLOW, limits=Limits(connections=2), absent=0.0, seed=3)
    job.login.lifetime_s = 20.0
    return job


def test_a_run_rides_out_eight_minutes_without_a_login() -> None:
    """A run survives a login outage of eight minutes: it sends nothing after its token expired, and then purges every row."""
    job = a_job()
    job.login.outage = (15.0, 15.0 + 480.0)
    job.run_once()
    assert job.error is None
    job.judge()
    assert job.duration_s > 495.0
    assert job.tenant.counters.purged == ROWS


def test_a_longer_outage_stops_the_run_and_the_same_command_goes_on() -> None:
    """A longer outage stops the run with exit code 3 after 15 minutes.

    The same command later gives every row its one outcome.
    """
    job = a_job()
    job.login.outage = (15.0, 3_600.0)
    job.run_once()
    assert isinstance(job.error, TokenError)
    assert job.error.exit_code == 3
    assert "within 900 s: the login answered 503" in str(job.error)
    assert 15.0 + 600.0 < job.duration_s < 15.0 + 20.0 + RUN_PATIENCE_S + 60.0
    assert 0 < job.tenant.counters.purged < ROWS
    job.run_once()
    assert f"within {START_PATIENCE_S:g} s" in str(job.error)
    job.login.outage = None
    job.run().judge()
    assert job.tenant.counters.purged == ROWS


def test_a_run_that_begins_in_an_outage_says_so_soon() -> None:
    """A run that begins during an outage stops soon and sends nothing. The cause may be a mistake in the set-up."""
    job = a_job()
    job.login.outage = (0.0, 3_600.0)
    job.run_once()
    assert isinstance(job.error, TokenError)
    assert job.duration_s <= START_PATIENCE_S + 60.0
    assert job.tenant.counters.calls == 0
