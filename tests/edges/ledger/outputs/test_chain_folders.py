"""Tests of the search for the ledgers of a chain, from the last one."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import LedgerReader, LedgerRows, Selection
from purgeengine.edges.ledger.outputs.chain_folders import folders_of_chain
from purgeengine.run_limits import Limits
from tests.cli.commands.test_retry import ending
from tests.support.ledger_fixtures import a_source, open_ledger

REFUSED = (Outcome.REFUSED, Reply(403, "ErrorAccessDenied"), False)


@pytest.fixture
def chain(tmp_path: Path) -> list[Path]:
    """Make a ledger with refused rows, its retry, and the retry of that."""
    folders = [tmp_path / name for name in ("cleanup", "cleanup-2", "another name")]
    with open_ledger(folders[0], a_source(3)) as ledger:
        ending(ledger, 0, REFUSED, REFUSED, REFUSED)
    for old, new in itertools.pairwise(folders):
        with LedgerReader.open(old) as reader:
            rows = LedgerRows(reader, Selection(frozenset({Outcome.REFUSED})), Limits())
            with open_ledger(new, rows) as ledger:  # type: ignore[arg-type]
                ending(ledger, 0, REFUSED, REFUSED, REFUSED)
    return folders


def test_the_whole_chain_is_found_from_each_of_its_ledgers(chain: list[Path]) -> None:
    """From any ledger the search leads back to the first one, and goes no further than the ledger itself."""
    for number, folder in enumerate(chain):
        assert folders_of_chain(folder) == chain[: number + 1]


def test_a_renamed_ledger_is_found_beside_the_others(chain: list[Path], tmp_path: Path) -> None:
    """A ledger that has another name now is known by its identity."""
    moved = chain[0].rename(tmp_path / "renamed")
    assert folders_of_chain(chain[2]) == [moved, *chain[1:]]


def test_another_ledger_of_the_same_name_is_not_taken(chain: list[Path]) -> None:
    """A ledger that has taken the name of the first one is not taken for it."""
    shutil.rmtree(chain[0])
    with open_ledger(chain[0], a_source(2)) as ledger:
        ending(ledger, 0, REFUSED)
    assert folders_of_chain(chain[2]) is None


def test_a_ledger_in_another_place_is_found_if_it_is_named(chain: list[Path], tmp_path: Path) -> None:
    """A ledger elsewhere is found by the folder that the retry was given, and otherwise not."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = chain[0].rename(elsewhere / "first")
    assert folders_of_chain(chain[1], moved) == [moved, chain[1]]
    assert folders_of_chain(chain[1]) is None


def test_a_folder_that_is_no_ledger_gives_nothing(tmp_path: Path) -> None:
    """A folder without a ledger gives None, and raises nothing."""
    assert folders_of_chain(tmp_path) is None
