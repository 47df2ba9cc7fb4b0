"""How a run stands at a moment, for those who watch it from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from purgeengine.core.model import Outcome


@dataclass(frozen=True, slots=True)
class RunGauges:
    """How a run stands at a moment. Times of day are in seconds since 1970."""

    settled: Mapping[Outcome, int] = field(default_factory=dict)
    rows_left: int = 0
    left_s: float | None = None
    mailboxes_blocked: int = 0
    app_wait_left_s: float = 0.0
    app_limit_per_s: float | None = None
    is_held: bool = False
    token_issued_utc: float | None = None
    token_expires_utc: float | None = None
