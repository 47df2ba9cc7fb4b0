"""The threshold at which a run that goes wrong stops itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from purgeengine.core.model import Outcome
from purgeengine.errors import UsageProblem

SETTLED_BEFORE_SHARE = 100
"""Rows settled before a share of failures is believed: one failure among the first two is not half of the run."""
FAILURES = frozenset({Outcome.REFUSED, Outcome.EXHAUSTED})


@dataclass(frozen=True, slots=True)
class FailureThreshold:
    """``--max-failures``: so many failed rows (``count``), or such a share of those settled (``share``, 0 to 1)."""

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> FailureThreshold:
        """Read ``N`` or ``P%``. Raises `UsageProblem` when it is neither."""
        match = re.fullmatch(r"(\d{1,12})|(\d{1,3}(?:\.\d+)?)\s*%", text.strip())
        if match is None or (match[2] and float(match[2]) > 100):
            raise UsageProblem(f"--max-failures takes a number such as 50 or a share such as 5%, not '{text}'.")
        return cls(count=int(match[1])) if match[1] else cls(share=float(match[2]) / 100)

    def crossed(self, failed: int, settled: int) -> str | None:
        """Why the run must stop, as a sentence, or None."""
        if self.count is not None and failed > self.count:
            return f"{failed} rows failed, more than the {self.count} that --max-failures allows."
        if self.share is not None and settled >= SETTLED_BEFORE_SHARE and failed > self.share * settled:
            return (
                f"{failed} of {settled} rows failed, more than the {self.share:.4g} of them that --max-failures allows."
            )
        return None
