"""Tests of the simulated tenant: what it knows, answers and counts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from purgeengine.errors import UsageProblem
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.simulated_mailbox import PurgeRecord
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.graph.waits import ON_THE_WAY_S
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import TROUBLES, Trouble
from purgeengine.sim.wire.routes import Ask
from tests.support.sim_fixtures import (
    ANN,
    BOB,
    a_tenant,
    ask,
    batch_asking,
    batch_of,
    chain_of,
    code_of,
    contacts_of,
    responses_of,
    run_to_end,
    url_of,
)

GUID = "0f0f0f0f-0000-4000-8000-0123456789ab"


def statuses(answered: dict[str, tuple[int, str]]) -> list[int]:
    """Return the statuses in the order of the sub-requests."""
    return [answered[name][0] for name in sorted(answered, key=int)]


# ------------------------------------------------------------------------------------------------- the truth


def test_a_contact_is_purged_once() -> None:
    """A contact is purged by its first request with 204 and is 404 afterwards.

    The tenant knows the time and the call.
    """
    tenant = a_tenant({ANN: 2})
    assert ask(tenant, contacts_of(ANN, 0), 5.0, client_request_id="first") == {"0": (204, "")}
    assert ask(tenant, contacts_of(ANN, 0), 6.0, client_request_id="second") == {"0": (404, "ErrorItemNotFound")}
    assert tenant.truth.purge_of(ANN, "a-0") == PurgeRecord(5.0, "first")
    assert not tenant.truth.exists(ANN, "a-0")
    assert tenant.truth.exists(ANN, "a-1")
    assert (tenant.counters.purged, tenant.truth.remaining()) == (1, 1)


def test_a_contact_is_found_through_its_own_folder_only() -> None:
    """A URL with another folder does not find a contact, and one without a folder finds it in any folder."""
    tenant = a_tenant({ANN: 3})
    answered = ask(tenant, batch_of(url_of(ANN, "a-0", "G"), url_of(ANN, "a-1", "F"), url_of(ANN, "a-2")))
    assert answered == {"0": (404, "ErrorItemNotFound"), "1": (204, ""), "2": (204, "")}


def test_every_error_of_a_contact_has_its_code() -> None:
    """A malformed id, an unknown contact and a contact of another mailbox each get their own error code."""
    tenant = a_tenant({ANN: 1, BOB: 1})
    answered = ask(
        tenant, batch_of(url_of(ANN, "a+b"), url_of(ANN, "nobody"), url_of(ANN, "b-0"), url_of(ANN, "a-0", "F+"))
    )
    assert answered == {
        "0": (400, "ErrorInvalidIdMalformed"),
        "1": (404, "ErrorItemNotFound"),
        "2": (404, "ErrorInvalidMailboxItemId"),
        "3": (400, "ErrorInvalidIdMalformed"),
    }
    assert tenant.counters.purged == 0


def test_a_stranger_has_no_mailbox() -> None:
    """A user who does not exist is refused with ErrorInvalidUser, and its requests are counted."""
    tenant = a_tenant()
    assert ask(tenant, batch_of(url_of("zoe@x.example", "a-0"))) == {"0": (404, "ErrorInvalidUser")}
    assert tenant.truth.mailbox("zoe@x.example").requests == 1


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_mailbox_in_trouble_answers_all_requests_alike(trouble: Trouble) -> None:
    """A mailbox in trouble answers every request with the status, code and message of the trouble, until it is ended."""
    tenant = a_tenant({ANN: 2, BOB: 1})
    box = tenant.truth.add_mailbox(ANN, trouble)
    ending = run_to_end(tenant, tenant.begin(batch_of(url_of(ANN, "a-0"), url_of(BOB, "b-0")), 0.0))
    said = responses_of(ending)
    status, code, message, *_ = TROUBLES[trouble]
    assert (said["0"]["status"], code_of(said["0"]), said["0"]["body"]["error"]["message"]) == (status, code, message)
    assert said["1"]["status"] == 204
    box.trouble = None
    assert ask(tenant, contacts_of(ANN, 0)) == {"0": (204, "")}


def test_the_troubles_cover_the_codes_that_matter() -> None:
    """The troubles cover every row of the table of verdicts that concerns a whole mailbox."""
    assert {(said.status, said.code) for said in TROUBLES.values()} == {
        (403, "ErrorAccessDenied"),
        (403, "accessDenied"),
        (403, "extensionError"),
        (403, "quotaLimitReached"),
        (404, "ErrorItemNotFound"),
        (404, "MailboxNotEnabledForRESTAPI"),
        (404, "MailboxNotHostedInExchangeOnline"),
        (404, "ErrorInvalidUser"),
        (404, "ErrorNonExistentMailbox"),
        (404, "ResourceNotFound"),
        (404, "Request_ResourceNotFound"),
        (404, "ErrorInvalidMailboxItemId"),
        (503, "ErrorMailboxMoveInProgress"),
        (507, "ErrorQuotaExceeded"),
    }
    assert "Default folder" in TROUBLES[Trouble.MISSING].message
    assert TROUBLES[Trouble.ACCESS_POLICY].message == "Access to OData is disabled."


def test_an_app_without_permission_is_refused_everywhere() -> None:
    """An app without permission is refused by Exchange and the directory with their own codes, until it gets the permission."""
    tenant = a_tenant()
    tenant.set_app_denied(True)
    assert ask(tenant, contacts_of(ANN, 0)) == {"0": (403, "ErrorAccessDenied")}
    assert ask(tenant, batch_asking("GET", f"/users/{ANN}")) == {"0": (403, "Authorization_RequestDenied")}
    assert tenant.truth.exists(ANN, "a-0")
    tenant.set_app_denied(False)
    assert ask(tenant, contacts_of(ANN, 0)) == {"0": (204, "")}


def test_with_immutable_ids_a_purged_contact_cannot_be_deleted() -> None:
    """With immutable ids, deleting a purged contact gives 403 and not 404, because it is still inside Purges."""
    tenant = a_tenant(immutable_ids=True)
    batch = contacts_of(ANN, 0).replace(b'"Content-Type"', b'"prefer": "IdType=\\"ImmutableId\\"", "Content-Type"')
    assert ask(tenant, batch) == {"0": (204, "")}
    assert ask(tenant, batch) == {"0": (403, "ErrorCannotDeleteObject")}


@pytest.mark.parametrize("immutable", [True, False])
def test_an_id_of_the_other_type_is_malformed(immutable: bool) -> None:
    """An id of the other type than the tenant's is malformed: the header declares the type for its own sub-request."""
    tenant = a_tenant(immutable_ids=immutable)
    batch = batch_asking("DELETE", f"/users/{ANN}/contacts/a-0", immutable=not immutable)
    assert ask(tenant, batch) == {"0": (400, "ErrorInvalidIdMalformed")}


def test_a_plain_delete_moves_a_contact_where_only_an_immutable_id_reaches_it() -> None:
    """A plain DELETE moves a contact: with default ids it is not found again, and with immutable ids a second DELETE works."""
    url = f"/users/{ANN}/contactFolders/F/contacts/a-0"
    tenant = a_tenant()
    assert [ask(tenant, batch_asking("DELETE", url))["0"][0] for _ in range(2)] == [204, 404]
    tenant = a_tenant(immutable_ids=True)
    deletions = [ask(tenant, batch_asking("DELETE", url, immutable=True))["0"] for _ in range(3)]
    assert deletions == [(204, ""), (204, ""), (403, "ErrorCannotDeleteObject")]
    purge = tenant.truth.purge_of(ANN, "a-0")
    assert purge is not None
    assert purge.ask is Ask.DELETE


def test_reading_changes_nothing_and_is_no_deed_in_the_log() -> None:
    """Reading a contact, a list, a user or the organization changes nothing and is not logged.

    It counts in a mailbox's limits.
    """
    tenant = a_tenant({ANN: 2, BOB: 1})
    tenant.truth.alias(GUID, ANN)
    urls = (
        f"/users/{ANN}/contacts?$top=1&$select=id",
        f"/users/{ANN}/contacts/a-1?$select=id",
        f"/users/{ANN}/contacts/b-0?$select=id",
        f"/users/{GUID}?$select=id,userPrincipalName",
        f"/users/{ANN.upper()}?$select=id,userPrincipalName",
        "/users/nobody@contoso.example?$select=id",
        "/organization?$select=id,displayName",
    )
    ending = run_to_end(tenant, tenant.begin(batch_asking("GET", *urls), tenant.now))
    said = responses_of(ending)
    assert [contact["id"] for contact in said["0"]["body"]["value"]] == ["a-0"]
    assert said["1"]["body"]["id"] == "a-1"
    assert code_of(said["2"]) == "ErrorInvalidMailboxItemId"
    for name in "34":
        assert (said[name]["body"]["id"], said[name]["body"]["userPrincipalName"]) == (GUID, ANN)
    assert code_of(said["5"]) == "Request_ResourceNotFound"
    assert said["6"]["body"]["value"][0]["displayName"] == "Simulated tenant"
    assert (len(tenant.log), tenant.counters.reads, tenant.truth.remaining()) == (0, 7, 3)
    assert tenant.truth.mailbox(ANN).requests == 3


def test_a_directory_that_the_app_may_not_read_says_so() -> None:
    """A directory that the app may not read answers 403 for users and the organization, while contacts are served."""
    tenant = a_tenant(directory=False)
    urls = (f"/users/{ANN}", "/organization", f"/users/{ANN}/contacts")
    assert statuses(ask(tenant, batch_asking("GET", *urls))) == [403, 403, 200]


def test_an_alias_means_the_same_mailbox() -> None:
    """An object id and a user name mean the same mailbox, with one limit."""
    tenant = a_tenant({ANN: 1})
    tenant.truth.alias(GUID.upper(), ANN)
    assert ask(tenant, batch_of(url_of(GUID, "a-0"))) == {"0": (204, "")}
    assert tenant.truth.mailbox(ANN).requests == 1


def test_anything_exists_until_it_is_purged() -> None:
    """A tenant in which every contact exists purges each well-formed id once."""
    tenant = a_tenant({}, anything_exists=True)
    assert ask(tenant, contacts_of(BOB, 7)) == {"0": (204, "")}
    assert ask(tenant, contacts_of(BOB, 7)) == {"0": (404, "ErrorItemNotFound")}
    assert tenant.truth.exists(BOB, "b-8")


def test_without_tracking_anything_exists_for_ever() -> None:
    """Without tracking, every contact exists for ever, so that a benchmark's memory does not grow.

    A tenant with contacts refuses it.
    """
    tenant = a_tenant({}, anything_exists=True, track=False, log=False)
    assert ask(tenant, contacts_of(BOB, 7)) == ask(tenant, contacts_of(BOB, 7)) == {"0": (204, "")}
    assert (len(tenant.truth.mailbox(BOB).purged), len(tenant.log), tenant.counters.purged) == (0, 0, 2)
    with pytest.raises(UsageProblem):
        TenantSettings(track=False)


# ------------------------------------------------------------------------------------------------- the limits


def test_dispatch_of_four_keeps_the_limit_of_a_mailbox() -> None:
    """With the dispatch ``four``, a batch of 20 for one mailbox runs four at a time, and none is refused."""
    tenant = a_tenant({ANN: 20}, latency_median_s=0.1)
    assert statuses(ask(tenant, contacts_of(ANN, *range(20)))) == [204] * 20
    assert (tenant.counters.refused_concurrency, tenant.counters.mailbox_running_max) == (0, 4)


def test_dispatch_of_all_refuses_the_fifth() -> None:
    """With the dispatch ``all``, a batch of 20 for one mailbox runs four requests and refuses 16 as documented."""
    tenant = a_tenant({ANN: 20}, latency_median_s=0.1, dispatch="all")
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, *range(20)), 0.0))
    said = responses_of(ending)
    assert [said[str(n)]["status"] for n in range(20)] == [204] * 4 + [429] * 16
    assert said["4"]["body"]["error"]["code"] == "ApplicationThrottled"
    assert said["4"]["body"]["error"]["message"] == "Application is over its MailboxConcurrency limit."
    assert said["4"]["headers"]["Retry-After"] == "1"
    assert (tenant.counters.refused_concurrency, tenant.counters.mailbox_running_max) == (16, 4)
    assert tenant.truth.remaining() == 16


@pytest.mark.parametrize("dispatch", ["four", "all"])
def test_four_contacts_each_of_five_mailboxes_fit_in_one_batch(dispatch: str) -> None:
    """Four contacts of each of five mailboxes fit in one batch, because the limit is for each mailbox."""
    users = [f"{name}@x.example" for name in "abcde"]
    tenant = a_tenant(dict.fromkeys(users, 4), latency_median_s=0.1, dispatch=dispatch)
    body = batch_of(*(url_of(user, f"{user[0]}-{n}") for user in users for n in range(4)))
    assert statuses(ask(tenant, body)) == [204] * 20


def test_two_batches_in_flight_meet_in_the_mailbox() -> None:
    """A second batch for a mailbox with four running requests is refused, and is accepted after they have ended."""
    tenant = a_tenant({ANN: 9}, latency_median_s=0.1, latency_sigma=0.0)
    first = tenant.begin(contacts_of(ANN, 0, 1, 2, 3), 0.0)
    second = tenant.begin(contacts_of(ANN, 4), 0.05)
    assert (code_of(responses_of(run_to_end(tenant, second))["0"])) == "ApplicationThrottled"
    assert first.ending is not None
    assert tenant.counters.refused_concurrency == 1
    assert ask(tenant, contacts_of(ANN, 4), 1.2) == {"0": (204, "")}


def test_the_concurrency_limit_can_be_set() -> None:
    """The limit of requests that run at once in a mailbox can be set."""
    tenant = a_tenant(mailbox_concurrent_max=2, latency_median_s=0.1)
    assert statuses(ask(tenant, contacts_of(ANN, 0, 1, 2))) == [204, 204, 429]


def test_a_chain_runs_one_by_one() -> None:
    """Four chains for one mailbox run side by side without a refusal, because a chain runs one request at a time."""
    tenant = a_tenant({ANN: 20}, latency_median_s=0.1, dispatch="all")
    calls = [
        tenant.begin(chain_of(*(url_of(ANN, f"a-{n}") for n in range(first, first + 5))), 0.0)
        for first in (0, 5, 10, 15)
    ]
    for call in calls:
        assert {said["status"] for said in responses_of(run_to_end(tenant, call)).values()} == {204}
    assert (tenant.counters.refused_concurrency, tenant.counters.mailbox_running_max) == (0, 4)


def test_what_follows_a_failure_in_a_chain_is_not_attempted() -> None:
    """A failure in a chain gives 424 for the requests after it, which never reach the mailbox."""
    tenant = a_tenant()
    body = chain_of(url_of(ANN, "a-0"), url_of(ANN, "gone"), url_of(ANN, "a-1"), url_of(ANN, "a-2"))
    assert statuses(ask(tenant, body)) == [204, 404, 424, 424]
    assert tenant.truth.exists(ANN, "a-1")
    assert tenant.truth.mailbox(ANN).requests == 2


def test_the_window_takes_exactly_its_number_of_requests() -> None:
    """A request window of five refuses the sixth request, and slides from each request."""
    tenant = a_tenant(mailbox_requests=5, mailbox_window_s=100.0)
    assert statuses(ask(tenant, contacts_of(ANN, 0, 1, 2, 3), 0.0)) == [204] * 4
    assert statuses(ask(tenant, contacts_of(ANN, 4), 30.0)) == [204]
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 5), 99.0))
    assert responses_of(ending)["0"]["status"] == 429
    assert "MailboxRequests" in responses_of(ending)["0"]["body"]["error"]["message"]
    assert responses_of(ending)["0"]["headers"]["Retry-After"] == "1"
    assert statuses(ask(tenant, contacts_of(ANN, 5), 100.0)) == [204]
    assert tenant.counters.refused_rate == 1


def test_refused_requests_use_up_the_window_too() -> None:
    """A refused request uses up the request window too, so that asking on keeps the mailbox closed."""
    tenant = a_tenant(mailbox_requests=2, mailbox_window_s=10.0)
    for now in (0.0, 1.0, 9.0, 10.5):
        answered = ask(tenant, contacts_of(ANN, int(now)), now)
        assert statuses(answered) == [204 if now < 2 else 429]
    assert statuses(ask(tenant, contacts_of(ANN, 5), 19.0)) == [204]


def test_a_request_before_the_end_of_its_retry_after_is_counted() -> None:
    """A request before the end of its mailbox's Retry-After is counted as early. The wait starts at the answer."""
    tenant = a_tenant({ANN: 10, BOB: 1}, latency_median_s=0.1, latency_sigma=0.0, dispatch="all")
    call = tenant.begin(contacts_of(ANN, *range(5)), 0.0)
    run_to_end(tenant, call)
    told_at = tenant.now
    assert told_at == pytest.approx(0.1)
    ask(tenant, batch_of(url_of(ANN, "a-4"), url_of(BOB, "b-0")), told_at + 0.5)
    assert (tenant.counters.early_retries, tenant.truth.mailbox(ANN).early_retries) == (1, 1)
    ask(tenant, contacts_of(ANN, 5), told_at + 0.99)
    ask(tenant, contacts_of(ANN, 6), told_at + 1.0 + 0.1)
    assert tenant.counters.early_retries == 2
    again = a_tenant(latency_median_s=0.1, latency_sigma=0.0, dispatch="all")
    run_to_end(again, again.begin(contacts_of(ANN, *range(5)), 0.0))
    ask(again, contacts_of(ANN, 4), again.now + 1.0)
    assert again.counters.early_retries == 0


def test_what_left_before_the_answer_came_is_not_early() -> None:
    """A request that was sent before the answer with Retry-After arrived is not early."""
    tenant = a_tenant({ANN: 10}, latency_median_s=0.1, latency_sigma=0.0, dispatch="all")
    run_to_end(tenant, tenant.begin(contacts_of(ANN, *range(5)), 0.0))
    tenant.begin(contacts_of(ANN, 5), tenant.now + ON_THE_WAY_S / 2)
    assert tenant.counters.early_retries == 0
    tenant.begin(contacts_of(ANN, 6), tenant.now + ON_THE_WAY_S)
    assert tenant.counters.early_retries == 1


def test_a_client_that_left_was_not_told_to_wait() -> None:
    """A Retry-After in an answer that the client did not read makes no later request early."""
    tenant = a_tenant(latency_median_s=0.1, dispatch="all")
    call = tenant.begin(contacts_of(ANN, *range(5)), 0.0)
    call.abandon()
    run_to_end(tenant, call)
    ask(tenant, contacts_of(ANN, 5), tenant.now)
    assert tenant.counters.early_retries == 0
    assert [seen.answered for seen in tenant.log] == [False] * 5 + [True]


# ------------------------------------------------------------------------------------------------- time, log, order


def test_time_passes_as_the_settings_say() -> None:
    """A call takes its overhead plus one latency for each round of four requests."""
    tenant = a_tenant({ANN: 20}, latency_median_s=0.1, latency_sigma=0.0, overhead_s=0.06)
    call = tenant.begin(contacts_of(ANN, *range(20)), 10.0)
    run_to_end(tenant, call)
    assert tenant.now == pytest.approx(10.0 + 0.06 + 5 * 0.1)
    assert call.wake_at == tenant.now


def test_a_latency_is_never_longer_than_its_bound() -> None:
    """A latency is never longer than its bound."""
    tenant = a_tenant({ANN: 20}, latency_median_s=1.0, latency_sigma=5.0, latency_s_max=2.0)
    ask(tenant, contacts_of(ANN, *range(20)))
    durations = [seen.ended_at - seen.started_at for seen in tenant.log]
    assert max(durations) == pytest.approx(2.0)
    assert min(durations) < 2.0


def test_the_log_holds_every_sub_request() -> None:
    """The log has the times, mailbox, contact, status, code, deed and call of every sub-request."""
    tenant = a_tenant({ANN: 1}, latency_median_s=0.1, latency_sigma=0.0)
    ask(tenant, batch_of(url_of(ANN.upper(), "a-0"), url_of(ANN, "x")), 3.0, client_request_id="c")
    first, second = tenant.log
    assert first == (3.0, 3.1, ANN, "a-0", 204, "", True, True, "c")
    assert second == (3.0, 3.1, ANN, "x", 404, "ErrorItemNotFound", False, True, "c")


def test_a_full_log_only_counts() -> None:
    """The log keeps a bounded number of entries and counts the others."""
    tenant = a_tenant(log_entries_max=3)
    assert statuses(ask(tenant, contacts_of(ANN, *range(5)))) == [204] * 5
    assert (len(tenant.log), tenant.log.left_off) == (3, 2)


def test_answers_come_in_any_order() -> None:
    """Sub-responses come in a random order, so that nobody can match them by position."""
    tenant = a_tenant({ANN: 20})
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, *range(20)), 0.0))
    assert [said["id"] for said in json.loads(ending.body)["responses"]] != [str(n) for n in range(20)]
    assert set(responses_of(ending)) == {str(n) for n in range(20)}


def test_an_answer_carries_the_ids_of_its_request() -> None:
    """The headers and every innerError carry the ids of the request, and dates are the tenant's time in their own forms."""
    tenant = a_tenant()
    ending = run_to_end(tenant, tenant.begin(batch_of(url_of(ANN, "x")), 60.0, client_request_id="mine"))
    headers = dict(ending.headers)
    inner = responses_of(ending)["0"]["body"]["error"]["innerError"]
    assert headers["client-request-id"] == inner["client-request-id"] == "mine"
    assert headers["request-id"] == inner["request-id"]
    assert (headers["Date"], inner["date"]) == ("Thu, 01 Jan 2026 00:01:00 GMT", "2026-01-01T00:01:00")


def test_every_item_has_headers_and_a_body() -> None:
    """Every item has headers, and a body or null, unless the fault ``bare_item`` removes them."""
    said = responses_of(run_to_end(tenant := a_tenant(), tenant.begin(contacts_of(ANN, 0, 99), 0.0)))
    assert said["0"] == {"id": "0", "status": 204, "headers": {"Cache-Control": "private"}, "body": None}
    assert said["1"]["headers"] == {"Content-Type": "application/json"}
    tenant = a_tenant(faults=Faults(bare_item=1.0))
    said = responses_of(run_to_end(tenant, tenant.begin(contacts_of(ANN, 0, 99), 0.0)))
    assert said["0"] == {"id": "0", "status": 204}
    assert set(said["1"]) == {"id", "status", "body"}
    assert tenant.faults_drawn == {"bare_item": 2}


def test_bare_items_move_no_other_draw() -> None:
    """The fault ``bare_item`` changes no other random choice, so that kept seeds give the same history."""
    histories = []
    for bare in (0.0, 0.5):
        faults = replace(Faults.everything(0.03), bare_item=bare)
        tenant = a_tenant({ANN: 200}, faults=faults, seed=3, latency_median_s=0.1)
        for n in range(30):
            tenant.begin(contacts_of(ANN, *range(n, n + 5)), n * 0.3, token="t")
        while tenant.next_event_at is not None:
            tenant.advance(tenant.next_event_at)
        histories.append((tuple(tenant.log), {**tenant.faults_drawn, "bare_item": 0}))
    assert histories[0] == histories[1]


def test_a_bad_token_is_refused_without_sub_responses() -> None:
    """A bad token gives an outer 401 InvalidAuthenticationToken, and no sub-request runs."""
    tenant = a_tenant()
    ending = run_to_end(tenant, tenant.begin(contacts_of(ANN, 0), 0.0, token_ok=False))
    body = json.loads(ending.body)
    assert (ending.status, body["error"]["code"], "responses" in body) == (401, "InvalidAuthenticationToken", False)
    assert (tenant.counters.refused_tokens, tenant.truth.remaining()) == (1, 10)


def test_time_must_not_run_backwards() -> None:
    """An earlier time than before is refused as a mistake of the caller."""
    tenant = a_tenant()
    tenant.advance(5.0)
    with pytest.raises(AssertionError, match="backwards"):
        tenant.advance(4.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mailbox_concurrent_max", 0),
        ("mailbox_requests", 0),
        ("mailbox_window_s", 0.0),
        ("overhead_s", -1.0),
        ("dispatch", "x"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: object) -> None:
    """Settings that make no sense are refused, and the message names the setting."""
    with pytest.raises(UsageProblem, match=name):
        TenantSettings(**{name: value})  # type: ignore[arg-type]


def test_what_is_shown_of_a_tenant_is_numbers() -> None:
    """The ``repr`` of a tenant shows numbers and no token."""
    tenant = Tenant()
    tenant.begin(b"{}", 0.0, token="secret-token")
    assert "secret-token" not in repr(tenant)
    assert "calls=1" in repr(tenant)
