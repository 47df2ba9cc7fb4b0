"""What was measured, and whether it reaches the aims: each cell of the final table is one service and one list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from benchmarks.fault_levels import Level
from purgeengine.core.forecast.latency import Dispatch

OURS = "purgeengine"
CONNECTIONS = 16
DEFAULT_CONNECTIONS = 64
AIM_WITH_FAULTS = 1.2
AIM_WITHOUT = 1.0
PROBE_ROWS = 4
"""Rows that a service refuses which runs a batch all at once, for each probe of how it runs batches."""
PROBES_MAX: dict[Level, int] = {"none": 1, "few": 2, "many": 2}
"""With faults the answer to the first probe may be lost."""


@dataclass(frozen=True, slots=True)
class Case:
    """A service and the order of the rows, equal for all clients."""

    rows: int
    dispatch: Dispatch
    order: str
    faults: Level


@dataclass(frozen=True, slots=True)
class Found:
    """The result of one client."""

    case: Case
    client: str
    connections: int
    rows: int
    wall_s: float
    cpu_s: float
    rows_per_s: float
    """Rows that are gone, for each second of the process."""
    lost: int
    still_exist: int
    untold: int
    """Rows about which the client cannot tell what became of them."""
    wrongly_gone: int
    """Rows that the client calls gone although they still exist."""
    refused: int
    calls: int
    record: str
    code: int | None


@dataclass(frozen=True, slots=True)
class Cell:
    """How we compare with the best other client, with as many connections. ``default_rows_per_s`` is ours with 64."""

    case: Case
    rows_per_s: float
    default_rows_per_s: float | None
    best: str
    best_rows_per_s: float
    lost: int
    refused: int

    @property
    def ratio(self) -> float:
        """Our rows a second divided by the best other client's."""
        return self.rows_per_s / self.best_rows_per_s

    @property
    def missed(self) -> list[str]:
        """The aims that are missed."""
        faults = self.case.faults
        aim = AIM_WITHOUT if faults == "none" else AIM_WITH_FAULTS
        refused_max = PROBE_ROWS * PROBES_MAX[faults] if self.case.dispatch == "all" else 0
        missed = [f"{aim:g} times"] if self.ratio < aim else []
        missed += ["nothing lost"] if self.lost else []
        return missed + (["nothing refused"] if self.refused > refused_max else [])


def median_of(rounds: list[Found]) -> Found:
    """Return the round with the median rows a second. What was lost, wrongly called gone or refused is that of the worst round."""
    median = sorted(rounds, key=lambda one: one.rows_per_s)[len(rounds) // 2]
    return replace(
        median,
        lost=max(one.lost for one in rounds),
        still_exist=max(one.still_exist for one in rounds),
        untold=max(one.untold for one in rounds),
        wrongly_gone=max(one.wrongly_gone for one in rounds),
        refused=max(one.refused for one in rounds),
    )


def cells_of(found: Iterable[Found]) -> list[Cell]:
    """Return a cell for each case in which we and another client were measured. Both runs of ours count what was lost."""
    by_case: dict[Case, list[Found]] = {}
    for one in found:
        if one.connections != 1:
            by_case.setdefault(one.case, []).append(one)
    cells = []
    for case, results in by_case.items():
        ours = {one.connections: one for one in results if one.client == OURS}
        others = [one for one in results if one.client != OURS and one.connections == CONNECTIONS]
        if CONNECTIONS not in ours or not others:
            continue
        best, default = max(others, key=lambda one: one.rows_per_s), ours.get(DEFAULT_CONNECTIONS)
        cells.append(
            Cell(
                case=case,
                rows_per_s=ours[CONNECTIONS].rows_per_s,
                default_rows_per_s=default.rows_per_s if default else None,
                best=best.client,
                best_rows_per_s=best.rows_per_s,
                lost=sum(one.lost for one in ours.values()),
                refused=max(one.refused for one in ours.values()),
            )
        )
    return cells


def table_of(cells: list[Cell]) -> str:
    """Return the final table as text."""
    lines = [
        f"{'rows':>6} {'order':8} {'service':7} {'faults':6} {'ours, 16':>9} {'ours, 64':>9} {'best other':>10} {'ratio':>6} "
        f"{'lost':>5} {'refused':>7}  aims"
    ]
    for cell in cells:
        case, default = cell.case, cell.default_rows_per_s
        lines.append(
            f"{case.rows:6,} {case.order:8} {case.dispatch:7} {case.faults:6} {cell.rows_per_s:9.1f} "
            f"{'-' if default is None else f'{default:.1f}':>9} {cell.best_rows_per_s:10.1f} {cell.ratio:6.2f} "
            f"{cell.lost:5,} {cell.refused:7,}  {'missed: ' + ', '.join(cell.missed) if cell.missed else 'reached'} ({cell.best})"
        )
    reached = sum(not cell.missed for cell in cells)
    return "\n".join([*lines, f"{reached} of {len(cells)} cells reach every aim."])
