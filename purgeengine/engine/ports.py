"""The ports: what the engine is handed by the world. Every edge fits one of them, and so does every stand-in of a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from purgeengine.core.graph.operations import Operation
from purgeengine.core.messages import Entry, MailboxOpened, SendWindow
from purgeengine.core.model import FolderRows
from purgeengine.errors import PurgeEngineError


class RawAnswer(Protocol):
    """What a transport brings back: header names in lower case, ``received_utc`` in seconds since 1970.

    A protocol, because the simulated tenant imports nothing of the program and returns a type of its own.
    """

    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def body(self) -> bytes: ...  # noqa: D102
    @property
    def received_utc(self) -> float: ...  # noqa: D102


class Transport(Protocol):
    """Posts one batch.

    Raises `NotSent` or `NoAnswer`, and `RunStopped` where no batch can ever leave (a proxy that refuses); nothing else that the
    network can cause.
    """

    async def post(self, body: bytes, client_request_id: str, token: str) -> RawAnswer: ...  # noqa: D102


class Tokens(Protocol):
    """Hands out access tokens. Both methods raise `TokenError` when no token can be had."""

    async def token(self) -> str:
        """The current token, which is good for a while yet."""

    async def renew(self, stale: str, claims: str = "") -> str:
        """Another token, because Graph refused ``stale``. It is the current one if that is another already.

        ``claims`` is what Graph wants of the new token (a claims challenge, JSON), or empty.
        """


class LedgerPort(Protocol):
    """Remembers what happens in a run.

    ``write`` returns when the entries are durable. ``folder_rows`` gives the rows at these positions, and ``user_of`` the name of a
    mailbox. ``trouble`` is why the run should stop although everything was written: there is no room for more than the answers in
    flight.
    """

    @property
    def trouble(self) -> PurgeEngineError | None: ...  # noqa: D102

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None: ...  # noqa: D102
    def folder_rows(self, runs: Iterable[range]) -> Sequence[FolderRows]: ...  # noqa: D102
    def user_of(self, mailbox: int) -> str: ...  # noqa: D102


class PriorRuns(Protocol):
    """What a ledger knows of the runs before this one; all of it is empty or zero in a new ledger.

    ``now_utc_ms`` is the wall clock in milliseconds since 1970. Every method raises `LedgerError` where the records cannot be read.
    """

    @property
    def deletion(self) -> Operation:
        """Which kind of deletion the ledger's rows get."""
        ...

    @property
    def next_batch_number(self) -> int:
        """The number for the next batch: one more than the highest that was used."""
        ...

    def rows_left(self) -> int:
        """Rows without an outcome: waiting, or in doubt."""
        ...

    def run_blocked_for_s(self, now_utc_ms: int) -> float:
        """Seconds left of a wait that Graph asked of the whole app."""
        ...

    def slowest_call_s(self) -> float | None:
        """Seconds of the slowest answer so far; None where there was no answer."""
        ...

    def answered_calls(self) -> int:
        """The number of batches that Graph answered with a status from 200 to 299."""
        ...

    def mailboxes(self, *, now_utc_ms: int, cooldown_s: float, window_s: float) -> Iterator[MailboxOpened]:
        """Unfinished mailboxes, the largest first: their rows, doubts, waits, and what Graph has seen of them lately.

        The service may run a batch without an answer for ``cooldown_s`` seconds, and counts requests for ``window_s`` seconds.
        """
        ...


class Clock(Protocol):
    """Monotonic seconds for deciding, wall-clock seconds for the record."""

    def monotonic(self) -> float: ...  # noqa: D102
    def utc(self) -> float: ...  # noqa: D102


class Hours(Protocol):
    """Knows when sending is allowed, from the seconds since 1970."""

    def at(self, utc: float) -> SendWindow: ...  # noqa: D102


class Watcher(Protocol):
    """Is shown every turn's entries once they are durable, and may ask for a stop by answering a reason."""

    def seen(self, entries: Sequence[Entry]) -> str | None: ...  # noqa: D102
