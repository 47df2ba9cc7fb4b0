"""Tests of arguments that a program may give to `purge`, `purge_async` and `plan` by mistake: none of them purges anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import purgeengine
from purgeengine import PurgeRequest
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.identity_fixtures import NONE_SET


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A list of ten rows, a tenant that has them, and an app's credentials in the environment."""
    rows = rows_of([6, 3, 1])
    with a_bench(tmp_path, a_tenant(rows), rows) as made:
        app = made.server.login.app
        for name in NONE_SET:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AZURE_TENANT_ID", app.tenant_id)
        monkeypatch.setenv("AZURE_CLIENT_ID", app.client_id)
        monkeypatch.setenv("AZURE_CLIENT_SECRET", app.client_secret)
        yield made


def request_for(bench: Bench, **more: Any) -> PurgeRequest:
    """Return a request for the bench's list and tenant."""
    return PurgeRequest(
        inputs=bench.input,
        ledger=bench.ledger,
        graph_url=bench.server.graph_url,
        authority_url=bench.server.authority_url,
        ca_file=bench.server.ca_file,
        **more,
    )


@pytest.mark.parametrize("answer", ["no", "n", "", 1, 0, None, [10]])
def test_only_true_confirms_a_purge(bench: Bench, answer: object) -> None:
    """A text such as "no" is true in Python, and confirms nothing here: the purge is refused, and nothing is sent."""
    with pytest.raises(purgeengine.UsageProblem, match="must return True or False"):
        purgeengine.purge(request_for(bench), confirm=lambda preview: answer)  # type: ignore[arg-type,return-value]
    assert bench.server.tenant.counters.calls == 0


def test_a_coroutine_confirms_by_true_only(bench: Bench) -> None:
    """An awaited answer is held to the same rule."""

    async def confirm(preview: purgeengine.PurgePreview) -> Any:
        return "no"

    with pytest.raises(purgeengine.UsageProblem, match="must return True or False"):
        asyncio.run(purgeengine.purge_async(request_for(bench), confirm=confirm))
    assert bench.server.tenant.counters.calls == 0


async def progress_nobody_awaits(progress: purgeengine.Progress) -> None:
    """Stand in for a coroutine given as ``on_progress``."""


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"confirm": "yes"}, "confirm"),
        ({"on_progress": 3}, "on_progress"),
        ({"on_progress": progress_nobody_awaits}, "on_progress"),
        ({"stop": 3}, "stop"),
    ],
)
def test_a_callback_that_cannot_be_called_is_refused_before_anything_is_sent(
    bench: Bench, more: dict[str, Any], name: str
) -> None:
    """The sentence names the argument, from both forms of the call."""
    request = request_for(bench, yes=True)
    with pytest.raises(purgeengine.UsageProblem, match=f"^{name} must be"):
        purgeengine.purge(request, **more)
    with pytest.raises(purgeengine.UsageProblem, match=f"^{name} must be"):
        asyncio.run(purgeengine.purge_async(request, **more))
    assert bench.server.tenant.counters.calls == 0


@pytest.mark.parametrize("call", [purgeengine.purge, purgeengine.plan])
def test_what_is_no_request_is_refused(call: Callable[[Any], object]) -> None:
    """The name of a file is not a request."""
    with pytest.raises(purgeengine.UsageProblem, match="must be a PurgeRequest"):
        call("contacts.csv")


class Once:
    """Rows that can be read once, without being an iterator."""

    def __init__(self, rows: list[tuple[str, None, str]]) -> None:
        self._rows = iter(rows)

    def __iter__(self) -> Iterator[tuple[str, None, str]]:
        return self._rows


@pytest.mark.parametrize("once", [iter, Once])
def test_a_plan_does_not_use_up_rows_that_can_be_read_once(once: Callable[[Any], Any]) -> None:
    """Such rows have no second time, so that the purge after the plan would find nothing."""
    rows = once([("a@contoso.example", None, "AAMkAGI2TGuLAAA=")])
    with pytest.raises(purgeengine.UsageProblem, match="inputs is an iterator"):
        purgeengine.plan(PurgeRequest(inputs=rows))
    assert list(rows)


def test_a_list_that_is_changed_later_changes_no_request() -> None:
    """The request keeps the rows that it was made with."""
    rows = [("a@contoso.example", None, "AAMkAGI2TGuLAAA=")]
    request = PurgeRequest(inputs=rows)
    rows.append(("b@contoso.example", None, "AAMkAGI2TGuLAAB="))
    assert purgeengine.plan(request).rows == 1


def test_users_that_the_environment_protects_are_never_touched(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``PURGEENGINE_PROTECTED_USERS`` holds for a program as for the command line, whatever the request says."""
    user = next(iter(rows_of([6, 3, 1])))[0]
    listed = tmp_path / "protected.txt"
    listed.write_text(user + "\n", encoding="utf-8")
    monkeypatch.setenv("PURGEENGINE_PROTECTED_USERS", str(listed))
    assert purgeengine.plan(request_for(bench)).to_purge == 4
    summary = purgeengine.purge(request_for(bench, yes=True))
    assert (summary.outcomes["purged"], summary.outcomes["skipped"]) == (4, 6)
    monkeypatch.setenv("PURGEENGINE_PROTECTED_USERS", str(tmp_path / "absent.txt"))
    with pytest.raises(purgeengine.PurgeEngineError, match=r"absent\.txt"):
        purgeengine.plan(request_for(bench))
