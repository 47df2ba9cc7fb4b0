"""Tests of the public functions with arguments of odd types: each is refused by name, and nothing begins."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import purgeengine
from purgeengine.errors import UsageProblem

ODD: list[Any] = [7, {}, "x", b"x", ["x"]]


@pytest.mark.parametrize("given", [None, *ODD])
def test_only_a_request_is_carried_out(given: Any) -> None:
    """Neither a dict of its fields nor the name of a file is one."""
    for function in (
        purgeengine.purge,
        purgeengine.plan,
        lambda request: asyncio.run(purgeengine.purge_async(request)),
    ):
        with pytest.raises(UsageProblem, match=r"^request must be a PurgeRequest, not "):
            function(given)


@pytest.mark.parametrize("given", [0, *ODD])
@pytest.mark.parametrize("name", ["confirm", "on_progress", "stop"])
def test_callbacks_and_the_handle_are_what_they_are_called(tmp_path: Path, name: str, given: Any) -> None:
    """A callback that cannot be called would be missed when it is needed, after the ledger was made."""
    request = purgeengine.PurgeRequest(inputs="list.csv", ledger=tmp_path / "ledger", yes=True)
    with pytest.raises(UsageProblem, match=f"^{name} must be a "):
        purgeengine.purge(request, **{name: given})
    with pytest.raises(UsageProblem, match=f"^{name} must be a "):
        asyncio.run(purgeengine.purge_async(request, **{name: given}))
    assert list(tmp_path.iterdir()) == []


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
