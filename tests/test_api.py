"""The public API against the simulated tenant over real HTTP and TLS: what it purges, what it refuses, and how it is stopped."""

from __future__ import annotations

import _thread
import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import structlog

import purgeengine
from purgeengine import PurgeRequest, StopHandle
from purgeengine.core.messages import MailboxClosed
from purgeengine.core.model import Reply
from purgeengine.edges.ledger import Chain
from purgeengine.jobs.progress import Progress, ProgressDisplay
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import Trouble
from tests.cli.commands.test_retry import by_hand
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.identity_fixtures import NONE_SET
from tests.support.ledger_fixtures import NOW

SLOW = TenantSettings(latency_median_s=0.05, overhead_s=0.05, log=False)
"""Slow enough that a run is still going on when its fifth call arrives, and some of its calls are in flight."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bench], dict[str, Any]]:
    """Puts the credentials of a tenant's app into the environment, and answers the fields that point a request at it."""

    def pointed_at(bench: Bench) -> dict[str, Any]:
        server, app = bench.server, bench.server.login.app
        for name in NONE_SET:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AZURE_TENANT_ID", app.tenant_id)
        monkeypatch.setenv("AZURE_CLIENT_ID", app.client_id)
        monkeypatch.setenv("AZURE_CLIENT_SECRET", app.client_secret)
        where = {"graph_url": server.graph_url, "authority_url": server.authority_url, "ca_file": server.ca_file}
        return {**where, "ledger": bench.ledger}

    return pointed_at


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Bench]:
    """Three mailboxes with 6, 3 and 1 contacts."""
    rows = rows_of([6, 3, 1])
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        yield bench


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Bench]:
    """Sixty mailboxes with forty contacts each, in a tenant that takes its time."""
    rows = rows_of([40] * 60)
    with a_bench(tmp_path, a_tenant(rows, settings=SLOW), rows) as bench:
        yield bench


@pytest.fixture
def quick_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress every few milliseconds: a test need not wait for two seconds."""
    monkeypatch.setattr(ProgressDisplay, "every_s", 0.005)


def at_call(tenant: Tenant, number: int, do: Callable[[], object]) -> None:
    """Have something done when the tenant is called for this time, in the thread of its server."""
    begin, calls = tenant.begin, [0]

    def counted(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            do()
        return begin(*arguments, **more)

    tenant.begin = counted  # type: ignore[method-assign]


def interrupt_this_thread() -> None:
    """Send SIGINT to the main thread itself, so that it wakes up at once. Windows cannot do that."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def is_true(bench: Bench) -> None:
    """Every row of the ledger against the tenant: what is gone is gone, what is open is there, and nothing is in doubt."""
    with purgeengine.open_ledger(bench.ledger) as ledger:
        assert ledger.counts.in_doubt == 0
        for batch in ledger.rows():
            for row in batch.to_pylist():
                exists = bench.server.tenant.truth.exists(row["user"], row["contact"])
                assert exists == (row["outcome"] is None), row


def is_stopped_half_way(bench: Bench) -> None:
    """Some rows are purged and some are waiting; the ledger tells the truth about each."""
    with purgeengine.open_ledger(bench.ledger) as ledger:
        assert 0 < ledger.counts.waiting < ledger.counts.rows
    is_true(bench)


# --------------------------------------------------------------------------------------------------------- the package


def test_importing_the_package_is_light_and_every_name_is_there() -> None:
    """Nothing heavy is imported before it is used; a name that does not exist is an AttributeError, as in any module."""
    script = (
        "import sys, purgeengine\n"
        "heavy = {'aiohttp', 'msal', 'pyarrow', 'rich', 'structlog', 'uvloop', 'click', 'sqlite3'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert all(getattr(purgeengine, name) is not None for name in purgeengine.__all__)\n"
        "assert set(purgeengine.__all__) <= set(dir(purgeengine))\n"
        "assert not hasattr(purgeengine, 'nothing')\n"
        "assert not {'click', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_package_says_that_it_is_typed() -> None:
    """The marker lies in the package, whose folder is packed whole."""
    package = Path(purgeengine.__file__).parent
    assert (package / "py.typed").is_file()
    assert 'packages = ["purgeengine"]' in (package.parent / "pyproject.toml").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------- purging


def test_rows_are_purged_and_the_same_request_resumes(
    small: Bench, environment: Callable[[Bench], dict[str, Any]]
) -> None:
    """From a list of rows: planned, purged, counted and read back; again, nothing is sent; other rows are refused."""
    rows = [(user, folder or None, contact) for user, folder, contact in rows_of([6, 3, 1])]
    request = PurgeRequest(inputs=rows, yes=True, **environment(small))
    preview = purgeengine.plan(request)
    assert (preview.rows, preview.to_purge, preview.mailboxes_to_purge, preview.refused) == (10, 10, 3, None)
    assert small.server.tenant.counters.calls == 0
    summary = purgeengine.purge(request)
    assert (summary.exit_code, summary.complete, summary.outcomes["purged"]) == (0, True, 10)
    is_true(small)
    calls = small.server.tenant.counters.calls
    assert purgeengine.purge(request).complete
    assert small.server.tenant.counters.calls == calls
    others = PurgeRequest(inputs=rows[:5], yes=True, **environment(small))
    with pytest.raises(purgeengine.LedgerMismatch, match="another input \\(rows of the request\\)"):
        purgeengine.purge(others)


@pytest.mark.parametrize("kind", ["table", "generator", "file"])
def test_every_kind_of_input_is_one(small: Bench, environment: Callable[[Bench], dict[str, Any]], kind: str) -> None:
    """A Table with a column more, a generator, which is gone after the first time, and a file; the ledger alone resumes each."""
    rows = rows_of([6, 3, 1])
    table = pa.table({"upn": [r[0] for r in rows], "id": [r[2] for r in rows], "number": list(range(10))})
    inputs: Any = {"table": table, "generator": (row for row in rows), "file": small.input}[kind]
    more = environment(small)
    assert purgeengine.purge(PurgeRequest(inputs=inputs, yes=True, **more)).outcomes["purged"] == 10
    assert purgeengine.purge(PurgeRequest(yes=True, **more)).complete
    with purgeengine.open_ledger(small.ledger) as ledger:
        (batch,) = ledger.rows()
    if kind == "table":
        assert batch.column("number").to_pylist() == [str(number) for number in range(10)]


def test_nothing_is_sent_that_nobody_confirmed(small: Bench, environment: Callable[[Bench], dict[str, Any]]) -> None:
    """Neither yes nor a callback: refused before anybody signs in. A callback that says no: nothing was sent."""
    request = PurgeRequest(inputs=small.input, **environment(small))
    with pytest.raises(purgeengine.UsageProblem, match="yes=True"):
        purgeengine.purge(request)
    assert (small.server.login.issued, small.ledger.exists()) == (0, False)
    shown: list[purgeengine.PurgePreview] = []
    with pytest.raises(purgeengine.RunStopped, match="not confirmed"):
        purgeengine.purge(request, confirm=lambda preview: bool(shown.append(preview)))
    assert (shown[0].to_purge, shown[0].tenant_id) == (10, small.server.login.app.tenant_id)
    assert small.server.tenant.counters.calls == 0
    assert purgeengine.purge(request, confirm=lambda preview: preview.to_purge == 10).exit_code == 0


def test_a_running_loop_is_not_held_up(small: Bench, environment: Callable[[Bench], dict[str, Any]]) -> None:
    """There, purge names its twin, which purges while the loop goes on; its confirmation may be a coroutine."""
    request = PurgeRequest(inputs=small.input, **environment(small))
    turns: list[int] = []

    async def confirm(preview: purgeengine.PurgePreview) -> bool:
        turns.append(1)
        return True

    async def cell() -> purgeengine.Summary:
        with pytest.raises(purgeengine.UsageProblem, match="purge_async"):
            purgeengine.purge(request, confirm=lambda preview: True)
        return await purgeengine.purge_async(request, confirm=confirm)

    assert asyncio.run(cell()).outcomes["purged"] == 10
    assert turns == [1]


def test_a_coroutine_confirms_nothing_without_a_loop(
    small: Bench, environment: Callable[[Bench], dict[str, Any]]
) -> None:
    """An un-awaited coroutine is true as a value: it must never count as a yes."""

    async def confirm(preview: purgeengine.PurgePreview) -> bool:
        raise AssertionError("never runs")

    with pytest.raises(purgeengine.UsageProblem, match="purge_async"):
        purgeengine.purge(PurgeRequest(inputs=small.input, **environment(small)), confirm=confirm)
    assert small.server.tenant.counters.calls == 0


def test_progress_is_told_in_the_callers_thread(
    large: Bench, environment: Callable[[Bench], dict[str, Any]], quick_progress: None
) -> None:
    """Figures that grow and add up; no signal handler of the process is touched meanwhile."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    seen: list[Progress] = []

    def told(progress: Progress) -> None:
        assert threading.current_thread() is threading.main_thread()
        assert before == {number: signal.getsignal(number) for number in before}
        seen.append(progress)

    summary = purgeengine.purge(PurgeRequest(inputs=large.input, yes=True, **environment(large)), on_progress=told)
    assert summary.complete
    assert all(progress.left + sum(progress.settled.values()) == progress.rows == 2_400 for progress in seen)
    settled = [sum(progress.settled.values()) for progress in seen]
    assert settled == sorted(settled)
    assert (seen[-1].left, seen[-1].calls, seen[-1].left_s) == (0, summary.calls, 0.0)


# ------------------------------------------------------------------------------------------------------------ retrying


@pytest.mark.parametrize("twin", ["purge", "purge_async"])
def test_failed_rows_of_an_earlier_ledger_are_retried(
    small: Bench, environment: Callable[[Bench], dict[str, Any]], twin: str
) -> None:
    """Planned, confirmed and purged like any request, in a ledger of its own; of that one nothing is left to retry."""
    first = PurgeRequest(inputs=small.input, yes=True, auto_stop=False, **environment(small))
    mailbox = small.server.tenant.truth.mailbox("user0000@contoso.example")
    mailbox.trouble = Trouble.DENIED
    assert purgeengine.purge(first).exit_code == 1
    mailbox.trouble = None
    calls = small.server.tenant.counters.calls
    request = replace(first, inputs=(), retry_of=small.ledger, ledger=small.folder / "again", yes=False)
    preview = purgeengine.plan(request)
    assert (preview.rows, preview.to_purge, preview.mailboxes_to_purge, preview.refused) == (6, 6, 1, None)
    assert small.server.tenant.counters.calls == calls
    assert not (small.folder / "again").exists()

    def purged(request: PurgeRequest) -> purgeengine.Summary:
        if twin == "purge":
            return purgeengine.purge(request, confirm=lambda preview: preview.to_purge == 6)
        return asyncio.run(purgeengine.purge_async(request, confirm=lambda preview: preview.to_purge == 6))

    summary = purged(request)
    assert (summary.exit_code, summary.rows, summary.outcomes["purged"]) == (0, 6, 6)
    with Chain.open([small.ledger, small.folder / "again"]) as chain:
        assert chain.final().counts().outcomes["purged"] == 10
    nothing = purged(replace(request, retry_of=small.folder / "again", ledger=small.folder / "third"))
    assert (nothing.exit_code, nothing.rows, nothing.complete) == (0, 0, True)
    assert not (small.folder / "third").exists()


def test_a_stopped_retry_is_resumed(large: Bench, environment: Callable[[Bench], dict[str, Any]]) -> None:
    """Stopped while calls are in flight: the same request sends the rest, and no row of the earlier ledger is left out."""
    closed = [MailboxClosed(number, Reply(403, "ErrorAccessDenied", "Access is denied."), 40) for number in range(60)]
    by_hand(large, "earlier", lambda ledger: ledger.write(closed, NOW))
    request = PurgeRequest(retry_of=large.folder / "earlier", yes=True, **environment(large))
    stop = StopHandle()
    at_call(large.server.tenant, 5, lambda: stop.stop("the window is over"))
    assert purgeengine.purge(request, stop=stop).exit_code == 4
    is_stopped_half_way(large)
    assert purgeengine.purge(request).outcomes["purged"] == 2_400
    is_true(large)


def test_what_cannot_be_retried_is_refused_in_words_of_the_request(
    small: Bench, environment: Callable[[Bench], dict[str, Any]]
) -> None:
    """A stopped run is to be resumed first; two sources of rows are one too many; no option of the command line is named."""
    by_hand(small, "half", lambda ledger: ledger.write([MailboxClosed(0, Reply(403), 6)], NOW))
    request = PurgeRequest(retry_of=small.folder / "half", yes=True, **environment(small))
    with pytest.raises(purgeengine.UsageProblem, match="4 rows of it have no outcome yet") as refused:
        purgeengine.purge(request)
    assert "--" not in str(refused.value)
    assert small.server.login.issued == 0
    with pytest.raises(purgeengine.UsageProblem, match="inputs and retry_of both say which rows to purge"):
        replace(request, inputs=small.input)


# ------------------------------------------------------------------------------------------------------------ stopping


def test_a_cancelled_task_drains_and_the_ledger_is_true(
    large: Bench, environment: Callable[[Bench], dict[str, Any]]
) -> None:
    """Cancelled while calls are in flight: their answers are recorded, nothing is in doubt, and the same request finishes."""
    request = PurgeRequest(inputs=large.input, yes=True, **environment(large))

    async def cancelled() -> None:
        task = asyncio.ensure_future(purgeengine.purge_async(request))
        loop = asyncio.get_running_loop()
        at_call(large.server.tenant, 5, lambda: loop.call_soon_threadsafe(task.cancel))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    is_stopped_half_way(large)
    assert purgeengine.purge(request).outcomes["purged"] == 2_400
    is_true(large)


def test_a_handle_stops_the_run_and_the_summary_says_so(
    large: Bench, environment: Callable[[Bench], dict[str, Any]]
) -> None:
    """From another thread: exit code 4, the reason, and a true ledger. A handle that was used stops the next one as well."""
    request = PurgeRequest(inputs=large.input, yes=True, **environment(large))
    stop = StopHandle()
    at_call(large.server.tenant, 5, lambda: stop.stop("the window is over"))
    summary = purgeengine.purge(request, stop=stop)
    assert (summary.exit_code, summary.complete, summary.in_doubt) == (4, False, 0)
    assert "the window is over" in (summary.stopped or "")
    is_stopped_half_way(large)
    with pytest.raises(purgeengine.RunStopped, match="before anything was sent: the window is over"):
        purgeengine.purge(request, stop=stop)


def test_ctrl_c_drains_as_well(large: Bench, environment: Callable[[Bench], dict[str, Any]]) -> None:
    """What a signal raises in the caller's thread ends no call in the middle."""
    at_call(large.server.tenant, 5, interrupt_this_thread)
    with pytest.raises(KeyboardInterrupt):
        purgeengine.purge(PurgeRequest(inputs=large.input, yes=True, **environment(large)))
    is_stopped_half_way(large)


@pytest.mark.parametrize("twin", ["purge", "purge_async"])
def test_what_a_callback_raises_stops_the_run_and_is_raised(
    large: Bench, environment: Callable[[Bench], dict[str, Any]], quick_progress: None, twin: str
) -> None:
    """The run stops in order first."""
    request = PurgeRequest(inputs=large.input, yes=True, **environment(large))

    def told(progress: Progress) -> None:
        if progress.calls >= 5:
            raise ZeroDivisionError("a mistake of the caller's")

    def purged() -> object:
        if twin == "purge":
            return purgeengine.purge(request, on_progress=told)
        return asyncio.run(purgeengine.purge_async(request, on_progress=told))

    with pytest.raises(ZeroDivisionError):
        purged()
    is_stopped_half_way(large)


def test_what_confirm_raises_is_raised(small: Bench, environment: Callable[[Bench], dict[str, Any]]) -> None:
    """And nothing was sent, by neither twin."""
    request = PurgeRequest(inputs=small.input, **environment(small))

    def confirm(preview: purgeengine.PurgePreview) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        purgeengine.purge(request, confirm=confirm)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(purgeengine.purge_async(request, confirm=confirm))
    assert small.server.tenant.counters.calls == 0


def test_a_task_cancelled_while_somebody_is_asked_sends_nothing(
    small: Bench, environment: Callable[[Bench], dict[str, Any]]
) -> None:
    """The question is left open; the thread does not wait for its answer."""
    request = PurgeRequest(inputs=small.input, **environment(small))

    async def cancelled() -> None:
        asked = asyncio.Event()

        async def confirm(preview: purgeengine.PurgePreview) -> bool:
            asked.set()
            await asyncio.Event().wait()
            return True

        task = asyncio.ensure_future(purgeengine.purge_async(request, confirm=confirm))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert small.server.tenant.counters.calls == 0


# -------------------------------------------------------------------------------------------------------- credentials


def test_a_ready_token_signs_in_and_a_bad_one_is_told_by_its_field(
    small: Bench, environment: Callable[[Bench], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anything in the environment; the token stands in no text of the request."""
    from tests.test_api_docs import a_token

    where = environment(small)
    token = a_token(small.server)
    for name in NONE_SET:
        monkeypatch.delenv(name, raising=False)
    request = PurgeRequest(inputs=small.input, yes=True, access_token=token, **where)
    assert token not in repr(request)
    assert purgeengine.purge(request).outcomes["purged"] == 10
    with pytest.raises(purgeengine.TokenError, match="What access_token holds is no token"):
        purgeengine.purge(PurgeRequest(inputs=small.input, yes=True, access_token="a b", **where))
    assert all(token.encode() not in path.read_bytes() for path in small.ledger.rglob("*") if path.is_file())


def test_a_token_goes_to_https_or_this_machine_only(small: Bench) -> None:
    """Refused before anything is asked for."""
    request = PurgeRequest(
        inputs=small.input,
        ledger=small.ledger,
        yes=True,
        access_token="token",
        graph_url="http://graph.contoso.example",
    )
    with pytest.raises(purgeengine.UsageProblem, match="https"):
        purgeengine.purge(request)
    assert not small.ledger.exists()


# ------------------------------------------------------------------------------------------------------ reading a ledger


def test_a_ledger_is_read_while_a_run_is_going_on(
    large: Bench, environment: Callable[[Bench], dict[str, Any]], quick_progress: None
) -> None:
    """Each look is of one moment: its rows and its counts are those of the whole input."""
    looks: list[tuple[int, int]] = []

    def look(progress: Progress) -> None:
        with purgeengine.open_ledger(large.ledger) as ledger:
            counts = ledger.counts
            rows = sum(batch.num_rows for batch in ledger.rows())
        assert counts.rows == rows == 2_400
        looks.append((counts.waiting + counts.in_doubt, sum(counts.outcomes.values())))

    purgeengine.purge(PurgeRequest(inputs=large.input, yes=True, **environment(large)), on_progress=look)
    assert all(open_ + settled == 2_400 for open_, settled in looks)
    assert any(open_ for open_, _ in looks)
    assert looks[-1] == (0, 2_400)


def test_rows_come_in_batches_of_the_size_asked_for(
    large: Bench, environment: Callable[[Bench], dict[str, Any]]
) -> None:
    """In input order, with the columns of an export; by outcome, without an empty batch; failures are told with their counts."""
    large.server.tenant.truth.mailbox("user0003@contoso.example").trouble = Trouble.DENIED
    purgeengine.purge(PurgeRequest(inputs=large.input, yes=True, **environment(large)))
    with purgeengine.open_ledger(large.ledger) as ledger:
        batches = list(ledger.rows(batch_rows=999))
        bad = list(ledger.rows(only=["refused", purgeengine.Outcome.SKIPPED], batch_rows=39))
        assert list(ledger.rows(only=["absent"])) == []
        assert next(ledger.rows(only="refused")).num_rows == ledger.counts.outcomes["refused"]  # type: ignore[index]
        assert (ledger.failures[0].code, ledger.failures[0].count) == (
            "ErrorAccessDenied",
            ledger.counts.outcomes[purgeengine.Outcome.REFUSED],
        )
        with pytest.raises(purgeengine.UsageProblem, match="no outcome"):
            ledger.rows(only=["gone"])
        with pytest.raises(purgeengine.UsageProblem, match="batch_rows"):
            ledger.rows(batch_rows=0)
    assert [batch.num_rows for batch in batches] == [999, 999, 402]
    assert [batch.num_rows for batch in bad] == [39, 1]
    assert [row for batch in batches for row in batch.column("row").to_pylist()] == list(range(2_400))
    assert batches[0].schema.names[:5] == ["row", "user", "folder", "contact", "outcome"]
    with pytest.raises(purgeengine.LedgerError, match="no ledger"):
        purgeengine.open_ledger(large.folder / "elsewhere")


# ----------------------------------------------------------------------------------------------------------------- log


def test_the_log_goes_where_the_program_says(
    small: Bench,
    environment: Callable[[Bench], dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Into Python's logging where structlog is not set up; nothing is printed, and structlog stays as it was."""
    configured = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    try:
        with caplog.at_level(logging.INFO, logger="purgeengine"):
            purgeengine.purge(PurgeRequest(inputs=small.input, yes=True, **environment(small)))
        assert not structlog.is_configured()
    finally:
        if configured is not None:
            structlog.configure(**configured)
    events = [record.getMessage() for record in caplog.records if record.name == "purgeengine"]
    assert any("event='run.started'" in event for event in events)
    assert any("event='run.ended'" in event for event in events)
    assert capsys.readouterr() == ("", "")
