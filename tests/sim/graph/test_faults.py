"""Tests of the simulated faults: what the client sees of each, and what is true afterwards."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from purgeengine.errors import UsageProblem
from purgeengine.sim.graph.call import EndKind
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.graph.token_uses import USES_BEFORE_EXPIRY_MIN
from purgeengine.sim.graph.waits import ON_THE_WAY_S
from tests.support.sim_fixtures import ANN, a_tenant, ask, contacts_of, responses_of, run_to_end

LATENCY_S = 0.1
USERS = 6


def suffering(name: str, *, seed: int = 1, **more: Any) -> Tenant:
    """Return a tenant with one mailbox of 200 contacts, on which one fault falls every time."""
    settings = {"latency_median_s": LATENCY_S, "latency_sigma": 0.0, "overhead_s": 0.02, "mailbox_requests": None}
    return a_tenant({ANN: 200}, faults=Faults(**{name: 1.0}), seed=seed, **{**settings, **more})


def test_no_misfortune_is_the_default() -> None:
    """By default every fault has probability 0."""
    assert all(getattr(Faults(), name) == 0 for name in Faults.probabilities())


def test_everything_sets_every_probability() -> None:
    """`Faults.everything` sets the probability of every fault."""
    faults = Faults.everything(0.25)
    assert {getattr(faults, name) for name in Faults.probabilities()} == {0.25}


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_lies_between_0_and_1(p: float) -> None:
    """A probability outside 0 to 1 is refused, and the message names the fault."""
    with pytest.raises(UsageProblem, match="truncated"):
        Faults(truncated=p)


@pytest.mark.parametrize(
    ("name", "kind", "purged"),
    [
        ("unreachable", EndKind.UNREACHABLE, {0}),
        ("call_throttled", EndKind.ANSWERED, {0}),
        ("call_error_before", EndKind.ANSWERED, {0}),
        ("call_error_after", EndKind.ANSWERED, {3}),
        ("reset_before", EndKind.RESET, {0}),
        ("reset_after", EndKind.RESET, {3}),
        ("hang_before", EndKind.HANG, {0}),
        ("hang_after", EndKind.HANG, {3}),
        ("html_page", EndKind.ANSWERED, {0, 3}),
        ("empty_body", EndKind.ANSWERED, {3}),
        ("truncated", EndKind.CUT, {3}),
    ],
)
def test_a_call_suffers_before_or_after_the_deed(name: str, kind: EndKind, purged: set[int]) -> None:
    """A fault of a call leaves the contacts purged or not, as its name says, and no sub-response counts as answered."""
    seen_kinds, seen_purged = set(), set()
    for seed in range(30):
        tenant = suffering(name, seed=seed)
        call = tenant.begin(contacts_of(ANN, 0, 1, 2), 0.0)
        seen_kinds.add(run_to_end(tenant, call).kind)
        seen_purged.add(tenant.counters.purged)
        assert tenant.truth.remaining() == 200 - tenant.counters.purged
        assert not any(seen.answered for seen in tenant.log)
        assert tenant.faults_drawn == {name: 1}
    assert kind in seen_kinds
    assert seen_purged == purged


@pytest.mark.parametrize("name", ["call_error_before", "call_error_after"])
def test_a_failed_call_has_one_of_the_servers_statuses(name: str) -> None:
    """A failed call has the status 500, 502, 503 or 504 and a JSON error without sub-responses."""
    statuses = set()
    for seed in range(60):
        tenant = suffering(name, seed=seed)
        ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0))
        statuses.add(ending.status)
        assert set(json.loads(ending.body)) == {"error"}
    assert statuses == {500, 502, 503, 504}


@pytest.mark.parametrize("name", ["call_error_after", "reset_after", "hang_after"])
def test_work_may_run_on_behind_the_clients_back(name: str) -> None:
    """A call may end for the client while its sub-requests still hold slots of the mailbox, and they all run to their end."""
    seen = set()
    for seed in range(20):
        tenant = suffering(name, seed=seed)
        call = tenant.begin(contacts_of(ANN, *range(8)), 0.0)
        while call.ending is None:
            assert tenant.next_event_at is not None
            tenant.advance(tenant.next_event_at)
        seen.add(tenant.truth.mailbox(ANN).running)
        run_to_end(tenant, call)
        assert tenant.counters.purged == 8
    assert seen == ({4} if name == "hang_after" else {0, 4})


def test_a_page_of_html_comes_with_502() -> None:
    """The fault ``html_page`` answers 502 with HTML and without a request-id, as a gateway does."""
    tenant = suffering("html_page")
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0))
    headers = dict(ending.headers)
    assert (ending.status, ending.body[:6], headers["Content-Type"]) == (502, b"<html>", "text/html")
    assert "request-id" not in headers, "a gateway knows nothing of them"


def test_an_empty_body_comes_with_200() -> None:
    """The fault ``empty_body`` answers 200 with an empty body."""
    tenant = suffering("empty_body")
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0))
    assert (ending.status, ending.body) == (200, b"")


def test_a_truncated_answer_is_malformed_or_cut() -> None:
    """A truncated answer is either complete with half of the JSON, or a connection that ends early."""
    kinds = set()
    for seed in range(20):
        tenant = suffering("truncated", seed=seed)
        ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0, 1), 0.0))
        kinds.add(ending.kind)
        if ending.kind is EndKind.ANSWERED:
            with pytest.raises(msgspec.DecodeError):
                msgspec.json.decode(ending.body)
    assert kinds == {EndKind.ANSWERED, EndKind.CUT}


def test_a_throttled_call_asks_to_wait_in_every_form() -> None:
    """A throttled call is an outer 429 with an integer, decimal, HTTP date or no Retry-After.

    A call before the end of that wait is counted.
    """
    forms = set()
    for seed in range(60):
        tenant = suffering("call_throttled", seed=seed)
        ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0))
        waited = dict(ending.headers).get("Retry-After", "")
        forms.add("date" if "GMT" in waited else waited)
        assert ending.status == 429
        tenant.begin(contacts_of(ANN, 0), tenant.now + ON_THE_WAY_S)
        assert tenant.counters.early_calls == bool(waited)
    assert forms == {"", "1", "2", "0.249", "date"}


@pytest.mark.parametrize(
    ("name", "statuses", "purged", "requests"),
    [
        ("item_throttled_before", {429}, 0, 0),
        ("item_throttled_after", {429}, 200, 200),
        ("item_error_before", {500, 502, 503, 504, 509}, 0, 200),
        ("item_error_after", {500, 502, 503, 504, 509}, 200, 200),
        ("item_not_attempted", {424}, 0, 0),
        ("item_unauthorized", {401}, 0, 0),
        ("item_busy", {409, 412, 423}, 0, 200),
    ],
)
def test_an_item_suffers_before_or_after_the_deed(name: str, statuses: set[int], purged: int, requests: int) -> None:
    """A fault of an item answers each sub-request with one of its statuses, and purges the contacts or not as it is named."""
    tenant = suffering(name)
    seen: set[int] = set()
    for first in range(0, 200, 20):
        answered = ask(tenant, contacts_of(ANN, *range(first, first + 20)))
        seen |= {status for status, _ in answered.values()}
    assert seen == statuses
    assert tenant.counters.purged == purged
    assert tenant.truth.mailbox(ANN).requests == requests
    assert sum(entry.purged for entry in tenant.log) == purged


def test_a_throttled_item_has_any_code_and_any_form_of_retry_after() -> None:
    """A throttled item has any of several codes and forms of Retry-After; only the status is always 429."""
    tenant = suffering("item_throttled_before")
    codes, forms = set(), set()
    for first in range(0, 200, 20):
        ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, *range(first, first + 20)), tenant.now))
        for said in responses_of(ending).values():
            codes.add(said["body"]["error"]["code"])
            waited = said.get("headers", {}).get("Retry-After", "")
            forms.add("date" if "GMT" in waited else waited)
    assert codes == {"ApplicationThrottled", "TooManyRequests", "UnknownError"}
    assert forms == {"", "1", "2", "0.249", "date"}


def test_an_item_can_be_missing_repeated_or_unknown() -> None:
    """An answer may leave ids out, repeat them with equal or other statuses, and hold ids that nobody sent."""
    tenant = suffering("item_missing")
    assert ask(tenant, contacts_of(ANN, 0, 1)) == {}
    assert [seen.answered for seen in tenant.log] == [False, False]
    tenant = suffering("item_repeated")
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, *range(20)), 0.0))
    said = json.loads(ending.body)["responses"]
    assert len(said) == 40
    assert {one["status"] for one in said} == {204, 429, 503}
    tenant = suffering("item_unknown")
    assert set(ask(tenant, contacts_of(ANN, 0))) == {"0", "nobody-asked-0"}


def test_an_errors_body_comes_in_every_shape() -> None:
    """An error's body may be absent, null or base64, with ``innerError`` absent or spelled otherwise."""
    tenant = suffering("odd_body")
    shapes = set()
    for _ in range(10):
        ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, *range(900, 920)), tenant.now))
        for said in responses_of(ending).values():
            body = said.get("body", "absent")
            shapes.add(",".join(sorted(body["error"])) if isinstance(body, dict) else str(body)[:6])
    assert shapes == {"absent", "None", "eyJlcn", "code,message", "code,innererror,message"}


def test_a_token_expires_once_it_has_worked_for_a_while() -> None:
    """A token expires after some uses and stays refused, and another token works, so that a client can continue."""
    tenant = suffering("expired_token")
    for n in range(USES_BEFORE_EXPIRY_MIN):
        assert ask(tenant, contacts_of(ANN, n), token="old")["0"][0] == 204
    for _ in range(2):
        ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 100), tenant.now, token="old"))
        assert ending.status == 401
    assert ask(tenant, contacts_of(ANN, 100), token="new")["0"][0] == 204
    assert tenant.faults_drawn == {"expired_token": 1}
    assert "old" not in repr(tenant)


def test_an_outage_begins_and_ends() -> None:
    """During an outage every call gets 503 or a reset and nothing is purged; before and after it, calls succeed."""
    tenant = a_tenant({ANN: 200}, faults=Faults(outage=(10.0, 20.0)))
    assert ask(tenant, contacts_of(ANN, 0), 9.9)["0"][0] == 204
    endings = [run_to_end(tenant, tenant.begin(contacts_of(ANN, 1), 10.0)) for _ in range(30)]
    assert {(ending.kind, ending.status) for ending in endings} == {(EndKind.ANSWERED, 503), (EndKind.RESET, 0)}
    assert tenant.counters.purged == 1
    assert ask(tenant, contacts_of(ANN, 1), 20.0)["0"][0] == 204


def test_misfortunes_can_end() -> None:
    """Faults can be switched off during a run."""
    tenant = suffering("reset_before")
    assert run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0)).kind is EndKind.RESET
    tenant.set_faults(Faults())
    assert ask(tenant, contacts_of(ANN, 0)) == {"0": (204, "")}


def history_of(seed: int) -> tuple[object, ...]:
    """Return the answers, log and counters of a run with many faults."""
    users = [f"{letter}@x.example" for letter in "abcdef"]
    tenant = a_tenant(dict.fromkeys(users, 40), faults=Faults.everything(0.03), seed=seed, latency_median_s=0.08)
    endings = []
    for n in range(120):
        call = tenant.begin(
            contacts_of(users[n % USERS], *range(n // USERS, n // USERS + 20)), n * 0.3, token=str(n // 40)
        )
        endings.append(call)
    last = endings[-1]
    run_to_end(tenant, last)
    return tuple(call.ending for call in endings), tuple(tenant.log), tuple(tenant.summary().items())


def test_one_seed_makes_one_history() -> None:
    """Equal seeds and calls give equal answers, log and counters, and another seed gives others."""
    assert history_of(7) == history_of(7)
    assert history_of(7) != history_of(8)


def test_the_truth_adds_up_whatever_happens() -> None:
    """With every fault, each contact is either there or purged, each purge is logged once, and all slots are released."""
    for seed in range(10):
        tenant = a_tenant({ANN: 200}, faults=Faults.everything(0.05), seed=seed, latency_median_s=0.08)
        for n in range(60):
            tenant.begin(contacts_of(ANN, *range(n * 3, n * 3 + 20)), n * 0.2, token="t")
        while tenant.next_event_at is not None:
            tenant.advance(tenant.next_event_at)
        box = tenant.truth.mailbox(ANN)
        assert len(box.purged) + tenant.truth.remaining() == 200
        assert sum(seen.purged for seen in tenant.log) == tenant.counters.purged == len(box.purged)
        assert (box.running, box.running_max) == (0, 4)
