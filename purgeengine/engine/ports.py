"""What the engine is handed: the seams between it and the world. Every edge, and every stand-in of a test, fits one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from purgeengine.core.messages import Entry, SendWindow
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
    """Remembers.

    ``write`` returns when the entries are durable, ``stretches`` gives the rows at these positions, ``user_of`` a mailbox's name.
    ``trouble`` is why the run should stop although everything was written, answers in flight excepted: no room for more.
    """

    @property
    def trouble(self) -> PurgeEngineError | None: ...  # noqa: D102

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None: ...  # noqa: D102
    def folder_rows(self, runs: Iterable[range]) -> Sequence[FolderRows]: ...  # noqa: D102
    def user_of(self, mailbox: int) -> str: ...  # noqa: D102


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
