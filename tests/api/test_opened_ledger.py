"""Tests of opening a ledger, and of the handle that stops a purge, with arguments of odd types."""

from __future__ import annotations

from typing import Any

import pytest

import purgeengine
from purgeengine.errors import UsageProblem


@pytest.mark.parametrize("given", [None, 7, {}, b"ledger", "", "  ", ["ledger"]])
def test_a_ledger_is_opened_by_its_name(given: Any) -> None:
    """An empty name would be the current folder."""
    with pytest.raises(UsageProblem, match=r"^folder must be the name of a folder, not "):
        purgeengine.open_ledger(given)


@pytest.mark.parametrize("reason", [7, None, "", "  ", object(), "a reason"])
def test_a_stop_never_fails_because_of_its_reason(reason: Any) -> None:
    """Whoever stops a purge is in a hurry: the reason is only shown."""
    handle = purgeengine.StopHandle()
    handle.stop(reason)
    assert handle.reason
    with pytest.raises(purgeengine.RunStopped, match=r"before anything was sent: \S"):
        handle.check()
