"""The look at mailboxes before a run, over HTTP: what it leaves in the ledger of the run, and what it costs a mailbox."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from purgeengine.edges.ledger import Ledger
from purgeengine.edges.login import ReadyToken
from purgeengine.errors import RunStopped
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.reads.probe import REQUESTS_MAX, look_first, sample_ledger
from purgeengine.jobs.reads.reading import PATIENT
from tests.cli.test_answers_cli import Graph, rows_of
from tests.core.scheduling.test_scheduler_answers import error
from tests.support.https_server import write_ca
from tests.support.ledger_fixtures import FakeSource, open_ledger
from tests.support.process_fixtures import a_jwt, served


def looked(folder: Path, ledger: Ledger, graph: Graph) -> list[str]:
    """What a look at three mailboxes tells as fine."""
    told: list[str] = []
    with served(graph.behave) as server:
        endpoint = GraphEndpoint(server.url, "https://login.example", write_ca(folder))
        look_first(ledger, ReadyToken(a_jwt()), endpoint, 3, seed=1, quiet=False, tell=told.append)
    return told


def waits_of(ledger: Ledger) -> dict[str, float]:
    """What is left of the waits of mailboxes, as a run would take them up."""
    boxes = ledger.mailboxes(now_utc_ms=round(time.time() * 1000), cooldown_s=0.0, window_s=0.0)
    return {ledger.user_of(box.mailbox): box.blocked_for_s for box in boxes if box.blocked_for_s}


def test_a_run_keeps_the_wait_that_a_mailbox_asked_of_the_look(tmp_path: Path) -> None:
    """Ten minutes are not sat out by the look; the run sends the mailbox nothing before they are over."""
    graph = Graph({**error(429, "ApplicationThrottled", "wait"), "headers": {"Retry-After": "600"}})
    source = FakeSource(rows_of(good=2, bad=3, other=1))
    with open_ledger(tmp_path / "L", source) as ledger:
        (fine,) = looked(tmp_path, ledger, graph)
        assert fine.startswith("2 of 3 mailboxes answer the app and hold the contact asked for")
        assert waits_of(ledger) == {"bad@contoso.example": pytest.approx(600, abs=30)}
    assert graph.asked == {"good@contoso.example": 2, "other@contoso.example": 2, "bad@contoso.example": 1}


def test_a_wait_is_kept_where_no_mailbox_can_be_purged_as_well(tmp_path: Path) -> None:
    """The next command is held to it."""
    graph = Graph({**error(429, "ApplicationThrottled", "wait"), "headers": {"Retry-After": "600"}})
    with open_ledger(tmp_path / "L", FakeSource(rows_of(bad=3))) as ledger:
        with pytest.raises(RunStopped, match="1 of 1 mailboxes asked to wait"):
            looked(tmp_path, ledger, graph)
        assert list(waits_of(ledger)) == ["bad@contoso.example"]


def test_a_look_costs_a_mailbox_no_more_requests_than_a_run_makes_up_for(tmp_path: Path) -> None:
    """Two questions, each sent at most as often as patience allows."""
    assert REQUESTS_MAX == 2 * PATIENT.sends_max == 16
    with open_ledger(tmp_path / "L", FakeSource(rows_of(good=2, other=5))) as ledger:
        items = sample_ledger(ledger, 5, seed=1)
        assert {ledger.user_of(mailbox): item.user for mailbox, item in items.items()} == {
            user: user for user in ("good@contoso.example", "other@contoso.example")
        }
