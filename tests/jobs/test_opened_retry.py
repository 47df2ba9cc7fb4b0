"""A retry as a request: the failed rows of an earlier ledger, planned and purged again, against the simulated tenant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.graph.operations import Action, IdType, deletion_by
from purgeengine.core.messages import MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import Chain, Ledger, LedgerReader
from purgeengine.errors import LedgerError, LedgerMismatch, UsageProblem
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.opened_retry import opened_retry
from purgeengine.jobs.purge_preview import plan
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.purge_steps import purge
from tests.cli.commands.test_retry import DENIED, MALFORMED, a_mixed_ledger, by_hand, contents, ending
from tests.cli.test_main import a_tenant
from tests.jobs.test_purge_steps import environment_of, request_of, stopping_at_once
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.ledger_fixtures import a_source, open_ledger


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with one mailbox of six rows, all of which the tenant has, and a ledger ``old`` of it with mixed outcomes."""
    rows = rows_of([6])
    with a_bench(tmp_path, a_tenant(rows), rows) as found:
        by_hand(found, "old", a_mixed_ledger)
        yield found


def retry_of(bench: Bench, old: str = "old", new: str = "new", **asked: Any) -> PurgeRequest:
    """A retry of a ledger of the bench, confirmed, unless something else is asked for."""
    return request_of(bench, **{"inputs": (), "retry_of": bench.folder / old, "ledger": bench.folder / new, **asked})


def origins(folder: Path) -> list[int]:
    """The rows of a retry's ledger, by their numbers in the first ledger."""
    with LedgerReader.open(folder) as reader:
        return [int(row["origin_row"]) for batch in reader.rows() for row in batch.to_pylist()]


def test_failed_rows_are_purged_and_the_chain_adds_up(bench: Bench) -> None:
    """The four rows that did not end well are purged; the old ledger stays; the chain of both tells of six rows that are gone."""
    before = contents(bench.folder / "old")
    summary = purge(retry_of(bench), environment=environment_of(bench))
    assert (summary.exit_code, summary.rows, summary.outcomes[Outcome.PURGED]) == (0, 4, 4)
    assert contents(bench.folder / "old") == before
    assert origins(bench.folder / "new") == [2, 3, 4, 5]
    with Chain.open([bench.folder / "old", bench.folder / "new"]) as chain:
        counts = chain.final().counts()
    assert {outcome: rows for outcome, rows in counts.outcomes.items() if rows} == {
        Outcome.PURGED: 5, Outcome.ABSENT: 1,
    }  # fmt: skip
    assert (counts.rows, counts.waiting, counts.in_doubt) == (6, 0, 0)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"only": {"exhausted"}}, [3]),
        ({"only": Outcome.REFUSED}, [2, 4]),
        ({"only": [Outcome.REFUSED, "Skipped"], "codes": ["4xx"]}, [2, 4, 5]),
        ({"codes": ["ErrorAccessDenied"]}, [4, 5]),
        ({"codes": [400]}, [2]),
        ({"codes": "none"}, [3]),
    ],
)
def test_rows_are_chosen_by_outcome_and_by_answer(bench: Bench, asked: dict[str, Any], found: list[int]) -> None:
    """Outcomes and codes may be texts, members, numbers, a list, a set or one alone."""
    assert purge(retry_of(bench, **asked), environment=environment_of(bench)).rows == len(found)
    assert origins(bench.folder / "new") == found


def test_a_plan_sends_nothing_and_makes_nothing(bench: Bench) -> None:
    """It counts the chosen rows without credentials, and needs no folder; what the request forbids is told."""
    preview = plan(retry_of(bench, codes=["403"], ledger=None))
    assert (preview.rows, preview.to_purge, preview.mailboxes_to_purge, preview.refused) == (2, 2, 1, None)
    refused = plan(retry_of(bench, max_items=3)).refused
    assert refused is not None
    assert "max_items" in refused
    assert not (bench.folder / "new").exists()
    assert (bench.server.tenant.counters.calls, bench.server.login.issued) == (0, 0)


def test_the_same_request_resumes_and_another_choice_is_refused(bench: Bench) -> None:
    """A retry refused for its size leaves no ledger. A stopped one is resumed by the same request, with doubt, or by its ledger."""
    environment = environment_of(bench)
    with pytest.raises(UsageProblem, match="max_items"):
        purge(retry_of(bench, max_items=3), environment=environment)
    assert not (bench.folder / "new").exists()
    assert purge(retry_of(bench), Callbacks(stopping=stopping_at_once), environment=environment).settled_now == 0
    assert plan(retry_of(bench)).to_purge == 4
    with LedgerReader.open(bench.folder / "new") as reader:
        assert (reader.counts().waiting, reader.counts().in_doubt) == (2, 2)
    assert purge(retry_of(bench), environment=environment).settled_now == 4
    calls = bench.server.tenant.counters.calls
    for again in (retry_of(bench), retry_of(bench, retry_of=None)):
        summary = purge(again, environment=environment)
        assert (summary.complete, summary.rows, summary.settled_now) == (True, 4, 0)
    assert bench.server.tenant.counters.calls == calls
    with pytest.raises(LedgerMismatch, match="another input"):
        purge(retry_of(bench, only=["refused"]), environment=environment)


def test_nothing_to_retry_makes_no_ledger(bench: Bench) -> None:
    """After a run that ended well the summary is empty, the plan too, and nobody is asked or signs in."""
    environment = environment_of(bench)
    assert purge(request_of(bench), environment=environment).exit_code == 0
    issued, calls = bench.server.login.issued, bench.server.tenant.counters.calls
    asked: list[object] = []
    request = retry_of(bench, bench.ledger.name, yes=False)
    summary = purge(request, Callbacks(confirm=lambda preview: bool(asked.append(preview))), environment=environment)
    assert (summary.rows, summary.complete, summary.exit_code, summary.stopped) == (0, True, 0, None)
    assert summary.ledger == str(bench.folder / "new")
    assert (plan(request).rows, asked) == (0, [])
    assert (bench.server.login.issued, bench.server.tenant.counters.calls) == (issued, calls)
    assert not (bench.folder / "new").exists()


@pytest.mark.parametrize("job", [plan, purge])
def test_a_choice_that_fits_no_failed_row_is_refused(bench: Bench, job: Any) -> None:
    """The sentence names what was asked for and what there is, with the request's own fields."""
    with pytest.raises(UsageProblem) as refused:
        job(retry_of(bench, only=["exhausted"], codes=["ErrorQuotaExceeded"]))
    assert f"No row of the ledger in {bench.folder / 'old'} is exhausted and was told ErrorQuotaExceeded." in str(
        refused.value
    )
    assert "2 × 403 ErrorAccessDenied" in str(refused.value)
    assert not (bench.folder / "new").exists()


@pytest.mark.parametrize("job", [plan, purge])
def test_an_unfinished_ledger_is_refused(bench: Bench, job: Any) -> None:
    """The sentence names the field that allows it. Nothing is sent or made."""
    by_hand(bench, "half", lambda ledger: ending(ledger, 0, (Outcome.REFUSED, DENIED, False)))
    with pytest.raises(UsageProblem, match=r"5 rows of it have no outcome yet.*add unfinished=True to retry"):
        job(retry_of(bench, "half"))
    assert not (bench.folder / "new").exists()
    assert bench.server.tenant.counters.calls == 0


def test_an_unfinished_ledger_is_locked_meanwhile(bench: Bench) -> None:
    """With ``unfinished`` its finished rows are retried, unless it is in use; nobody can resume it before the retry has ended."""
    environment = environment_of(bench)
    by_hand(bench, "half", lambda ledger: ending(ledger, 0, (Outcome.REFUSED, DENIED, False)))
    request = retry_of(bench, "half", unfinished=True, yes=False)
    with Ledger.open(bench.folder / "half", None), pytest.raises(LedgerError, match="in use"):
        purge(replace(request, yes=True), environment=environment)
    busy: list[str] = []

    def confirm(preview: object) -> bool:
        with pytest.raises(LedgerError, match="in use") as refused:
            Ledger.open(bench.folder / "half", None)
        busy.append(str(refused.value))
        return True

    assert purge(request, Callbacks(confirm=confirm), environment=environment).outcomes[Outcome.PURGED] == 1
    assert len(busy) == 1
    Ledger.open(bench.folder / "half", None).close()


def test_a_folder_of_its_own_is_needed(bench: Bench) -> None:
    """Neither the old ledger nor a folder inside it will do, nor a name that no folder can have."""
    for new, said in (
        ("old", "is the folder of the earlier ledger"),
        ("old/inside", "is inside the folder.*Name another folder with ledger"),
    ):
        with pytest.raises(UsageProblem, match=said):
            purge(retry_of(bench, new=new))
    with pytest.raises(UsageProblem, match="must be the name of a folder"):
        purge(retry_of(bench, ledger="a\0b"))
    with pytest.raises(LedgerError, match="no ledger"):
        purge(retry_of(bench, "nowhere"))
    with pytest.raises(UsageProblem, match="Name a folder for the ledger"):
        purge(retry_of(bench, ledger=None))


def test_only_invalid_rows_are_refused(tmp_path: Path) -> None:
    """They would be invalid again; invalid rows beside others are retried, and are invalid again."""
    rows = [*rows_of([1]), ("nobody", "", "x")]
    with a_bench(tmp_path, a_tenant(rows[:1]), rows) as bench:
        environment = environment_of(bench)
        assert purge(request_of(bench), environment=environment).exit_code == 1
        with pytest.raises(UsageProblem, match="find the row invalid again"):
            purge(retry_of(bench, bench.ledger.name, only=["invalid"]), environment=environment)
        both = purge(retry_of(bench, bench.ledger.name, only=["invalid", "purged"]), environment=environment)
        assert (both.outcomes[Outcome.INVALID], both.outcomes[Outcome.ABSENT]) == (1, 1)


def test_the_deletion_is_that_of_the_earlier_ledger(bench: Bench) -> None:
    """Action and type of ids are taken over where the request names none; others are refused before anything is sent."""

    def all_refused(ledger: Ledger) -> None:
        ending(ledger, 0, *[(Outcome.REFUSED, MALFORMED, False)] * 2)
        ledger.write([MailboxClosed(0, Reply(403, "ErrorAccessDenied", "Denied."), 1)], 0)

    deletion = deletion_by(Action.DELETE, IdType.IMMUTABLE)
    source, tenant_id = a_source(3), bench.server.login.app.tenant_id
    with Ledger.open(bench.folder / "moved", source, tenant_id=tenant_id, deletion=deletion) as ledger:  # type: ignore[arg-type]
        all_refused(ledger)
    with opened_retry(retry_of(bench, "moved")) as retry:
        assert retry.request.deletion() == deletion
    assert plan(retry_of(bench, "moved")).deletion == deletion
    with pytest.raises(LedgerMismatch):
        purge(retry_of(bench, "moved", action="permanentDelete"), environment=environment_of(bench))
    assert bench.server.tenant.counters.calls == 0


def test_another_tenant_is_refused(bench: Bench) -> None:
    """Rows of one tenant are not sent to another."""
    with open_ledger(bench.folder / "strange", a_source(6)) as ledger:
        a_mixed_ledger(ledger)
    with pytest.raises(LedgerMismatch, match="belongs to the tenant contoso"):
        purge(retry_of(bench, "strange"), environment=environment_of(bench))
    assert bench.server.tenant.counters.calls == 0
