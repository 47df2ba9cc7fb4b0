"""The state of one call to ``$batch`` while the tenant works on it, and how it ended for the client.

The tenant in `purgeengine.sim.graph.tenant` changes this state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from purgeengine.sim.graph.faults import ItemFault
from purgeengine.sim.graph.simulated_mailbox import SimulatedMailbox
from purgeengine.sim.wire.answers import SubResponse
from purgeengine.sim.wire.batch import SubRequest


class EndKind(StrEnum):
    """What the client sees when a call ends."""

    ANSWERED = "answered"
    """Status, headers and the whole body."""
    CUT = "cut"
    """Status, headers (including the length of the whole body) and half of the body. Then the connection ends."""
    RESET = "reset"
    """The connection is reset without an answer."""
    UNREACHABLE = "unreachable"
    """The connection was never made."""
    HANG = "hang"
    """Nothing, until the client leaves."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended. ``status``, ``headers`` and ``body`` are empty if no answer was given."""

    kind: EndKind
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """How a call will end, if not with the plain answer to its sub-requests.

    The body is ``said`` as an error of the whole call, or ``body`` with ``status``, or (with ``half``) the plain
    answer cut in half.
    """

    kind: EndKind
    said: SubResponse | None = None
    status: int = 200
    body: bytes = b""
    half: bool = False


@dataclass(frozen=True, slots=True)
class CallFate:
    """What will become of a call: whether its sub-requests run, and whether the call ends ``early``, while they still run."""

    plan: CallPlan | None
    runs: bool
    early: bool = False


class Call:
    """A call in progress. ``ending`` is None until the client may see the end. The work may continue after that."""

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
        """The mailbox of each sub-request. None if its URL is refused, or if it goes to the directory."""
        self.sequential = False
        self.single = False
        """True if the call is a single request and not a batch."""
        self.plan: CallPlan | None = None
        self.item_faults: dict[int, ItemFault] = {}
        self.place = 0
        """How many sub-requests were started."""
        self.running = 0
        self.started: list[float] = []
        self.results: list[SubResponse | None] = []
        self.entries: list[int] = []
        self.end_scheduled = False
        self.ending: Ending | None = None
        self.abandoned = False
        self.wake_at = begun_at
        """The call cannot end before this tenant time, so look at it again then."""

    def __repr__(self) -> str:
        return f"Call({self.number}, items={len(self.items)}, started={self.place}, running={self.running})"

    def take(self, items: tuple[SubRequest, ...], boxes: list[SimulatedMailbox | None], sequential: bool) -> None:
        """Take the sub-requests of an accepted batch. None of them is started yet."""
        self.items = items
        self.boxes = boxes
        self.sequential = sequential
        self.started = [self.begun_at] * len(items)
        self.results = [None] * len(items)
        self.entries = [-1] * len(items)

    def abandon(self) -> None:
        """Note that the client left. The work continues, and what would have been answered does not count as answered."""
        self.abandoned = True
