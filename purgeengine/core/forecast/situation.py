"""What the time left depends on, as values: how the rows and calls of the run fared so far, and what is open and in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Protocol

from purgeengine.core.forecast.busy_time import BusyTime
from purgeengine.core.forecast.shapes import CallKinds
from purgeengine.core.limits.window import Window


class OpenRows(Protocol):
    """What the end of a run depends on in an open mailbox: its rows, its limits, its waits, and how it fared."""

    number: int
    rows: int
    returned: int

    @property
    def rows_in_flight(self) -> int: ...  # noqa: D102
    @property
    def remaining(self) -> int: ...  # noqa: D102
    @property
    def closing(self) -> object | None: ...  # noqa: D102
    @property
    def blocked_until(self) -> float: ...  # noqa: D102
    @property
    def limit(self) -> int: ...  # noqa: D102
    @property
    def window(self) -> Window: ...  # noqa: D102
    @property
    def busy(self) -> BusyTime: ...  # noqa: D102
    @property
    def stuck(self) -> bool: ...  # noqa: D102
    def ready_at(self, now: float, *, forget: bool = True) -> float: ...  # noqa: D102
    def slots_held(self, now: float) -> int: ...  # noqa: D102


class PastRows(NamedTuple):
    """What became of the rows of mailboxes so far, and how these fared."""

    settled: int = 0
    returned: int = 0
    """Sendings after which a row had to be sent again."""
    paused_s: float = 0.0
    pauses_squared: float = 0.0
    """Seconds in which mailboxes were busy and had nothing in flight, and the sum of the squares of these pauses."""
    waits: int = 0
    """How often Graph made mailboxes wait."""
    asked_s: float = 0.0
    asked_squared: float = 0.0
    """Seconds of these waits, of which some may lie ahead, and the sum of their squares."""
    holds: int = 0
    """How often lost calls left a mailbox no slot."""


class CallCounts(NamedTuple):
    """How the calls of the run ended so far."""

    answered: int = 0
    lost: int = 0
    lost_after_s: float = 0.0
    """Seconds from the sending of the lost calls to the moment when they were known to be lost, all together."""


class SlowCall(NamedTuple):
    """A call in flight that is later than usual: how many rows it has, and when it is given up."""

    rows: int
    overdue_at: float


class InFlight(NamedTuple):
    """The calls in flight."""

    calls: int = 0
    rows: int = 0
    overdue_at: float = -inf
    """When the last of them is answered or given up."""
    slow: Sequence[SlowCall] = ()
    slowest_s: float = 0.0
    """The slowest answer of late, in seconds; 0 if none is known."""


@dataclass(frozen=True, slots=True)
class RunSituation:
    """What the time left depends on, besides the open mailboxes. Instants are monotonic seconds."""

    handled_at: float
    """When the scheduler looked at the mailboxes last. What a look changes in them is done as of then, so that a display never
    changes what is sent."""
    unread: int
    """Rows in mailboxes that are not open yet; those mailboxes are small."""
    calls: CallCounts
    in_flight: InFlight
    kinds: CallKinds
    """The kinds of calls that the run may send."""
    cooldown_s: float
    """Seconds from the sending of a lost call in which it may hold slots of its mailboxes."""
    lane_cooldown_s: float
    """The same for a lost lane."""
    waiting: Sequence[OpenRows]
    """Some of the mailboxes that wait for an instant before they may send more."""
    waits: int
    """How many mailboxes wait for an instant."""
    ready: bool
    """True if some mailboxes may send now."""
    connections: int
    """Calls that may be in flight at once."""
    calls_again_at: float = -inf
    """Nothing leaves before this."""
    waited_s: float = 0.0
    """Seconds of waits that Graph asked of the whole app so far."""
    app_limit_per_s: float | None = None
    """Requests a second that Graph takes from the app, if such a limit is known."""
    failing: bool = False
    """True while one call after another fails."""
    token_awaited: bool = False
    held: bool = False
    """True while it is not the time to send."""
    stopping: bool = False
    """True if nothing is sent any more."""


def rows_left(mailbox: OpenRows) -> int:
    """Return the rows of a mailbox that still need an answer. A mailbox that is closing needs answers for rows in flight only."""
    return mailbox.rows_in_flight + (mailbox.remaining if mailbox.closing is None else 0)
