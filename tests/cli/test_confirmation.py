"""Tests of the question before a purge: what it says, and which answers it takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from purgeengine.cli import confirmation
from purgeengine.cli.confirmation import TRIES_MAX, confirm, text_of
from purgeengine.core.graph.operations import Action, IdType, deletion_by
from purgeengine.errors import PurgeEngineError, RunStopped, UsageProblem


def a_preview(rows: int = 1_234, tenant_name: str = "", deletion: Any = None) -> Any:
    """Return what the question needs of a preview."""
    return SimpleNamespace(
        preview=SimpleNamespace(rows=rows, mailboxes=56),
        deletion=deletion or deletion_by(Action.PERMANENT_DELETE, IdType.DEFAULT),
        tenant_id="5157a1ed",
        tenant_name=tenant_name,
    )


class Person:
    """Somebody at the terminal who gives these answers. None: there is nobody."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)
        self.read: list[str] = []

    def ask(self, text: str, question: str, *, again: bool) -> str | None:
        """Answer a question, which has stood there before if it was asked again."""
        assert again == bool(self.read)
        self.read.append(f"{text}\n{question}")
        return self._answers.pop(0)


def asked(monkeypatch: pytest.MonkeyPatch, *answers: str | None) -> tuple[bool | PurgeEngineError, Person]:
    """Return what comes of these answers, and who gave them."""
    person = Person(*answers)
    monkeypatch.setattr(confirmation, "ask", person.ask)
    try:
        return confirm(a_preview()), person
    except PurgeEngineError as error:
        return error, person


@pytest.mark.parametrize("typed", ["1234", "1,234", "1 234", "1.234", "1'234", "1_234"])
def test_the_number_goes_on_however_it_is_written(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """The number may have the separators of any country."""
    assert asked(monkeypatch, typed)[0] is True


def test_a_mistyped_number_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong number is named with the right one, and asked for again."""
    result, person = asked(monkeypatch, "1243", "1234")
    assert result is True
    assert "'1243' is not the number of contacts, which is 1,234." in person.read[1]


def test_three_mistyped_numbers_are_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """After three wrong numbers the exit code is 2, and not that of a stop."""
    result, person = asked(monkeypatch, "1", "2", "3", "1234")
    assert isinstance(result, UsageProblem)
    assert result.exit_code == 2
    assert "nothing was sent" in str(result)
    assert len(person.read) == TRIES_MAX


@pytest.mark.parametrize("typed", ["", "n", "No", "q", "QUIT"])
def test_who_declines_stops(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Nothing, no and quit are a decision: the run is stopped, and not asked again."""
    result, person = asked(monkeypatch, typed)
    assert isinstance(result, RunStopped)
    assert result.exit_code == 4
    assert len(person.read) == 1


def test_without_a_terminal_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If nobody can be asked, the sentence names --yes."""
    result, _ = asked(monkeypatch, None)
    assert isinstance(result, UsageProblem)
    assert "--yes" in str(result)


def test_the_question_names_the_tenant_by_name_and_id() -> None:
    """The name stands beside the id, and the id alone if the name is not known. The name steers no terminal."""
    assert "1,234 contacts in 56 mailboxes of tenant Contoso Ltd (5157a1ed)." in text_of(
        a_preview(tenant_name="Contoso Ltd")
    )
    assert "of tenant 5157a1ed." in text_of(a_preview())
    hostile = text_of(a_preview(tenant_name="Con\x1b[2Jtoso\n"))
    assert "\x1b" not in hostile
    assert "(5157a1ed)" in hostile


def test_the_question_says_what_can_be_undone() -> None:
    """A permanent deletion and a plain one say what becomes of the contacts."""
    assert "cannot bring them back" in text_of(a_preview())
    assert "Deleted Items" in text_of(a_preview(deletion=deletion_by(Action.DELETE, IdType.DEFAULT)))
