"""Tests of the allowed users and ids, checked one by one and by column, which must agree."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from purgeengine.core.graph.identifier_causes import is_missing_word
from purgeengine.core.graph.identifiers import (
    ID_PATTERN,
    id_problem,
    is_id,
    is_object_id,
    mailbox_key,
    row_problem,
    user_problem,
)
from purgeengine.edges.source.rows.checked_rows import reasons
from tests.fuzz.targets import addresses
from tests.support.properties import examples

GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
CONTACT = "AAMkAGI2TG93AAA="

users_as_people_write_them = st.from_regex(r"[a-z.#'$%/\\ -]{0,6}@?[a-z0-9.-]{0,8}", fullmatch=True)
ids_as_people_write_them = st.from_regex(r"[A-Za-z0-9_=+/ %.?-]{0,12}", fullmatch=True)
any_text = st.text(max_size=12)


@pytest.mark.parametrize(
    "user",
    [
        "ann@contoso.example",
        "Ann.O'Neil+old@contoso.example",
        "partner_fabrikam.example#EXT#@contoso.onmicrosoft.com",
        "$svc@x",
        GUID,
        GUID.upper(),
        "a" * 64 + "@" + "b" * 255,
    ],
)
def test_users_that_entra_allows_are_accepted(user: str) -> None:
    """Every user name that Entra ID allows is accepted, as are object ids."""
    assert user_problem(user) is None


@pytest.mark.parametrize(
    "user",
    [
        "",
        "me",
        "..",
        "../me",
        "..%2Fme@x",
        "a/b@contoso.example",
        "a\\b@contoso.example",
        "a?b@contoso.example",
        "ann@contoso.example/contacts",
        "ann@contoso.example\n",
        "ann@contoso..example",
        ".@contoso.example",
        "ann@-contoso.example",
        "ann@contoso.example?$top=1",
        "änn@contoso.example",
        "ann@contoso.example@x",
        GUID[:-1],
        "{" + GUID + "}",
        "a" * 65 + "@" + "b" * 255,
    ],
)
def test_users_that_graph_could_take_for_something_else_are_refused(user: str) -> None:
    """A user that could be a path, query, escape or line end, or that is no address, is refused."""
    assert user_problem(user) is not None


@pytest.mark.parametrize("value", ["A", "AAMk-_=", "AAMk+", "x" * 512])
def test_ids_of_graphs_alphabet_are_accepted(value: str) -> None:
    """An id of up to 512 characters of URL-safe base64 is accepted."""
    assert id_problem("contact", value) is None


@pytest.mark.parametrize("value", ["", "..", "a.b", "a b", "a%2Fb", "a?b", "a\\b", "a\n", "a\0", "ä", "x" * 513])
def test_ids_with_anything_else_are_refused(value: str) -> None:
    """An id with dots, escapes, spaces or control characters, or a too long one, is refused."""
    assert id_problem("contact", value) is not None


def test_an_id_of_exchange_web_services_is_told_from_other_mistakes() -> None:
    """An id of Exchange Web Services with a slash has its own reason, because it can be translated."""
    for value in ("AAMk/AA=", "/" * 512):
        assert "Exchange Web Services" in (id_problem("contact", value) or "")
    assert id_problem("contact", "AAMk/A.A=") == "the contact id holds a character that no Graph id has"


def test_a_row_needs_no_folder() -> None:
    """A row needs no folder, a malformed folder is refused, and the user's problem is named first."""
    assert row_problem("ann@x", "", CONTACT) is None
    assert row_problem("ann@x", "..", CONTACT) == "the folder id holds a character that no Graph id has"
    assert row_problem("", "..", "") == "the user is empty"
    assert row_problem("ann@x", "", "") == "the contact id is empty"


def test_mailboxes_compare_without_case() -> None:
    """Two spellings of a user name that differ in case mean one mailbox."""
    assert mailbox_key("Ann@Contoso.Example") == mailbox_key("ann@contoso.example") == "ann@contoso.example"


def test_an_object_id_is_told_from_a_name() -> None:
    """Only a whole GUID counts as an object id, in any letter case."""
    assert is_object_id(GUID)
    assert is_object_id(GUID.upper())
    assert not is_object_id("ann@contoso.example")
    assert not is_object_id(GUID + "0")
    reason = "the user is neither a user principal name (name@domain) nor an object id (GUID)"
    assert user_problem(GUID + "0") == reason


legal_names = st.lists(st.text("Aa0!#$&'*^_~+-", min_size=1, max_size=5), min_size=1, max_size=3).map(".".join)
legal_users = st.tuples(legal_names, st.sampled_from(["x", "contoso.example", "a-b.c"])).map("@".join) | st.just(GUID)
legal_ids = st.text("Aa09-_=+", min_size=1, max_size=12)
half_characters = st.text(st.characters(), max_size=12)


@examples(400)
@given(
    legal_users | users_as_people_write_them | half_characters,
    st.just("") | legal_ids | ids_as_people_write_them | half_characters,
    legal_ids | ids_as_people_write_them | half_characters,
)
def test_any_row_is_refused_or_has_an_url_that_speaks_of_it_alone(user: str, folder: str, contact: str) -> None:
    """A random row is refused or has a URL that an independent reader takes apart into the same row and nothing more."""
    addresses.check_row(user, folder, contact)


@given(legal_users, st.just("") | legal_ids, legal_ids)
def test_what_entra_and_graph_allow_is_not_refused(user: str, folder: str, contact: str) -> None:
    """Rows with allowed users and ids are accepted, except for words that mean a missing value."""
    assume(not is_missing_word(contact) and not is_missing_word(folder))
    assert row_problem(user, folder, contact) is None


@given(
    st.lists(
        st.tuples(
            users_as_people_write_them | any_text | st.sampled_from(["ann@x", GUID]),
            ids_as_people_write_them | any_text | st.just(""),
            ids_as_people_write_them | any_text | st.integers(505, 520).map("A".__mul__),
        ),
        max_size=8,
    )
)
@example([("ann@x\n", "", CONTACT), ("ann@x", "A\n", CONTACT), ("ann@x", "", CONTACT + "\n")])
@example([("a" * 64 + "@" + "b" * 255, "x" * 512, "x" * 512), ("a" * 65 + "@" + "b" * 255, "x" * 513, "x" * 513)])
@example([("ann@x\0", "", CONTACT), ("ann@x", "", "A\0A"), ("ann@x\u2028", "\x85", "A")])
def test_a_column_is_judged_as_each_of_its_values(cells: list[tuple[str, str, str]]) -> None:
    """The check of whole columns by RE2 and `row_problem` by Python's ``re`` give the same reasons."""
    user, folder, contact = (pa.array([row[place] for row in cells], pa.string()) for place in range(3))
    assert reasons(user, folder, contact, {}).to_pylist() == [row_problem(*row) for row in cells]


@given(st.one_of(st.text(max_size=600), st.from_regex(ID_PATTERN), st.just("A" * 512), st.just("A" * 513)))
def test_the_quick_check_agrees_with_the_pattern(value: str) -> None:
    """`is_id` agrees with `ID_PATTERN` for any text."""
    assert is_id(value) == (re.fullmatch(ID_PATTERN, value) is not None)
