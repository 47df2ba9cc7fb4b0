"""One call to ``$batch`` while the tenant works on it, and how it ended for the client.

Only state; the tenant in `purgeengine.sim.graph.tenant` moves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from purgeengine.sim.graph.faults import ItemFault
from purgeengine.sim.graph.simulated_mailbox import SimulatedMailbox
from purgeengine.sim.wire.answers import SubResponse
from purgeengine.sim.wire.batch import SubRequest


class EndKind(StrEnum):
    """What the client gets to see of a call's end."""

    ANSWERED = "answered"
    """Status, headers and the whole body."""
    CUT = "cut"
    """Status, headers (the length of the whole body among them) and half of the body, then the connection ends."""
    RESET = "reset"
    """The connection is reset without an answer."""
    UNREACHABLE = "unreachable"
    """The connection was never made."""
    HANG = "hang"
    """Nothing, until the client leaves."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended. ``status``, ``headers`` and ``body`` are empty where no answer was given."""

    kind: EndKind
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """How a call will end, where that is not the plain answer to its sub-requests.

    The body is ``said`` as an error of the whole call, or ``body`` with ``status``, or (``half``) the plain answer cut in half.
    """

    kind: EndKind
    said: SubResponse | None = None
    status: int = 200
    body: bytes = b""
    half: bool = False


@dataclass(frozen=True, slots=True)
class CallFate:
    """What is to become of a call: whether its sub-requests run, and whether it ends (``early``) while they do."""

    plan: CallPlan | None
    runs: bool
    early: bool = False


class Call:
    """A call in progress. ``ending`` is None until the client may be told; the work may run on after that."""

    __slots__ = (
        "abandoned", "begun_at", "boxes", "client_request_id", "end_scheduled", "ending", "entries", "item_faults",
        "items", "number", "place", "plan", "request_id", "results", "running", "sequential", "single", "started", "wake_at",
    )  # fmt: skip

    def __init__(self, number: int, client_request_id: str, request_id: str, begun_at: float) -> None:
        self.number = number
        self.client_request_id = client_request_id
        self.request_id = request_id
        self.begun_at = begun_at
        self.items: tuple[SubRequest, ...] = ()
        self.boxes: list[SimulatedMailbox | None] = []
        """The mailbox of each sub-request; None where its url is refused, or the directory is asked."""
        self.sequential = False
        self.single = False
        """Whether it is one request by itself, and no batch."""
        self.plan: CallPlan | None = None
        self.item_faults: dict[int, ItemFault] = {}
        self.place = 0
        """How many sub-requests have been started."""
        self.running = 0
        self.started: list[float] = []
        self.results: list[SubResponse | None] = []
        self.entries: list[int] = []
        self.end_scheduled = False
        self.ending: Ending | None = None
        self.abandoned = False
        self.wake_at = begun_at
        """The call cannot end before this tenant time: look again then."""

    def __repr__(self) -> str:
        return f"Call({self.number}, items={len(self.items)}, started={self.place}, running={self.running})"

    def take(self, items: tuple[SubRequest, ...], boxes: list[SimulatedMailbox | None], sequential: bool) -> None:
        """Take over the sub-requests of an accepted batch, none of them started."""
        self.items = items
        self.boxes = boxes
        self.sequential = sequential
        self.started = [self.begun_at] * len(items)
        self.results = [None] * len(items)
        self.entries = [-1] * len(items)

    def abandon(self) -> None:
        """The client left: the work goes on, and what would have been said to it counts as not said."""
        self.abandoned = True
