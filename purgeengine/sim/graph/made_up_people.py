"""Fills mailboxes with people that do not exist: private contacts, what a sync tool left behind, and duplicates.

The same seed makes the same people. Nothing is taken from real persons, and all domains are reserved ones (RFC 2606).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from purgeengine.sim.graph.contact_card import BLANK, Card
from purgeengine.sim.graph.simulated_mailbox import SimulatedMailbox
from purgeengine.sim.graph.truth import Truth

SYNCED_COMPANY = "Fabrikam (synced)"
"""The company that the sync tool wrote into every contact of its own."""
SYNCED_CATEGORY = "Fabrikam sync"
SYNCED_DOMAIN = "fabrikam.example"
SYNCED_FOLDER = "Fabrikam"
"""The name of the folder that the sync tool made. Some mailboxes have a second one of that name."""

_GIVEN = (
    "Ada", "Amélie", "Bashir", "Björn", "Chiara", "Dmitri", "Ebru", "Femke", "Grace", "Håkon", "Ingrid", "João", "Kofi",
    "Łucja", "Mei", "Noor", "Olga", "Priya", "Quentin", "Rosa", "Søren", "Tomasz", "Uma", "Violeta", "Wei", "Yuki", "Zoë",
)  # fmt: skip
_FAMILY = (
    "Abbott", "Bauer", "Castillo", "de Vries", "Ekström", "Ferrari", "García", "Horák", "Ibrahim", "Jansen", "Kowalski",
    "Lindqvist", "Müller", "Nguyễn", "O'Brien", "Petrov", "Quist", "Rossi", "Şahin", "Tanaka", "Umarov", "Vlašić", "Wang",
    "Yılmaz", "Zimmermann", "李", "山田",
)  # fmt: skip
_COMPANIES = ("Contoso", "Northwind Traders", "Adatum", "Litware, Inc.", "Tailspin Toys", "Wingtip & Sons", "", "", "")
_PRIVATE_DOMAINS = ("mail.example", "post.example", "contoso.example", "northwind.example", "adatum.example")
_PRIVATE_CATEGORIES = ("Family", "Friends", "Red category", "Supplier; old")
_NOTES = ("Met at the fair", "Plays the cello\r\nCall after 18:00", "Sent by\x0bthe old phone", "")
_FROM_S, _UNTIL_S = 1_577_836_800, 1_764_547_200
"""Contacts were made between 1 January 2020 and 1 December 2025."""
_SYNC_S = 1_714_521_600
"""The sync tool ran first on 1 May 2024."""


class Mixture(NamedTuple):
    """Of what a mailbox consists: shares between 0 and 1. What is in none of them is private and there once."""

    synced: float = 0.5
    """Leftovers of the sync tool, nine in ten of them in its folders and the others among the private contacts."""
    twice: float = 0.1
    """Private contacts of which there are two."""


class MadeUpPeople:
    """People by seed. The sync tool's people are the same in all mailboxes, as with a real tool; private ones differ."""

    def __init__(self, seed: int = 0, *, synced_people: int = 400, mixture: Mixture | None = None) -> None:
        self._seed = seed
        self._mixture = mixture or Mixture()
        rng = random.Random(f"sync tool {seed}")
        self._synced = [_synced(rng, number) for number in range(synced_people)]
        self._pool = [_private(rng) for _ in range(2_000)]
        """Private people. Mailboxes share them, so that millions of contacts need little memory."""

    def fill(self, truth: Truth, user: str, contacts: int) -> SimulatedMailbox:
        """Add a mailbox with so many contacts in several folders, and return it."""
        rng = random.Random(f"{self._seed} {user.casefold()}")
        box = truth.add_mailbox(user)
        folders = _folders(box, rng)
        left, card, folder = 0, BLANK, folders[0]
        for number in range(contacts):
            contact = box.made_up_id(f"contact {number}")
            if left:  # the second one of a pair, made later and often with less in it
                left -= 1
                first = card
                card = Card(
                    _fewer(first.fields, rng), first.created_s + rng.randrange(60, 10_000_000), first.modified_s
                )
                card = card._replace(modified_s=max(card.created_s, card.modified_s))
            elif rng.random() < self._mixture.synced:
                card = _dated(rng.choice(self._synced), rng, _SYNC_S)
                folder = rng.choice(folders[1:]) if rng.random() < 0.9 else folders[0]
            else:
                card = _dated(rng.choice(self._pool), rng, _FROM_S)
                folder = folders[0]
                left = int(rng.random() < self._mixture.twice / 2)
            truth.add(user, folder, contact, card)
        return box


def _folders(box: SimulatedMailbox, rng: random.Random) -> Sequence[str]:
    """Make the folders of a mailbox, and return their ids, the default one first."""
    default, synced, inner = (box.made_up_id(name) for name in ("Contacts folder", SYNCED_FOLDER, "Fabrikam sales"))
    box.default_folder = default
    box.add_folder(synced, SYNCED_FOLDER)
    box.add_folder(inner, "Sales", synced)
    box.add_folder(box.made_up_id("Recipient Cache"), "Recipient Cache", hidden=True)
    found = [default, synced, inner]
    if rng.random() < 0.2:  # two tools, or one that was installed twice
        again = box.made_up_id(f"{SYNCED_FOLDER} again")
        box.add_folder(again, SYNCED_FOLDER)
        found.append(again)
    return found


def _dated(fields: Mapping[str, Any], rng: random.Random, from_s: int) -> Card:
    created_s = rng.randrange(from_s, _UNTIL_S)
    return Card(fields, created_s, rng.randrange(created_s, _UNTIL_S))


def _named(rng: random.Random) -> tuple[str, str, str]:
    """Return a given name, a family name, and the local part of an address made of them."""
    given, family = rng.choice(_GIVEN), rng.choice(_FAMILY)
    local = "".join(letter for letter in f"{given}.{family}".lower() if letter.isascii() and letter not in " '")
    return given, family, f"{local}{rng.randrange(100)}"


def _address(address: str, name: str) -> dict[str, str]:
    return {"name": name, "address": address}


def _synced(rng: random.Random, number: int) -> dict[str, Any]:
    given, family, local = _named(rng)
    name = f"{given} {family}"
    fields: dict[str, Any] = {
        "displayName": name, "givenName": given, "surname": family, "fileAs": f"{family}, {given}",
        "companyName": SYNCED_COMPANY, "categories": [SYNCED_CATEGORY], "businessPhones": [f"+1 555 01{number % 100:02}"],
        "personalNotes": f"Written by the sync tool, person {number}",
    }  # fmt: skip
    if number % 10:  # some people have no mailbox
        domain = SYNCED_DOMAIN if number % 7 else f"SALES.{SYNCED_DOMAIN.upper()}"
        fields["emailAddresses"] = [_address(f"{local}@{domain}", name)]
    return fields


def _private(rng: random.Random) -> dict[str, Any]:
    given, family, local = _named(rng)
    name = f"{given} {family}"
    fields: dict[str, Any] = {
        "displayName": name,
        "givenName": given,
        "surname": family,
        "fileAs": f"{family}, {given}",
    }
    fields["companyName"] = rng.choice(_COMPANIES)  # a person leaves "" behind where an API leaves null
    addresses = [f"{local}@{rng.choice(_PRIVATE_DOMAINS)}" for _ in range(rng.choice((0, 1, 1, 1, 2)))]
    fields["emailAddresses"] = [_address(address, name) for address in addresses]
    if rng.random() < 0.3:
        fields["categories"] = [rng.choice(_PRIVATE_CATEGORIES)]
    if rng.random() < 0.5:
        fields["mobilePhone"] = f"+44 7700 900{rng.randrange(1_000):03}"
    if rng.random() < 0.3:
        fields["personalNotes"] = rng.choice(_NOTES)
    return fields


def _fewer(fields: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return a copy of a person as a second tool would write it: other letter case, and some fields missing."""
    copy = dict(fields)
    if rng.random() < 0.5:
        copy["emailAddresses"] = [
            _address(one["address"].upper(), one["name"]) for one in fields.get("emailAddresses", [])
        ]
    for name in ("mobilePhone", "personalNotes", "categories"):
        if rng.random() < 0.5:
            copy.pop(name, None)
    return copy
