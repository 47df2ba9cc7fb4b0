"""Misfortunes: what the client sees, and what is true afterwards."""

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
    """A tenant of one mailbox with 200 contacts on which one misfortune falls each time."""
    settings = {"latency_median_s": LATENCY_S, "latency_sigma": 0.0, "overhead_s": 0.02, "mailbox_requests": None}
    return a_tenant({ANN: 200}, faults=Faults(**{name: 1.0}), seed=seed, **{**settings, **more})


def test_no_misfortune_is_the_default() -> None:
    """All probabilities are 0."""
    assert all(getattr(Faults(), name) == 0 for name in Faults.probabilities())


def test_everything_sets_every_probability() -> None:
    """None is forgotten."""
    faults = Faults.everything(0.25)
    assert {getattr(faults, name) for name in Faults.probabilities()} == {0.25}


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_lies_between_0_and_1(p: float) -> None:
    """The message names the misfortune."""
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
    """The contacts are as the misfortune's name says, and no sub-response is taken for answered."""
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
    """500, 502, 503 and 504 all come, as JSON errors without sub-responses."""
    statuses = set()
    for seed in range(60):
        tenant = suffering(name, seed=seed)
        ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0))
        statuses.add(ending.status)
        assert set(json.loads(ending.body)) == {"error"}
    assert statuses == {500, 502, 503, 504}


@pytest.mark.parametrize("name", ["call_error_after", "reset_after", "hang_after"])
def test_work_may_run_on_behind_the_clients_back(name: str) -> None:
    """The call can end for the client while its sub-requests still hold the mailbox's slots."""
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
    """As a gateway in front of the service would answer."""
    tenant = suffering("html_page")
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0))
    headers = dict(ending.headers)
    assert (ending.status, ending.body[:6], headers["Content-Type"]) == (502, b"<html>", "text/html")
    assert "request-id" not in headers, "a gateway knows nothing of them"


def test_an_empty_body_comes_with_200() -> None:
    """Success without a word."""
    tenant = suffering("empty_body")
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0))
    assert (ending.status, ending.body) == (200, b"")


def test_a_truncated_answer_is_malformed_or_cut() -> None:
    """Half of the JSON as a complete answer, or a connection that ends early."""
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
    """Outer 429 with an integer, a decimal, an HTTP date or no Retry-After; coming early is counted."""
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
    """Each sub-request is answered with one of the misfortune's statuses, and the truth is as its name says."""
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
    """Only the status can be relied upon."""
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
    """The answer leaves ids out, says them twice (alike or not), and holds ids that nobody asked for."""
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
    """Absent, null, base64, with innerError absent or spelt otherwise."""
    tenant = suffering("odd_body")
    shapes = set()
    for _ in range(10):
        ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, *range(900, 920)), tenant.now))
        for said in responses_of(ending).values():
            body = said.get("body", "absent")
            shapes.add(",".join(sorted(body["error"])) if isinstance(body, dict) else str(body)[:6])
    assert shapes == {"absent", "None", "eyJlcn", "code,message", "code,innererror,message"}


def test_a_token_expires_once_it_has_worked_for_a_while() -> None:
    """The expired token stays refused; another one works, so that a client can go on."""
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
    """From its first to its last second every call answers 503 or is reset, and nothing is purged."""
    tenant = a_tenant({ANN: 200}, faults=Faults(outage=(10.0, 20.0)))
    assert ask(tenant, contacts_of(ANN, 0), 9.9)["0"][0] == 204
    endings = [run_to_end(tenant, tenant.begin(contacts_of(ANN, 1), 10.0)) for _ in range(30)]
    assert {(ending.kind, ending.status) for ending in endings} == {(EndKind.ANSWERED, 503), (EndKind.RESET, 0)}
    assert tenant.counters.purged == 1
    assert ask(tenant, contacts_of(ANN, 1), 20.0)["0"][0] == 204


def test_misfortunes_can_end() -> None:
    """A run in which the trouble stops can be made."""
    tenant = suffering("reset_before")
    assert run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0)).kind is EndKind.RESET
    tenant.set_faults(Faults())
    assert ask(tenant, contacts_of(ANN, 0)) == {"0": (204, "")}


def history_of(seed: int) -> tuple[object, ...]:
    """Everything a client and the log saw of a rough hour."""
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
    """The same seed and the same calls give the same bytes, log and counters; another seed gives others."""
    assert history_of(7) == history_of(7)
    assert history_of(7) != history_of(8)


def test_the_truth_adds_up_whatever_happens() -> None:
    """Seeded contacts are either there or purged, each purge stands in the log once, and all slots are given back."""
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
