"""Takes stock of mailboxes: reads them, keeps what it finds, and writes the list. It deletes nothing.

The state in the folder says which mailboxes are done. The same request again reads only the others, and writes the list anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.graph.operations import IdType
from purgeengine.core.inventory.conditions import ContactFilter
from purgeengine.core.inventory.equal_contacts import DuplicateKey, Keep
from purgeengine.core.inventory.listed_rows import DuplicateSearch, MailboxOutcome, figures_of, outcome_of, rows_of
from purgeengine.core.inventory.mailbox_walk import MailboxWalk
from purgeengine.core.model import Reply
from purgeengine.core.policy.filters import UserFilter
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.http.transport import HttpTransport
from purgeengine.edges.inventory import StockStore, StoredMailbox
from purgeengine.edges.inventory.stock_parts import LIST_SCHEMA
from purgeengine.edges.inventory.stock_store import COUNT_SCHEMA, UNREAD_SCHEMA
from purgeengine.edges.ledger.outputs.exporting import write_batches
from purgeengine.edges.login import AccessTokens
from purgeengine.edges.login.ready import READY_METHOD
from purgeengine.engine.answer_ledger import GraphWaits
from purgeengine.engine.ports import Clock, Hours, Tokens, Transport
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.reads.directory_users import directory_users
from purgeengine.jobs.reads.reading import PATIENT, ReadSession
from purgeengine.jobs.reads.walking import ANSWER_BYTES_MAX, walk_mailboxes
from purgeengine.run_limits import Limits
from purgeengine.words import AGAIN

FLUSH_S = 5.0
"""Seconds after which what was read is written, however little it is. A killed process loses so much at most."""

ROOT_LENGTH_MIN = 40
"""The shortest id of a Contacts folder that proves that two names belong to one mailbox. Graph's have some 120 characters and name
the mailbox. A short one was made up, and may stand for several mailboxes."""


@dataclass(frozen=True)
class StockRequest:
    """What an inventory is asked for."""

    about: dict[str, Any]
    """The options that decide what is listed, as plain values. An inventory is resumed only with the same ones."""
    folder: Path
    """Where its state is kept."""
    out: Path
    """The list to write."""
    users: Sequence[str] = ()
    """The mailboxes; none if the directory is to be asked."""
    groups: Sequence[str] = ()
    """The groups whose users are asked for; none for all users of the tenant."""
    wanted: ContactFilter = field(default_factory=ContactFilter)
    duplicates: DuplicateSearch | None = None
    counts: bool = False
    """Whether only figures are wanted."""
    who: UserFilter = field(default_factory=UserFilter)
    id_type: IdType = IdType.DEFAULT
    limits: Limits = field(default_factory=Limits)
    hours: Hours | None = None
    again_unread: bool = False
    """Whether mailboxes that could not be read are read once more."""


@dataclass(frozen=True)
class StockSummary:
    """What an inventory found, over all its processes."""

    mailboxes: Counter[str]
    """Mailboxes by outcome."""
    contacts: int
    """Contacts that were looked at."""
    listed: int
    """Rows of the list."""
    left_out: int
    """Mailboxes that a list of users left out. Only the process that began the inventory counts them; 0 in one that resumes it."""
    named_twice: int
    """Users that were named twice, counted in the same way."""
    unread_file: Path | None
    """The file with the mailboxes that could not be read. None if there are none."""
    names_are_ours: bool
    """True if the users come from the directory. Then a user without a mailbox is nothing unusual."""

    @property
    def unread(self) -> int:
        """Mailboxes whose contacts are missing from the list, or may be."""
        usual = {MailboxOutcome.LISTED, MailboxOutcome.DUPLICATE}
        if self.names_are_ours:
            usual.add(MailboxOutcome.NO_MAILBOX)
        return sum(count for outcome, count in self.mailboxes.items() if outcome not in usual)


Told = Callable[[int, int, int], None]
"""Is told how many mailboxes are done, and how many contacts were seen and listed in them, now and then."""


class StockTaking:
    """One process of an inventory."""

    def __init__(
        self,
        request: StockRequest,
        store: StockStore,
        transport: Transport,
        tokens: Tokens,
        *,
        again: str,
        clock: Clock | None = None,
        token_renewable: bool = True,
        session: ReadSession | None = None,
        on_progress: Told = lambda mailboxes, contacts, listed: None,
        in_thread: bool = True,
    ) -> None:
        """``in_thread`` is false where nothing may wait for another thread: in simulated time."""
        self._request = request
        self._store = store
        self._transport = transport
        self._tokens = tokens
        self._clock = clock or SystemClock()
        self._again = again
        self._token_renewable = token_renewable
        self._session = session or ReadSession(transport, tokens, PATIENT, clock=self._clock)
        self._on_progress = on_progress
        self._in_thread = in_thread
        self._roots = store.roots()
        self._flushed_at = self._clock.monotonic()
        self._done = self._contacts = self._listed = 0
        self.left_out = 0
        self.named_twice = 0

    async def run(self) -> None:
        """Read every mailbox that is not done. Raises the errors of `walk_mailboxes` and `directory_users`."""
        if not self._store.has_users:
            await self._name_mailboxes()
        elif self._request.again_unread:
            self._store.unread_again()
        waits = GraphWaits()
        for key, until_utc in self._store.waits().items():
            until = self._clock.monotonic() + until_utc - self._clock.utc()
            if key:
                waits.block(key, until)
            else:
                waits.block_app(until)
        request = self._request
        try:
            await walk_mailboxes(
                self._walks(),
                self._keep,
                transport=self._transport,
                tokens=self._tokens,
                clock=self._clock,
                waits=waits,
                limits=request.limits,
                id_type=request.id_type,
                on_wait=lambda key, for_s: self._store.wait_until(key, self._clock.utc() + for_s),
                hours=request.hours,
                token_renewable=self._token_renewable,
                again=self._again,
            )
        finally:
            self._store.flush()

    async def _name_mailboxes(self) -> None:
        request, found = self._request, list[str]()
        if request.users:
            found = list(request.users)
        else:
            async for users in directory_users(self._session, request.groups):
                found += users
        wanted = [user for user in found if request.who.left_out(mailbox_key(user)) is None]
        self.left_out = len(found) - len(wanted)
        self.named_twice = self._store.set_users(wanted)

    def _walks(self) -> Iterator[tuple[int, MailboxWalk]]:
        duplicates = self._request.duplicates
        with_note = duplicates is not None and (
            DuplicateKey.CONTENT in duplicates.keys or duplicates.keep is Keep.FULLEST
        )
        for number, user in self._store.unfinished():
            yield number, MailboxWalk(user, self._request.wanted, with_note=with_note)

    async def _keep(self, number: int, walk: MailboxWalk) -> None:
        outcome = outcome_of(walk)
        rows, figures = [], []
        root = walk.default_folder if len(walk.default_folder) >= ROOT_LENGTH_MIN else ""
        reply = walk.failure or Reply(0)
        if outcome is MailboxOutcome.CHANGED:
            paths = ", ".join(one.path for one in walk.folders.values() if not one.agreed)
            reply = Reply(
                0, "Changed", f"{paths} changed with every pass. The rows are marked, and some may be missing."
            )
        if outcome.was_read:
            if root and self._roots.setdefault(root, number) != number:
                outcome, root = MailboxOutcome.DUPLICATE, ""
            else:
                listed_utc = datetime.fromtimestamp(int(self._clock.utc()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                rows = rows_of(walk, self._request.duplicates, self._request.id_type, listed_utc)
                figures = figures_of(walk, rows)
        else:
            root = ""
        self._done += 1
        self._contacts += sum(figure.contacts or 0 for figure in figures)
        self._listed += len(rows)
        kept = [] if self._request.counts else rows
        self._store.add(StoredMailbox(number, outcome, reply, kept, figures, root))
        now = self._clock.monotonic()
        if self._store.is_full or now - self._flushed_at >= FLUSH_S:
            self._flushed_at = now
            if self._in_thread:
                await asyncio.to_thread(self._store.flush)
            else:
                self._store.flush()
        self._on_progress(self._done, self._contacts, self._listed)


def write_list(request: StockRequest, store: StockStore, left_out: int = 0, named_twice: int = 0) -> StockSummary:
    """Write the list, and beside it the mailboxes that could not be read. Raises `LedgerError` if that fails."""
    outcomes = store.outcomes()
    if request.counts:
        write_batches(request.out, COUNT_SCHEMA, store.count_batches())
    else:
        write_batches(request.out, LIST_SCHEMA, store.list_batches())
    beside = unread_path(request.out)
    usual = (MailboxOutcome.LISTED, MailboxOutcome.DUPLICATE)
    unread = any(count for outcome, count in outcomes.items() if outcome not in usual)
    if unread:
        write_batches(beside, UNREAD_SCHEMA, store.unread_batches())
    else:
        beside.unlink(missing_ok=True)
    contacts, listed = store.figures()
    return StockSummary(
        outcomes, contacts, listed, left_out, named_twice, beside if unread else None, names_are_ours=not request.users
    )


def unread_path(out: Path) -> Path:
    """Return where the mailboxes that could not be read are written: beside the list."""
    name = out.name
    for ending in (".csv.gz", ".csv", ".parquet"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return out.with_name(f"{name}.unread.csv")


async def take_stock(
    request: StockRequest,
    store: StockStore,
    tokens: AccessTokens,
    endpoint: GraphEndpoint,
    on_progress: Told = lambda mailboxes, contacts, listed: None,
) -> StockSummary:
    """Read every mailbox that is not done, and write the list. Raises the errors of `StockTaking`.

    If it is stopped early, no list is written, because it would be incomplete.
    """
    async with HttpTransport.open(
        graph_url=endpoint.graph_url,
        connections=request.limits.connections,
        ca_file=endpoint.ca_file,
        answer_bytes_max=ANSWER_BYTES_MAX,
    ) as transport:
        renewable = tokens.describe().method != READY_METHOD
        taking = StockTaking(
            request,
            store,
            transport,
            tokens,
            again=endpoint.spelling(AGAIN),
            token_renewable=renewable,
            session=ReadSession(transport, tokens, PATIENT, token_renewable=renewable, spelling=endpoint.spelling),
            on_progress=on_progress,
        )
        await taking.run()
    return write_list(request, store, taking.left_out, taking.named_twice)
