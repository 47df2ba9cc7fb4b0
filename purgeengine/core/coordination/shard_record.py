"""What a coordinator must still know after a crash. It is written to the disk of the head before anybody is told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """How one shard stands."""

    generation: int = 1
    epoch: int = 0
    """How often the shard was given to somebody, in all generations."""
    disk: str | None = None
    """Names the disk that has the shard's ledger; None if this generation was not given to anybody yet."""
    run: str | None = None
    """The run that owns the epoch; None until one has asked. Nothing was sent in an epoch without a run."""
    client_id: str | None = None
    """The app that the run has signed in with."""
    begun: bool = False
    """True if any run of this generation may have sent something."""
    fenced_utc_ms: int | None = None
    """When the last run of this generation was fenced, in milliseconds since 1970, if the generation is lost. None if it is not."""
    done: bool = False
    """True if the head has everything that the shard recorded, and the shard is complete."""


@dataclass(frozen=True, slots=True)
class AppWait:
    """A wait that Graph asked of a whole app. Times are seconds since 1970."""

    number: int
    """Counts the waits of the app, from 1."""
    since_utc: float
    until_utc: float

    def left_s(self, utc: float) -> float:
        """Return the seconds left at ``utc``. If the clock was set back to before the wait began, all of them are left."""
        return max(0.0, self.until_utc - max(utc, self.since_utc))


@dataclass(frozen=True, slots=True)
class HeadRecord:
    """How all shards stand, as one coordinator leaves them to the next."""

    term: int
    """Counts the coordinators of this head, from 1. A record of a higher term is never replaced by one of a lower term."""
    shards: dict[int, ShardRecord]
    waits: dict[str, AppWait] = field(default_factory=dict)
    """The last wait of each app, by client id."""
