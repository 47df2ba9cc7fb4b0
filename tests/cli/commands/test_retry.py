"""Tests of ``retry`` and of runs on exports: chains of ledgers against the tenant's truth, by the real command line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from purgeengine.cli.commands.retry import WORTH_RETRYING
from purgeengine.cli.options.purge_options import outcomes_named
from purgeengine.core.messages import Entry, MailboxBlocked, MailboxClosed, RunBlocked
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import AnswerFilter, Ledger, LedgerReader, LedgerRows, Selection
from purgeengine.edges.ledger.staging import stage
from purgeengine.edges.source import open_source
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import Limits
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, Ended, a_bench, rows_of
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, opened, sent, settled

DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")
MALFORMED = Reply(400, "ErrorInvalidIdMalformed", "Id is malformed.")


def retry(bench: Bench, old: str, new: str, *more: str, **environment: str) -> Ended:
    """Call ``retry`` with the tenant's addresses; the folders are below the bench's."""
    endpoint = bench.run_arguments()[4:]
    return bench.here(
        "retry", str(bench.folder / old), "--ledger", str(bench.folder / new), *endpoint, *more, **environment
    )


def contents(folder: Path) -> dict[str, str]:
    """Return a digest of every file of a ledger that holds its data."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(("-shm", "-wal")))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def by_hand(bench: Bench, name: str, write: Callable[[Ledger], None]) -> None:
    """Make a ledger of the bench's input and tenant whose entries a test writes itself."""
    source = open_source([bench.input])
    with Ledger.open(bench.folder / name, source, tenant_id=bench.server.login.app.tenant_id) as ledger:
        write(ledger)


def ending(ledger: Ledger, first: int, *fates: tuple[Outcome, Reply, bool], at_ms: int = NOW) -> None:
    """Send the rows of mailbox 0 from this position on in one batch, and settle them with these outcomes."""
    batch = ledger.next_batch_number
    positions = range(first, first + len(fates))
    ledger.write([sent(batch, (0, positions))], at_ms)
    ends: list[Entry] = [ended(batch)]
    ends += [
        settled(position, batch, outcome, in_doubt=in_doubt, reply=reply)
        for position, (outcome, reply, in_doubt) in zip(positions, fates, strict=True)
    ]
    ledger.write(ends, at_ms)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with one mailbox of six rows, all of which the tenant has."""
    rows = rows_of([6])
    with a_bench(tmp_path, a_tenant(rows), rows) as found:
        yield found


def a_mixed_ledger(ledger: Ledger) -> None:
    """Write a ledger with rows purged, absent, refused in doubt, exhausted in doubt, refused, and one skipped with its mailbox."""
    lost = Reply(0, message="The connection was reset.")
    ending(
        ledger, 0, (Outcome.PURGED, Reply(204), False), (Outcome.ABSENT, Reply(404, "ErrorItemNotFound"), False),
        (Outcome.REFUSED, MALFORMED, True), (Outcome.EXHAUSTED, lost, True), (Outcome.REFUSED, DENIED, False),
    )  # fmt: skip
    ledger.write([MailboxClosed(0, DENIED, 1)], NOW)


# ------------------------------------------------------------------------------------------------------- what is retried


def test_what_did_not_end_well_is_retried_and_the_old_ledger_stays(bench: Bench) -> None:
    """A retry runs the four of six rows that did not end well, with their row numbers, and leaves the old ledger unchanged."""
    by_hand(bench, "old", a_mixed_ledger)
    before = contents(bench.folder / "old")
    again = retry(bench, "old", "new")
    assert again.code == 0, again.err
    assert again.json["outcomes"]["purged"] == again.json["rows"] == 4
    assert contents(bench.folder / "old") == before
    rows = bench.exported("new")
    assert [(row["row"], row["origin_row"], row["input_outcome"]) for row in rows] == [
        ("0", "2", "refused"), ("1", "3", "exhausted"), ("2", "4", "refused"), ("3", "5", "skipped"),
    ]  # fmt: skip
    assert bench.server.tenant.truth.remaining() == 2


def test_what_was_in_doubt_and_is_gone_was_purged(tmp_path: Path) -> None:
    """A row that the first run left in doubt and that is gone counts as purged, and any other gone row as absent."""
    rows = rows_of([6])
    with a_bench(tmp_path, a_tenant(rows, gone=6), rows) as bench:
        by_hand(bench, "old", a_mixed_ledger)
        again = retry(bench, "old", "new")
        assert again.code == 0, again.err
        outcomes = {row["origin_row"]: (row["outcome"], row["status"]) for row in bench.exported("new")}
        assert outcomes == {
            "2": ("purged", "404"), "3": ("purged", "404"), "4": ("absent", "404"), "5": ("absent", "404"),
        }  # fmt: skip
        out = bench.folder / "failed.csv"
        assert bench.here("export", str(bench.folder / "old"), str(out), "--only", "refused,exhausted").code == 0
        arguments = bench.run_arguments()
        arguments[1], arguments[3] = str(out), str(bench.folder / "other")
        assert bench.here(*arguments).code == 0
        assert [row["outcome"] for row in bench.exported("other")] == ["purged", "purged", "absent"]


@pytest.mark.parametrize(
    ("only", "codes", "origins"),
    [
        ("exhausted", None, [3]),
        (None, "erroraccessdenied", [4, 5]),
        (None, "400", [2]),
        ("refused,skipped", "4xx", [2, 4, 5]),
        (None, "none,ErrorInvalidIdMalformed", [2, 3]),
        ("purged,absent", None, [0, 1]),
        ("purged", "5xx", []),
    ],
)
def test_rows_are_chosen_by_outcome_and_by_what_they_were_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only: str | None, codes: str | None, origins: list[int]
) -> None:
    """Rows are selected by outcome and by their answer, and the count agrees with the rows read."""
    monkeypatch.setattr(stage, "INPUT_GROUP_ROWS", 1)  # row numbers continue over row groups
    with open_ledger(tmp_path / "old", a_source(6)) as ledger:
        a_mixed_ledger(ledger)
    outcomes = outcomes_named(only) if only else WORTH_RETRYING
    selection = Selection(outcomes, AnswerFilter.parse(codes) if codes else None)
    with LedgerReader.open(tmp_path / "old") as reader:
        rows = [row for batch in LedgerRows(reader, selection, Limits()).batches() for row in batch.to_pylist()]
        assert reader.selected(selection).total() == len(origins)
    assert [int(row["origin_row"]) for row in rows] == [row["line"] for row in rows] == origins
    assert [row["row"] for row in rows] == list(range(len(origins)))


def test_dry_run_counts_and_sends_nothing(bench: Bench) -> None:
    """A dry run of a retry counts the rows without credentials, and makes no ledger."""
    by_hand(bench, "old", a_mixed_ledger)
    command = ("retry", str(bench.folder / "old"), "--ledger", str(bench.folder / "new"), "--dry-run")
    told = bench.here(*command, "--codes", "403", AZURE_CLIENT_SECRET="")
    assert told.code == 0, told.err
    assert told.out.startswith("2 rows of 6 would be retried.\n  refused  1\n  skipped  1\nDry run: nothing is sent")
    assert "to purge    2" in told.out
    assert not (bench.folder / "new").exists()


def test_dry_run_heeds_the_filters_and_what_would_be_refused(bench: Bench) -> None:
    """A dry run leaves out the rows that a user list excludes, and reports a threshold that the run would refuse."""
    by_hand(bench, "old", a_mixed_ledger)
    everybody = bench.folder / "everybody.txt"
    everybody.write_text("*@contoso.example\n")
    told = retry(bench, "old", "new", "--dry-run", "--exclude-users", str(everybody))
    assert (told.json["rows"], told.json["to_purge"]) == (4, 0)
    assert [left["rows"] for left in told.json["left_out"]] == [4]
    refused = retry(bench, "old", "new", "--dry-run", "--max-items", "3")
    assert (refused.code, refused.json["to_purge"]) == (2, 4)
    assert "--max-items" in refused.json["error"]["message"]
    assert not (bench.folder / "new").exists()


def test_the_same_retry_again_resumes_and_another_one_is_refused(bench: Bench) -> None:
    """A retry that a threshold stopped is resumed by the same command; other options on its ledger are refused."""
    by_hand(bench, "old", a_mixed_ledger)
    assert retry(bench, "old", "new", "--max-items", "3").code == 2
    assert retry(bench, "old", "new").code == 0
    again = retry(bench, "old", "new")
    assert (again.code, again.json["calls"], again.json["outcomes"]["purged"]) == (0, 0, 4)
    other = retry(bench, "old", "new", "--only", "refused")
    assert other.code == 2
    assert "another input" in other.err


# --------------------------------------------------------------------------------------------------------- what is refused


def test_a_folder_for_itself_is_refused(bench: Bench) -> None:
    """A retry into the old ledger, a folder inside it or another job's ledger is refused."""
    by_hand(bench, "old", a_mixed_ledger)
    open_ledger(bench.folder / "strange", a_source(2)).close()
    for name, said in (("old", "of its own"), ("old/inside", "inside the folder"), ("strange", "tenant")):
        refused = retry(bench, "old", name)
        assert refused.code == 2, name
        assert said in refused.err
    assert bench.server.tenant.counters.calls == 0


def test_an_unfinished_ledger_is_to_be_resumed_first(bench: Bench) -> None:
    """A retry of an unfinished ledger is refused.

    With --unfinished it takes the finished rows, unless another process uses the ledger.
    """
    by_hand(bench, "old", lambda ledger: ending(ledger, 0, (Outcome.REFUSED, DENIED, False)))
    refused = retry(bench, "old", "new")
    assert refused.code == 2
    assert "5 rows of it have no outcome yet" in refused.err
    with Ledger.open(bench.folder / "old", None):
        busy = retry(bench, "old", "new", "--unfinished")
        assert busy.code == 5
        assert "in use" in busy.err
    asked = retry(bench, "old", "new", "--unfinished")
    assert (asked.code, asked.json["rows"]) == (0, 1), asked.err


def test_nothing_to_retry_is_well_only_where_all_ended_well(bench: Bench) -> None:
    """A retry without rows ends with exit code 0 after a good run, and with 2 if the selection fits none of the failed rows."""
    assert bench.run_here().code == 0
    nothing = retry(bench, "ledger", "new")
    assert (nothing.code, nothing.json["rows"], nothing.json["exit_code"]) == (0, 0, 0)
    assert "nothing to retry" in nothing.err
    by_hand(bench, "old", a_mixed_ledger)
    wrong = retry(bench, "old", "new", "--codes", "ErrorQuotaExceeded")
    assert wrong.code == 2
    assert "2 × 403 ErrorAccessDenied" in wrong.err
    assert not (bench.folder / "new").exists()


def test_another_tenant_is_refused(bench: Bench) -> None:
    """A retry in another tenant is refused, and nothing is sent."""
    with open_ledger(bench.folder / "old", a_source(6)) as ledger:
        a_mixed_ledger(ledger)
    refused = retry(bench, "old", "new")
    assert (refused.code, bench.server.tenant.counters.calls) == (2, 0)
    assert (
        f"The ledger in {bench.folder / 'old'}, from which the rows are, belongs to the tenant contoso, not "
        f"{bench.server.login.app.tenant_id}. Nothing was sent. A retry needs the same.\n"
    ) in refused.err
    assert retry(bench, "old", "newer").code == 2


@pytest.mark.parametrize("text", ["", "403,", "x" * 101])
def test_codes_must_be_words(text: str) -> None:
    """A list of codes with an empty or too long word is refused with a sentence that shows the form."""
    with pytest.raises(UsageProblem, match="ErrorAccessDenied,429,5xx"):
        AnswerFilter.parse(text)


@pytest.mark.parametrize("arguments", [["--only", "gone"], ["--codes", ""]])
def test_wrong_usage_is_told_before_anything(bench: Bench, arguments: list[str]) -> None:
    """Wrong options of a retry end with exit code 2 and without a traceback."""
    refused = retry(bench, "old", "new", *arguments)
    assert refused.code == 2
    assert "Traceback" not in refused.err


# ------------------------------------------------------------------------------------------------- what the service counts


def test_waits_and_recent_requests_hold_for_the_retry(tmp_path: Path) -> None:
    """Waits of the mailbox and the app and the recent requests hold in a retry and in a retry of it."""
    with open_ledger(tmp_path / "a", a_source(3)) as ledger:
        ending(ledger, 0, *[(Outcome.REFUSED, DENIED, False)] * 3)
        ledger.write([MailboxBlocked(0, 90.0), RunBlocked(30.0)], NOW)
    for old, new in (("a", "b"), ("b", "c")):
        retried(tmp_path / old, tmp_path / new)
        with Ledger.open(tmp_path / new, None) as ledger:
            (mailbox,) = opened(ledger, NOW + 10_000)
            assert mailbox.blocked_for_s == 80.0
            assert ledger.run_blocked_for_s(NOW + 10_000) == 20.0
            assert mailbox.recent == ((10.0, 3),) if new == "b" else ((10.0, 3), (5.0, 3))
            ending(ledger, 0, *[(Outcome.REFUSED, DENIED, False)] * 3, at_ms=NOW + 5_000)


def test_a_batch_that_was_lost_with_the_old_run_holds_its_slots_in_the_retry(tmp_path: Path) -> None:
    """A batch that was lost with the old run holds slots of its mailbox in the retry, even if the retried rows are others."""
    with open_ledger(tmp_path / "a", a_source(3)) as ledger:
        ending(ledger, 0, (Outcome.REFUSED, DENIED, False))
        ledger.write([sent(2, (0, [1, 2]))], NOW + 1_000)
    retried(tmp_path / "a", tmp_path / "b", NOW + 2_000)
    with Ledger.open(tmp_path / "b", None) as ledger:
        (mailbox,) = opened(ledger, NOW + 2_000)
        assert (mailbox.blocked_for_s, mailbox.lost_slots) == (0.0, ((39.0, 2),))
        assert mailbox.recent == ((2.0, 1), (-39.0, 2))


@pytest.mark.parametrize(("lanes", "cooldown_s"), [(True, 14.0), (False, 7.0)])
def test_a_lost_call_may_have_been_a_lane_where_lanes_are_in_use(
    tmp_path: Path, lanes: bool, cooldown_s: float
) -> None:
    """A lost call holds its slots for the cooldown of a lane if lanes are in use, because no record says which kind it was."""
    with open_ledger(tmp_path / "a", a_source(6)) as ledger:
        for row in range(4):
            ledger.write([sent(row + 1, (0, [row]))], NOW)
            ledger.write([ended(row + 1), settled(row, row + 1, Outcome.REFUSED)], NOW + 1_000)
        ledger.write([sent(5, (0, [4]))], NOW + 2_000)
    retried(tmp_path / "a", tmp_path / "b", NOW + 2_000, lanes=lanes)
    with Ledger.open(tmp_path / "b", None) as ledger:
        assert opened(ledger, NOW + 2_000)[0].lost_slots == ((cooldown_s, 1),)


def retried(old: Path, new: Path, now_ms: int = NOW + 6_000, *, lanes: bool = True) -> None:
    """Stage the refused rows of ``old`` in ``new``, at that time."""
    with LedgerReader.open(old) as reader:
        rows = LedgerRows(reader, Selection(frozenset([Outcome.REFUSED])), Limits(lanes=lanes), lambda: now_ms / 1000)
        open_ledger(new, rows).close()  # type: ignore[arg-type]


def test_rows_of_no_use_are_retried_when_they_are_named(tmp_path: Path) -> None:
    """Purged and invalid rows can be retried if they are named: they become absent and invalid again, and both are announced."""
    rows = [*rows_of([2]), ("nobody", "", "x")]
    with a_bench(tmp_path, a_tenant(rows[:2]), rows) as bench:
        assert bench.run_here().code == 1
        again = retry(bench, "ledger", "new", "--only", "purged,invalid")
        assert again.code == 1, again.err
        assert (again.json["outcomes"]["absent"], again.json["outcomes"]["invalid"]) == (2, 1)
        assert "1 row will be invalid again" in again.err
        assert "2 contacts should be gone already" in again.err
        assert "neither a user principal name" in bench.exported("new")[2]["message"]


def test_the_digest_of_a_ledgers_rows_needs_no_open_ledger(tmp_path: Path) -> None:
    """The digest of a ledger's rows can be computed after the ledger was closed.

    It is asked for in a thread, while a refused retry may close it.
    """
    open_ledger(tmp_path / "a", a_source(3)).close()
    with LedgerReader.open(tmp_path / "a") as reader:
        rows = LedgerRows(reader, Selection(frozenset([Outcome.REFUSED])), Limits())
        digest = rows.digest()
        assert rows.identity == reader.identity
    assert rows.digest() == digest
