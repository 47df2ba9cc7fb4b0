"""Looks at a few mailboxes of an input or of a ledger before anything is deleted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from purgeengine.core.graph.operations import LIST_CONTACTS, IdType, get_contact
from purgeengine.core.graph.text import printable
from purgeengine.core.messages import Entry, MailboxBlocked, RunBlocked
from purgeengine.core.model import Item
from purgeengine.core.policy.probing import Probed, Standing, conclusions, probed, refusal, spread, went_well
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.login import AccessTokens
from purgeengine.engine.event_loop import run_loop
from purgeengine.errors import PurgeEngineError
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.reads.preflight import Finding, Level, about_clock, organization, warn
from purgeengine.jobs.reads.reading import HASTY, PATIENT, ReadSession, read_session

if TYPE_CHECKING:
    from purgeengine.edges.ledger import Ledger
    from purgeengine.edges.source import Source

QUESTIONS = 2
"""Reads of each mailbox: its contacts, and the contact of one row."""
REQUESTS_MAX = QUESTIONS * PATIENT.sends_max
"""Most requests that a probe makes to one mailbox, out of the 10,000 that are allowed in ten minutes."""
NAME_S_MAX = 5.0
"""Seconds to wait for the name of the tenant. A person waits for the question, which is understood without the name."""


async def probe(session: ReadSession, items: Sequence[Item], id_type: IdType) -> list[Probed]:
    """Check of each row whether its mailbox lets the app in, and then whether it holds the row's contact.

    A mailbox that does not let the app in is not asked for the contact. Raises `TokenError` and `RunStopped` as `ReadSession.read`
    does.
    """
    mailboxes = await session.read(LIST_CONTACTS, [Item(item.user, "", "") for item in items])
    entered = [item for item, reply in zip(items, mailboxes, strict=True) if went_well(reply)]
    contacts = iter(await session.read(get_contact(id_type), entered))
    return [
        probed(item.user, reply, next(contacts) if went_well(reply) else reply)
        for item, reply in zip(items, mailboxes, strict=True)
    ]


def sample_input(source: Source, most: int, seed: int | None) -> list[Item]:
    """Choose rows of an input, at most ``most``: of its first mailbox, its largest one, and others at random.

    It reads the whole input and sends nothing. Memory grows by some 300 bytes for each mailbox. Raises `InputError` if the input
    cannot be read.
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


def sample_ledger(ledger: Ledger, most: int, seed: int | None) -> dict[int, Item]:
    """Choose rows that are still to be purged, at most ``most``: of the first mailbox, the largest one, and others at random.

    The keys are the numbers of the mailboxes.
    """
    open_rows = [
        (
            mailbox.mailbox,
            mailbox.end - mailbox.next,
            mailbox.next if mailbox.next < mailbox.end else mailbox.unsettled[0].position,
        )
        for mailbox in ledger.mailboxes(now_utc_ms=0, cooldown_s=0.0, window_s=0.0)
    ]
    chosen = [open_rows[index] for index in spread([rows for _, rows, _ in open_rows], most, random.Random(seed))]
    items = ledger.items([position for _, _, position in chosen])
    return {mailbox: item for (mailbox, _, _), item in zip(chosen, items, strict=True)}


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
    """Look at some mailboxes of a ledger before it is purged. Problems go to the log, good news to ``tell`` unless ``quiet``.

    Waits go into the ledger, so that the run keeps them. If none of the mailboxes can be purged, it raises the error that says why.
    Raises `TokenError` and `RunStopped` as `ReadSession.read` does.
    """
    items = sample_ledger(ledger, most, seed)
    found, waits = run_loop(_look(items, tokens, endpoint, ledger.deletion.id_type))
    if waits:
        ledger.write(waits, round(SystemClock().utc() * 1000))
    error = refusal(found)
    if error is not None:
        raise error
    for standing, sentence in conclusions(found):
        if standing is not Standing.FINE:
            warn([Finding(Level.WARNING, "probe", sentence)])
        elif not quiet:
            tell(printable(sentence, 2_000))


async def _look(
    items: Mapping[int, Item], tokens: AccessTokens, endpoint: GraphEndpoint, id_type: IdType
) -> tuple[list[Probed], list[Entry]]:
    async with read_session(tokens, endpoint) as session:
        found = await probe(session, list(items.values()), id_type)
        warn([about_clock(session.skew_s)])
        return found, waits_left(session, items)


def waits_left(session: ReadSession, items: Mapping[int, Item]) -> list[Entry]:
    """Return the waits that are not over, as entries for the ledger. ``items`` are keyed by mailbox."""
    now = session.now()
    of_mailboxes = {mailbox: session.waits.left_s(item.user, now) for mailbox, item in items.items()}
    found: list[Entry] = [MailboxBlocked(mailbox, for_s) for mailbox, for_s in of_mailboxes.items() if for_s]
    if (for_s := session.waits.app_left_s(now)) > 0:
        found.append(RunBlocked(for_s))
    return found


def name_of_tenant(ledger: Ledger, tokens: AccessTokens, endpoint: GraphEndpoint) -> str:
    """Return the tenant's name, or an empty text if it cannot be known within `NAME_S_MAX` seconds: few apps may read it.

    Waits that Graph asks for meanwhile go into the ledger, so that the run keeps them.
    """
    name, waits = run_loop(_name(tokens, endpoint))
    if waits:
        ledger.write(waits, round(SystemClock().utc() * 1000))
    return name


async def _name(tokens: AccessTokens, endpoint: GraphEndpoint) -> tuple[str, list[Entry]]:
    async with read_session(tokens, endpoint, HASTY) as session:
        name = ""
        with suppress(PurgeEngineError, TimeoutError):  # whatever it is, the run meets it too, and says so
            async with asyncio.timeout(NAME_S_MAX):
                name = await organization(session)
        return name, waits_left(session, {})
