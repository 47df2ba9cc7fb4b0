"""Tests of filters, against the same questions asked of a table with pyarrow."""

from __future__ import annotations

import functools
import operator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.inventory.conditions import EVERYTHING, Addresses, Condition, ConditionKind, ContactFilter
from purgeengine.core.inventory.found_contact import FoundContact

TEXTS = st.sampled_from(["", "Fabrikam", "FABRIKAM", "Fabrikam (synced)", "Contoso", "Con*toso"])
TIMES = st.sampled_from(["", "2024-05-01T00:00:00Z", "2024-05-01T00:00:01Z", "2025-12-31T23:59:59Z"])
ADDRESSES = st.sampled_from(["ann@a.example", "ANN@A.EXAMPLE", "bob@b.a.example", "/o=Org/cn=Bob", "odd@", "@odd"])
CONTACTS = st.builds(
    FoundContact,
    contact=st.just("c"),
    folder=st.sampled_from(["F", "G"]),
    display_name=TEXTS,
    file_as=TEXTS,
    company=TEXTS,
    addresses=st.lists(ADDRESSES, max_size=3).map(tuple),
    categories=st.lists(TEXTS.filter(bool), max_size=2).map(tuple),
    note=TEXTS,
    created_utc=TIMES,
    modified_utc=TIMES,
)
PATHS = {"F": "Contacts", "G": "Contacts/Fabrikam"}
VALUES = {
    ConditionKind.FOLDER: ["Fabrikam", "Contacts", "Contacts/*"],
    ConditionKind.FOLDER_ID: ["F", "G", "X"],
    ConditionKind.DOMAIN: ["a.example", "@a.example", "*.example", "x.example", ""],
    ConditionKind.EMAIL: ["ann@a.example", "*@a.example", ""],
    ConditionKind.CREATED_BEFORE: ["2024-05-01T00:00:01Z"],
    ConditionKind.CREATED_AFTER: ["2024-05-01T00:00:01Z"],
    ConditionKind.MODIFIED_BEFORE: ["2024-05-01T00:00:01Z"],
    ConditionKind.MODIFIED_AFTER: ["2024-05-01T00:00:01Z"],
}
CONDITIONS = st.sampled_from(list(ConditionKind)).flatmap(
    lambda kind: st.sampled_from(VALUES.get(kind, ["fabrikam", "Fabrikam*", r"Con\*toso", ""])).map(
        lambda value: Condition(kind, value)
    )
)


def in_table(contact: FoundContact, condition: Condition) -> bool:
    """Return what pyarrow says of one condition on a table of one row."""

    def column(texts: list[str]) -> Any:
        return pc.utf8_lower(pa.array(texts, pa.string()))

    def like(texts: list[str], value: str) -> bool:
        pattern = value.replace("*", "%").replace("\\%", "*") if "\\" in value else value.replace("*", "%")
        return bool(pc.any(pc.match_like(column(texts), pattern.lower())).as_py())

    kind, value = condition.kind, condition.value
    several = {
        ConditionKind.EMAIL: list(contact.addresses),
        ConditionKind.CATEGORY: list(contact.categories),
        ConditionKind.DOMAIN: [
            a.split("@")[1] for a in contact.addresses if pc.match_substring_regex(a, ".@.").as_py()
        ],
    }
    if kind in several:
        return (
            like(several[kind], value.removeprefix("@") if kind is ConditionKind.DOMAIN else value)
            if value
            else not several[kind]
        )
    match kind:
        case ConditionKind.FOLDER:
            fits = {"Fabrikam": ["G"], "Contacts": ["F"], "Contacts/*": ["G"]}[value]
            return contact.folder in fits
        case ConditionKind.FOLDER_ID:
            return contact.folder == value
    field = {
        ConditionKind.COMPANY: "company",
        ConditionKind.NAME: "display_name",
        ConditionKind.FILE_AS: "file_as",
        ConditionKind.NOTE: "note",
    }.get(kind)
    if field:
        return like([getattr(contact, field)], value)
    text = contact.created_utc if "created" in kind else contact.modified_utc
    if not text:
        return False
    at, bound = (pc.strptime(time, "%Y-%m-%dT%H:%M:%SZ", "s") for time in (text, value))
    compare = pc.less if "before" in kind else pc.greater_equal
    return bool(compare(at, bound).as_py())


@given(CONTACTS, st.lists(CONDITIONS, max_size=4), st.lists(CONDITIONS, max_size=2), st.booleans())
def test_a_contact_is_wanted_exactly_if_the_table_says_so(
    contact: FoundContact, wanted: list[Condition], unwanted: list[Condition], any_kind: bool
) -> None:
    """All, any and not give what pyarrow gives, and the reason names the conditions that are met."""
    said = ContactFilter(wanted, unwanted, any_kind).reason(contact, PATHS[contact.folder])
    met = [one for one in wanted if in_table(contact, one)]
    by_kind = [any(in_table(contact, one) for one in wanted if one.kind is kind) for kind in {c.kind for c in wanted}]
    join = operator.or_ if any_kind else operator.and_
    expected = functools.reduce(join, by_kind) if by_kind else True
    expected = expected and not any(in_table(contact, one) for one in unwanted)
    assert bool(said) == expected
    if said:
        assert said == ("; ".join(map(str, met)) or EVERYTHING)


@given(CONTACTS, st.lists(CONDITIONS, max_size=4), st.lists(CONDITIONS, max_size=2), st.booleans())
def test_a_folder_that_is_not_read_holds_nothing_wanted(
    contact: FoundContact, wanted: list[Condition], unwanted: list[Condition], any_kind: bool
) -> None:
    """A folder is left unread only if none of its contacts can be wanted."""
    selection = ContactFilter(wanted, unwanted, any_kind)
    if selection.reason(contact, PATHS[contact.folder]):
        assert selection.may_hold(contact.folder, PATHS[contact.folder])


def test_folders_that_no_filter_wants_are_not_read() -> None:
    """A filter on folders saves the reading of the others, also with --any if it asks for nothing else, and with --not."""
    folder, company = Condition(ConditionKind.FOLDER, "Fabrikam"), Condition(ConditionKind.COMPANY, "x")
    assert not ContactFilter([folder, company]).may_hold("F", "Contacts")
    assert not ContactFilter([folder], any_kind=True).may_hold("F", "Contacts")
    assert ContactFilter([folder, company], any_kind=True).may_hold("F", "Contacts")
    assert not ContactFilter([], [folder]).may_hold("G", "Contacts/Fabrikam")


@pytest.mark.parametrize("listed", ["Ann@A.example", "SMTP:ann@a.example", " ann@a.example "])
def test_one_of_many_addresses_is_the_reason(listed: str) -> None:
    """A file of addresses matches by any address of a contact, whatever its case, and the reason names the one that matched."""
    addresses = Addresses([listed, "zoe@a.example", ""])
    contact = FoundContact("c", "F", addresses=("x@a.example", "ANN@a.example"))
    assert ContactFilter([addresses]).reason(contact, "Contacts") == "email=ANN@a.example"
    assert ContactFilter([addresses]).reason(FoundContact("c", "F", addresses=("",)), "Contacts") == ""
    assert len(addresses) == 2
