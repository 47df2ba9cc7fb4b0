"""Tests of opening a ledger, and of the handle that stops a purge, with arguments of odd types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import purgeengine
from purgeengine.errors import UsageProblem
from tests.support.ledger_fixtures import a_source, open_ledger


@pytest.mark.parametrize("given", [None, 7, {}, b"ledger", "", "  ", ["ledger"]])
def test_a_ledger_is_opened_by_its_name(given: Any) -> None:
    """An empty name would be the current folder."""
    with pytest.raises(UsageProblem, match=r"^folder must be the name of a folder, not "):
        purgeengine.open_ledger(given)


def test_a_ledger_that_the_program_closed_is_not_called_damaged(tmp_path: Path) -> None:
    """Whatever is read after `close`, the error says who closed it, and does not blame the ledger. Rows cut off end quietly."""
    open_ledger(tmp_path / "L", a_source(3_000)).close()
    ledger = purgeengine.open_ledger(tmp_path / "L")
    rows = ledger.rows(batch_rows=10)
    next(rows)
    ledger.close()
    ledger.close()
    for read in (lambda: ledger.counts, lambda: ledger.failures, lambda: ledger.complete, lambda: next(ledger.rows())):
        with pytest.raises(UsageProblem, match="was read after this program had closed it"):
            read()
    del rows


@pytest.mark.parametrize("reason", [7, None, "", "  ", object(), "a reason"])
def test_a_stop_never_fails_because_of_its_reason(reason: Any) -> None:
    """Whoever stops a purge is in a hurry: the reason is only shown."""
    handle = purgeengine.StopHandle()
    handle.stop(reason)
    assert handle.reason
    with pytest.raises(purgeengine.RunStopped, match=r"before anything was sent: \S"):
        handle.check()
