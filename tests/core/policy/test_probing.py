"""Tests of probing a few mailboxes before a run, without a tenant: what is asked, read, concluded and advised."""

from __future__ import annotations

import json
import random

import pytest

from purgeengine.core.graph.operations import IdType
from purgeengine.core.graph.queries import contacts_url, decode_reads, encode_reads, one_contact_url, user_url
from purgeengine.core.model import Item, Reply
from purgeengine.core.policy.probing import NAMED_MAX, Probed, Standing, conclusions, probed, refusal, spread
from purgeengine.core.policy.remedies import remedy_for
from purgeengine.errors import RunStopped, TokenError, UsageProblem

HEADERS = {"Date": "Tue, 24 Nov 2026 12:00:00 GMT", "request-id": "r1"}


def found(*standings: Standing) -> list[Probed]:
    """Return mailboxes u0, u1 and so on with these standings."""
    return [Probed(f"u{number}", standing, Reply(0)) for number, standing in enumerate(standings)]


def read(*responses: object, size: int = 3) -> dict[int, object]:
    """Return the bodies in an answer with these sub-responses."""
    body = json.dumps({"responses": responses}).encode()
    return dict(decode_reads(200, HEADERS, body, size, 0.0).bodies)


# ------------------------------------------------------------------------------------------------ questions and answers


def test_questions_name_the_user_and_ask_for_no_more_than_is_needed() -> None:
    """A question names the user, escaped as in a purge, and selects no more fields than needed."""
    assert user_url("a#b@x.example") == "/users/a%23b@x.example?$select=id,userPrincipalName"
    assert contacts_url("u@x.example") == "/users/u@x.example/contacts?$top=1&$select=id"
    assert one_contact_url(Item("u@x.example", "", "AAA=")) == "/users/u@x.example/contacts/AAA=?$select=id"


def test_a_batch_of_questions_only_reads_and_asks_for_immutable_ids_where_the_list_has_them() -> None:
    """A batch of questions only reads, has 1 to 20 questions, and asks for immutable ids if the list has them."""
    sent = json.loads(encode_reads(["/a", "/b"]))
    assert sent == {"requests": [{"id": "0", "method": "GET", "url": "/a"}, {"id": "1", "method": "GET", "url": "/b"}]}
    (first, *others) = json.loads(encode_reads(["/a"] * 20, IdType.IMMUTABLE))["requests"]
    assert first["headers"] == {"Prefer": 'IdType="ImmutableId"'}
    assert len(others) == 19
    assert len(json.loads(encode_reads(["/a"]))["requests"]) == 1
    for wrong in ([], ["/a"] * 21):
        with pytest.raises(AssertionError):
            encode_reads(wrong)


def test_bodies_are_those_of_questions_that_went_well() -> None:
    """The bodies are those of successful questions, by index in any order; a refusal or unreadable answer has none."""
    person = {"id": "p"}
    assert read({"id": "2", "status": 200, "body": person}, {"id": "0", "status": 200, "body": {}}) == {
        2: person,
        0: {},
    }
    strange: tuple[object, ...] = (
        {"id": "0", "status": 404, "body": {"error": {"code": "ErrorItemNotFound"}}},
        {"id": "1", "status": 200, "body": "text"},
        {"id": "1", "status": 200},
        {"id": "3", "status": 200, "body": person},
        {"status": 200, "body": person},
        {"id": "x", "status": 200, "body": person},
        "text",
    )
    for one in strange:
        assert read(one, {"id": "2", "status": 200, "body": person}) == {2: person}


def test_the_answer_to_questions_is_read_as_that_to_a_purge() -> None:
    """The answer to questions is read like that to a purge, with status, code, request id and wait."""
    body = json.dumps({"responses": [{"id": "0", "status": 404, "body": {"error": {"code": "ErrorInvalidUser"}}}]})
    answer = decode_reads(200, HEADERS, body.encode(), 1, 0.0).answer
    assert (answer.outer.status, answer.request_id) == (200, "r1")
    assert answer.replies is not None
    reply = answer.replies[0]
    assert reply is not None
    assert (reply.status, reply.code) == (404, "ErrorInvalidUser")
    for headers, now_utc in ((HEADERS, 0.0), ({}, 1_795_521_600.0)):
        asked = {**headers, "Retry-After": "Tue, 24 Nov 2026 12:00:30 GMT"}
        refused = decode_reads(429, asked, b"", 1, now_utc)
        assert (refused.answer.outer.retry_after_s, refused.bodies) == (31.0, {})


# ---------------------------------------------------------------------------------------------------- what they mean


@pytest.mark.parametrize(
    ("mailbox", "contact", "standing", "decisive"),
    [
        (Reply(200), Reply(200), Standing.FINE, "contact"),
        (Reply(299), Reply(299), Standing.FINE, "contact"),
        (Reply(199), Reply(200), Standing.NO_ANSWER, "mailbox"),
        (Reply(300), Reply(200), Standing.NO_ANSWER, "mailbox"),
        (Reply(200), Reply(199), Standing.NO_ANSWER, "contact"),
        (Reply(200), Reply(300), Standing.NO_ANSWER, "contact"),
        (Reply(401), Reply(200), Standing.NOT_SERVED, "mailbox"),
        (Reply(401, "AuthenticationError"), Reply(200), Standing.NOT_SERVED, "mailbox"),
        (Reply(403, "MailboxNotEnabledForRESTAPI"), Reply(200), Standing.NOT_SERVED, "mailbox"),
        (Reply(400, "ErrorInvalidUser"), Reply(200), Standing.NO_MAILBOX, "mailbox"),
        (Reply(200), Reply(400, "ErrorInvalidUser"), Standing.NO_MAILBOX, "contact"),
        (Reply(403), Reply(200), Standing.DENIED, "mailbox"),
        (Reply(404, "ErrorInvalidUser"), Reply(200), Standing.NO_MAILBOX, "mailbox"),
        (Reply(200), Reply(403, "ErrorAccessDenied"), Standing.DENIED, "contact"),
        (Reply(200), Reply(404, "ERRORINVALIDMAILBOXITEMID"), Standing.OTHER_MAILBOX, "contact"),
        (Reply(200), Reply(403, "ErrorInvalidMailboxItemId"), Standing.OTHER_MAILBOX, "contact"),
        (Reply(200), Reply(400), Standing.BAD_ID, "contact"),
        (Reply(200), Reply(404, "ResourceNotFound"), Standing.NO_MAILBOX, "contact"),
    ],
)
def test_a_mailbox_stands_by_the_reply_that_decides(
    mailbox: Reply, contact: Reply, standing: Standing, decisive: str
) -> None:
    """The standing of a mailbox follows its own reply first and then the contact's, and keeps the reply that decides."""
    assert probed("u", mailbox, contact) == Probed("u", standing, mailbox if decisive == "mailbox" else contact)


def test_nobody_is_looked_at_where_nobody_is_wanted_and_the_largest_may_be_the_first() -> None:
    """Probing none gives none, and the first mailbox may also be the largest."""
    assert spread([5, 1], 0, random.Random(1)) == []
    assert spread([], 5, random.Random(1)) == []
    assert spread([1], 1, random.Random(1)) == [0]
    assert sorted(spread([9, 1, 1], 2, random.Random(1)))[0] == 0
    assert spread([9, 1, 1], 2, random.Random(1))[0] == 0
    assert len(spread([9, 1, 1], 2, random.Random(1))) == 2
    seen = {spread([9, 1, 1, 1, 1], 2, random.Random(seed))[1] for seed in range(50)}
    assert seen == {1, 2, 3, 4}


def test_conclusions_name_the_worst_first_a_few_users_and_a_remedy() -> None:
    """The conclusions begin with the worst standing, name at most five users each and give a remedy.

    Good mailboxes are only counted.
    """
    assert conclusions([]) == []
    many = found(Standing.FINE, *[Standing.DENIED] * (NAMED_MAX + 1), Standing.NO_ANSWER)
    assert conclusions(many) == [
        (Standing.NO_ANSWER, "1 of 8 mailboxes gave no answer that says anything (u7). Try again."),
        (
            Standing.DENIED,
            "6 of 8 mailboxes deny the app (u1, u2, u3, u4, u5). "
            "Check the scope of its role in Exchange (RBAC for Applications) and application access policies.",
        ),
        (Standing.FINE, "1 of 8 mailboxes answers the app and holds the contact asked for."),
    ]


@pytest.mark.parametrize(
    ("standings", "kind"),
    [
        ([], None),
        ([Standing.FINE, Standing.DENIED], None),
        ([Standing.NOT_FOUND, Standing.NO_MAILBOX], None),
        ([Standing.DENIED, Standing.NO_MAILBOX], TokenError),
        ([Standing.APP_DENIED], TokenError),
        ([Standing.NO_ANSWER, Standing.NO_ANSWER], RunStopped),
        ([Standing.NO_ANSWER, Standing.NO_MAILBOX], UsageProblem),
        ([Standing.BAD_ID], UsageProblem),
    ],
)
def test_a_run_is_refused_where_nothing_can_be_purged(standings: list[Standing], kind: type[Exception] | None) -> None:
    """A run is refused if no probed mailbox can be purged, with the exit code of the reason."""
    problem = refusal(found(*standings))
    assert type(problem) is (type(None) if kind is None else kind)
    assert problem is None or str(problem).startswith(
        "Not one of the mailboxes looked at can be purged, so nothing was sent."
    )


def test_a_refusal_says_everything_that_was_seen() -> None:
    """A refusal has one sentence for each standing that was seen."""
    assert str(refusal(found(Standing.BAD_ID, Standing.NO_MAILBOX))) == (
        "Not one of the mailboxes looked at can be purged, so nothing was sent. "
        "1 of 2 names has no mailbox in this tenant (u1). Is this a list of another tenant? "
        "1 of 2 contact ids is malformed to Graph (u0). Are they of another type? See --id-type."
    )


# ------------------------------------------------------------------------------------------------------- what to do


@pytest.mark.parametrize(
    ("status", "code", "begins", "worth_retrying"),
    [
        (403, "ErrorAccessDenied", "The app may not touch", True),
        (404, "ERRORINVALIDUSER", "There is no mailbox", True),
        (400, "ErrorInvalidIdMalformed", "This id is not the id of a contact.", False),
        (507, "", "The mailbox's Recoverable Items", True),
        (429, "anything", "Graph refused the requests to this mailbox as too fast (429)", True),
        (0, "", "No answer came", True),
        (408, "", "Graph had a fault of its own.", True),
        (407, "", "Graph said no without", True),
        (409, "", "Something else held", True),
        (499, "", "Graph said no without", True),
        (500, "", "Graph had a fault of its own.", True),
        (503, "ErrorMailboxMoveInProgress", "The mailbox is being moved", True),
        (504, "Other", "Graph had a fault of its own.", True),
    ],
)
def test_advice_follows_the_code_then_the_status(status: int, code: str, begins: str, worth_retrying: bool) -> None:
    """Advice follows the code and then the status, and every status has some."""
    remedy = remedy_for(status, code)
    assert remedy.sentence.startswith(begins)
    assert remedy.worth_retrying is worth_retrying
