"""Tests of the sample inputs: they read as their README says, and equal what their generator writes."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path

import pytest

from purgeengine.edges.source import LEDGER_COLUMNS, open_source
from tests.support.source_fixtures import records

SAMPLES = Path(__file__).parents[3] / "sample_inputs"


@pytest.mark.parametrize(
    ("name", "rows", "mailboxes", "extras"),
    [
        ("contacts.csv", 1_200, 40, ("displayName",)),
        ("contacts.csv.gz", 400, 20, ("displayName",)),
        ("contacts.csv.zst", 120, 10, ("displayName",)),
        ("contacts.parquet", 400, 20, ("displayName",)),
        ("powershell-utf16.csv", 150, 12, ("DisplayName",)),
        ("semicolon-bom.csv", 120, 10, ("name",)),
        ("tabs.tsv", 120, 10, ("displayName",)),
        ("folder", 200, 16, ("displayName",)),
    ],
)
def test_a_good_sample_is_all_good(name: str, rows: int, mailboxes: int, extras: tuple[str, ...]) -> None:
    """A good sample has the promised rows and mailboxes, all rows are valid, and no contact occurs twice."""
    source = open_source([SAMPLES / name])
    found = records(source)
    assert (len(found), len({r["user"] for r in found}), source.extra_columns) == (rows, mailboxes, extras)
    assert {r["reason"] for r in found} == {None}
    assert len({(r["user"], r["contact"]) for r in found}) == rows


def test_the_large_sample_is_sorted_and_skewed() -> None:
    """The large sample is sorted by user, and its largest mailbox has over 8 times the rows of the median one."""
    users = [r["user"] for r in records(open_source([SAMPLES / "contacts.csv"]))]
    counts = sorted(Counter(users).values())
    assert users == sorted(users)
    assert counts[-1] > 8 * counts[len(counts) // 2]


def test_the_bad_sample_has_one_row_of_every_kind() -> None:
    """The sample of bad rows has four valid rows and one row of each kind of fault."""
    found = records(open_source([SAMPLES / "every-bad-row.csv"]))
    reasons = Counter(r["reason"] for r in found)
    assert reasons[None] == 4
    assert len(found) == 22 - 2
    assert len(reasons) == 16
    assert [r["line"] for r in found] == [*range(2, 20), 22, 23]


def test_the_ledger_sample_is_an_input_whose_old_columns_are_kept_apart() -> None:
    """An export can be read as an input: its own columns are renamed and its neutralised cells are restored."""
    source = open_source([SAMPLES / "failed-items-ledger.csv"])
    found = records(source)
    kept = [name for name in LEDGER_COLUMNS if name not in ("row", "user", "folder", "contact")]
    assert source.extra_columns == ("origin_row", *(f"input_{name}" for name in kept), "displayName")
    assert [r["origin_row"] for r in found[:2]] == ["5", "42"]
    assert [r["in_doubt"] for r in found] == [r["input_in_doubt"] == "true" for r in found]
    assert {r["reason"] for r in found} == {None}
    assert {r["input_outcome"] for r in found} == {"refused", "exhausted", "skipped"}
    assert found[3]["displayName"] == "=SUM of all (old)"
    assert found[4]["input_message"] == "-Locked by another process."


def test_the_samples_are_what_their_generator_writes(tmp_path: Path) -> None:
    """The samples equal what their generator writes: text byte by byte, compressed and Parquet files by their rows."""
    runpy.run_path(str(SAMPLES / "make.py"))["write_all"](tmp_path)
    for path in sorted(tmp_path.rglob("*.*")):
        kept = SAMPLES / path.relative_to(tmp_path)
        if path.suffix in (".gz", ".zst", ".parquet"):
            assert records(open_source([path])) == records(open_source([kept]))
        else:
            assert path.read_bytes() == kept.read_bytes(), path.name
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 1 << 20
