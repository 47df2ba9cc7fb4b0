"""Tests of filters: what a list of users matches, and what happens to rows in the ledger that are left out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.messages import BATCH_OF_LAST_SENDING, Entry, MailboxClosed, Settled
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.filters import (
    EXCLUDED,
    IS_PROTECTED,
    NOT_NAMED,
    Kinds,
    UserFilter,
    UserList,
    entry_problem,
)
from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.edges.ledger.views.preview import Preview, closings
from purgeengine.edges.source import open_source, read_users
from purgeengine.errors import InputError
from tests.support.ledger_fixtures import (
    NOW,
    FakeSource,
    a_source,
    ended,
    open_ledger,
    opened,
    returned,
    rows_of,
    sent,
    settled,
)

GUID = "0A0B0C0D-1111-4222-8333-444455556666"


def users(*names: str) -> UserList:
    """Return a list of these users."""
    return UserList.of(names)


# ------------------------------------------------------------------------------------------------------------ matching


@pytest.mark.parametrize(
    ("entry", "key", "matches"),
    [
        ("Ann@Contoso.com", "ann@contoso.com", True),
        (GUID, GUID.lower(), True),
        ("ann@contoso.com", "anna@contoso.com", False),
        ("*@board.contoso.com", "ceo@board.contoso.com", True),
        ("*@board.contoso.com", "ceo@contoso.com", False),
        ("*@contoso.com", "ceo@board.contoso.com", False),
        ("*@contoso.com", "ceo@contoso.com.evil.example", False),
        ("*@contoso.com", "ceo@contosoxcom", False),
        ("*@*.contoso.com", "ceo@a.b.contoso.com", True),
        ("svc-*@contoso.com", "SVC-backup@contoso.com".lower(), True),
        ("*@*", "anybody@anywhere.example", True),
        ("*@*", GUID.lower(), False),
    ],
)
def test_a_list_matches_names_ids_and_patterns(entry: str, key: str, matches: bool) -> None:
    """A list matches names, ids and patterns without case; a star stands for anything but the @."""
    assert (key in users(entry)) is matches


@pytest.mark.parametrize(
    "entry", ["", "ann", "*", "ann@", "@contoso.com", "ann contoso.com", "a/b@contoso.com", GUID[:-1], "a@b@c"]
)
def test_an_entry_that_names_no_user_has_a_problem(entry: str) -> None:
    """An entry that can match no user is refused."""
    assert entry_problem(entry) is not None


def test_any_of_several_patterns_matches() -> None:
    """Any of several patterns in a list may match, and nothing else does."""
    some = users("*@contoso.example", "bot-*@*.example", "ann@fabrikam.example")
    assert len(some) == 3
    for key in ("x@contoso.example", "bot-7@north.example", "ann@fabrikam.example"):
        assert key in some
    for key in ("x@north.example", "bot-7@north.test", "ben@fabrikam.example", ""):
        assert key not in some
    assert "" not in users("ann@contoso.example")


def test_a_star_may_stand_anywhere_in_a_name() -> None:
    """A star may stand anywhere in name and domain, and an entry that can be no user is refused with the allowed forms."""
    assert entry_problem("ann@*.example") is None
    sentence = (
        "it is neither a user principal name (name@domain, or *@domain for all of a domain) nor an object id (GUID)"
    )
    assert entry_problem("ann*") == sentence


@pytest.mark.parametrize(
    ("user_filter", "what"),
    [
        (lambda listed: UserFilter(protected=listed), "protected list"),
        (lambda listed: UserFilter(excluded=listed), "list of --exclude-users"),
    ],
)
def test_a_blind_spot_is_told_with_the_way_out(user_filter: Any, what: str) -> None:
    """A list that names users in another way than the input is refused with the list's name and what to add."""
    kinds = {"user principal name": users("ann@contoso.example"), "object id": users(GUID)}
    for (listed, some), found in zip(kinds.items(), reversed(kinds), strict=True):
        assert user_filter(some).blind_spot(kinds[found].kinds) == (
            f"The {what} names users by {listed} only, and the input names mailboxes by {found}, so that a listed user could not "
            f"be recognised among them. Put the {found} of each listed user into the list as well. Nothing was sent."
        )


def test_what_protects_comes_first() -> None:
    """The protected list wins over the excluded and the named users, and all others are judged by both lists."""
    user_filter = UserFilter(
        users("a@x.example"), users("b@x.example"), users("a@x.example", "b@x.example", "c@x.example")
    )
    assert user_filter.left_out("a@x.example") == IS_PROTECTED
    assert user_filter.left_out("b@x.example") == EXCLUDED
    assert user_filter.left_out("c@x.example") is None
    assert user_filter.left_out("d@x.example") == NOT_NAMED
    assert UserFilter().left_out("d@x.example") is None


@pytest.mark.parametrize(
    ("listed", "found", "blind"),
    [
        (users("a@x.example"), Kinds(names=True), False),
        (users("a@x.example"), Kinds(names=True, ids=True), True),
        (users("*@x.example"), Kinds(ids=True), True),
        (users(GUID), Kinds(names=True), True),
        (users(GUID), Kinds(ids=True), False),
        (users(GUID, "a@x.example"), Kinds(names=True, ids=True), False),
        (users(), Kinds(names=True, ids=True), False),
    ],
)
def test_a_list_of_the_other_kind_of_name_is_a_blind_spot(listed: UserList, found: Kinds, blind: bool) -> None:
    """A list of names only cannot be compared with object ids and the reverse, so that such a list may miss a user."""
    for user_filter in (UserFilter(protected=listed), UserFilter(excluded=listed)):
        assert (user_filter.blind_spot(found) is not None) is blind
    assert UserFilter(only=listed).blind_spot(found) is None  # users whom it does not recognise are left out


# --------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a@x.example\nb@x.example\n", "utf-8"),
        ("# keep these\r\n\r\na@x.example\r\n  b@x.example  \r\n", "utf-8-sig"),
        ("a@x.example\nb@x.example", "utf-16"),
        ('#TYPE Selected.User\r\n"UserPrincipalName"\r\n"a@x.example"\r\n"b@x.example"\r\n', "utf-16"),
        ("DisplayName;UserPrincipalName\nAnn, A;a@x.example\nBob;b@x.example\n", "utf-8"),
        ("userId\tx\na@x.example\t1\nb@x.example\t2\n", "utf-8"),
        ('user,note\na@x.example,"says ""no"", always"\nb@x.example,\n', "utf-8"),
    ],
)
def test_a_list_is_read_however_it_was_saved(tmp_path: Path, text: str, encoding: str) -> None:
    """A list is read as one user a line or as a CSV column, in the encodings that PowerShell and Excel write."""
    path = tmp_path / "users.txt"
    path.write_bytes(text.encode(encoding))
    assert read_users(path) == ["a@x.example", "b@x.example"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "lists no user"),
        (b"# nobody\n\n", "lists no user"),
        (b"user\n", "lists no user"),
        (b"a@x.example\nnot a user\n", "Line 2"),
        (b"name,phone\nAnn,1\n", "none for the user"),
        (b"name,user\nAnn\n", "Line 2"),
        (b"a@x.example\n\xff\xfe\xfa\n", "not text"),
        (b"PAR1xxxxPAR1", "Parquet"),
        (b"a@x.example\n\x1b[31mred\n", "Line 2"),
    ],
)
def test_a_list_that_is_not_understood_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """A list that is not understood is refused with the file's name, and with nothing unescaped."""
    path = tmp_path / "users.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as refused:
        read_users(path)
    assert "users.txt" in str(refused.value)
    assert "\x1b" not in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names of pipes")
def test_what_a_shell_makes_of_a_command_is_refused_as_what_it_is() -> None:
    """The file that a shell makes of a command's output is refused as list and as input, because it can be read only once."""
    reading, writing = os.pipe()
    try:
        for read in (read_users, lambda path: open_source([path])):
            with pytest.raises(InputError, match=f"^/dev/fd/{reading} is neither a file nor a folder"):
                read(f"/dev/fd/{reading}")
    finally:
        os.close(reading)
        os.close(writing)


def test_a_list_that_is_missing_is_refused(tmp_path: Path) -> None:
    """A missing list is refused with the file's name."""
    with pytest.raises(InputError, match=r"nowhere\.txt"):
        read_users(tmp_path / "nowhere.txt")


# ---------------------------------------------------------------------------------------------------------- the ledger


def exported(folder: Path) -> list[dict[str, Any]]:
    """Return the rows as an export has them."""
    with LedgerReader.open(folder) as reader:
        return [row for batch in reader.rows() for row in batch.to_pylist()]


def test_rows_left_out_are_skipped_and_say_why(tmp_path: Path) -> None:
    """Rows that a filter leaves out are skipped with a code and a message; duplicates and invalid rows keep their outcome."""
    rows = [*rows_of("a", 3), *rows_of("b", 2), *rows_of("c", 1), *rows_of("a", 1), ("", "", "x")]
    user_filter = UserFilter(protected=users("A@contoso.example"), excluded=users("b@contoso.example"))
    with open_ledger(tmp_path / "L", FakeSource(rows)) as ledger:
        preview = ledger.preview(user_filter)
        assert (preview.rows, preview.mailboxes, dict(preview.left_out)) == (1, 1, {IS_PROTECTED: 3, EXCLUDED: 2})
        ledger.leave_out(user_filter, NOW)
        assert [mailbox.mailbox for mailbox in opened(ledger)] == [2]
        counts = ledger.counts()
        assert (counts.outcomes[Outcome.SKIPPED], counts.waiting) == (5, 1)
        assert ledger.preview(user_filter).left_out == {}
    with LedgerReader.open(tmp_path / "L") as reader:
        assert reader.worst_mailboxes(5) == []  # nothing went wrong there
    found = exported(tmp_path / "L")
    assert [row["outcome"] for row in found] == ["skipped"] * 5 + [None, "duplicate", "invalid"]
    assert [row["code"] for row in found[:5]] == ["Protected"] * 3 + ["Filtered"] * 2
    assert found[0]["message"] == "The mailbox is on the protected list."
    assert {row["attempts"] for row in found} == {0}


def test_only_named_users_are_purged(tmp_path: Path) -> None:
    """With a list of named users, all other users are left out, and a pattern names many."""
    with open_ledger(tmp_path / "L", a_source(3, 2, 1)) as ledger:
        preview = ledger.preview(UserFilter(only=users("B@contoso.example", "nobody@contoso.example")))
        assert (preview.rows, dict(preview.left_out), preview.only_seen) == (2, {NOT_NAMED: 4}, 1)
        assert ledger.preview(UserFilter(only=users("*@contoso.example"))).rows == 6


def test_a_mailbox_protected_after_a_first_run_is_not_purged_on_resume(tmp_path: Path) -> None:
    """A mailbox that is protected after a first run keeps its settled rows.

    Unsent rows are skipped, and sent ones are not sent again.
    """
    protect_a = UserFilter(protected=users("a@contoso.example"))
    with open_ledger(tmp_path / "L", a_source(6, 2)) as ledger:
        ledger.write([sent(1, (0, [0, 1, 2]))], NOW)
        ledger.write([ended(1), settled(0, 1), returned(1, 1, 1, in_doubt=True), returned(2)], NOW)
        ledger.write([sent(2, (0, [3]))], NOW)  # in flight when the process dies
    with open_ledger(tmp_path / "L", a_source(6, 2)) as ledger:
        preview = ledger.preview(protect_a)
        assert (preview.rows, dict(preview.left_out)) == (2, {IS_PROTECTED: 5})
        ledger.leave_out(protect_a, NOW + 1)
        assert [mailbox.mailbox for mailbox in opened(ledger)] == [1]
        assert (ledger.counts().in_doubt, ledger.counts().waiting) == (0, 2)
    found = exported(tmp_path / "L")[:6]
    assert [row["outcome"] for row in found] == ["purged", "exhausted", "exhausted", "exhausted", "skipped", "skipped"]
    assert [row["in_doubt"] for row in found] == [False, True, False, True, False, False]
    assert {row["code"] for row in found[1:]} == {"Protected"}


def test_a_filter_that_is_forgotten_gives_nothing_back(tmp_path: Path) -> None:
    """A run without an earlier filter still leaves those rows out, and its preview says how many."""
    with open_ledger(tmp_path / "L", a_source(3, 2)) as ledger:
        ledger.leave_out(UserFilter(excluded=users("a@contoso.example")), NOW)
    with open_ledger(tmp_path / "L", a_source(3, 2)) as ledger:
        preview = ledger.preview(UserFilter())
        assert (preview.rows, preview.left_out_before) == (2, 3)
        assert ledger.preview(UserFilter(protected=users("a@contoso.example"))).left_out_before == 0


def test_what_closes_a_mailbox_is_said_of_those_alone_that_have_rows_left(tmp_path: Path) -> None:
    """A filter closes only mailboxes with rows left, each with its number of skipped rows."""
    with open_ledger(tmp_path / "L", a_source(5, 4, 3, 2)) as ledger:
        denied = Reply(403, "ErrorAccessDenied")
        entries = [
            sent(1, (0, range(5)), (2, [9])),
            ended(1),
            *(settled(row, 1) for row in range(5)),
            returned(9, 2, 1, in_doubt=True),
            MailboxClosed(1, denied, 4),
        ]
        ledger.write(entries, NOW)
        with closing(connect_to_read(tmp_path / "L")) as connection:
            found = list(closings(connection, UserFilter(only=users("nobody@contoso.example"))))
    exhausted = Settled(9, Outcome.EXHAUSTED, 2, in_doubt=True, batch=BATCH_OF_LAST_SENDING, reply=NOT_NAMED)
    assert found == [[exhausted, MailboxClosed(2, NOT_NAMED, 2)], [MailboxClosed(3, NOT_NAMED, 2)]]


def test_rows_left_out_before_are_those_that_were_never_sent(tmp_path: Path) -> None:
    """The preview counts rows that an earlier filter left out, and not those of mailboxes closed for another reason."""
    with open_ledger(tmp_path / "L", a_source(5, 4, 3)) as ledger:
        ledger.write([sent(1, (1, [5])), ended(1), settled(5, 1)], NOW)
        ledger.write([MailboxClosed(0, Reply(403), 5)], NOW)
        ledger.leave_out(UserFilter(excluded=users("b@contoso.example", "c@contoso.example")), NOW)
        assert ledger.preview(UserFilter()).left_out_before == 3 + 3


def test_a_preview_tells_whom_the_lists_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preview counts the list entries that occur, the mailboxes that they mean and the rows left out.

    It keeps the largest mailboxes.
    """
    user_filter = UserFilter(
        excluded=users("a@x.example", "b@x.example", GUID, "*@out.example"),
        only=users("a@x.example", "c@x.example", "d@x.example", "*@x.example", "*@out.example"),
    )
    found = Preview()
    for keys, rows in [
        (("a@x.example", GUID.lower()), 3),
        (("b@x.example",), 0),
        (("c@x.example",), 2),
        (("d@x.example",), 0),
        (("e@out.example",), 5),
        (("f@y.example",), 7),
        (("g@y.example",), 1),
        (("h@x.example",), 6),
    ]:
        found.add(keys[0], keys, rows, user_filter)
    assert (found.excluded_seen, found.only_seen, found.only_matched) == (3, 3, 6)
    assert found.left_out == {EXCLUDED: 8, NOT_NAMED: 8}
    assert found.mailboxes_left_out == {EXCLUDED: 2, NOT_NAMED: 2}
    assert (found.rows, found.mailboxes) == (8, 2)
    monkeypatch.setattr("purgeengine.edges.ledger.views.preview.LARGEST_MAX", 2)
    found, kept = Preview(), []
    for rows in (2, 5, 3, 5, 9):
        found.add(f"{rows}@x.example", ["x"], rows, UserFilter())
        kept.append(len(found.largest_mailboxes))
    assert kept == [1, 2, 3, 2, 3]
    found.finish()
    assert found.largest_mailboxes == [("9@x.example", 9), ("5@x.example", 5)]


@pytest.mark.parametrize(
    ("mailboxes", "kinds"),
    [
        ([], Kinds()),
        ([("a@x.example",)], Kinds(names=True)),
        ([(GUID.lower(),)], Kinds(ids=True)),
        ([("a@x.example", "b@x.example")], Kinds(names=True)),
        ([("a@x.example", GUID.lower())], Kinds()),
        ([("a@x.example",), (GUID.lower(),), ("b@x.example",)], Kinds(names=True, ids=True)),
        ([(GUID.lower(),), ("a@x.example", GUID.lower()), (GUID.lower(),)], Kinds(ids=True)),
    ],
)
def test_a_preview_tells_how_mailboxes_are_named(mailboxes: list[tuple[str, ...]], kinds: Kinds) -> None:
    """The preview knows how mailboxes are named; one that is known by both kinds of name counts for neither."""
    found = Preview()
    for keys in mailboxes:
        found.add(keys[0], keys, 1, UserFilter())
    assert found.kinds == kinds


def test_many_mailboxes_are_left_out_in_several_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many mailboxes are left out in several writes of a bounded size."""
    writes: list[int] = []
    write = Ledger.write

    def noted(ledger: Ledger, entries: Sequence[Entry], at_utc_ms: int) -> None:
        writes.append(len(entries))
        write(ledger, entries, at_utc_ms)

    monkeypatch.setattr(Ledger, "write", noted)
    monkeypatch.setattr("purgeengine.edges.ledger.ledger.CLOSINGS_MAX", 3)
    monkeypatch.setattr("purgeengine.edges.ledger.views.preview.PAGE", 2)
    with open_ledger(tmp_path / "L", a_source(*[2] * 20)) as ledger:
        ledger.leave_out(UserFilter(only=users("c@contoso.example")), NOW)
        assert [mailbox.mailbox for mailbox in opened(ledger)] == [2]
        assert ledger.counts().outcomes[Outcome.SKIPPED] == 38
    assert writes == [3, 3, 3, 3, 3, 3, 1]


def test_a_ledger_looked_at_while_it_runs_tells_the_same(tmp_path: Path) -> None:
    """The preview of a reader counts rows in flight among those to purge, while a run holds the ledger."""
    with open_ledger(tmp_path / "L", a_source(5, 3)) as ledger, LedgerReader.open(tmp_path / "L") as reader:
        ledger.write([sent(1, (0, [0, 1])), sent(2, (1, [5]))], NOW)
        ledger.write([ended(2), settled(5, 2)], NOW)
        preview = reader.preview(UserFilter())
        assert (preview.rows, preview.largest_mailboxes) == (7, [("a@contoso.example", 5), ("b@contoso.example", 2)])
