"""Tests of duplicates, against groups made by pyarrow and a search over all pairs."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.inventory.equal_contacts import DuplicateKey, Keep, extras
from purgeengine.core.inventory.found_contact import FoundContact

NAMES = st.sampled_from(["", "Ann", "ann", "Bob", " "])
TIMES = st.sampled_from(["", "2024-05-01T00:00:00Z", "2024-05-01T00:00:01Z", "2025-12-31T23:59:59Z"])
MAILBOXES = st.lists(
    st.tuples(NAMES, NAMES, TIMES, st.lists(st.sampled_from(["a@x", "A@X", "b@x"]), max_size=2)), max_size=12
).map(
    lambda rows: [
        FoundContact(f"id{at}", "F", name, company=company, created_utc=created, addresses=tuple(addresses))
        for at, (name, company, created, addresses) in enumerate(rows)
    ]
)
SIMPLE = [DuplicateKey.NAME, DuplicateKey.COMPANY, DuplicateKey.EMAIL]


def key_of(contact: FoundContact, key: DuplicateKey) -> str:
    """Return what the oracle compares."""
    if key is DuplicateKey.EMAIL:
        return ",".join(sorted({address.lower() for address in contact.addresses}))
    return {DuplicateKey.NAME: contact.display_name, DuplicateKey.COMPANY: contact.company}[key].strip().lower()


@given(MAILBOXES, st.lists(st.sampled_from(SIMPLE), min_size=1, max_size=3, unique=True), st.sampled_from(list(Keep)))
def test_of_each_group_exactly_one_stays(contacts: list[FoundContact], keys: list[DuplicateKey], keep: Keep) -> None:
    """Groups are those of pyarrow's ``group_by``, and of each group one contact stays: the one that the rule says."""
    columns = {str(key): [key_of(contact, key) for contact in contacts] for key in keys}
    schema = pa.schema([*((str(key), pa.string()) for key in keys), ("at", pa.int64())])
    table = pa.table({**columns, "at": list(range(len(contacts)))}, schema)
    groups = [
        row["at_list"]
        for row in table.group_by([str(key) for key in keys]).aggregate([("at", "list")]).to_pylist()
        if all(row[str(key)] for key in keys) and len(row["at_list"]) > 1
    ]
    found = extras(contacts, keys, keep)
    for group in groups:
        extra = [one for one in found if one.at in group]
        kept = {one.kept for one in extra}
        assert len(kept) == 1
        (stays,) = kept
        assert {one.at for one in extra} | kept == set(group)
        times = [contacts[at].created_utc or "9999" for at in group]
        if keep is not Keep.FULLEST:
            best = min(times) if keep is Keep.OLDEST else max(times)
            assert (contacts[stays].created_utc or "9999") == best
        else:
            assert contacts[stays].filled == max(contacts[at].filled for at in group)
    assert len(found) == sum(len(group) - 1 for group in groups)


@given(MAILBOXES, st.sampled_from(list(Keep)), st.randoms())
def test_the_order_of_the_pages_does_not_matter(contacts: list[FoundContact], keep: Keep, random: object) -> None:
    """The same contacts stay in whatever order they were read."""
    turned = contacts[::-1]
    first = {contacts[one.at].contact for one in extras(contacts, SIMPLE[:1], keep)}
    assert {turned[one.at].contact for one in extras(turned, SIMPLE[:1], keep)} == first


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (
            FoundContact("1", "F", "Ann", phones=("+1 (555) 0100",)),
            FoundContact("2", "G", "ANN", phones=("+15550100",)),
            True,
        ),
        (FoundContact("1", "F", "Ann"), FoundContact("2", "G", "Ann", note="x"), False),
        (FoundContact("1", "F"), FoundContact("2", "F"), False),
        (FoundContact("1", "F", "Ann", change_key="a"), FoundContact("2", "G", "Ann", change_key="b"), True),
    ],
)
def test_content_is_every_field_but_those_of_the_store(first: FoundContact, second: FoundContact, equal: bool) -> None:
    """With ``content`` all fields must be equal; ids, folders, times and change keys do not count, and nothing equals nothing."""
    assert bool(extras([first, second], [DuplicateKey.CONTENT], Keep.OLDEST)) == equal


def test_the_group_is_shown() -> None:
    """Each one too many tells which one stays and in what they are equal."""
    contacts = [
        FoundContact("new", "F", "Ann", addresses=("a@x", "b@x"), created_utc="2025-01-01T00:00:00Z"),
        FoundContact("old", "F", "ann", addresses=("B@X", "a@x"), created_utc="2024-01-01T00:00:00Z"),
    ]
    (extra,) = extras(contacts, [DuplicateKey.NAME, DuplicateKey.EMAIL], Keep.OLDEST)
    assert (extra.at, extra.kept, extra.key) == (0, 1, "name=ann; email=a@x b@x")
