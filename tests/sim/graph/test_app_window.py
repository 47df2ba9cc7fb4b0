"""Tests of the simulated limit of the whole app."""

from __future__ import annotations

import pytest

from purgeengine.errors import UsageProblem
from purgeengine.sim.graph.app_window import AppWindow
from purgeengine.sim.graph.counters import Counters
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.sim_fixtures import ANN, a_tenant, contacts_of, responses_of, run_to_end


def a_window(requests: int | None, window_s: float = 5.0) -> tuple[AppWindow, Counters]:
    counters = Counters()
    return AppWindow(TenantSettings(app_requests=requests, app_window_s=window_s), counters), counters


def test_so_many_requests_are_taken_in_a_window_and_refused_ones_count() -> None:
    """Three in 5 s: a client that goes on asking every second is refused for ever, and one that is still for 5 s is not."""
    window, counters = a_window(3)
    assert [window.admit(at) is None for at in (0.0, 0.1, 0.2, 1.0, 2.0, 3.0, 4.0, 5.05)] == [True] * 3 + [False] * 5
    assert counters.refused_app == 5
    assert [window.admit(at) is None for at in (10.05, 10.06)] == [True, True]


def test_without_a_limit_nothing_is_refused() -> None:
    """None is the default, and nothing is counted."""
    window, counters = a_window(None)
    assert all(window.admit(0.0) is None for _ in range(10_000))
    assert counters.refused_app == 0


def test_the_limit_may_change_and_others_may_use_it() -> None:
    """What was counted before a change still counts, and so does what another program sends."""
    window, _ = a_window(4)
    window.note_others(0.0, 3)
    assert [window.admit(0.0) is None for _ in range(2)] == [True, False]
    window.allow(100)
    assert window.admit(1.0) is None
    window.allow(2)
    assert window.admit(2.0) is not None
    window.allow(None)
    assert window.admit(2.0) is None


def test_only_the_rows_beyond_the_limit_are_refused_each_with_a_wait() -> None:
    """The call is answered with 200. The refused sub-requests have 429, a second to wait, and purge nothing."""
    tenant = a_tenant(app_requests=3, app_window_s=5.0)
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0, 1, 2, 3), 0.0, token="t"))
    assert ending.status == 200
    refused = [one for one in responses_of(ending).values() if one["status"] == 429]
    assert len(refused) == 1
    assert refused[0]["headers"]["Retry-After"] == "1"
    assert refused[0]["body"]["error"]["code"] == "TooManyRequests"
    assert tenant.counters.refused_app == 1
    assert tenant.counters.purged == 3


@pytest.mark.parametrize("wrong", [{"app_requests": 0}, {"app_requests": 5, "app_window_s": 0.0}])
def test_a_limit_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    """The sentence names the setting."""
    with pytest.raises(UsageProblem, match=list(wrong)[-1]):
        Tenant(TenantSettings(**wrong))  # type: ignore[arg-type]
