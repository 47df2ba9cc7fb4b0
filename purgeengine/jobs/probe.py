"""A look at a few mailboxes of an input or of a ledger, before anything is deleted."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from purgeengine.core.graph.operations import IdType
from purgeengine.core.graph.queries import contacts_url, one_contact_url
from purgeengine.core.graph.text import printable
from purgeengine.core.model import Item
from purgeengine.core.policy.probing import Probed, Standing, conclusions, probed, refusal, spread
from purgeengine.edges.http.reading import TRIES_MAX, GraphReader
from purgeengine.edges.http.transport import HttpTransport
from purgeengine.edges.login import AccessTokens
from purgeengine.engine.event_loop import run_loop
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.preflight import Finding, Level, about_clock, warn

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

    from purgeengine.edges.ledger.staging.survey import Mailboxes

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


def look_first(
    ledger: Ledger,
    tokens: AccessTokens,
    endpoint: GraphEndpoint,
    most: int,
    seed: int | None,
    *,
    quiet: bool,
    tell: Callable[[str], None],
) -> None:
    """Look at mailboxes of a ledger and tell how they stand: what is bad in the log, what is fine by `tell`.

    Raises the error that says why, where not one of them could be purged, and `TokenError` and `RunStopped` as the reader does.
    """
    items = sample_ledger(ledger, most, seed)
    found = run_loop(_look(items, tokens, endpoint, ledger.deletion.id_type))
    error = refusal(found)
    if error is not None:
        raise error
    for standing, sentence in conclusions(found):
        if standing is not Standing.FINE:
            warn([Finding(Level.WARNING, "probe", sentence)])
        elif not quiet:
            tell(printable(sentence, 2_000))


async def _look(items: Sequence[Item], tokens: AccessTokens, endpoint: GraphEndpoint, id_type: IdType) -> list[Probed]:
    async with HttpTransport.open(graph_url=endpoint.graph_url, connections=1, ca_file=endpoint.ca_file) as transport:
        reader = GraphReader(transport, tokens)
        found = await probe(reader, items, id_type)
        warn([about_clock(reader.skew_s)])
        return found
