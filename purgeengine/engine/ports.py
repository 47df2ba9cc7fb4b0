"""The ports: what the engine is handed from outside. Every edge fits one of them, and so does every stand-in of a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from purgeengine.core.graph.operations import Operation
from purgeengine.core.limits.app_rate import LearnedRate
from purgeengine.core.messages import BatchAnswered, BatchLost, Entry, MailboxOpened, SendWindow
from purgeengine.core.model import Batch, FolderRows
from purgeengine.errors import PurgeEngineError


class RawAnswer(Protocol):
    """What a transport brings back. Header names are in lower case; ``received_utc`` is in seconds since 1970.

    It is a protocol, because the simulated tenant imports nothing of the program and returns a type of its own.
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

    Raises `NotSent` if the batch certainly did not leave, and `NoAnswer` if it may have left and no usable answer came. Raises
    `RunStopped` if no batch can ever leave, for example because a proxy refuses all. No other exception of the network passes.
    """

    async def post(self, body: bytes, client_request_id: str, token: str) -> RawAnswer: ...  # noqa: D102


class Tokens(Protocol):
    """Hands out access tokens. Both methods raise `TokenError` if no token can be had."""

    async def token(self) -> str:
        """Return the current token, which is valid for a while yet."""

    async def renew(self, stale: str, claims: str = "") -> str:
        """Return another token, because Graph refused ``stale``. If the current token is another one already, return that.

        ``claims`` is the claims challenge for the new token (JSON), or empty.
        """


class LedgerPort(Protocol):
    """Remembers what happens in a run.

    ``write`` returns when the entries are durable. ``folder_rows`` returns the rows at the given positions. ``user_of`` returns
    the name of a mailbox. ``trouble`` is why the run should stop although everything was written, for example a disk with room
    for the answers in flight only; None if all is well.
    """

    @property
    def trouble(self) -> PurgeEngineError | None: ...  # noqa: D102

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None: ...  # noqa: D102
    def folder_rows(self, runs: Iterable[range]) -> Sequence[FolderRows]: ...  # noqa: D102
    def user_of(self, mailbox: int) -> str: ...  # noqa: D102


class PriorRuns(Protocol):
    """What a ledger knows of the runs before this one. In a new ledger all of it is empty or zero.

    ``now_utc_ms`` is the wall clock in milliseconds since 1970. Every method raises `LedgerError` if the records cannot be read.
    """

    @property
    def deletion(self) -> Operation:
        """The operation that deletes the ledger's rows."""
        ...

    @property
    def next_batch_number(self) -> int:
        """The number for the next batch: one more than the highest number used."""
        ...

    def rows_left(self) -> int:
        """Return the number of rows without an outcome: not sent, or in doubt."""
        ...

    def run_blocked_for_s(self, now_utc_ms: int) -> float:
        """Return the seconds left of a wait that Graph asked of the whole app."""
        ...

    def learned_rate(self, now_utc_ms: int) -> LearnedRate | None:
        """Return how many requests a second Graph took from the whole app, and when that was found. None if no limit is known."""
        ...

    def slowest_call_s(self) -> float | None:
        """Return how many seconds the slowest answer of earlier runs took. None if no call was answered."""
        ...

    def answered_calls(self) -> int:
        """Return the number of batches that Graph answered with a status from 200 to 299."""
        ...

    def mailboxes(
        self, *, now_utc_ms: int, cooldown_s: float, window_s: float, quarantine_s: float
    ) -> Iterator[MailboxOpened]:
        """Yield the unfinished mailboxes, the largest first, with their rows, doubts, waits, lost slots, and recent requests.

        The service may run a call whose answer was lost for ``cooldown_s`` seconds after its sending, and it counts requests for
        ``window_s`` seconds.
        """
        ...


class Clock(Protocol):
    """Monotonic seconds for decisions, and wall-clock seconds since 1970 for the record."""

    def monotonic(self) -> float: ...  # noqa: D102
    def utc(self) -> float: ...  # noqa: D102


class Hours(Protocol):
    """Knows when sending is allowed. ``utc`` is in seconds since 1970."""

    def at(self, utc: float) -> SendWindow: ...  # noqa: D102


class Watcher(Protocol):
    """Is shown every turn's entries once they are durable. It returns a reason if the run must stop, else None."""

    def seen(self, entries: Sequence[Entry]) -> str | None: ...  # noqa: D102


class Observer(Protocol):
    """Is told what a run does, for those who watch it from outside. It decides nothing.

    No method may raise or wait, because the engine goes on only when it has returned. ``now`` is in monotonic seconds.
    """

    def call_left(self, batch: Batch, now: float) -> None:
        """The call of this batch leaves now."""

    def call_ended(self, batch: Batch, end: BatchAnswered | BatchLost | None, now: float) -> None:
        """The call was answered or lost, or nobody waits for its answer any more (None). It may never have left."""

    def recorded(self, entries: Sequence[Entry], took_s: float) -> None:
        """The entries of a turn are durable. Writing them took ``took_s`` seconds."""


class Unobserved:
    """The `Observer` of a run that nobody watches."""

    def call_left(self, batch: Batch, now: float) -> None:
        """Do nothing."""

    def call_ended(self, batch: Batch, end: BatchAnswered | BatchLost | None, now: float) -> None:
        """Do nothing."""

    def recorded(self, entries: Sequence[Entry], took_s: float) -> None:
        """Do nothing."""


UNOBSERVED = Unobserved()
