"""A look at a few mailboxes of an input or of a ledger, before anything is deleted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from purgeengine.commands.connecting import Way
from purgeengine.commands.preflight import Finding, Level, about_clock, warn
from purgeengine.commands.purging import run_loop
from purgeengine.core.action import IdType
from purgeengine.core.foreign import printable
from purgeengine.core.model import Item
from purgeengine.core.probing import Probed, Standing, conclusions, probed, refusal, spread
from purgeengine.core.reads import contacts_url, one_contact_url
from purgeengine.edges.reading import TRIES_MAX, GraphReader
from purgeengine.edges.tokens import Tokens
from purgeengine.edges.transport import HttpTransport

if TYPE_CHECKING:
    from purgeengine.edges.ledger import Ledger
    from purgeengine.edges.source import Source

QUESTIONS = 2
"""Asked of each mailbox."""
REQUESTS_MAX = QUESTIONS * TRIES_MAX
"""Requests that a look may cost a mailbox, out of the 10,000 that it grants in ten minutes."""


async def probe(reader: GraphReader, items: Sequence[Item], id_type: IdType, *, hasty: bool = False) -> list[Probed]:
    """Look at the mailboxes of these rows, ``hasty`` as `GraphReader.read` has it.

    Raises `TokenError` and `RunStopped` as the reader does.
    """
    urls = [url for item in items for url in (contacts_url(item.user), one_contact_url(item))]
    said = await reader.read(urls, id_type, hasty=hasty)
    replies = [answer.reply for answer in said]
    return [
        probed(item.user, mailbox, contact)
        for item, mailbox, contact in zip(items, replies[::QUESTIONS], replies[1::QUESTIONS], strict=True)
    ]


def sample_input(source: Source, most: int, seed: int | None) -> list[Item]:
    """Rows of an input that name the first mailbox, the largest, and others at random. Reads all of it, and sends nothing.

    Memory grows with the number of mailboxes, by some 300 bytes each. Raises `InputError` as reading the input does.
    """
    import pyarrow.compute as pc

    from purgeengine.edges.ledger.survey import Mailboxes

    mailboxes, firsts = Mailboxes(), list[Item]()
    for batch in source.batches():
        valid = batch.filter(pc.is_null(batch.column("reason")))
        for index, number in enumerate(mailboxes.count(valid.column("user")).to_pylist()):
            if number == len(firsts):  # mailboxes are numbered as they appear
                user, folder, contact = (valid.column(name)[index].as_py() for name in ("user", "folder", "contact"))
                firsts.append(Item(user, folder or "", contact))
    return [firsts[number] for number in spread(mailboxes.rows, most, random.Random(seed))]


def sample_ledger(ledger: Ledger, most: int, seed: int | None) -> list[Item]:
    """Rows still to be purged: of the mailbox with most, and of others at random."""
    open_rows = [
        (mailbox.end - mailbox.next, mailbox.next if mailbox.next < mailbox.end else mailbox.unsettled[0].position)
        for mailbox in ledger.mailboxes(now_utc_ms=0, quarantine_s=0.0, window_s=0.0)
    ]
    chosen = spread([rows for rows, _ in open_rows], most, random.Random(seed))
    return ledger.items([open_rows[number][1] for number in chosen])


def look_first(ledger: Ledger, tokens: Tokens, way: Way, most: int, seed: int | None, *, quiet: bool) -> None:
    """Look at mailboxes of a ledger and tell how they stand: what is bad in the log, what is fine on standard error.

    Raises the error that says why, where not one of them could be purged, and `TokenError` and `RunStopped` as the reader does.
    """
    items = sample_ledger(ledger, most, seed)
    found = run_loop(_look(items, tokens, way, ledger.deletion.id_type))
    error = refusal(found)
    if error is not None:
        raise error
    for standing, sentence in conclusions(found):
        if standing is not Standing.FINE:
            warn([Finding(Level.WARNING, "probe", sentence)])
        elif not quiet:
            click.echo(printable(sentence, 2_000), err=True)


async def _look(items: Sequence[Item], tokens: Tokens, way: Way, id_type: IdType) -> list[Probed]:
    async with HttpTransport.open(graph_url=way.graph_url, connections=1, ca_file=way.ca_file) as transport:
        reader = GraphReader(transport, tokens)
        found = await probe(reader, items, id_type)
        warn([about_clock(reader.skew_s)])
        return found
