"""From what was shown to figures: errors at parts of the rows, and how often the time left was far too short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from benchmarks.time_left.watched import PARTS, Look

AIM_ERROR = 0.15
AIM_SHORT = 0.5
"""The share of the truth that no figure should fall below."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was shown when a part of the rows had their outcome. ``shown_s`` is None where the run said what it waits for."""

    job: str
    dispatch: str
    seed: int
    part: float
    run_s: float
    true_s: float
    shown_s: float | None
    replays_s: tuple[float, ...] = ()
    """What plays of the rest took."""

    @property
    def error(self) -> float | None:
        """The difference from the truth as a share of it."""
        return None if self.shown_s is None else abs(self.shown_s - self.true_s) / self.true_s

    @property
    def foreseen(self) -> Sample | None:
        """The same sample if the median of the plays had been shown. None without plays."""
        return replace(self, shown_s=median(self.replays_s)) if self.replays_s else None

    @property
    def without_chance(self) -> Sample | None:
        """The same sample if the median of the plays were the truth. None without plays."""
        return replace(self, true_s=median(self.replays_s)) if self.replays_s else None

    @property
    def is_short(self) -> bool:
        """True if the figure was below half of the truth."""
        return self.shown_s is not None and self.shown_s < AIM_SHORT * self.true_s


def samples_of(job: str, dispatch: str, seed: int, looks: Sequence[Look], ended_s: float, rows: int) -> list[Sample]:
    """Return one sample for each part of the rows."""
    found = []
    for part in PARTS:
        # When all rows have their outcome, nothing is left to tell: a run logs its last line then.
        look = next((look for look in looks if part * rows <= look.settled < rows and look.at_s < ended_s), None)
        if look is not None:
            left_s = ended_s - look.at_s
            found.append(Sample(job, dispatch, seed, part, ended_s, left_s, look.shown.seconds, look.replays_s))
    return found


@dataclass(frozen=True, slots=True)
class Figures:
    """What samples say together. ``errors`` are the median errors for each part; None where every sample was unknown."""

    samples: int
    errors: tuple[float | None, ...]
    too_long: float
    """The median of shown divided by true, which says in which direction the figures err."""
    short: int
    unknown: int

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Figures:
        """Sum up."""
        found = list(samples)
        errors = []
        for part in PARTS:
            known = [one.error for one in found if one.part == part and one.error is not None]
            errors.append(median(known) if known else None)
        ratios = [one.shown_s / one.true_s for one in found if one.shown_s is not None]
        return cls(
            len(found),
            tuple(errors),
            median(ratios) if ratios else 0.0,
            sum(one.is_short for one in found),
            sum(one.shown_s is None for one in found),
        )

    def line(self, name: str) -> str:
        """Return a line of the table."""
        errors = "".join("      –" if error is None else f"{error:7.0%}" for error in self.errors)
        known = max(1, self.samples - self.unknown)
        return (
            f"{name:34}{errors} {self.too_long:6.2f} {self.short:4} {self.short / known:5.1%} {self.unknown:6} "
            f"{self.unknown / max(1, self.samples):5.1%}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a file."""
        return asdict(self)


HEAD = f"{'job':34}{''.join(f'{part:7.0%}' for part in PARTS)} {'ratio':>6} {'below half':>10} {'unknown':>12}"
