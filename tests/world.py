"""The whole engine in simulated time from one seed: real scheduler, engine and codec against the simulated tenant.

The judge at the end sees only the tenant's own record and the ledger. Nothing here opens a socket, sleeps or writes a file.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from purgeengine.config import Limits
from purgeengine.core.messages import (
    BatchSent,
    Entry,
    HaltReason,
    MailboxClosed,
    MailboxOpened,
    Returned,
    Settled,
)
from purgeengine.core.model import Item, Outcome
from purgeengine.core.scheduler import Scheduler
from purgeengine.engine import Engine
from purgeengine.report import Tally
from purgeengine.sim.faults import Faults
from purgeengine.sim.graph import Tenant
from purgeengine.sim.login import Login
from purgeengine.sim.settings import TenantSettings
from purgeengine.sim.transport import SimulatedTransport
from tests.virtual_time import VirtualClock, run_virtually

CALL_TIMEOUT_S = 30.0


def zipf(rows: int, mailboxes: int, exponent: float = 1.0) -> list[int]:
    """Rows of each mailbox, skewed: the heaviest first, none empty, ``rows`` in all."""
    weights = [(rank + 1) ** -exponent for rank in range(mailboxes)]
    counts = [max(1, int(rows * weight / sum(weights))) for weight in weights]
    counts[0] += rows - sum(counts)
    return counts


class MemoryLedger:
    """Remembers in memory, and holds every entry against the promises as it comes."""

    def __init__(self, rows_by_mailbox: Sequence[int]) -> None:
        ends = list(accumulate(rows_by_mailbox))
        self._ranges = [(end - rows, end) for end, rows in zip(ends, rows_by_mailbox, strict=True)]
        self._items = [
            Item(f"user{mailbox:05d}@contoso.example", "", f"AAMkAGI2{position:08d}=")
            for mailbox, (first, end) in enumerate(self._ranges)
            for position in range(first, end)
        ]
        self.settled: dict[int, Settled] = {}
        self.closed: dict[int, MailboxClosed] = {}
        self.sent: Counter[int] = Counter()
        self.intents: set[str] = set()

    def __len__(self) -> int:
        return len(self._items)

    def mailboxes(self) -> Iterator[MailboxOpened]:
        """All of them, largest first."""
        order = sorted(range(len(self._ranges)), key=lambda m: self._ranges[m][0] - self._ranges[m][1])
        return iter([MailboxOpened(mailbox, *self._ranges[mailbox]) for mailbox in order])

    def items(self, positions: Sequence[int]) -> list[Item]:
        """The rows at these positions."""
        return [self._items[position] for position in positions]

    def user(self, mailbox: int) -> str:
        """Its name."""
        return self._items[self._ranges[mailbox][0]].user

    user_of = user

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Durable at once."""
        await asyncio.sleep(0.001)
        for entry in entries:
            if isinstance(entry, BatchSent):
                self.intents.add(entry.client_request_id)
                for part in entry.parts:
                    for attempt in part.attempts:
                        assert attempt.position not in self.settled, "a settled row was sent again"
                        self.sent[attempt.position] += 1
            elif isinstance(entry, Settled):
                assert entry.position not in self.settled, "a row was settled twice"
                self.settled[entry.position] = entry
            elif isinstance(entry, Returned):
                assert entry.position not in self.settled, "a settled row was returned"
            elif isinstance(entry, MailboxClosed):
                self.closed[entry.mailbox] = entry

    def outcomes(self) -> dict[int, Outcome | None]:
        """What became of each row."""
        found: dict[int, Outcome | None] = {}
        for mailbox, (first, end) in enumerate(self._ranges):
            rest = Outcome.SKIPPED if mailbox in self.closed else None
            for position in range(first, end):
                entry = self.settled.get(position)
                found[position] = entry.outcome if entry else rest
        return found


class SimulatedTokens:
    """Tokens of the simulated login, renewed when refused."""

    def __init__(self, login: Login, clock: VirtualClock) -> None:
        self._login = login
        self._clock = clock
        self._token = ""
        self.renewals = 0

    async def token(self) -> str:
        """The current one."""
        if not self._token:
            self._token = self._login.issue(self._clock.monotonic())
        return self._token

    async def renew(self, stale: str) -> str:
        """Another than ``stale``."""
        await asyncio.sleep(0.2)
        if stale == self._token:
            self.renewals += 1
            self._token = self._login.issue(self._clock.monotonic())
        return self._token


class CheckedTransport(SimulatedTransport):
    """Refuses to carry what the ledger has not recorded."""

    ledger: MemoryLedger

    async def post(self, body: bytes, client_request_id: str, token: str):  # type: ignore[no-untyped-def]
        assert client_request_id in self.ledger.intents, "a batch left before its intent was recorded"
        return await super().post(body, client_request_id, token)


@dataclass
class World:
    """One run, described by what a test cares about."""

    rows_by_mailbox: Sequence[int] = (100,)
    limits: Limits = field(default_factory=Limits)
    settings: TenantSettings = field(default_factory=TenantSettings)
    faults: Faults | None = None
    absent: float = 0.0
    """Share of the contacts that are gone before the run."""
    troubles: dict[int, object] = field(default_factory=dict)
    seed: int = 1

    def run(self) -> World:
        """Run it to its end, in virtual time."""
        rng = random.Random(self.seed)
        self.ledger = MemoryLedger(self.rows_by_mailbox)
        self.existed = {position: rng.random() >= self.absent for position in range(len(self.ledger))}
        contacts = [self.ledger.items([position])[0] for position, there in self.existed.items() if there]
        self.tenant = Tenant(self.settings, contacts=contacts, faults=self.faults, seed=self.seed)
        for mailbox in range(len(self.rows_by_mailbox)):
            self.tenant.truth.add_mailbox(self.ledger.user(mailbox), self.troubles.get(mailbox))  # type: ignore[arg-type]
        run_virtually(self._run())
        return self

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        clock = VirtualClock(loop)
        login = Login()
        self.tokens = SimulatedTokens(login, clock)
        transport = CheckedTransport(self.tenant, login=login, timeout_s=CALL_TIMEOUT_S)
        transport.ledger = self.ledger
        self.tally = Tally(len(self.ledger), {})
        self.scheduler = Scheduler(self.limits, random.Random(self.seed))
        self.engine = Engine(
            self.scheduler,
            self.ledger.mailboxes(),
            ledger=self.ledger,
            transport=transport,
            tokens=self.tokens,
            clock=clock,
            watcher=self.tally,
        )
        await self.engine.run()
        self.duration_s = loop.time()

    @property
    def counts(self) -> Counter[Outcome | None]:
        """Rows by outcome."""
        return Counter(self.ledger.outcomes().values())

    def judge(self) -> None:
        """Hold the ledger against the truth. Every broken promise is an AssertionError that names the seed."""
        counters = self.tenant.counters
        where = f"seed {self.seed}"
        # A service that runs all at once refuses what the probe is wide: 4 of 8, thrice if unclear, and 16 of each of 3 times 20.
        assert counters.refused_concurrency <= (4 if self.settings.dispatch == "four" else 72), where
        assert counters.refused_rate == 0, f"{where}: the window was overrun"
        assert counters.early_retries == counters.early_calls == 0, f"{where}: a Retry-After was cut short"
        assert counters.violations == 0, f"{where}: {self.tenant.violations[:1]}"
        for position, outcome in self.ledger.outcomes().items():
            user, _, contact = self.ledger.items([position])[0]
            exists = self.tenant.truth.exists(user, contact)
            purged = self.tenant.truth.purge_of(user, contact) is not None
            row = f"{where}, row {position}, {outcome}"
            if outcome is None:  # tokens refused again and again, by chance: the one misfortune that must stop a run
                halted = self.engine.halted
                assert halted is not None, f"{row}: no outcome"
                assert halted.reason is HaltReason.REFUSED_APP, f"{row}: no outcome"
            if outcome in (Outcome.PURGED, Outcome.ABSENT):
                assert not exists, f"{row}: it still exists"
            if outcome is Outcome.ABSENT and not (self.faults and self.faults.item_throttled_after):
                assert not self.existed[position], f"{row}: it was there before"
            if outcome is Outcome.SKIPPED:
                assert self.ledger.sent[position] == 0, f"{row}: it was sent"
            if purged and outcome is Outcome.REFUSED:
                assert self.ledger.settled[position].in_doubt, f"{row}: it was purged and nobody doubts"
