"""Tests of the verdict table, line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.graph.operations import IdType, deletion_by
from purgeengine.core.graph.verdicts import (
    IMMUTABLE_TABLE,
    MAILBOX_RULES,
    TABLE,
    Rule,
    Scope,
    Verdict,
    judge,
    judge_batch,
    may_still_run,
    outcome_when_gone,
)
from purgeengine.core.model import NOT_FROM_GRAPH, Outcome, Reply
from tests.support.properties import examples

MAILBOX_CODES = [
    "MailboxNotEnabledForRESTAPI",
    "MailboxNotSupportedForRESTAPI",
    "MailboxNotHostedInExchangeOnline",
    "ErrorInvalidUser",
    "ErrorInvalidMailbox",
    "ErrorInvalidLicense",
    "ErrorNonExistentMailbox",
    "ErrorMailRecipientNotFound",
    "ResourceNotFound",
    "Request_ResourceNotFound",
    "ErrorAccountDisabled",
    "ErrorMailboxLogonFailed",
    "ErrorImpersonateUserDenied",
    "AuthenticationError",
    "ErrorIncorrectRoutingHint",
    "ErrorInvalidMailboxItemId",
    "ErrorQuotaExceeded",
    "QuotaExceededException",
    "quotaLimitReached",
]
"""The codes that concern a mailbox under every status of the table."""

LINES = [
    (204, "", "", Verdict.DONE),
    (404, "ErrorItemNotFound", "The specified object was not found in the store.", Verdict.GONE),
    (404, "ErrorItemNotFound", "Default folder Contacts not found.", Verdict.CLOSED),
    (403, "ErrorCannotDeleteObject", "Object cannot be deleted.", Verdict.REFUSED),
    (400, "ErrorInvalidIdMalformed", "Id is malformed.", Verdict.REFUSED),
    (400, "ErrorInvalidIdEmpty", "", Verdict.REFUSED),
    (400, "RequestBroker--ParseUri", "", Verdict.REFUSED),
    (400, "SomethingNew", "", Verdict.UNKNOWN),
    (400, "BadRequest", "Resource not found for the segment 'permanentDelete'.", Verdict.NO_SUCH_ACTION),
    (400, "BadRequest", "Resource not found for the segment 'contactz'.", Verdict.UNKNOWN),
    (400, "BadRequest", "The word 'permanentDelete' is odd.", Verdict.UNKNOWN),
    (404, "ErrorInvalidMailboxItemId", "", Verdict.CLOSED),
    (404, "UnknownError", "", Verdict.UNKNOWN),
    (404, "ErrorMailboxNotFound", "The mailbox was not found.", Verdict.UNKNOWN),
    (404, "ErrorFolderNotFound", "The specified folder could not be found in the store.", Verdict.REFUSED),
    *((status, code, "", Verdict.CLOSED) for status in (400, 401, 403, 404, 409, 418, 499) for code in MAILBOX_CODES),
    (429, "ErrorInvalidUser", "", Verdict.THROTTLED),
    (424, "ErrorInvalidUser", "", Verdict.NOT_ATTEMPTED),
    (503, "ErrorInvalidUser", "", Verdict.FAULT),
    (403, "Forbidden", "", Verdict.CLOSED),
    (401, "NoPermissionsInAccessToken", "The token contains no permissions.", Verdict.APP_REFUSED),
    (401, "OrganizationFromTenantGuidNotFound", "", Verdict.APP_REFUSED),
    (401, "", "", Verdict.TOKEN_REFUSED),
    (401, "UnknownError", '{"error":{"code":"OrganizationFromTenantGuidNotFound","message":"x"}}', Verdict.APP_REFUSED),
    (404, "UnknownError", '{"error":{"code":"ErrorInvalidUser","message":"x', Verdict.CLOSED),
    (404, "UnknownError", '{"error":{"code":"ErrorItemNotFound","message":"x"}}', Verdict.UNKNOWN),
    (404, "", '{"error":{"code":"ErrorItemNotFound"', Verdict.UNKNOWN),
    (404, "SomethingNew", '{"error":{"code":"ErrorInvalidUser","message":"x"}}', Verdict.UNKNOWN),
    (404, "UnknownError", '{"nothing":"known"}', Verdict.UNKNOWN),
    (500, "ErrorMessagePerFolderCountReceiveQuotaExceeded", "", Verdict.CLOSED),
    (500, "ErrorTooManyObjectsOpened", "", Verdict.THROTTLED),
    (500, "ErrorApiQuarantined", "", Verdict.HELD_BACK),
    (500, "ErrorMailboxMoveInProgress", "", Verdict.HELD_BACK),
    (501, "NotImplemented", "", Verdict.REFUSED),
    (503, "MailboxInfoStale", "", Verdict.UNREACHED),
    (503, "ErrorMailboxMoveInProgress", "Cross Server access is not allowed for mailbox x.", Verdict.CLOSED),
    (503, "ServiceUnavailable", "Cross Server access is not allowed for mailbox x.", Verdict.FAULT),
    (404, "", "", Verdict.UNCLEAR),
    (404, "MailboxNotEnabledForRESTAPI", "", Verdict.CLOSED),
    (404, "MailboxNotHostedInExchangeOnline", "", Verdict.CLOSED),
    (404, "ErrorInvalidUser", "", Verdict.CLOSED),
    (404, "ErrorNonExistentMailbox", "", Verdict.CLOSED),
    (404, "ResourceNotFound", "", Verdict.CLOSED),
    (404, "Request_ResourceNotFound", "", Verdict.CLOSED),
    (403, "ErrorAccessDenied", "Access to OData is disabled.", Verdict.CLOSED),
    (403, "accessDenied", "", Verdict.CLOSED),
    (403, "extensionError", "", Verdict.CLOSED),
    (403, "Authorization_RequestDenied", "", Verdict.APP_REFUSED),
    (403, "SomethingNew", "", Verdict.UNKNOWN),
    (403, "", "", Verdict.UNCLEAR),
    (401, "InvalidAuthenticationToken", "", Verdict.TOKEN_REFUSED),
    (507, "ErrorQuotaExceeded", "", Verdict.CLOSED),
    (403, "ErrorQuotaExceeded", "", Verdict.CLOSED),
    (403, "quotaLimitReached", "", Verdict.CLOSED),
    (409, "", "", Verdict.UNCLEAR),
    (412, "", "", Verdict.UNCLEAR),
    (423, "", "", Verdict.UNCLEAR),
    (424, "", "", Verdict.NOT_ATTEMPTED),
    (429, "ApplicationThrottled", "", Verdict.THROTTLED),
    (429, "TooManyRequests", "", Verdict.THROTTLED),
    (429, "ErrorTooManyObjectsOpened", "", Verdict.THROTTLED),
    (429, "UnknownError", "", Verdict.THROTTLED),
    (503, "ErrorMailboxMoveInProgress", "", Verdict.HELD_BACK),
    (500, "ErrorInternalServerError", "", Verdict.FAULT),
    (502, "", "", Verdict.FAULT),
    (503, "ServiceUnavailable", "", Verdict.FAULT),
    (504, "", "", Verdict.FAULT),
    (509, "", "", Verdict.FAULT),
    (408, "", "", Verdict.FAULT),
    (418, "", "", Verdict.UNKNOWN),
    (200, "", "", Verdict.FAULT),
    (302, "", "", Verdict.FAULT),
    (0, "", "", Verdict.FAULT),
]


@pytest.mark.parametrize(("status", "code", "message", "verdict"), LINES)
def test_every_status_and_code_has_its_verdict(status: int, code: str, message: str, verdict: Verdict) -> None:
    """A reply with this status, code and message has the verdict of the table."""
    assert judge(Reply(status, code, message)) is verdict


def test_every_code_of_the_table_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every code and message in the table is needed: without it some reply has another verdict.

    Rules that equal the default are left out.
    """

    def with_one_change(rule: Rule) -> list[list[Rule]]:
        fewer = [[rule._replace(codes=rule.codes - {code})] for code in sorted(rule.codes or ())]
        return [[], *fewer, *([[rule._replace(message_has=())]] if rule.message_has else [])]

    for status, rules in list(TABLE.items()):
        by_default = Verdict.UNKNOWN if 400 <= status < 500 else Verdict.FAULT
        for place, rule in enumerate(rules):
            if rule.codes is None and rule.verdict is by_default:
                continue
            for changed in with_one_change(rule):
                monkeypatch.setitem(TABLE, status, (*rules[:place], *changed, *rules[place + 1 :]))
                assert any(judge(Reply(s, code, message)) is not verdict for s, code, message, verdict in LINES), (
                    status,
                    rule,
                    changed,
                )
        monkeypatch.setitem(TABLE, status, rules)


def test_every_code_of_a_mailbox_is_needed() -> None:
    """The codes of a mailbox in the rules are exactly those in this file."""
    in_table = {code for rule in MAILBOX_RULES for code in rule.codes or ()}
    assert in_table == {code.lower() for code in MAILBOX_CODES}


def test_codes_are_read_in_any_letter_case() -> None:
    """Codes are compared without case, because the service spells them in several ways."""
    assert judge(Reply(404, "errorItemNotFound")) is Verdict.GONE


@pytest.mark.parametrize("status", [400, 404, 408, 500, 503, 599, 302])
def test_nothing_but_item_not_found_means_gone(status: int) -> None:
    """No other code than ErrorItemNotFound, known or not, means that a contact is gone."""
    for code in ("", "UnknownError", "ErrorFolderNotFound", "ErrorInvalidUser", "NotFound", "itemNotFound2"):
        assert judge(Reply(status, code)) not in (Verdict.GONE, Verdict.DONE)


CODES = sorted({code for _, code, _, _ in LINES})
any_code = st.sampled_from(CODES) | st.sampled_from(CODES).map(str.upper) | st.text(max_size=20)
any_message = st.text(max_size=20) | st.sampled_from(
    ["Default folder Contacts not found.", "The specified object was not found."]
)


@examples(500)
@given(st.integers(0, 999) | st.sampled_from([403, 404]), any_code, any_message, st.sampled_from(IdType))
def test_every_reply_has_a_verdict_and_few_mean_gone(status: int, code: str, message: str, id_type: IdType) -> None:
    """Every reply has a verdict: only 204 is purged, and only one code (two with immutable ids) with its status is gone."""
    verdict = judge(Reply(status, code, message), deletion_by(id_type=id_type).verdicts)
    assert (verdict is Verdict.DONE) == (status == 204)
    gone = {(404, "erroritemnotfound")}
    if id_type is IdType.IMMUTABLE:
        gone.add((403, "errorcannotdeleteobject"))
    no_mailbox = status == 404 and "default folder" in message.lower() and "not found" in message.lower()
    assert (verdict is Verdict.GONE) == ((status, code.lower()) in gone and not no_mailbox)
    assert (verdict is Verdict.THROTTLED) == (
        status == 429 or (status, code.lower()) == (500, "errortoomanyobjectsopened")
    )
    assert judge_batch(Reply(status, code, message)) not in (Verdict.DONE, Verdict.GONE)


def test_gone_is_purged_only_where_an_attempt_of_ours_is_in_doubt() -> None:
    """A contact that is gone counts as purged if an attempt is in doubt, and as absent otherwise."""
    assert outcome_when_gone(in_doubt=True) is Outcome.PURGED
    assert outcome_when_gone(in_doubt=False) is Outcome.ABSENT


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, Verdict.REFUSED),
        (413, Verdict.REFUSED),
        (401, Verdict.TOKEN_REFUSED),
        (403, Verdict.APP_REFUSED),
        (404, Verdict.APP_REFUSED),
        (300, Verdict.APP_REFUSED),
        (302, Verdict.APP_REFUSED),
        (499, Verdict.APP_REFUSED),
        (299, Verdict.FAULT),
        (429, Verdict.THROTTLED),
        (424, Verdict.NOT_ATTEMPTED),
        (408, Verdict.FAULT),
        (500, Verdict.FAULT),
        (503, Verdict.FAULT),
        (0, Verdict.FAULT),
    ],
)
def test_an_answer_without_sub_responses_speaks_for_the_batch(status: int, verdict: Verdict) -> None:
    """An answer without sub-responses is judged by its outer status alone, for the whole batch."""
    assert judge_batch(Reply(status)) is verdict


@pytest.mark.parametrize(
    ("status", "running"),
    [
        (408, True), (500, True), (501, True), (502, True), (503, True), (504, True), (511, True), (599, True),
        (200, False), (202, False), (299, False), (302, False), (400, False), (401, False), (403, False), (404, False),
        (407, False), (409, False), (413, False), (424, False), (429, False), (499, False),
    ],
)  # fmt: skip
def test_a_call_may_still_run_after_the_services_own_trouble_only(status: int, running: bool) -> None:
    """After 408 and 5xx the service may still be running the call; after a refusal or a 2xx it is not."""
    assert may_still_run(status) is running


def test_scopes_are_item_mailbox_and_run() -> None:
    """A verdict has the scope of an item, a mailbox or the run."""
    assert Verdict.GONE.scope is Scope.ITEM
    assert Verdict.CLOSED.scope is Verdict.THROTTLED.scope is Verdict.HELD_BACK.scope is Scope.MAILBOX
    assert Verdict.APP_REFUSED.scope is Verdict.TOKEN_REFUSED.scope is Scope.RUN


def test_only_an_immutable_id_reaches_a_contact_that_is_in_purges() -> None:
    """ErrorCannotDeleteObject means gone with immutable ids, because only those reach Purges; with default ids it is a refusal."""
    reply = Reply(403, "ErrorCannotDeleteObject", "Object cannot be deleted.")
    assert judge(reply, IMMUTABLE_TABLE) is Verdict.GONE
    assert judge(reply, TABLE) is Verdict.REFUSED


@pytest.mark.parametrize(("status", "code", "message", "verdict"), LINES)
def test_the_type_of_ids_changes_no_other_verdict(status: int, code: str, message: str, verdict: Verdict) -> None:
    """The id type changes no other verdict."""
    if code != "ErrorCannotDeleteObject":
        assert judge(Reply(status, code, message), IMMUTABLE_TABLE) is verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.FAULT), (302, Verdict.INTERCEPTED), (400, Verdict.INTERCEPTED), (401, Verdict.INTERCEPTED),
        (403, Verdict.INTERCEPTED), (404, Verdict.INTERCEPTED), (407, Verdict.INTERCEPTED), (408, Verdict.FAULT),
        (413, Verdict.INTERCEPTED), (429, Verdict.THROTTLED), (500, Verdict.FAULT), (501, Verdict.INTERCEPTED),
        (502, Verdict.FAULT), (504, Verdict.FAULT), (511, Verdict.INTERCEPTED),
    ],
)  # fmt: skip
def test_what_is_not_graphs_refuses_nothing_for_good(status: int, verdict: Verdict) -> None:
    """An answer that is not Graph's never refuses rows for good.

    It counts as intercepted, or as a fault or throttling by its status.
    """
    assert judge_batch(Reply(status, NOT_FROM_GRAPH, "Something.")) is verdict
