"""A batch on its way."""

from __future__ import annotations

from dataclasses import dataclass

from purgeengine.core.mailbox import Mailbox
from purgeengine.core.model import Attempt, Batch


@dataclass(slots=True)
class Flight:
    """What the scheduler must remember of a batch until it ends: whose rows it carries, since when, with which token."""

    batch: Batch
    parts: list[tuple[Mailbox, tuple[Attempt, ...]]]
    sent_at: float
    token_generation: int

    @property
    def size(self) -> int:
        """Rows in it."""
        return self.batch.size
