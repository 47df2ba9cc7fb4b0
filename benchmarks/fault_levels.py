"""How often things fail in a benchmark: none, few or many faults.

A *few*: five calls of a hundred and two rows of a hundred. *Many*: 15 calls of a hundred and six rows of a hundred.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from purgeengine.sim.graph.faults import Faults

Level = Literal["none", "few", "many"]
LEVELS: tuple[Level, ...] = ("none", "few", "many")
A_FEW = (
    "call_throttled", "call_error_before", "call_error_after", "reset_after", "truncated", "item_throttled_before",
    "item_error_before",
)  # fmt: skip
"""Faults that every client meets in a long run.

In none of them is the service silent, because some clients would wait for ever.
"""
CALL_KINDS = tuple(name for name in A_FEW if not name.startswith("item_"))
ROW_KINDS = tuple(name for name in A_FEW if name.startswith("item_"))
HANG_KINDS = ("hang_before", "hang_after")
PROBABILITIES: dict[Level, float] = {"none": 0.0, "few": 0.01, "many": 0.03}
"""The probability of each fault of `A_FEW`: five of them spoil calls, and two of them spoil rows."""
HANGS: dict[Level, float] = {"none": 0.0, "few": 0.01, "many": 0.03}
"""The share of the calls that hang, where a benchmark lets calls hang."""


def faults_of(level: Level) -> Faults:
    """Return the faults in which the service is never silent."""
    return _faults(dict.fromkeys(A_FEW, PROBABILITIES[level]))


def faults_with_hangs(level: Level) -> Faults:
    """Return as many faults as `faults_of`, some of which are calls that never answer; half of those do their work."""
    calls, hangs, row_p = len(CALL_KINDS) * PROBABILITIES[level], HANGS[level], PROBABILITIES[level]
    kinds = dict.fromkeys(CALL_KINDS, (calls - hangs) / len(CALL_KINDS))
    return _faults(kinds | dict.fromkeys(HANG_KINDS, hangs / len(HANG_KINDS)) | dict.fromkeys(ROW_KINDS, row_p))


def _faults(probabilities: dict[str, float]) -> Faults:
    return replace(Faults(), **probabilities)  # type: ignore[arg-type]
