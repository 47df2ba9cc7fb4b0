"""Tests of contacts that were not found under their ids: the rule, the queries, and what each command says."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from purgeengine.cli.output.summary_text import absence_lines
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.absent_rows import Absence, Sought, SoughtInMailbox
from purgeengine.edges.ledger import Chain, Ledger, LedgerReader, absence_over
from purgeengine.edges.source import open_source
from tests.cli.commands.test_report import reported, text_of
from tests.cli.commands.test_retry import retry
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, sent, settled
from tests.support.ledger_fixtures import rows_of as rows_of_user

GONE = Reply(404, "ErrorItemNotFound", "The specified object was not found in the store.")
IN_PURGES = Reply(403, "ErrorCannotDeleteObject", "Object cannot be deleted.")
NOT_ONE = "Not one of the {} contacts that Graph looked for was found under its id"


@pytest.mark.parametrize(
    ("found", "not_found", "nothing"),
    [
        (0, 0, False), (0, 1, True), (0, 20, True), (1, 1, False), (1, 8, False), (1, 9, False), (1, 10, True),
        (10, 90, True), (11, 90, False), (20, 0, False),
    ],
)  # fmt: skip
def test_nothing_or_nearly_nothing(found: int, not_found: int, nothing: bool) -> None:
    """A run found nothing or nearly nothing if no contact was found, or at most a tenth while ten or more were not."""
    assert Sought(found, not_found).nothing is nothing


def test_a_mailbox_with_one_contact_that_is_gone_is_ordinary() -> None:
    """A mailbox with its only contact gone is ordinary; one with two of two gone is not."""
    assert not SoughtInMailbox("a", Sought(0, 1)).nothing
    assert SoughtInMailbox("a", Sought(0, 2)).nothing


@pytest.mark.parametrize(
    ("sought", "finished", "begins"),
    [
        (Sought(0, 1), True, "The one contact that Graph looked for was not found under its id. "),
        (Sought(0, 1_000), True, "Not one of the 1,000 contacts that Graph looked for was found under its id. "),
        (Sought(0, 20), False, "Not one of the 20 contacts that Graph looked for was found under its id so far. "),
        (Sought(1, 19), True, "Only 1 of the 20 contacts that Graph looked for was found under its id. "),
        (Sought(2, 1_998), True, "Only 2 of the 2,000 contacts that Graph looked for were found under their ids. "),
        (Sought(50, 20), True, "In 1 mailbox, nothing or nearly nothing was found under the ids of the list. "),
    ],
)
def test_the_sentence_has_its_plurals_right_and_accuses_nobody(sought: Sought, finished: bool, begins: str) -> None:
    """The sentence has correct plurals, and names an earlier run as the first possible cause."""
    absence = Absence(sought, [SoughtInMailbox("a@x", Sought(0, 20))], 1, finished)
    one = sought == Sought(0, 1)
    cause = "it. If no earlier run did, the id is wrong" if one else "them. If no earlier run did, the ids are wrong"
    assert absence.sentence.startswith(f"{begins}An earlier run may have deleted {cause}")
    these = "this contact" if one else "a few of these contacts"
    assert absence.sentence.endswith(f"Look at {these} before you take this for done.")


def test_few_mailboxes_are_named_and_the_rest_counted() -> None:
    """At most five mailboxes are named and the others counted; none is named if the sentence is about the whole run."""
    mailboxes = [SoughtInMailbox(f"u{n}@x", Sought(0, 20)) for n in range(7)]
    assert Absence(Sought(500, 140), mailboxes, 9).lines() == [
        *(f"u{n}@x: 20 not found, 0 found" for n in range(5)),
        "and 4 more mailboxes",
    ]
    assert Absence(Sought(0, 140), mailboxes, 9).lines() == []


def test_contacts_that_were_gone_after_a_lost_attempt_are_not_told_as_found() -> None:
    """A contact that Graph did not find after an attempt of ours without an answer was purged, and nobody saw it."""
    mailboxes = [SoughtInMailbox("a@x", Sought(20, 198, 20)), SoughtInMailbox("b@x", Sought(3, 198, 1))]
    assert Absence(Sought(500, 396), mailboxes, 2).lines() == [
        "a@x: 198 not found, 20 gone after a lost attempt",
        "b@x: 198 not found, 2 found, 1 gone after a lost attempt",
    ]
    assert Absence(Sought(20, 198, 20), mailboxes, 2).sentence.startswith(
        "Not one of the 218 contacts that Graph looked for was found under its id; 20 were gone after a lost attempt. "
    )


# --------------------------------------------------------------------------------------------------------- the queries

Fate = tuple[Outcome, Reply]
FATES: dict[str, Fate] = {
    "purged": (Outcome.PURGED, Reply(204)),
    "gone": (Outcome.ABSENT, GONE),
    "after lost": (Outcome.PURGED, GONE),
    "in purges": (Outcome.ABSENT, IN_PURGES),
    "refused": (Outcome.REFUSED, Reply(400, "ErrorInvalidIdMalformed")),
}


def write_fates(ledger: Ledger, fates: list[str], mailbox_of: list[int]) -> None:
    """Send each row in its own batch and settle it with its fate; rows with the fate ``waiting`` are not sent."""
    for position, fate in enumerate(fates):
        if fate == "waiting":
            continue
        outcome, reply = FATES[fate]
        batch = ledger.next_batch_number
        ledger.write([sent(batch, (mailbox_of[position], [position]))], NOW)
        ledger.write([ended(batch), settled(position, batch, outcome, reply=reply)], NOW)


@pytest.mark.parametrize("seed", range(8))
def test_the_query_agrees_with_counting_row_by_row(tmp_path: Path, seed: int) -> None:
    """The query gives the figures of counting row by row, for random mailboxes and fates, and knows an unfinished ledger."""
    chance = random.Random(seed)
    sizes = [chance.choice((1, 2, 3, 12)) for _ in range(12)]
    mailbox_of = [number for number, size in enumerate(sizes) for _ in range(size)]
    kinds = [
        chance.choice(
            (
                ["gone"],
                ["gone", "purged"],
                ["in purges", "gone"],
                ["refused", "gone"],
                ["purged"],
                ["gone"] * 11 + ["after lost"],
            )
        )
        for _ in sizes
    ]
    fates = [chance.choice(kinds[mailbox]) for mailbox in mailbox_of]
    fates[-1] = "waiting" if seed % 2 else fates[-1]
    rows = [row for number, size in enumerate(sizes) for row in rows_of_user(f"u{number:02d}", size)]
    with open_ledger(tmp_path / "L", FakeSource(rows)) as ledger:
        write_fates(ledger, fates, mailbox_of)
    by_mailbox: dict[int, Counter[str]] = defaultdict(Counter)
    for mailbox, fate in zip(mailbox_of, fates, strict=True):
        by_mailbox[mailbox][{"in purges": "purged", "after lost": "purged"}.get(fate, fate)] += 1
        by_mailbox[mailbox]["after lost"] += fate == "after lost"
    expected = {
        f"u{mailbox:02d}@contoso.example": (seen["purged"], seen["gone"], seen["after lost"])
        for mailbox, seen in by_mailbox.items()
        if seen["gone"] >= 2
        and (not seen["purged"] or (seen["gone"] >= 10 and 10 * seen["purged"] <= seen["purged"] + seen["gone"]))
    }
    with LedgerReader.open(tmp_path / "L") as reader:
        absence = reader.review(100).absence
        few = reader.review(1).absence
    if absence is None:
        assert not expected
        return
    assert {mailbox.user: tuple(mailbox.sought) for mailbox in absence.mailboxes} == expected
    total: Counter[str] = sum(by_mailbox.values(), Counter())
    assert tuple(absence.sought) == (total["purged"], total["gone"], total["after lost"])
    assert absence.finished is ("waiting" not in fates)
    assert absence.mailboxes_in_all == len(expected)
    assert few is not None
    assert list(few.mailboxes) == list(absence.mailboxes[:1])
    assert few.mailboxes_in_all == len(expected)


def test_a_ledger_in_which_all_was_found_has_nothing_to_tell(tmp_path: Path) -> None:
    """A ledger without rows, and one whose contacts were purged or already in Purges, report nothing."""
    open_ledger(tmp_path / "empty", FakeSource([])).close()
    with open_ledger(tmp_path / "L", FakeSource(rows_of_user("a", 20))) as ledger:
        write_fates(ledger, ["in purges"] * 19 + ["purged"], [0] * 20)
    for name in ("empty", "L"):
        with LedgerReader.open(tmp_path / name) as reader:
            assert reader.review(5).absence is None


def test_a_chain_counts_every_row_once(tmp_path: Path) -> None:
    """A chain counts every row once: a retry that finds the contacts of two mailboxes leaves one mailbox to report."""
    rows = rows_of([3, 5, 3, 2, 4])
    with a_bench(tmp_path, a_tenant(rows, gone=4), rows) as bench:
        tenant_id = bench.server.login.app.tenant_id
        with Ledger.open(bench.folder / "first", open_source([bench.input]), tenant_id=tenant_id) as ledger:
            fates = [
                *["refused"] * 3,
                *["gone"] * 5,
                "purged",
                "after lost",
                "purged",
                *["in purges"] * 2,
                *["gone"] * 4,
            ]
            write_fates(ledger, fates, [0] * 3 + [1] * 5 + [2] * 3 + [3] * 2 + [4] * 4)
        again = retry(bench, "first", "second", "--only", "refused,absent", "--codes", "400,404")
        assert (again.code, again.json["outcomes"]["purged"], again.json["outcomes"]["absent"]) == (0, 8, 4), again.err
        with Chain.open([bench.folder / "first", bench.folder / "second"]) as chain:
            together = absence_over(chain, chain.final(), 10)
        with Chain.open([bench.folder / "first"]) as chain:
            alone = absence_over(chain, chain.final(), 10)
        status = bench.here("status", str(bench.folder / "second"), str(bench.folder / "first"), "--json").json
    assert together is not None
    assert alone is not None
    assert (tuple(together.sought), together.overall, together.mailboxes_in_all) == ((13, 4, 1), False, 1)
    assert [(mailbox.user, *mailbox.sought) for mailbox in together.mailboxes] == [(rows[-1][0], 0, 4, 0)]
    assert {(mailbox.user, *mailbox.sought) for mailbox in alone.mailboxes} == {
        (rows[3][0], 0, 5, 0),
        (rows[-1][0], 0, 4, 0),
    }
    assert status["nothing_found"] == together.as_json()
    assert status["advice"] == []


# -------------------------------------------------------------------------------------------------------- the commands


def all_that_tells(bench: Bench, capsys: pytest.CaptureFixture[str]) -> list[tuple[dict[str, Any] | None, str]]:
    """Return ``nothing_found`` and the text for people, of status and of report."""
    folder = str(bench.ledger)
    page = bench.folder / "r.html"
    found = reported(capsys, page, bench.ledger)
    return [
        (bench.here("status", folder, "--json").json["nothing_found"], bench.here("status", folder).out),
        (found["nothing_found"], text_of(page)),
    ]


@pytest.mark.parametrize("sizes", [[1], [1] * 20, [20], [1_000, 5]])
def test_a_run_that_found_nothing_says_so_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sizes: list[int]
) -> None:
    """A run that found nothing says so in summary, JSON, log, status and report, and in a retry; its exit code stays 0."""
    rows = rows_of(sizes)
    many = len(rows)
    with a_bench(tmp_path, a_tenant(rows, gone=many), rows) as bench:
        ran = bench.run_here()
        assert (ran.code, ran.json["outcomes"]["absent"]) == (0, many)
        said = (
            NOT_ONE.format(f"{many:,}")
            if many > 1
            else "The one contact that Graph looked for was not found under its id"
        )
        assert ran.json["nothing_found"]["message"].startswith(said)
        assert (ran.json["nothing_found"]["overall"], ran.json["nothing_found"]["not_found"]) == (True, many)
        assert "run.doubted" in ran.err
        assert said in ran.err
        arguments = [word for word in bench.run_arguments() if word != "--json"]
        assert said in bench.here(*arguments).out, "the same command again, which has nothing left to do"
        for as_json, text in all_that_tells(bench, capsys):
            assert as_json == ran.json["nothing_found"] | {"mailboxes": (as_json or {})["mailboxes"]}
            assert said in text
        shown = text_of(bench.folder / "r.html")
        assert "Nothing was purged" in shown
        assert "ended well" not in shown.split("What became of the rows")[0]
        again = retry(bench, "ledger", "new")
        assert again.code == 0
        assert said in again.err
        assert "ended well" not in again.err


def test_one_mailbox_in_which_nothing_was_found_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One mailbox in which nothing was found is named with its numbers, and one with a single contact gone is not."""
    rows = rows_of([20, 20, 1, 12])
    tenant = a_tenant(rows[:20] + rows[41:])
    for user, _, _ in rows:
        tenant.truth.add_mailbox(user)
    moved = rows[20][0]
    with a_bench(tmp_path, tenant, rows) as bench:
        ran = bench.run_here()
        assert ran.code == 0
        assert ran.json["nothing_found"] | {"message": ""} == {
            "overall": False, "found": 32, "not_found": 21, "mailboxes_in_all": 1, "message": "",
            "mailboxes": [{"user": moved, "found": 0, "not_found": 20}],
        }  # fmt: skip
        for as_json, text in all_that_tells(bench, capsys):
            assert as_json == ran.json["nothing_found"]
            assert "In 1 mailbox, nothing or nearly nothing was found" in text
            assert moved in text
        assert f"  {moved}: 20 not found, 0 found" in bench.here("status", str(bench.ledger)).out


def test_nearly_nothing_is_told_and_an_old_list_is_not(tmp_path: Path) -> None:
    """A run that found 2 of 60 contacts reports it, and one that found half does not: that is what an old list looks like."""
    rows = rows_of([1] * 60)
    for found, told in ((2, True), (30, False)):
        folder = tmp_path / str(found)
        folder.mkdir()
        with a_bench(folder, a_tenant(rows, gone=60 - found), rows) as bench:
            ran = bench.run_here()
            assert (ran.code, ran.json["outcomes"]["purged"]) == (0, found)
            assert (ran.json["nothing_found"] is not None) is told
            assert ("run.doubted" in ran.err) is told


def test_a_name_from_a_foreign_ledger_steers_no_terminal() -> None:
    """A user name from a foreign ledger is printable in the lines of summary and status."""
    absence = Absence(Sought(50, 20), [SoughtInMailbox("\x1b[31mevil\u202e@contoso.example", Sought(0, 20))], 1)
    lines = absence_lines(absence)
    assert all(line.isprintable() for line in lines)
    assert "evil" in lines[1]
