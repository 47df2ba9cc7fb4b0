"""The steps from a request to a summary, in their order, against the simulated tenant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from purgeengine.errors import InputError, LedgerError, RunStopped, TokenError, UsageProblem
from purgeengine.jobs.callbacks import Callbacks, StopHandle
from purgeengine.jobs.purge_preview import PurgePreview, plan
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.purge_steps import purge
from purgeengine.jobs.summary import Summary
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.ledger_fixtures import a_source, open_ledger


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Three mailboxes with 6, 3 and 1 contacts."""
    rows = rows_of([6, 3, 1])
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        yield bench


def request_of(bench: Bench, **asked: Any) -> PurgeRequest:
    """A purge of the bench's input, confirmed, unless something else is asked for."""
    server = bench.server
    where = {"graph_url": server.graph_url, "authority_url": server.authority_url, "ca_file": server.ca_file}
    return PurgeRequest(**{"inputs": bench.input, "ledger": bench.ledger, "yes": True, **where, **asked})


def environment_of(bench: Bench) -> dict[str, str]:
    """The credentials of the tenant's app."""
    app = bench.server.login.app
    return {
        "AZURE_TENANT_ID": app.tenant_id,
        "AZURE_CLIENT_ID": app.client_id,
        "AZURE_CLIENT_SECRET": app.client_secret,
    }


@contextmanager
def stopping_at_once(stop: Any, leave: Any) -> Iterator[None]:
    """Stop a run before its first batch."""
    stop("enough")
    yield


def stopped_at_once(bench: Bench, **asked: Any) -> Summary:
    """Make a ledger from which nothing was sent, as a run leaves it that is stopped when it begins."""
    return purge(request_of(bench, **asked), Callbacks(stopping=stopping_at_once), environment=environment_of(bench))


def test_callbacks_are_called_in_the_order_of_the_steps(bench: Bench) -> None:
    """Reading, what was read, the question, the run, its outcome; sign-in comes before the ledger is made."""
    seen: list[str] = []

    @contextmanager
    def signing_in() -> Iterator[None]:
        assert not bench.ledger.exists()
        seen.append("signing in")
        yield

    def confirm(preview: PurgePreview) -> bool:
        seen.append(f"confirm {preview.to_purge} in {preview.mailboxes_to_purge}")
        assert bench.server.tenant.counters.purged == 0
        return True

    @contextmanager
    def stopping(stop: Any, leave: Any) -> Iterator[None]:
        seen.append("sending")
        yield

    callbacks = Callbacks(
        confirm=confirm,
        tell_reading=lambda line: seen.append(line.split(":")[0]),
        on_reading=lambda rows: seen.append(f"{rows} read"),
        signing_in=signing_in,
        stopping=stopping,
        on_outcome=lambda code: seen.append(f"outcome {code}"),
    )
    summary = purge(request_of(bench, yes=False), callbacks, environment=environment_of(bench))
    assert seen == ["signing in", "10 read", "Columns", "confirm 10 in 3", "sending", "outcome 0"]
    assert summary.reading is not None


def test_what_can_fail_without_a_token_fails_first(bench: Bench) -> None:
    """Nobody signs in, and no folder is made."""
    server = bench.server
    for asked, error, said in (
        ({"ledger": None}, UsageProblem, "folder for the ledger"),
        ({"inputs": bench.folder / "nowhere.csv"}, InputError, "does not exist"),
        ({"inputs": ()}, UsageProblem, "Name inputs to purge"),
        ({"graph_url": "https://graph.microsoft.us"}, UsageProblem, "action=delete"),
        ({"yes": False}, UsageProblem, "confirm"),
    ):
        with pytest.raises(error, match=said):
            purge(request_of(bench, **asked), environment=environment_of(bench))
    assert (server.login.issued, bench.ledger.exists()) == (0, False)
    with pytest.raises(TokenError, match="no way to sign in"):
        purge(request_of(bench), environment={})
    assert not bench.ledger.exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"max_items": 9}, "more than the 9 that max_items allows"),
        ({"max_items_per_mailbox": 5}, "the 5 that max_items_per_mailbox allows: user0000@contoso.example"),
        ({"only_users": ["ann@contoso.example"]}, "None of the users that only_users lists"),
    ],
)
def test_guard_rails_hold_and_a_plan_knows_them(bench: Bench, asked: dict[str, Any], said: str) -> None:
    """Refused by the field's name before anything is sent; a plan of the same request says the same sentence."""
    request = request_of(bench, **asked)
    with pytest.raises(UsageProblem, match=said) as refused:
        purge(request, environment=environment_of(bench))
    assert bench.server.tenant.counters.calls == 0
    assert not bench.ledger.exists()  # a run without the input would send its rows, and not know what refused them
    assert plan(request).refused == str(refused.value)


def test_a_refused_purge_leaves_an_earlier_ledger_as_it_is(bench: Bench) -> None:
    """Only a ledger that the refused purge has made is removed. The one of an earlier run is resumed later."""
    assert stopped_at_once(bench).waiting == 10
    for asked in ({"max_items": 9}, {"yes": False}):
        with pytest.raises((UsageProblem, RunStopped)):
            purge(request_of(bench, **asked), Callbacks(confirm=lambda _: False), environment=environment_of(bench))
    assert purge(request_of(bench, inputs=()), environment=environment_of(bench)).exit_code == 0


def test_a_ledger_in_use_is_refused_before_anybody_signs_in(bench: Bench) -> None:
    """Another thread or process has it. Nobody is asked to sign in for a run that cannot begin."""
    with open_ledger(bench.ledger, a_source(3)), pytest.raises(LedgerError, match="is in use by this process"):
        purge(request_of(bench), environment=environment_of(bench))
    assert bench.server.login.issued == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, TokenError("no more")])
def test_a_question_that_ends_in_an_error_leaves_no_ledger(bench: Bench, error: Any) -> None:
    """Ctrl-C at the question is no confirmation."""

    def confirm(preview: PurgePreview) -> bool:
        raise error

    excluded = {"exclude_users": ["user0000@contoso.example"], "yes": False}
    with pytest.raises((KeyboardInterrupt, TokenError)):
        purge(request_of(bench, **excluded), Callbacks(confirm=confirm), environment=environment_of(bench))
    assert (bench.ledger.exists(), bench.server.tenant.counters.purged) == (False, 0)


def test_a_stop_before_the_run_ends_the_purge_between_two_steps(bench: Bench) -> None:
    """While the input is read, and while somebody is asked: nothing is sent, and the same request goes on."""
    stop = StopHandle()
    reading = Callbacks(stop=stop, on_reading=lambda rows: stop.stop("enough"))
    with pytest.raises(RunStopped, match="enough"):
        purge(request_of(bench), reading, environment=environment_of(bench))
    again = StopHandle()

    def confirm(preview: PurgePreview) -> bool:
        again.stop("second thoughts")
        return True

    asking = Callbacks(stop=again, confirm=confirm)
    with pytest.raises(RunStopped, match="second thoughts"):
        purge(request_of(bench, yes=False), asking, environment=environment_of(bench))
    assert bench.server.tenant.counters.calls == 0
    assert purge(request_of(bench), environment=environment_of(bench)).complete


def test_a_stop_leaves_a_hanging_login_behind(bench: Bench) -> None:
    """Nobody waits for a person, or for a login that does not answer."""
    stop = StopHandle()

    class Hanging:
        def get_token(self, *scopes: str, claims: str | None = None) -> Any:
            stop.stop("the window is over")
            raise ConnectionError("nobody there")  # which would be tried again for half a minute

    request = request_of(bench, credential=Hanging())
    with pytest.raises(RunStopped, match="the window is over"):
        purge(request, Callbacks(stop=stop))
    assert not bench.ledger.exists()


def test_a_plan_asks_nobody_and_writes_nothing(bench: Bench) -> None:
    """No token, no folder; on a ledger that exists, it tells what is left of that."""
    request = request_of(bench, exclude_users=["user0000@contoso.example"], resolve_users=True)
    found = plan(request)
    assert (found.rows, found.to_purge, found.refused) == (10, 4, None)
    assert any("resolve_users" in warning for warning in found.warnings)
    assert (bench.server.login.issued, bench.ledger.exists()) == (0, False)
    purge(request_of(bench, exclude_users=["user0000@contoso.example"]), environment=environment_of(bench))
    left = plan(request_of(bench, inputs=()))
    assert (left.rows, left.to_purge) == (10, 0)
    assert any("stay left out" in warning for warning in left.warnings)
