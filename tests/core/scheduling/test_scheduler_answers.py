"""Tests of answers as they were captured or documented: how far each reaches, how rows end, and what is advised.

Each answer is given to every row of a mailbox of forty rows, and the rows of two other mailboxes are purged. The tenant
here is a few lines in memory and does not know the table of verdicts: the right result stands next to each answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.graph.decode import decode_answer
from purgeengine.core.messages import (
    BatchAnswered,
    Halt,
    HaltReason,
    InputEnded,
    MailboxClosed,
    MailboxOpened,
    Record,
    RenewToken,
    Send,
    Settled,
    TokenRenewed,
)
from purgeengine.core.model import PURGED_REPLY, Answer, Attempt, Batch, Outcome, Reply
from purgeengine.core.policy.remedies import remedy_for
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits
from tests.support.properties import examples

ROWS = 40
BAD = 1
"""The number of the mailbox with the answer; the others are good."""
CALL_S = 0.5
TURNS_MAX = 50_000

Tenant = Callable[[int, Attempt, float], dict[str, object]]
"""What a row is answered, by its mailbox and the time: status, headers and body as on the wire."""


class Ended(NamedTuple):
    """What a run led to."""

    outcomes: dict[int, Settled]
    """Outcomes by position, without rows that were skipped with their mailbox."""
    closed: dict[int, MailboxClosed]
    asked: Counter[int]
    """How often a row was sent, by position; rows that a lane did not attempt are not counted."""
    renewals: int
    halts: list[Halt]
    ended_at: float


def played(
    tenant: Tenant, sizes: Sequence[int] = (ROWS, ROWS, ROWS), *, renewable: bool = True, **limits: object
) -> Ended:
    """Play a run over mailboxes of so many rows to its end, with each call answered after half a second."""
    scheduler = Scheduler(Limits(**limits), Random(1), token_renewable=renewable)  # type: ignore[arg-type]
    to_open: list[object] = []
    first = 0
    for number, rows in enumerate(sizes):
        to_open.append(MailboxOpened(number, first, first + rows))
        first += rows
    to_open += [InputEnded()]
    events: list[object] = []
    now, asked, settled, closed = 0.0, Counter[int](), dict[int, Settled](), dict[int, MailboxClosed]()
    halts: list[Halt] = []
    renewals = 0
    due: list[tuple[float, Batch]] = []
    for _ in range(TURNS_MAX):
        room = scheduler.room
        events += to_open[:room]
        del to_open[:room]
        commands = scheduler.handle(*events, now=now)  # type: ignore[arg-type]
        events = []
        for command in commands:
            if isinstance(command, Record):
                for entry in command.entries:
                    if isinstance(entry, Settled):
                        for row in entry.each():
                            assert row.position not in settled, "settled twice"
                            settled[row.position] = row
                    elif isinstance(entry, MailboxClosed):
                        closed[entry.mailbox] = entry
            elif isinstance(command, Send):
                due.append((now + CALL_S, command.batch))
            elif isinstance(command, RenewToken):
                renewals += 1
                events.append(TokenRenewed())
            else:
                assert isinstance(command, Halt)
                halts.append(command)
        if scheduler.finished:
            return Ended(settled, closed, asked, renewals, halts, now)
        if events or (to_open and scheduler.room):
            continue
        wake = scheduler.wake_at()
        instants = [at for at, _ in due] + ([wake] if wake is not None else [])
        assert instants, "nothing is in flight, and nothing will happen"
        now = max(now, min(instants))
        landed = [(at, batch) for at, batch in due if at <= now]
        due = [(at, batch) for at, batch in due if at > now]
        events = [BatchAnswered(batch.number, answered(batch, tenant, now, asked)) for _, batch in landed]
    raise AssertionError(f"not ended after {now:.0f} s")


def answered(batch: Batch, tenant: Tenant, now: float, asked: Counter[int]) -> Answer:
    """Decode the answer of this tenant to a batch. In a lane, rows after the first refusal are not attempted."""
    sub_responses, broken = [], False
    for share in batch.shares:
        for attempt in share.attempts:
            asked[attempt.position] += not broken
            one = {"status": 424, "body": None} if broken else tenant(share.mailbox, attempt, now)
            broken = broken or (batch.lane and int(str(one["status"])) >= 400)
            sub_responses.append({"id": str(len(sub_responses)), **one})
    return decode_answer(200, {}, json.dumps({"responses": sub_responses}).encode(), batch.size, 0.0)


def error(status: int, code: str, message: str = "", headers: dict[str, str] | None = None) -> dict[str, object]:
    """Return an error as Graph writes it."""
    inner = {"date": "2026-11-28T05:00:00", "request-id": "3f2504e0-0000-4000-8000-000000000000"}
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return {"status": status, "headers": {"Content-Type": "application/json", **(headers or {})}, "body": body}


OK: dict[str, object] = {"status": 204, "headers": {"Cache-Control": "private"}, "body": None}


def beside_good(bad: dict[str, object]) -> Tenant:
    """Return a tenant in which one mailbox always gives this answer and the others purge."""
    return lambda mailbox, attempt, now: bad if mailbox == BAD else OK


STORE = "The specified object was not found in the store."
MOVED = "Cross Server access is not allowed for mailbox 7f1c. Target server is X.PROD.OUTLOOK.COM."
STALE = "Target resource '00030000-ca28' hosted on database '8d02d25d' is currently on backend 'Unknown'"
NESTED = json.dumps({"error": {"code": "MailboxNotEnabledForRESTAPI", "message": "Not for this mailbox."}})

CLOSES = [
    # status, code, message, and words of the advice
    *((status, "MailboxNotEnabledForRESTAPI", "", "on premises") for status in (400, 401, 403, 404)),
    *(
        (status, "ErrorInvalidUser", "The requested user is invalid.", "no mailbox behind")
        for status in (400, 403, 404)
    ),
    (404, "mailboxnotenabledforrestapi", "", "on premises"),
    (404, "UnknownError", NESTED, "on premises"),
    (400, "MailboxNotSupportedForRESTAPI", "", "on premises"),
    (404, "MailboxNotHostedInExchangeOnline", "The mailbox is either inactive or on-premise.", "on premises"),
    (404, "ErrorInvalidMailbox", "", "no mailbox behind"),
    (403, "ErrorInvalidLicense", "", "licence"),
    (404, "ErrorNonExistentMailbox", "No mailbox with such guid.", "no mailbox behind"),
    (400, "ErrorMailRecipientNotFound", "", "no mailbox behind"),
    (404, "ResourceNotFound", "Resource could not be discovered.", "no mailbox behind"),
    (404, "Request_ResourceNotFound", "", "no mailbox behind"),
    (403, "ErrorAccountDisabled", "Account is disabled.", "disabled"),
    (401, "ErrorAccountDisabled", "", "disabled"),
    (403, "ErrorMailboxLogonFailed", "", "signing in to it is not allowed"),
    (403, "ErrorImpersonateUserDenied", "", "signing in to it is not allowed"),
    (401, "AuthenticationError", "Error authenticating with resource", "401"),
    (400, "ErrorIncorrectRoutingHint", "", "object id"),
    (404, "ErrorInvalidMailboxItemId", "Item Id doesn't belong to the targeted mailbox.", "another mailbox"),
    (503, "ErrorMailboxMoveInProgress", MOVED, "another mailbox"),
    (404, "ErrorItemNotFound", f"{STORE}, Default folder Contacts not found.", "no mailbox behind"),
    (404, "ErrorItemNotFound", f"{STORE}, Default folder Root not found.", "no mailbox behind"),
    (403, "ErrorAccessDenied", "Access to OData is disabled.", "Contacts.ReadWrite"),
    (403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.", "access policies"),
    (403, "accessDenied", "", "access policies"),
    (403, "extensionError", "Operation: Update", "access policies"),
    (403, "Forbidden", "", "access policies"),
    (507, "ErrorQuotaExceeded", "", "Recoverable Items"),
    (507, "", "", "Recoverable Items"),
    (403, "ErrorQuotaExceeded", "", "Recoverable Items"),
    (400, "QuotaExceededException", "", "Recoverable Items"),
    (403, "quotaLimitReached", "", "Recoverable Items"),
    (500, "ErrorMessagePerFolderCountReceiveQuotaExceeded", "", "Recoverable Items"),
]


def skipped(ended: Ended) -> int:
    """Return how many rows of the mailbox were never sent, because it was closed."""
    alone = sum(row.outcome is Outcome.SKIPPED for row in ended.outcomes.values())
    return ended.closed[BAD].skipped + alone


def bad_rows() -> range:
    return range(BAD * ROWS, (BAD + 1) * ROWS)


def good_rows_are_purged(ended: Ended) -> None:
    """Check that each row of the other mailboxes is purged."""
    for position in (*range(ROWS), *range(2 * ROWS, 3 * ROWS)):
        assert ended.outcomes[position].outcome is Outcome.PURGED
        assert ended.asked[position] <= 3  # while a token is renewed, other rows are returned


@pytest.mark.parametrize("fanout", [4, 20, "auto"])
@pytest.mark.parametrize(("status", "code", "message", "advice"), CLOSES)
def test_what_speaks_of_the_mailbox_closes_it_with_its_first_answer(
    status: int, code: str, message: str, advice: str, fanout: int | str
) -> None:
    """An answer about a mailbox closes it at once: at most 20 rows are refused, each sent once, and the others skipped.

    The advice fits the code.
    """
    ended = played(beside_good(error(status, code, message)), fanout=fanout)
    good_rows_are_purged(ended)
    asked = [position for position in bad_rows() if ended.asked[position]]
    assert len(asked) <= 20
    assert {ended.asked[position] for position in asked} == {1}
    assert {ended.outcomes[position].outcome for position in asked} == {Outcome.REFUSED}
    assert not any(ended.outcomes[position].in_doubt for position in asked)
    assert skipped(ended) == ROWS - len(asked)
    assert not ended.halts
    assert advice in remedy_for(status, code, message).sentence


LEARNED = [
    (404, "ErrorMailboxNotFound", "The mailbox was not found.", "no mailbox behind"),
    (404, "UnknownError", "", "did not say that the contact is gone"),
    (404, "SomethingNew", "New in 2027.", "did not say that the contact is gone"),
    (400, "SomethingNew", "", "the id is not the id of a contact"),
    (400, "BadRequest", "Resource not found for the segment 'contactz'.", "the id is not the id of a contact"),
    (400, "ErrorInvalidRequest", "The request is invalid.", "the id is not the id of a contact"),
    (403, "SomethingNew", "", "forbids"),
    (403, "ErrorSharingNotAllowed", "", "forbids"),
    (405, "", "", "without a reason"),
    (402, "PaymentRequired", "", "without a reason"),
    (410, "Gone", "", "without a reason"),
    (418, "", "", "without a reason"),
    (451, "UnavailableForLegalReasons", "", "without a reason"),
]


@pytest.mark.parametrize("fanout", [4, 20, "auto"])
@pytest.mark.parametrize(("status", "code", "message", "advice"), LEARNED)
def test_a_mailbox_that_refuses_its_first_rows_alike_is_closed(
    status: int, code: str, message: str, advice: str, fanout: int | str
) -> None:
    """A mailbox whose first twenty or so rows are all refused alike is closed with that reason.

    No row of it is called gone.
    """
    ended = played(beside_good(error(status, code, message)), fanout=fanout)
    good_rows_are_purged(ended)
    asked = [position for position in bad_rows() if ended.asked[position]]
    assert 20 <= len(asked) <= 23
    assert {ended.asked[position] for position in asked} == {1}
    assert {ended.outcomes[position].outcome for position in asked} == {Outcome.REFUSED}
    reason = ended.closed[BAD].reply
    assert (reason.status, reason.code, skipped(ended)) == (status, code, ROWS - len(asked))
    assert "alike" in reason.message
    assert message in reason.message
    assert advice in remedy_for(status, code, reason.message).sentence


ITEMS = [
    (400, "ErrorInvalidIdMalformed", "Id is malformed.", Outcome.REFUSED, "not the id of a contact"),
    (400, "ErrorInvalidIdEmpty", "", Outcome.REFUSED, "not the id of a contact"),
    (400, "RequestBroker--ParseUri", "", Outcome.REFUSED, "not the id of a contact"),
    (
        404,
        "ErrorFolderNotFound",
        "The specified folder could not be found in the store.",
        Outcome.REFUSED,
        "folder column",
    ),
    (403, "ErrorCannotDeleteObject", "Object cannot be deleted.", Outcome.REFUSED, "cannot be deleted"),
    (501, "NotImplemented", "", Outcome.REFUSED, "--action delete"),
    (404, "ErrorItemNotFound", STORE, Outcome.ABSENT, ""),
    (404, "ErrorItemNotFound", f"{STORE}, The process failed to get the correct properties.", Outcome.ABSENT, ""),
]


@pytest.mark.parametrize(("status", "code", "message", "outcome", "advice"), ITEMS)
def test_what_speaks_of_a_row_never_closes_its_mailbox(
    status: int, code: str, message: str, outcome: Outcome, advice: str
) -> None:
    """An answer about a row never closes its mailbox: forty rows with it are each sent once and none is in doubt."""
    ended = played(beside_good(error(status, code, message)))
    good_rows_are_purged(ended)
    assert {ended.outcomes[position].outcome for position in bad_rows()} == {outcome}
    assert {ended.asked[position] for position in bad_rows()} == {1}
    assert not any(ended.outcomes[position].in_doubt for position in bad_rows())
    assert not ended.closed
    assert advice in remedy_for(status, code, message).sentence


TROUBLE = [
    # status, code, message, whether the rows sent are in doubt, the longest time of the run, and words of the advice
    (503, "MailboxInfoStale", STALE, False, 400, "object id"),
    (
        500,
        "ErrorInternalServerTransientError",
        "This connection to Store is dead",
        True,
        400,
        "Graph had a fault of its own",
    ),
    (
        503,
        "ErrorMailboxStoreUnavailable",
        "The mailbox database is temporarily unavailable.",
        True,
        400,
        "Graph had a fault of its own",
    ),
    (500, "ErrorInternalServerError", "", True, 400, "Graph had a fault of its own"),
    (502, "UnknownError", "", True, 400, "Graph had a fault of its own"),
    (503, "", "", True, 400, "Graph had a fault of its own"),
    (504, "UnknownError", "The request timed out.", True, 400, "Graph had a fault of its own"),
    (509, "ErrorBandwidthExceeded", "", True, 400, "Graph had a fault of its own"),
    (408, "", "", True, 400, "Graph had a fault of its own"),
    (500, "ErrorApiQuarantined", "", False, 20_000, "quarantine"),
    (503, "ErrorMailboxMoveInProgress", "Mailbox move in progress. Try again later.", False, 20_000, "being moved"),
    (
        500,
        "ErrorTooManyObjectsOpened",
        "Too many concurrent connections opened.",
        False,
        5_000,
        "too fast (429), again and again",
    ),
    (
        429,
        "ErrorTooManyObjectsOpened",
        "Too many concurrent connections opened.",
        False,
        5_000,
        "too fast (429), again and again",
    ),
    (
        429,
        "ApplicationThrottled",
        "Application is over its MailboxConcurrency limit.",
        False,
        5_000,
        "too fast (429), again and again",
    ),
    (429, "TooManyRequests", "", False, 5_000, "too fast (429), again and again"),
    (424, "FailedDependency", "", False, 5_000, "without a reason"),
    (302, "", "", True, 400, "without a reason"),
    (200, "", "", True, 400, "without a reason"),
]


@pytest.mark.parametrize("fanout", [4, 20])
@pytest.mark.parametrize(("status", "code", "message", "in_doubt", "longest_s", "advice"), TROUBLE)
def test_a_mailbox_in_trouble_waits_as_one_and_ends(
    status: int, code: str, message: str, in_doubt: bool, longest_s: float, advice: str, fanout: int
) -> None:
    """A mailbox in trouble is asked with few rows at growing intervals.

    The rows sent end as exhausted and the others are skipped.
    """
    ended = played(beside_good(error(status, code, message)), fanout=fanout)
    good_rows_are_purged(ended)
    requests = sum(ended.asked[position] for position in bad_rows())
    patient = status in (424, 429) or code == "ErrorTooManyObjectsOpened"
    # Below 400 an answer does not break a lane, so that four lanes of ten rows may have left before anything is known.
    assert requests <= (60 if patient else 45 if status >= 400 else 70)
    asked = [position for position in bad_rows() if ended.asked[position]]
    assert len(asked) <= (32 if status >= 400 and not patient else 40)
    assert {ended.outcomes[position].outcome for position in asked} == {Outcome.EXHAUSTED}
    assert {ended.outcomes[position].in_doubt for position in asked} == {in_doubt}
    assert skipped(ended) == ROWS - len(asked)
    assert 60 < ended.ended_at < longest_s
    assert not ended.halts
    if status >= 400 and status != 424:
        assert advice in remedy_for(status, code, message).sentence


@pytest.mark.parametrize("status", [409, 412, 423, 403, 404])
def test_a_mailbox_that_is_never_clear_ends_as_refused(status: int) -> None:
    """A mailbox that never gives a clear answer ends with its sent rows refused, none in doubt and none called gone."""
    ended = played(beside_good({"status": status, "body": None}))
    good_rows_are_purged(ended)
    assert {s.outcome for p, s in ended.outcomes.items() if p in bad_rows()} == {Outcome.REFUSED}
    assert sum(ended.asked[position] for position in bad_rows()) <= 100
    assert not any(ended.outcomes[p].in_doubt for p in bad_rows() if p in ended.outcomes)


@pytest.mark.parametrize("retry_after", ["0", "-5", "0.0", "Sat, 01 Jan 2000 00:00:00 GMT", "1"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_that_is_asked_for_is_a_floor(status: int, retry_after: str) -> None:
    """A Retry-After is only a lower limit: a service that always says 0 gets few calls, and the run ends."""
    calls: list[float] = []

    def tenant(mailbox: int, attempt: Attempt, now: float) -> dict[str, object]:
        if mailbox != BAD:
            return OK
        if not calls or calls[-1] != now:
            calls.append(now)
        return error(status, "ApplicationThrottled", "", {"Retry-After": retry_after})

    ended = played(tenant)
    good_rows_are_purged(ended)
    assert len([at for at in calls if at < 60]) <= 9
    assert len(calls) <= 31
    assert {s.outcome for p, s in ended.outcomes.items() if p in bad_rows()} == {Outcome.EXHAUSTED}


def test_a_short_wait_that_helps_is_kept_short() -> None:
    """A wait of one second is kept to one second if it helps."""
    seen = Counter[int]()

    def tenant(mailbox: int, attempt: Attempt, now: float) -> dict[str, object]:
        seen[attempt.position] += 1
        first = seen[attempt.position] == 1
        return error(429, "TooManyRequests", "", {"Retry-After": "1"}) if first and attempt.position % 12 == 0 else OK

    ended = played(tenant, (400,), fanout=4, lanes=False)
    assert ended.ended_at < 0.5 * 100 + 34 * 2.0
    assert {row.outcome for row in ended.outcomes.values()} == {Outcome.PURGED}


@pytest.mark.parametrize("code", ["", "UnknownError", "InvalidAuthenticationToken", "TokenExpired"])
@pytest.mark.parametrize("sizes", [(ROWS, ROWS, ROWS), (1, 1, 1), (3, 200, 3), (200, 1, 200)])
@pytest.mark.parametrize("renewable", [True, False])
def test_a_401_of_one_mailbox_closes_that_mailbox(code: str, sizes: tuple[int, ...], renewable: bool) -> None:
    """A mailbox that answers 401 is closed after at most one renewal of the token, and the others are purged."""
    ended = played(beside_good(error(401, code, "Error authenticating with resource")), sizes, renewable=renewable)
    first = sizes[0]
    bad = range(first, first + sizes[1])
    assert not ended.halts
    assert ended.renewals <= (1 if renewable else 0)
    assert {row.outcome for p, row in ended.outcomes.items() if p not in bad} == {Outcome.PURGED}
    assert {row.outcome for p, row in ended.outcomes.items() if p in bad and ended.asked[p]} == {Outcome.REFUSED}
    assert sum(ended.asked[position] for position in bad) <= 80
    assert len([position for position in bad if ended.asked[position]]) <= 20


@pytest.mark.parametrize("connections", [1, 64])
def test_mailboxes_that_are_parked_keep_no_others_from_being_opened(connections: int) -> None:
    """Nine that answer 401, and with one connection eight are held open: the tenth, which is good, shows whose the 401 is."""
    ended = played(
        lambda mailbox, attempt, now: OK if mailbox == 9 else error(401, "SomethingNew"),
        (2,) * 10,
        connections=connections,
    )
    assert not ended.halts
    assert len(ended.closed) == 9
    assert {position for position, row in ended.outcomes.items() if row.outcome is Outcome.PURGED} == {18, 19}


@pytest.mark.parametrize("code", ["", "InvalidAuthenticationToken"])
@pytest.mark.parametrize("sizes", [(ROWS,), (5, 5, 5), (3,) * 40, (500, *(1,) * 200)])
def test_a_401_of_every_mailbox_stops_the_run(code: str, sizes: tuple[int, ...]) -> None:
    """If every mailbox answers 401, the run stops after one renewal, and no row has an outcome."""
    ended = played(lambda mailbox, attempt, now: error(401, code), sizes)
    assert [halt.reason for halt in ended.halts] == [HaltReason.UNAUTHORIZED]
    assert ended.renewals == 1
    assert not ended.outcomes
    assert ended.ended_at < 60


def test_a_token_that_ends_in_the_middle_costs_no_row() -> None:
    """A token that expires during a run is renewed once, and every row is purged."""
    ended_at: list[float] = []

    def tenant(mailbox: int, attempt: Attempt, now: float) -> dict[str, object]:
        if now == 1.5:
            ended_at.append(now)
            return error(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
        return OK

    ended = played(tenant, (ROWS,) * 5)
    assert ended_at
    assert (ended.renewals, len(ended.outcomes)) == (1, 5 * ROWS)
    assert {row.outcome for row in ended.outcomes.values()} == {Outcome.PURGED}


@pytest.mark.parametrize(
    ("status", "code", "message", "reason"),
    [
        (401, "NoPermissionsInAccessToken", "The token contains no permissions.", HaltReason.REFUSED_APP),
        (
            401,
            "OrganizationFromTenantGuidNotFound",
            "The tenant for tenant guid 'x' does not exist.",
            HaltReason.REFUSED_APP,
        ),
        (401, "UnknownError", '{"error":{"code":"OrganizationFromTenantGuidNotFound"}}', HaltReason.REFUSED_APP),
        (403, "Authorization_RequestDenied", "Insufficient privileges.", HaltReason.REFUSED_APP),
        (400, "BadRequest", "Resource not found for the segment 'permanentDelete'.", HaltReason.NO_SUCH_ACTION),
    ],
)
def test_what_speaks_of_the_run_stops_it_and_refuses_no_row(
    status: int, code: str, message: str, reason: HaltReason
) -> None:
    """An answer about the whole run stops it, and its rows get no outcome."""
    ended = played(beside_good(error(status, code, message)))
    assert [halt.reason for halt in ended.halts] == [reason]
    assert {row.outcome for row in ended.outcomes.values()} <= {Outcome.PURGED}
    assert not ended.renewals


UNKNOWN = error(418, "New")
KNOWN = error(400, "ErrorInvalidIdMalformed")
FAULT = error(503, "ServerBusy")


@examples(60)
@given(st.lists(st.sampled_from([OK, OK, UNKNOWN, KNOWN, FAULT]), min_size=1, max_size=120), st.sampled_from([4, 20]))
def test_good_rows_are_never_cut_off(replies: list[dict[str, object]], fanout: int) -> None:
    """Good rows are purged whatever the others answer, unless the first twenty of their mailbox were refused alike.

    A row in trouble succeeds the third time. Where the first twenty answers of a mailbox are all the same unknown
    refusal (malformed ids do not count), the good rows after them are skipped; they are never deleted or called gone,
    and a retry sends them again.
    """
    seen = Counter[int]()

    def tenant(mailbox: int, attempt: Attempt, now: float) -> dict[str, object]:
        seen[attempt.position] += 1
        one = replies[attempt.position]
        return OK if one is FAULT and seen[attempt.position] > 2 else one

    ended = played(tenant, (len(replies),), fanout=fanout)
    well = [position for position, one in enumerate(replies) if one is OK or one is FAULT]
    if ended.closed:
        refused = [p for p, row in ended.outcomes.items() if row.reply.status == 418]
        assert len(refused) >= 20
        assert not any(row.outcome is Outcome.PURGED for row in ended.outcomes.values())
    else:
        assert {p for p, row in ended.outcomes.items() if row.outcome is Outcome.PURGED} == set(well)
        assert len(ended.outcomes) == len(replies)


@pytest.mark.parametrize("bad", [15, 19])
@pytest.mark.parametrize("answer", [UNKNOWN, KNOWN])
def test_bad_rows_at_the_beginning_do_not_close_a_mailbox(bad: int, answer: dict[str, object]) -> None:
    """Fifteen or nineteen bad rows at the start do not close a mailbox, and any number of malformed ids does not."""
    for many in {bad, 35 if answer is KNOWN else bad}:
        ended = played(lambda m, attempt, now, n=many: answer if attempt.position < n else OK, (ROWS,))  # type: ignore[misc]
        assert [row.outcome for _, row in sorted(ended.outcomes.items())] == (
            [Outcome.REFUSED] * many + [Outcome.PURGED] * (ROWS - many)
        )


def test_a_mailbox_that_recovers_goes_on_at_full_speed() -> None:
    """A mailbox that recovers after a minute is purged at full speed, and few rows were sent meanwhile."""
    asked_in_trouble = 0

    def tenant(mailbox: int, attempt: Attempt, now: float) -> dict[str, object]:
        nonlocal asked_in_trouble
        if now < 60:
            asked_in_trouble += 1
            return error(503, "MailboxInfoStale", STALE)
        return OK

    ended = played(tenant, (1_000,), fanout=20)
    assert {row.outcome for row in ended.outcomes.values()} == {Outcome.PURGED}
    assert len(ended.outcomes) == 1_000
    assert asked_in_trouble <= 40
    assert ended.ended_at < 60 + 60 + 50


@pytest.mark.parametrize("fanout", [4, 20, "auto"])
@pytest.mark.parametrize("failing", [1, 2, 3, 5])
@pytest.mark.parametrize("status", [500, 503])
def test_rows_that_each_need_several_attempts_are_purged(status: int, failing: int, fanout: int | str) -> None:
    """Rows that each need several attempts are purged, and their mailbox stays open, because rows sent again succeed."""

    def tenant(mailbox: int, attempt: Attempt, now: float) -> dict[str, object]:
        return error(status, "ErrorInternalServerError", "Try again.") if attempt.number <= failing else OK

    ended = played(tenant, (ROWS,), fanout=fanout)
    assert {row.outcome for row in ended.outcomes.values()} == {Outcome.PURGED}
    assert len(ended.outcomes) == ROWS


def test_batches_that_are_refused_as_a_whole_are_not_the_fault_of_their_rows() -> None:
    """If whole batches are refused, the run stops after 20 single rows, and the other rows wait to be resumed."""
    scheduler = Scheduler(Limits(), Random(1))
    commands = scheduler.handle(*(MailboxOpened(n, 40 * n, 40 * n + 40) for n in range(12)), InputEnded(), now=0.0)
    now, calls = 0.0, 0
    halts, refused, purged = list[Halt](), list[Settled](), list[Settled]()
    while True:
        events = list[BatchAnswered]()
        for command in commands:
            if isinstance(command, Halt):
                halts.append(command)
            elif isinstance(command, Record):
                settled = [entry for entry in command.entries if isinstance(entry, Settled)]
                refused += [entry for entry in settled if entry.outcome is Outcome.REFUSED]
                purged += [entry for entry in settled if entry.outcome is Outcome.PURGED]
            elif isinstance(command, Send):
                calls += 1
                good = Answer(Reply(200), dict.fromkeys(range(command.batch.size), PURGED_REPLY))
                bad = Answer(Reply(400, "BadRequest", "Invalid batch payload format."), None)
                events.append(BatchAnswered(command.batch.number, good if calls <= 2 else bad))
        if scheduler.finished:
            break
        now = now + 0.1 if events else max(now, scheduler.wake_at() or now)
        commands = scheduler.handle(*events, now=now)
        assert calls < 200
    assert [halt.reason for halt in halts] == [HaltReason.BATCHES_REFUSED]
    assert purged
    assert len(refused) == 20


def test_a_whole_call_that_is_too_fast_for_ever_stops_the_run() -> None:
    """A call that is always answered 429 with Retry-After 0 stops the run after few calls, and nothing is lost."""
    scheduler = Scheduler(Limits(), Random(1))
    commands = scheduler.handle(MailboxOpened(0, 0, 1_000), InputEnded(), now=0.0)
    now, sent, halts = 0.0, list[float](), list[Halt]()
    while not halts:
        for command in commands:
            if isinstance(command, Halt):
                halts.append(command)
        refused = [command.batch for command in commands if isinstance(command, Send)]
        sent += [now] * len(refused)
        answers = [
            BatchAnswered(batch.number, decode_answer(429, {"Retry-After": "0"}, b"", batch.size, 0.0))
            for batch in refused
        ]
        now = max(now, scheduler.wake_at() or now) if not answers else now
        commands = scheduler.handle(*answers, now=now)
    assert [halt.reason for halt in halts] == [HaltReason.THROTTLED]
    assert scheduler.finished
    assert len([at for at in sent if 0 < at < 60]) < 20
    assert len(sent) < 100


def test_the_advice_for_an_unknown_refusal_differs_by_the_family_of_its_status() -> None:
    """The advice for an unknown refusal depends on its status, and does not say to retry where that is useless."""
    sentences = {remedy_for(status, "New").sentence for status in (400, 403, 404, 405, 500, 501)}
    assert len(sentences) == 6
    assert not remedy_for(400, "BadRequest", "Resource not found for the segment 'permanentDelete'.").worth_retrying
    assert not remedy_for(404, "ErrorFolderNotFound").worth_retrying
    assert remedy_for(429, "ErrorInvalidUser") == remedy_for(429, "")
    assert isinstance(Reply(0), Reply)
