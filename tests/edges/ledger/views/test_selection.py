"""Tests of selecting rows by outcome and by Graph's answer, and of calls that run in the background."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from purgeengine.core.messages import MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger.staging.background import WAITING_MAX, Background, ThreadedCall
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.edges.ledger.views.selection import AnswerFilter, Selection, answers
from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling, as_fields
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, rows_of, sent, settled

ANSWERS = [
    (0, ""),
    (200, ""),
    (403, "ErrorAccessDenied"),
    (404, "errorItemNotFound"),
    (429, "ApplicationThrottled"),
    (499, "x"),
    (500, "none"),
    (503, ""),
]

# ------------------------------------------------------------------------------------------------------ what is said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ErrorAccessDenied", AnswerFilter(frozenset({"erroraccessdenied"}), frozenset(), frozenset(), False)),
        (" 429 , 5XX,none", AnswerFilter(frozenset(), frozenset({429}), frozenset({5}), True)),
        (
            "600,6xx,42,4xxx,1xx,100,099",
            AnswerFilter(frozenset({"600", "6xx", "42", "4xxx", "099"}), frozenset({100}), frozenset({1}), False),
        ),
        ("a,A,a", AnswerFilter(frozenset({"a"}), frozenset(), frozenset(), False)),
        ("x" * 100, AnswerFilter(frozenset({"x" * 100}), frozenset(), frozenset(), False)),
    ],
)
def test_words_are_codes_statuses_classes_or_the_lack_of_an_answer(text: str, said: AnswerFilter) -> None:
    """A word is an error code, a status, a class such as 5xx, or ``none``, in any letter case.

    What only looks like a status is a code.
    """
    assert AnswerFilter.parse(text) == said


@pytest.mark.parametrize(("spelling", "codes"), [(as_fields, "codes"), (lambda name: f"--{name}", "--codes")])
@pytest.mark.parametrize("text", ["", "a,", ",a", "a, ,b", "x" * 101])
def test_what_can_be_no_code_is_refused(text: str, spelling: Spelling, codes: str) -> None:
    """A word that can be no code is refused with a sentence that says what to write, in the words of the front end."""
    with pytest.raises(UsageProblem) as raised:
        AnswerFilter.parse(text, spelling)
    word = "x" * 101 if "x" in text else ""
    assert str(raised.value) == (
        f"{codes} takes error codes and statuses such as ErrorAccessDenied,429,5xx, or none for rows without an answer; "
        f"'{word}' is none of them."
    )


def test_a_selection_without_outcomes_is_of_rows_worth_retrying() -> None:
    """Outcomes are read in any letter case; a word that is none is refused by the name of the setting."""
    bad = frozenset([Outcome.REFUSED, Outcome.EXHAUSTED, Outcome.SKIPPED])
    assert Selection.parse(None, None) == Selection(bad)
    assert Selection.parse(None, "5xx") == Selection(bad, AnswerFilter.parse("5xx"))
    assert Selection.parse("Refused, absent", None) == Selection(frozenset([Outcome.REFUSED, Outcome.ABSENT]))
    with pytest.raises(UsageProblem, match=r"^only knows no outcome 'gone'; there are purged, absent"):
        Selection.parse("refused,gone", None)


def test_it_is_told_in_one_way_however_it_was_asked_for() -> None:
    """A filter is written in one way, however it was given: codes, statuses, classes, none, each in order."""
    assert str(AnswerFilter.parse("none,5xx,503,b,429,A,4xx")) == "a,b,429,503,4xx,5xx,none"
    assert str(AnswerFilter.parse("a")) == "a"
    both = Selection(frozenset({Outcome.SKIPPED, Outcome.REFUSED}), AnswerFilter.parse("none"))
    assert str(both) == "refused,skipped told none"
    assert str(Selection(frozenset({Outcome.REFUSED}))) == "refused"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("erroraccessdenied", {403}),
        ("ERRORITEMNOTFOUND,429", {404, 429}),
        ("4xx", {403, 404, 429, 499}),
        ("5xx,200", {200, 500, 503}),
        ("none", {0}),
        ("none,403", {0, 403}),
        ("504", set()),
        ("nothing", set()),
        ("xxxx", set()),
    ],
)
def test_answers_and_exported_rows_are_meant_alike(text: str, meant: set[int]) -> None:
    """A filter selects the same answers and exported rows. A row without an answer has an empty status and code."""
    said = AnswerFilter.parse(text)
    assert {status for status, code in ANSWERS if said.fits(status, code)} == meant
    rows = pa.RecordBatch.from_arrays(
        [
            pa.array([status or None for status, _ in ANSWERS], pa.int32()),
            pa.array([code or None for _, code in ANSWERS], pa.string()),
        ],
        names=["status", "code"],
    )
    kept = Selection(frozenset(), said).keep(rows)
    assert {status or 0 for status in kept.column("status").to_pylist()} == meant
    assert Selection(frozenset()).keep(rows).equals(rows)


# ------------------------------------------------------------------------------------------------------ how many


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Path]:
    """Make a ledger with nine rows of one mailbox and three of another, both closed, a duplicate and two invalid rows."""
    source = FakeSource([*rows_of("a", 9), *rows_of("b", 3), rows_of("a", 1)[0], ("", "", "A"), ("x", "", "..")])
    denied, odd = Reply(403, "ErrorAccessDenied", "No."), Reply(400, "Odd", "No.")
    with open_ledger(tmp_path / "L", source) as ledger:
        entries = [
            sent(1, (0, range(6)), (1, [9, 10])),
            ended(1),
            *(settled(row, 1) for row in range(3)),
            settled(3, 1, Outcome.REFUSED, reply=odd),
            settled(4, 1, Outcome.REFUSED, reply=denied),
            settled(5, 1, Outcome.EXHAUSTED, reply=Reply(0)),
            settled(9, 1, Outcome.REFUSED, reply=denied),
            settled(10, 1, Outcome.REFUSED, reply=denied),
            MailboxClosed(0, denied, 3),
            MailboxClosed(1, denied, 1),
        ]
        ledger.write(entries, NOW)
    return tmp_path / "L"


@pytest.mark.parametrize(
    ("outcomes", "said", "found"),
    [
        ("refused", None, {Outcome.REFUSED: 4}),
        ("refused", "403", {Outcome.REFUSED: 3}),
        ("refused,skipped", "erroraccessdenied", {Outcome.REFUSED: 3, Outcome.SKIPPED: 4}),
        ("refused,exhausted", "none", {Outcome.EXHAUSTED: 1}),
        ("purged", None, {Outcome.PURGED: 3}),
        ("invalid,duplicate", None, {Outcome.INVALID: 2, Outcome.DUPLICATE: 1}),
        ("invalid", "none", {Outcome.INVALID: 2}),
        ("duplicate,skipped", "none", {Outcome.DUPLICATE: 1}),
        ("invalid", "403,xxxx", {}),
    ],
)
def test_rows_are_counted_without_being_read(
    counted: Path, outcomes: str, said: str | None, found: dict[Outcome, int]
) -> None:
    """Selected rows are counted without reading them.

    A skipped row has the answer that closed its mailbox; invalid ones and duplicates have none.
    """
    selection = Selection(frozenset(map(Outcome, outcomes.split(","))), AnswerFilter.parse(said) if said else None)
    connection = connect_to_read(counted)
    assert selection.count(connection) == Counter(found)
    connection.close()


def test_what_rows_were_told_is_counted(counted: Path) -> None:
    """The answers of rows with the given outcomes are counted."""
    connection = connect_to_read(counted)
    assert answers(connection, frozenset({Outcome.REFUSED})) == {(400, "Odd"): 1, (403, "ErrorAccessDenied"): 3}
    assert answers(connection, frozenset({Outcome.REFUSED, Outcome.SKIPPED})) == {
        (400, "Odd"): 1,
        (403, "ErrorAccessDenied"): 7,
    }
    assert answers(connection, frozenset()) == {}
    connection.close()


# -------------------------------------------------------------------------------------------- in the background


def test_a_few_calls_are_made_at_once_and_later_ones_in_their_order_by_another_thread() -> None:
    """The first two calls run at once, and the later ones in order in another thread."""
    behind, made = Background(at_once=2), []

    def call(number: int, *, ours: int = threading.get_ident()) -> None:
        made.append((number, threading.get_ident() == ours))

    for number in range(6):
        behind.do(call, number)
        if number < 2:
            assert len(made) == number + 1
    behind.end()
    assert made == [(0, True), (1, True), (2, False), (3, False), (4, False), (5, False)]


def test_few_calls_wait_and_the_caller_waits_with_the_next() -> None:
    """At most two calls wait: the caller of a third waits until the first has run, because their rows take memory."""
    behind, may, made = Background(at_once=0), threading.Event(), []

    def call(number: int) -> None:
        may.wait(20.0)
        made.append(number)

    for number in range(WAITING_MAX):
        behind.do(call, number)
    assert made == []
    threading.Timer(0.05, may.set).start()
    behind.do(call, WAITING_MAX)
    assert made[0] == 0
    behind.end()
    assert made == [0, 1, 2]


def test_what_a_call_raises_is_raised_and_nothing_is_made_after_giving_up() -> None:
    """An error of a call is raised by a later call or by the end, and calls that have not begun are dropped by `abandon`."""

    def broken() -> None:
        raise KeyError("broken")

    behind = Background(at_once=0)
    behind.do(broken)
    with pytest.raises(KeyError):
        behind.end()
    behind = Background(at_once=0)
    for _ in range(WAITING_MAX):
        behind.do(broken)
    with pytest.raises(KeyError):
        behind.do(broken)
    behind.abandon()
    behind.abandon()
    with pytest.raises(KeyError):
        Background().do(broken)

    behind, may, made = Background(at_once=0), threading.Event(), []
    behind.do(may.wait, 20.0)
    behind.do(made.append, 1)
    threading.Timer(0.05, may.set).start()
    behind.abandon()
    assert made == []
    Background().end()


def test_a_call_beside_answers_or_raises_when_it_is_asked() -> None:
    """A call beside the caller returns its result or raises when asked, in a daemon thread that the process does not wait for."""
    seen: list[bool] = []

    def call() -> int:
        thread = threading.current_thread()
        seen.append(thread.daemon and thread is not threading.main_thread())
        return 7

    assert ThreadedCall(call).result() == 7
    assert seen == [True]

    def broken() -> int:
        raise KeyError("broken")

    with pytest.raises(KeyError):
        ThreadedCall(broken).result()
