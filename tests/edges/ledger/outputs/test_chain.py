"""Tests of a chain, a ledger and its retries summed up together: the final outcome of every row of the first ledger."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pyarrow as pa
import pytest

from purgeengine.cli import main
from purgeengine.core.messages import MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.outcomes import ChainState, FoldedState, folded
from purgeengine.edges.ledger import Chain, LedgerReader, LedgerRows, Selection, export, failures_of
from purgeengine.edges.ledger.outputs import chain as chain_of_ledgers
from purgeengine.edges.ledger.outputs.chain import Final
from purgeengine.edges.ledger.store.schema import OUTCOME_CODES
from purgeengine.edges.source import open_source
from purgeengine.errors import LedgerError, LedgerMismatch, UsageProblem
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.wire.answers import Trouble
from tests.cli.commands.test_retry import DENIED, MALFORMED, by_hand, ending, retry
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import a_bench, rows_of
from tests.support.ledger_fixtures import NOW, FakeSource, a_source, open_ledger
from tests.support.ledger_fixtures import rows_of as input_rows

P, A, R, E, S, D = (
    Outcome.PURGED, Outcome.ABSENT, Outcome.REFUSED, Outcome.EXHAUSTED, Outcome.SKIPPED, Outcome.DUPLICATE,
)  # fmt: skip
GONE = Reply(404, "ErrorItemNotFound", "Not found.")
BAD = frozenset([R, E, S])


@pytest.mark.parametrize(
    ("earlier", "later", "outcome", "in_doubt", "later_holds"),
    [
        ((R, False), (P, False), P, False, True),
        ((P, False), (A, False), P, False, False),
        ((P, False), (R, False), P, False, False),
        ((E, True), (A, False), P, False, True),
        ((E, False), (A, False), A, False, True),
        ((A, False), (P, False), P, False, True),
        ((A, False), (R, False), A, False, False),
        ((A, False), (A, False), A, False, False),
        ((R, True), (E, False), E, True, True),
        ((R, False), (S, True), R, True, False),
        ((S, False), (S, False), S, False, True),
        ((S, False), (R, False), R, False, True),
        ((S, False), (D, False), S, False, False),
        ((D, False), (S, False), D, False, False),
        ((D, False), (A, False), A, False, True),
        ((R, False), (None, False), None, False, True),
        ((R, True), (None, False), None, True, True),
        ((P, False), (None, True), P, False, False),
        ((None, False), (S, False), S, False, True),
        ((None, False), (D, False), D, False, True),
        ((None, False), (S, True), S, True, True),
        ((None, True), (S, False), None, True, False),
        ((None, True), (R, False), R, True, True),
    ],
)
def test_what_holds_of_two_ledgers(
    earlier: tuple[Outcome | None, bool],
    later: tuple[Outcome | None, bool],
    outcome: Outcome | None,
    in_doubt: bool,
    later_holds: bool,
) -> None:
    """The state of a row in two ledgers folds into one state, for every case of the rules."""
    assert folded(ChainState(*earlier), ChainState(*later)) == FoldedState(ChainState(outcome, in_doubt), later_holds)


def test_the_state_of_three_does_not_depend_on_how_they_are_grouped_while_gone_stays_gone() -> None:
    """A row that any of three ledgers purged is purged, and doubt is kept until the row is purged or absent."""
    states = [ChainState(o, d) for o in (P, A, R, E, S, D, None) for d in (False, True) if not (o in (P, A) and d)]
    for first in states:
        for second in states:
            for third in states:
                end = folded(folded(first, second).state, third).state
                seen = (first, second, third)
                if any(state.outcome is P for state in seen):
                    assert end.outcome is P
                if not any(state.outcome in (P, A) for state in seen):
                    assert end.in_doubt == any(state.in_doubt for state in seen)
                if end.outcome is A:
                    assert not first.in_doubt or A is first.outcome


def test_a_row_that_no_earlier_ledger_sent_is_skipped_where_a_later_one_skipped_it(tmp_path: Path) -> None:
    """A first ledger that sent nothing, and a later one of all its rows that closed a mailbox, make a complete chain."""
    rows = [*input_rows("a", 3), *input_rows("b", 2)]
    open_ledger(tmp_path / "first", FakeSource(rows)).close()
    later = FakeSource([(*row, str(number)) for number, row in enumerate(rows)], ("origin_row",))
    with open_ledger(tmp_path / "later", later) as ledger:
        ending(ledger, 0, *[(P, Reply(204), False)] * 3)
        ledger.write([MailboxClosed(1, DENIED, 2)], NOW)
    with Chain.open([tmp_path / "first", tmp_path / "later"]) as found:
        counts = found.final().counts()
    assert (counts.waiting, counts.in_doubt, counts.outcomes[P], counts.outcomes[S]) == (0, 0, 3, 2)


# --------------------------------------------------------------------------------------------------- ledgers in a folder


@pytest.fixture
def chain(tmp_path: Path) -> list[Path]:
    """Make a chain of three ledgers: ten rows of mailbox a (positions equal row numbers) and one invalid row.

    a: 0-2 purged, 3-5 refused (5 in doubt), 6 exhausted in doubt, 7 refused, 8 and 9 skipped. b, of the seven bad rows:
    5 and 6 absent, 3 purged, 4 refused, and its mailbox closed. c, of the four left (4, 7, 8, 9): 4 purged, the others
    open.
    """
    with open_ledger(tmp_path / "a", FakeSource([*input_rows("a", 10), ("nobody", "", "x")])) as ledger:
        ending(ledger, 0, *[(P, Reply(204), False)] * 3, *[(R, DENIED, False)] * 2, (R, MALFORMED, True))
        ending(ledger, 6, (E, Reply(0), True), (R, DENIED, False))
        ledger.write([MailboxClosed(0, DENIED, 2)], NOW)
    retried(
        tmp_path / "a",
        tmp_path / "b",
        [(A, GONE, False), (A, GONE, False), (P, Reply(204), False), (R, MALFORMED, False)],
        closed=3,
    )
    retried(tmp_path / "b", tmp_path / "c", [(P, Reply(204), False)])
    return [tmp_path / name for name in "abc"]


def retried(old: Path, new: Path, fates: Sequence[tuple[Outcome, Reply, bool]], closed: int = 0) -> None:
    """Make a retry of the bad rows, of which the first ones end in these ways. Rows in doubt come first."""
    with LedgerReader.open(old) as reader, open_ledger(new, LedgerRows(reader, Selection(BAD), Limits())) as ledger:  # type: ignore[arg-type]
        ending(ledger, 0, *fates, at_ms=NOW + 1_000 * (1 + ord(new.name[0])))
        if closed:
            ledger.write([MailboxClosed(0, DENIED, closed)], NOW)


def test_the_counts_add_up_to_the_rows_of_the_first(chain: list[Path]) -> None:
    """The counts of a chain add up to the rows of the first ledger, whatever the order in which the ledgers are named."""
    for folders in (chain, chain[::-1], [chain[1], chain[0], chain[2]]):
        with Chain.open(folders) as opened:
            final = opened.final()
        counts = final.counts()
        assert {o.value: n for o, n in counts.outcomes.items() if n} == {"purged": 7, "invalid": 1}
        assert (counts.rows, counts.waiting, counts.in_doubt) == (11, 3, 0)
        assert [(share.folder.name, share.rows, share.holds.total()) for share in final.shares] == [
            ("a", 11, 4), ("b", 7, 3), ("c", 4, 1),
        ]  # fmt: skip


def test_two_of_them_tell_what_they_know(chain: list[Path]) -> None:
    """A row that was refused and later skipped stays refused. A ledger of the chain that was not named is reported."""
    with Chain.open(chain[:2]) as opened:
        final = opened.final()
        endings = failures_of(opened, final)
    assert {o.value: n for o, n in final.counts().outcomes.items() if n} == {
        "purged": 6, "refused": 2, "skipped": 2, "invalid": 1,
    }  # fmt: skip
    groups = [*endings.groups(9), *endings.groups(9, invalid=True)]
    assert [(group.told.code, group.told.invalid, dict(group.outcomes)) for group in groups] == [
        ("ErrorAccessDenied", False, {R: 1, S: 2}),
        ("ErrorInvalidIdMalformed", False, {R: 1}),
        ("", True, {Outcome.INVALID: 1}),
    ]
    assert [(m.user, m.rows) for m in endings.worst(5)] == [("a@contoso.example", 4)]
    assert {example.row for group in groups for example in group.examples} == {4, 7, 8, 9, 10}
    with Chain.open([chain[0], chain[2]]) as opened:
        assert [folder.name for folder in opened.unnamed] == ["c"]


def test_a_ledger_by_itself_is_a_chain(chain: list[Path]) -> None:
    """A single ledger is a chain with the last word on all of its rows, and progress is reported while it is read."""
    told: list[int] = []
    with Chain.open(chain[:1]) as opened:
        final = opened.final(told.append)
    assert [share.holds for share in final.shares] == [{P: 3, R: 4, E: 1, S: 2, Outcome.INVALID: 1}]
    assert (final.left_in_doubt(), told) == (2, [11])


def test_an_invalid_row_of_a_later_ledger_says_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    """An invalid row of a later ledger changes no row of an earlier one, because it was never sent.

    The rows after it count.
    """
    with open_ledger(tmp_path / "a", a_source(3)) as ledger:
        ending(ledger, 0, *[(R, DENIED, False)] * 3)
    (first, second, _) = input_rows("a", 3)
    rows = [(*first, "0"), ("nobody", "", "x", "?"), (*second, "1")]
    with open_ledger(tmp_path / "b", FakeSource(rows, ("origin_row",))) as ledger:
        ending(ledger, 0, *[(P, Reply(204), False)] * 2)
    with Chain.open([tmp_path / "a", tmp_path / "b"]) as opened:
        final = opened.final()
    assert [final.of(row).outcome for row in range(3)] == [P, P, R]
    assert [dict(share.holds) for share in final.shares] == [{R: 1}, {P: 2}]


def test_a_chain_of_exports_is_a_chain(tmp_path: Path) -> None:
    """Runs on exports form a chain, even if the rows were reordered and one of them was corrected."""
    with open_ledger(tmp_path / "a", FakeSource([*input_rows("a", 4), ("nobody", "", "a-9")])) as ledger:
        ending(ledger, 0, *[(R, DENIED, False)] * 4)

    def mended(row: dict[str, str]) -> dict[str, str]:
        return {**row, "user": row["user"].replace("nobody", "a@contoso.example")}

    edited(tmp_path / "a", tmp_path / "b", lambda rows: [mended(row) for row in reversed(rows)])
    with open_ledger(tmp_path / "b", open_source([tmp_path / "b.csv"])) as ledger:  # type: ignore[arg-type]
        ending(ledger, 0, (P, Reply(204), False), *[(R, DENIED, False)] * 3, (P, Reply(204), False), at_ms=NOW + 1)
    edited(tmp_path / "b", tmp_path / "c", lambda rows: [row for row in rows if row["outcome"] == "refused"])
    with open_ledger(tmp_path / "c", open_source([tmp_path / "c.csv"])) as ledger:  # type: ignore[arg-type]
        ending(ledger, 0, *[(P, Reply(204), False)] * 3, at_ms=NOW + 2)
    with Chain.open([tmp_path / name for name in "cba"]) as opened:
        final = opened.final()
    assert [final.of(row).outcome for row in range(5)] == [P] * 5
    assert [share.holds[P] for share in final.shares] == [0, 2, 3]


def test_a_retry_of_a_run_on_an_export_belongs_to_the_first_ledger(tmp_path: Path) -> None:
    """The retry of a run on an export belongs to the first ledger, because its rows say where they began."""
    with open_ledger(tmp_path / "a", a_source(3)) as ledger:
        ending(ledger, 0, *[(R, DENIED, False)] * 3)
    edited(tmp_path / "a", tmp_path / "b", lambda rows: rows[1:])
    with open_ledger(tmp_path / "b", open_source([tmp_path / "b.csv"])) as ledger:  # type: ignore[arg-type]
        ending(ledger, 0, (P, Reply(204), False), (R, DENIED, False), at_ms=NOW + 1)
    retried(tmp_path / "b", tmp_path / "c", [(P, Reply(204), False)])
    with Chain.open([tmp_path / name for name in "abc"]) as opened:
        final = opened.final()
        assert opened.unnamed == []
    assert [final.of(row).outcome for row in range(3)] == [R, P, P]
    with Chain.open([tmp_path / "a", tmp_path / "c"]) as opened:
        assert [folder.name for folder in opened.unnamed] == ["c"]


def edited(old: Path, new: Path, edit: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> None:
    """Export a ledger, edit the rows, and write them beside the folder of the next ledger."""
    with LedgerReader.open(old) as reader:
        export(reader, new.with_suffix(".csv"))
    with new.with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    with new.with_suffix(".csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(edit(rows))


def test_ledgers_that_do_not_belong_together_are_refused(tmp_path: Path, chain: list[Path]) -> None:
    """Ledgers that do not belong together are refused, as are a missing first ledger, a repeated one and too many."""
    open_ledger(tmp_path / "x", a_source(11)).close()
    a, x = chain[0], tmp_path / "x"
    for folders, said in (
        ([a, x], f"{a} and {x} were both made from lists of their own."),
        (chain[1:], "all of them were made from an earlier one, which is to be named too."),
        ([x, chain[1]], f"the one in {chain[1]} began with another than that in {x}."),
    ):
        with pytest.raises(LedgerMismatch) as raised:
            Chain.open(folders)
        assert str(raised.value) == f"These ledgers do not belong together: {said}"
    with pytest.raises(UsageProblem) as refused:
        Chain.open([chain[1], a, tmp_path / "b" / ".." / "a"])
    assert str(refused.value) == f"{a.resolve()} is named twice. Name each ledger once."
    with pytest.raises(UsageProblem, match=r"^201 ledgers are more than the 200 that a chain may have\.$"):
        Chain.open([tmp_path / f"none-{number}" for number in range(201)])
    with pytest.raises(LedgerError, match="no ledger"):
        Chain.open([tmp_path / f"none-{number}" for number in range(200)])


def test_rows_that_do_not_come_from_where_they_say_are_refused(tmp_path: Path, chain: list[Path]) -> None:
    """Rows that name a wrong origin are refused with the row and its ledger, even if another ledger of the chain is correct."""
    a = chain[0]
    here = input_rows("a", 3)
    elsewhere = f"says it comes from row {{}} of {a}, which is no such row"
    silent = "does not say from which row of an earlier ledger it comes"
    for name, rows, row, why in (
        ("contact", [(*here[0], "0"), (*here[1], "1"), (*here[2], "8")], 2, elsewhere.format("8")),
        ("user", [(*here[0], "0"), ("b@contoso.example", *here[1][1:], "1")], 1, elsewhere.format("1")),
        ("beyond", [(*here[0], "0"), (*here[1], "11")], 1, elsewhere.format("11")),
        ("odd", [(*here[0], "x" * 50)], 0, elsewhere.format("x" * 40)),
        ("two of one", [(*here[0], "2"), (*here[2], "2")], 1, elsewhere.format("2")),
        ("silent", [(*here[0], "0"), (*here[1], "")], 1, silent),
        ("null", [(*here[0], None)], 0, silent),
    ):
        open_ledger(tmp_path / name, FakeSource(rows, ("origin_row",))).close()
        with Chain.open([a, chain[1], tmp_path / name]) as opened, pytest.raises(LedgerMismatch) as raised:
            opened.final()
        assert str(raised.value) == (
            f"These ledgers do not belong together: row {row} of {tmp_path / name} {why}. Name the ledgers of one purge and of "
            "its retries, and no others."
        )


@pytest.mark.parametrize("offset", [0, 3])
def test_states_of_rows_are_coded_in_a_byte_each(offset: int) -> None:
    """The state of each row is coded in one byte: the outcome's code, plus 16 in doubt; 8 or 0 without an outcome."""
    outcomes = [None, *Outcome]
    batch = pa.RecordBatch.from_pydict(
        {"outcome": [outcome and outcome.value for outcome in outcomes] * 2, "in_doubt": [False] * 8 + [True] * 8},
        schema=pa.schema([("outcome", pa.string()), ("in_doubt", pa.bool_())]),
    )
    codes = [0, *(OUTCOME_CODES[outcome] for outcome in Outcome)]
    expected = [*codes, 8, *(16 + code for code in codes[1:])]
    assert list(chain_of_ledgers._coded(batch.slice(offset, 10))) == expected[offset:][:10]


@pytest.mark.parametrize(
    ("said", "row"),
    [
        ("0", 0), (" 7\t", 7), ("9", 9), ("10", None), ("007", 7), ("0" * 17 + "7", 7), ("0" * 18 + "7", None),
        ("", None), (None, None), ("-1", None), ("1.0", None), ("\u0667", None), ("\u00b2", None), ("seven", None),
    ],
)  # fmt: skip
def test_numbers_of_rows_are_read_as_spreadsheets_leave_them(said: str | None, row: int | None) -> None:
    """A row number is read with spaces around it and zeros before it; any other text is no number."""
    assert chain_of_ledgers._number(said, 10) == row


def test_contacts_are_told_apart_by_mailbox_and_id() -> None:
    """A contact is identified by its mailbox and id, in any letter case of the mailbox, and its mark is never zero."""
    assert chain_of_ledgers._mark("Ann@X.example", "c") == crc32(b"ann@x.example\nc") | 1
    assert {chain_of_ledgers._mark("ann@x.example", f"c{number}") % 2 for number in range(20)} == {1}


def test_the_states_of_a_chain_are_counted_with_their_doubts() -> None:
    """The states of a chain are counted with their doubts. A row without an outcome counts as in doubt on its own."""
    final = Final(bytearray([0, 0, 8, 1, 3, 3 + 16, 4 + 16, 16 + 7]), bytearray(8), ())
    counts = final.counts()
    assert (counts.rows, counts.waiting, counts.in_doubt) == (8, 2, 1)
    assert {outcome: rows for outcome, rows in counts.outcomes.items() if rows} == {P: 1, R: 2, E: 1, S: 1}
    assert final.left_in_doubt() == 3
    assert [final.of(row) for row in (1, 2, 4, 5)] == [
        ChainState(None),
        ChainState(None, True),
        ChainState(R),
        ChainState(R, True),
    ]


def test_ledgers_are_read_in_the_order_of_descent_and_then_of_time() -> None:
    """Ledgers are read in the order of descent and then of time, and a circle of descent is broken at the earliest ledger."""

    def ledger(name: str, parent: str | None, first_sent_ms: int) -> Any:
        about = {} if parent is None else {"parent": parent}
        return SimpleNamespace(identity=name, about=about, first_sent_ms=first_sent_ms)

    def order(*ledgers: Any) -> str:
        return "".join(ledger.identity for ledger in chain_of_ledgers._by_descent(list(ledgers)))

    assert order(ledger("c", "b", 1), ledger("b", "a", 2), ledger("d", None, 3)) == "bcd"
    assert order(ledger("c", "a", 3), ledger("b", "a", 2), ledger("d", "a", 1)) == "dbc"
    assert order(ledger("b", "c", 1), ledger("c", "b", 0)) == "cb"


def test_status_of_several_ledgers(chain: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The command ``status`` sums up a chain as text and as JSON; ledgers that do not belong together give exit code 2."""
    named = [str(folder) for folder in chain]
    assert main.run(["status", *named]) == 0
    shown = capsys.readouterr().out
    assert "11 rows over 3 ledgers, not complete" in shown
    assert f"{chain[1]}: 7 rows, of which it decides 3 (3 purged)" in shown
    assert main.run(["status", *named[:2], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["complete"], found["left_in_doubt"]) == (11, True, 0)
    assert sum(found["outcomes"].values()) == sum(ledger["rows_decided"] for ledger in found["ledgers"]) == 11
    assert main.run(["status", *named[1:]]) == 2
    assert "Traceback" not in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- against the tenant's truth


def test_three_ledgers_together_equal_the_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run, a retry and a run on an export, with a denied mailbox and lost answers, add up to what the tenant knows."""
    rows = rows_of([60, 40, 30, 20])
    faults = Faults(item_error_after=0.04, item_missing=0.02, item_throttled_before=0.04, retry_after_s_max=1)
    tenant = a_tenant(rows, gone=5, faults=faults)
    denied, missing = rows[0][0], rows[60][0]
    tenant.truth.mailbox(denied).trouble = Trouble.DENIED
    tenant.truth.mailbox(missing).trouble = Trouble.MISSING
    gone_before = {contact for _, _, contact in rows[-5:]}
    with a_bench(tmp_path, tenant, rows) as bench:
        assert bench.run_here().code == 1
        tenant.truth.mailbox(denied).trouble = None
        assert retry(bench, "ledger", "second").code == 1
        failed = bench.folder / "failed.csv"
        with LedgerReader.open(bench.folder / "second") as reader:
            export(reader, failed, [R, S])
        tenant.truth.mailbox(missing).trouble = None
        arguments = bench.run_arguments()
        arguments[1], arguments[3] = str(failed), str(bench.folder / "third")
        assert bench.here(*arguments).code == 0
        ledgers = [str(bench.folder / name) for name in ("third", "ledger", "second")]
        capsys.readouterr()
        assert main.run(["status", *ledgers, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        with Chain.open([Path(name) for name in ledgers]) as chain:
            final = chain.final()
    assert tenant.truth.remaining() == 0
    assert (found["rows"], found["complete"]) == (150, True)
    assert found["outcomes"]["purged"] + found["outcomes"]["absent"] == 150
    for number, (user, _, contact) in enumerate(rows):
        expected = A if contact in gone_before else P
        assert final.of(number).outcome is expected or (expected is A and final.of(number).outcome is P), (
            user,
            contact,
        )
    assert [ledger["rows_decided"] for ledger in found["ledgers"]] == [50, 60, 40]


def test_retries_of_a_chain_keep_the_first_row_numbers(tmp_path: Path) -> None:
    """A retry of a retry of a run on an export keeps the row numbers of the first list."""
    rows = rows_of([5])
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        by_hand(bench, "one", lambda ledger: ending(ledger, 0, *[(R, DENIED, False)] * 5))
        denied = bench.server.tenant.truth.mailbox(rows[0][0])
        denied.trouble = Trouble.DENIED
        assert retry(bench, "one", "two", "--only", "refused").code == 1
        denied.trouble = None
        assert retry(bench, "two", "three").code == 0
        assert [row["origin_row"] for row in bench.exported("three")] == ["0", "1", "2", "3", "4"]
        assert [row["contact"] for row in bench.exported("three")] == [contact for _, _, contact in rows]
