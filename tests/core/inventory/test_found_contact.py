"""Tests of contacts as Graph writes them."""

from __future__ import annotations

from typing import Any

import pytest

from purgeengine.core.inventory.found_contact import FoundContact, contacts_in, digits_of, domain_of

WHOLE: dict[str, Any] = {
    "@odata.etag": 'W/"x"', "id": "AAMk=", "parentFolderId": "AQ=", "displayName": "Ann", "fileAs": "A, Ann",
    "companyName": "Contoso", "emailAddresses": [{"name": "Ann", "address": "ann@x.example"}, {}, {"name": "x", "address": None}],
    "categories": ["Red", ""], "mobilePhone": "+1", "businessPhones": ["+2"], "homePhones": [], "personalNotes": "n",
    "createdDateTime": "2024-05-01T00:00:00.1234567Z", "lastModifiedDateTime": "2024-05-02T00:00:00Z", "changeKey": "k",
    "unknownField": {"a": 1},
}  # fmt: skip


def test_a_whole_contact() -> None:
    """Every field is read; empty addresses and categories are left out; times are to the second."""
    assert contacts_in([WHOLE], "F") == [
        FoundContact(
            "AAMk=", "AQ=", "Ann", "A, Ann", "Contoso", ("ann@x.example",), ("Red",), ("+2", "+1"), "n",
            "2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z", "k",
        )
    ]  # fmt: skip


@pytest.mark.parametrize("empty", [None, "", "left out"])
def test_null_empty_and_missing_are_the_same(empty: str | None) -> None:
    """``null`` of a program, ``""`` of a person, and a field that is not there, give the same contact."""
    texts = ("displayName", "fileAs", "companyName", "personalNotes", "mobilePhone", "parentFolderId")
    entry: dict[str, Any] = {"id": "AAMk="}
    if empty != "left out":
        entry |= dict.fromkeys(texts, empty)
        entry |= dict.fromkeys(("emailAddresses", "categories", "businessPhones"), [] if empty == "" else None)
    assert contacts_in([entry], "F") == [FoundContact("AAMk=", "F")]


@pytest.mark.parametrize(
    "value",
    [None, {}, "x", [1], [{}], [{"id": None}], [{"id": "../x"}], [{"id": "a", "displayName": 3}], [WHOLE, {"id": ""}]],
)
def test_a_page_of_another_form_is_unreadable(value: object) -> None:
    """A page with anything that is no contact is no page: a contact must not be missing without a word."""
    assert contacts_in(value, "F") is None


@pytest.mark.parametrize(
    ("address", "domain"),
    [("Ann@X.Example", "x.example"), ("SMTP:a@b", "b"), ("/o=Org/cn=x", ""), ("a@", ""), ("@a", ""), ("a@b@c", "c")],
)
def test_domains(address: str, domain: str) -> None:
    """The domain is what follows the last at sign; addresses of other kinds have none."""
    assert domain_of(address) == domain


def test_numbers_compare_by_digits() -> None:
    """A phone number is its digits."""
    assert digits_of("+1 (555) 01-00") == "15550100"
