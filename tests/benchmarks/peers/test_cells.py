"""Tests of the final table of the other clients: which client counts, and which aims are missed."""

from __future__ import annotations

from benchmarks.fault_levels import Level
from benchmarks.peers.cells import OURS, Case, Found, cells_of, median_of, table_of
from purgeengine.core.forecast.latency import Dispatch


def found(
    client: str, rows_per_s: float, connections: int = 16, *, faults: Level = "few", dispatch: Dispatch = "four",
    lost: int = 0, refused: int = 0,
) -> Found:  # fmt: skip
    """Return what a client did."""
    case = Case(4_000, dispatch, "shuffled", faults)
    return Found(
        case, client, connections, 4_000, 4_000 / rows_per_s, 1.0, rows_per_s, lost, lost, 0, 0, refused, 200, "", 0
    )


def test_we_are_compared_with_the_best_other_client_with_as_many_connections() -> None:
    """Runs with one connection, and ours with 64, do not enter the ratio; ours with 64 is shown."""
    (cell,) = cells_of(
        [
            found(OURS, 150),
            found(OURS, 300, 64),
            found("a", 100),
            found("b", 120),
            found("c", 999, 1),
            found(OURS, 9, 1),
        ]
    )
    assert (cell.best, cell.ratio, cell.default_rows_per_s) == ("b", 1.25, 300)
    assert cell.missed == []


def test_of_several_rounds_the_median_counts_and_the_worst_of_what_was_lost() -> None:
    """A lucky or unlucky draw does not decide, but a lost row is never averaged away."""
    shown = median_of([found(OURS, 300, lost=2), found(OURS, 100, refused=3), found(OURS, 200)])
    assert (shown.rows_per_s, shown.lost, shown.refused) == (200, 2, 3)


def test_the_aim_depends_on_faults() -> None:
    """With faults 1.2 times is the aim; without, to be level is enough."""
    assert [cell.missed for cell in cells_of([found(OURS, 110), found("a", 100)])] == [["1.2 times"]]
    assert [cell.missed for cell in cells_of([found(OURS, 100, faults="none"), found("a", 100, faults="none")])] == [[]]
    assert [cell.missed for cell in cells_of([found(OURS, 99, faults="none"), found("a", 100, faults="none")])] == [
        ["1 times"]
    ]


def test_what_is_lost_or_refused_misses_an_aim_also_with_the_default_connections() -> None:
    """A row lost, or refused by our doing, counts in either run of ours."""
    (cell,) = cells_of([found(OURS, 150), found(OURS, 150, 64, lost=1, refused=1), found("a", 100)])
    assert cell.missed == ["nothing lost", "nothing refused"]


def test_a_service_that_runs_batches_all_at_once_refuses_the_probe() -> None:
    """Four rows of one probe are the price there; with faults a probe may be lost and sent again."""
    for faults, most in (("none", 4), ("few", 8)):
        for refused, missed in ((most, []), (most + 1, ["nothing refused"])):
            ours = found(OURS, 150, faults=faults, dispatch="all", refused=refused)  # type: ignore[arg-type]
            other = found("a", 100, faults=faults, dispatch="all")  # type: ignore[arg-type]
            assert [cell.missed for cell in cells_of([ours, other])] == [missed]


def test_a_case_without_another_client_has_no_cell() -> None:
    """Where no other client is installed there is nothing to compare."""
    assert cells_of([found(OURS, 150)]) == []


def test_the_table_says_which_aims_are_missed() -> None:
    """Each cell has a line, and the last line counts those that reach every aim."""
    text = table_of(cells_of([found(OURS, 110), found("a", 100)]))
    assert "missed: 1.2 times (a)" in text
    assert text.endswith("0 of 1 cells reach every aim.")
