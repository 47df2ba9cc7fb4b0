"""The blocks of docs/api.md run as they stand, against the simulated tenant over real HTTP and TLS.

Not the real thing: `airflow.sdk`, `azure.functions` and `azure.identity` are small stand-ins, installed or not, because the tests
need no scheduler and no Azure. They have the names and the shapes that the blocks use. The folder ``/data`` is one of the test's,
and a request is pointed at the simulated tenant.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import purgeengine
from purgeengine.edges.login import tokens_from_environment
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.sim.server.http_server import SimulatedTenant
from purgeengine.sim.wire.answers import Trouble
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.identity_fixtures import NONE_SET

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = {
    section.partition("\n")[0]: block.group(1)
    for section in PAGE.split("\n## ")
    if (block := re.search(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
}
LINES_MAX = 20
"""Ten lines or so of code each, and what the platform wants around them."""


class StandInCredential:
    """As a credential of azure-identity: a token of the simulated login, with its expiry."""

    issue: Callable[[], str]

    def get_token(self, *scopes: str, claims: str | None = None) -> Any:
        """A fresh token for Graph."""
        assert [scope.endswith("/.default") for scope in scopes] == [True]
        return type("AccessToken", (), {"token": type(self).issue(), "expires_on": int(time.time()) + 3_600})()


class StandInFunctionApp:
    """As ``azure.functions.FunctionApp``: remembers the function that the timer calls."""

    def timer_trigger(self, *, schedule: str, arg_name: str) -> Callable[[Any], Any]:
        """Six fields, as Azure's schedules have them."""
        assert (len(schedule.split()), arg_name) == (6, "timer")
        return lambda function: function


def module(name: str, **members: Any) -> ModuleType:
    """A module of these members."""
    made = ModuleType(name)
    made.__dict__.update(members)
    return made


def a_token(server: SimulatedTenant) -> str:
    """One of the simulated login, had as an app has it."""
    tokens = tokens_from_environment(
        {**os.environ},
        authority_url=server.authority_url,
        graph_url=server.graph_url,
        ca_file=server.ca_file,
    )
    return asyncio.run(tokens.token())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A tenant that listens, the blocks' folder, the credentials of its app, and the stand-ins."""
    rows = [*rows_of([3, 2]), ("ceo@contoso.example", "", f"AAMkAGI2{'T' * 104}=")]
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        app = bench.server.login.app
        for name in NONE_SET:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AZURE_TENANT_ID", app.tenant_id)
        monkeypatch.setenv("AZURE_CLIENT_ID", app.client_id)
        monkeypatch.setenv("AZURE_CLIENT_SECRET", app.client_secret)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "contacts.csv").write_bytes(bench.input.read_bytes())
        pq.write_table(
            pa.table({name: [row[place] for row in rows] for place, name in enumerate(("user", "folder", "contact"))}),
            tmp_path / "contacts.parquet",
        )
        server = bench.server
        here = {"graph_url": server.graph_url, "authority_url": server.authority_url, "ca_file": server.ca_file}
        monkeypatch.setattr(purgeengine, "PurgeRequest", partial(PurgeRequest, **here), raising=False)
        monkeypatch.setattr(StandInCredential, "issue", staticmethod(partial(a_token, server)), raising=False)
        for made in (
            module("airflow"),
            module("airflow.sdk", dag=lambda **how: lambda flow: flow, task=lambda **how: lambda function: function),
            module("azure"),
            module("azure.functions", FunctionApp=StandInFunctionApp, TimerRequest=object),
            module(
                "azure.identity", DefaultAzureCredential=StandInCredential, ManagedIdentityCredential=StandInCredential
            ),
        ):
            monkeypatch.setitem(sys.modules, made.__name__, made)
        sys.modules["azure"].functions = sys.modules["azure.functions"]  # type: ignore[attr-defined]
        yield bench


def played(heading: str, folder: Path, **names: Any) -> dict[str, Any]:
    """The block under this heading, run from its first line to its last; it may await at its top level, as a cell does."""
    text = BLOCKS[heading].replace("/data", folder.as_posix())
    code = compile(text, f"docs/api.md: {heading}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    space: dict[str, Any] = {"__name__": "block", **names}
    awaited = eval(code, space)
    if awaited is not None:
        asyncio.run(awaited)
    return space


def test_the_page_has_a_short_block_for_each_place() -> None:
    """Ten lines or so of code: what is longer belongs into a function of the package."""
    assert {"Notebook", "Airflow", "Azure Functions", "Azure Automation", "Retry failed rows", "Read a ledger"} == set(
        BLOCKS
    )
    for heading, block in BLOCKS.items():
        assert len([line for line in block.splitlines() if line.strip()]) <= LINES_MAX, heading


def test_a_notebook_purges_what_was_confirmed(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The number is typed, all rows but those of the excluded user are purged, and the progress is told."""
    asked: list[str] = []
    space = played("Notebook", tmp_path, input=lambda text: asked.append(text) or "5")
    assert asked == ["Purge 5 contacts? Type the number: "]
    assert space["summary"].outcomes["purged"] == 5
    assert bench.server.tenant.counters.purged == 5
    told = capsys.readouterr().out
    assert "5 rows in 2 mailboxes" in told
    assert "0 left" in told


def test_a_notebook_that_is_answered_otherwise_purges_nothing(bench: Bench, tmp_path: Path) -> None:
    """Another number: nothing was sent."""
    with pytest.raises(purgeengine.RunStopped, match="not confirmed"):
        played("Notebook", tmp_path, input=lambda text: "6")
    assert bench.server.tenant.counters.calls == 0


def test_a_task_of_airflow_purges_the_list(bench: Bench, tmp_path: Path) -> None:
    """The flow runs its task, which answers the outcomes; tried again, it has nothing left to do."""
    space = played("Airflow", tmp_path)
    assert bench.server.tenant.counters.purged == 6
    calls = bench.server.tenant.counters.calls
    assert "'purged'>: 6" in space["purge_contacts"]()
    assert bench.server.tenant.counters.calls == calls


def test_a_function_of_azure_purges_at_each_tick(bench: Bench, tmp_path: Path) -> None:
    """By a credential; the next tick finds nothing left."""
    space = played("Azure Functions", tmp_path)
    assert bench.server.tenant.counters.calls == 0
    for _ in range(2):
        space["cleanup"](None)
        assert bench.server.tenant.counters.purged == 6


def test_a_runbook_ends_with_the_exit_code(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the machine's identity, with what failed printed; 1 where a row did not end well."""
    bench.server.tenant.truth.mailbox("ceo@contoso.example").trouble = Trouble.DENIED
    with pytest.raises(SystemExit) as ended:
        played("Azure Automation", tmp_path)
    assert (ended.value.code, bench.server.tenant.counters.purged) == (1, 5)
    assert "1 403 ErrorAccessDenied" in capsys.readouterr().out


def test_failed_rows_are_retried(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mailbox that denied access is open now: its row is purged, in a ledger of its own. Again, nothing is sent."""
    mailbox = bench.server.tenant.truth.mailbox("ceo@contoso.example")
    mailbox.trouble = Trouble.DENIED
    purgeengine.purge(purgeengine.PurgeRequest(inputs="contacts.csv", ledger="cleanup", yes=True))
    mailbox.trouble = None
    space = played("Retry failed rows", tmp_path)
    assert (space["summary"].exit_code, bench.server.tenant.counters.purged) == (0, 6)
    told = capsys.readouterr().out
    assert "1 rows would be sent again" in told
    assert "1 rows were tried again" in told
    calls = bench.server.tenant.counters.calls
    assert played("Retry failed rows", tmp_path)["summary"].complete
    assert bench.server.tenant.counters.calls == calls


def test_a_ledger_is_read(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, and the rows that did not end well."""
    bench.server.tenant.truth.mailbox("ceo@contoso.example").trouble = Trouble.DENIED
    purgeengine.purge(purgeengine.PurgeRequest(inputs="contacts.csv", ledger="cleanup", yes=True))
    played("Read a ledger", tmp_path)
    told = capsys.readouterr().out
    assert "'user': 'ceo@contoso.example'" in told
    assert "'code': 'ErrorAccessDenied'" in told
    assert os.path.isdir("cleanup")  # noqa: PTH112
