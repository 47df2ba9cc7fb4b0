"""What may happen in a simulated run, drawn from one seed and kept as JSON, so that a replay needs no drawing."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import msgspec

from purgeengine.core.graph.operations import Action, IdType
from purgeengine.run_limits import Fanout, Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.tenant_settings import Dispatch, TenantSettings
from purgeengine.sim.wire.answers import Trouble

HABITS = (
    "item_not_attempted",
    "item_throttled_before",
    "item_error_after",
    "item_missing",
    "item_busy",
    "item_unauthorized",
    "item_repeated",
    "call_throttled",
)
"""Faults that a service may show again and again.

On a service that runs batches all at once they would deceive the test of the fanout.
"""

LATER = frozenset({"bare_item"})
"""Faults that were added after seeds were kept. They are drawn apart, so that all other draws stay the same."""


def zipf(rows: int, mailboxes: int, exponent: float = 1.0) -> list[int]:
    """Return a skewed distribution of ``rows`` rows: the largest mailbox first, none empty."""
    weights = [(rank + 1) ** -exponent for rank in range(mailboxes)]
    counts = [max(1, int(rows * weight / sum(weights))) for weight in weights]
    counts[0] += rows - sum(counts)
    return counts


def user(number: int) -> str:
    """Return the name of a mailbox."""
    return f"user{number:05d}@contoso.example"


def guid(number: int) -> str:
    """Return the object id of a mailbox's user."""
    return f"0f0f0f0f-0000-4000-8000-{number:012d}"


def upn_of(name: str) -> str:
    """Return the one name of a mailbox, from any of its names."""
    return name if "@" in name else user(int(name[-12:]))


@dataclass(frozen=True)
class Crash:
    """The process dies at its ``step``-th step. The same command is given again ``pause_s`` seconds later.

    Steps are: before a turn is committed, after it is, before a batch leaves, after its answer came, and between two
    turns.
    """

    step: int
    pause_s: float = 1.0
    clock_back_s: float = 0.0
    """Seconds by which somebody turns the wall clock back meanwhile."""


@dataclass(frozen=True)
class Scenario:
    """One job on one service with its faults. The faults stop ``chaos_s`` seconds after the start."""

    seed: int = 1
    rows_by_mailbox: tuple[int, ...] = (100,)
    limits: Limits = field(default_factory=Limits)
    settings: TenantSettings = field(default_factory=TenantSettings)
    faults: Faults = field(default_factory=Faults)
    chaos_s: float = 1e9
    absent: float = 0.0
    """Share of the contacts that are gone before the run."""
    duplicates: float = 0.0
    """Share of the rows that are in the input twice."""
    invalid: float = 0.0
    """Share of extra rows without a contact."""
    shuffled: bool = False
    troubles: dict[int, Trouble] = field(default_factory=dict)
    crashes: tuple[Crash, ...] = ()
    clock_steps: tuple[tuple[float, float], ...] = ()
    """Steps of the wall clock during the run: at which second, by how many seconds."""
    action: Action = Action.PERMANENT_DELETE
    id_type: IdType = IdType.DEFAULT
    two_names: bool = False
    """True if half of the rows name their mailbox by its object id."""
    resolved: bool = False
    """True if the names are looked up when the ledger is made."""
    suspensions: tuple[tuple[float, float], ...] = ()
    """Sleeps of the machine while the service and the monotonic clock go on: at which second, for how many seconds."""

    def to_json(self) -> str:
        """Return everything that decides the run."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Scenario:
        """Read what `to_json` wrote."""
        return msgspec.json.decode(text, type=cls)


def chaos(seed: int) -> Scenario:
    """Return a random service, job and faults."""
    rng = random.Random(f"chaos {seed}")
    window = rng.choice([10_000, 10_000, 300])
    jobs = [[rng.randint(1, 60) for _ in range(40)], zipf(900, 60), [700, *[3] * 30], [1] * 300, [400]]
    dispatch: Dispatch = rng.choice(["four", "all"])
    fanout: Fanout = rng.choice(["auto", "auto", 4, 20] if dispatch == "four" else ["auto", 4])
    return Scenario(
        seed=seed,
        rows_by_mailbox=tuple(rng.choice(jobs)),
        limits=Limits(connections=_connections(rng, seed), fanout=fanout, mailbox_requests=window),
        settings=_app_limit(seed, TenantSettings(dispatch=dispatch, mailbox_requests=window)),
        faults=_throttling(seed, _faults(rng, habits=dispatch == "four")),
        chaos_s=rng.choice([20.0, 60.0, 300.0]),
        absent=rng.choice([0.0, 0.1, 0.5]),
        duplicates=rng.choice([0.0, 0.05]),
        invalid=rng.choice([0.0, 0.02]),
        shuffled=rng.random() < 0.5,
        troubles={0: rng.choice(list(Trouble))} if rng.random() < 0.3 else {},
        clock_steps=((rng.uniform(0, 60), rng.choice([-3600.0, 3600.0])),) if rng.random() < 0.2 else (),
        action=rng.choice(list(Action)),
        id_type=rng.choice(list(IdType)),
        **_names(rng),
        suspensions=((rng.uniform(0, 30), rng.choice([5.0, 60.0, 3600.0])),) if rng.random() < 0.2 else (),
    )


def crashing(seed: int) -> Scenario:
    """Return a small random job whose process dies one to five times."""
    rng = random.Random(f"crashes {seed}")
    window = rng.choice([10_000, 10_000, 60])
    jobs = [[rng.randint(1, 30) for _ in range(12)], zipf(200, 15), [150, 3, 3], [1] * 60, [90]]
    return Scenario(
        seed=seed,
        rows_by_mailbox=tuple(rng.choice(jobs)),
        limits=Limits(connections=_connections(rng, seed), fanout=rng.choice(["auto", 4, 20]), mailbox_requests=window),
        settings=_app_limit(seed, TenantSettings(dispatch="four", mailbox_requests=window)),
        faults=_throttling(seed, rng.choice([Faults(), _faults(rng)])),
        chaos_s=rng.choice([20.0, 60.0]),
        absent=rng.choice([0.0, 0.2]),
        duplicates=rng.choice([0.0, 0.05]),
        shuffled=rng.random() < 0.5,
        troubles={0: rng.choice(list(Trouble))} if rng.random() < 0.2 else {},
        crashes=tuple(
            Crash(
                int(10 ** rng.uniform(0, 2.3)),
                rng.choice([0.0, 1.0, 30.0, 700.0]),
                rng.choice([0.0, 0.0, 0.0, 30.0, 7200.0]),
            )
            for _ in range(rng.randint(1, 5))
        ),
        action=rng.choice(list(Action)),
        id_type=rng.choice(list(IdType)),
        **_names(rng),
    )


def _app_limit(seed: int, settings: TenantSettings) -> TenantSettings:
    """Let every eighth service limit the app as a whole. It is drawn apart, so that all other draws stay the same."""
    rng = random.Random(f"app limit {seed}")
    if rng.random() >= 0.125:
        return settings
    requests, window_s = rng.choice([(100, 5.0), (400, 10.0), (60, 1.0)])
    return replace(settings, app_requests=requests, app_window_s=window_s)


def _connections(rng: random.Random, seed: int) -> int:
    """Draw the number of connections. Every seventh run may grow beyond the number that it starts with."""
    few = rng.choice([1, 2, 4, 16])
    return 64 if seed % 7 == 3 else few


def _names(rng: random.Random) -> dict[str, bool]:
    """Draw whether mailboxes have two names. They are looked up then; a separate test covers names that nobody looked up."""
    return {"two_names": True, "resolved": True} if rng.random() < 0.2 else {}


def _faults(rng: random.Random, *, habits: bool = True) -> Faults:
    chances = {
        name: rng.random() * 0.08
        for name in Faults.probabilities()
        if name not in LATER and rng.random() < 0.4 and not name.startswith("hang")
    }
    if habits and rng.random() < 0.25:  # a fault that is rare among many is met often here
        chances[rng.choice(HABITS)] = rng.uniform(0.3, 0.6)
    return Faults(
        **chances,
        hang_after=rng.choice([0.0, 0.01]),
        hang_before=rng.choice([0.0, 0.01]),
        retry_after_s_max=rng.choice([2, 2, 60]),
    )


def _throttling(seed: int, faults: Faults) -> Faults:
    """Let every tenth service throttle whole calls, so that many waits come at once, and every other tenth most of its rows.

    In a third of all services no sub-response is bare, in a third some are, and in a third all.
    """
    faults = replace(faults, bare_item=random.Random(f"bare {seed}").choice((0.0, 0.5, 1.0)))
    if seed % 10 == 0:
        return replace(faults, call_throttled=0.5, retry_after_s_max=60)
    return replace(faults, item_throttled_before=0.6) if seed % 10 == 5 else faults
