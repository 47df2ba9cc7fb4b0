"""Groups of outcomes: each is a property of `Outcome`, and means what the contract says of its members."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import purgeengine
from purgeengine.core.model import Outcome

PACKAGE = Path(purgeengine.__file__).parent

MEANINGS = {  # product contract: what each outcome says of its row
    Outcome.PURGED: {"is_gone"},  # 204; or gone after an attempt of ours whose answer was lost
    Outcome.ABSENT: {"is_gone"},  # it was gone already, by no attempt of ours
    Outcome.REFUSED: {"failed", "worth_retrying", "ended_badly", "may_leave_doubt"},  # Graph said no for good
    Outcome.EXHAUSTED: {"failed", "worth_retrying", "ended_badly", "may_leave_doubt"},  # the delete may have happened
    Outcome.INVALID: {"ended_badly", "never_sent"},  # never sent: the row itself is wrong
    Outcome.DUPLICATE: {"never_sent"},  # never sent: it ends as the earlier row does
    Outcome.SKIPPED: {"worth_retrying", "ended_badly", "never_sent", "may_leave_doubt"},  # its mailbox was closed
}
PROPERTIES = sorted(name for name, value in vars(Outcome).items() if isinstance(value, property))


@pytest.mark.parametrize("outcome", Outcome)
def test_what_an_outcome_says_of_its_row(outcome: Outcome) -> None:
    """All properties of all outcomes; a property that is new must be given a place here."""
    assert {name for name in PROPERTIES if getattr(outcome, name)} == MEANINGS[outcome]


def test_exit_code_0_is_for_rows_that_are_purged_gone_or_a_duplicate_of_such() -> None:
    """As the contract lists them; all others end badly."""
    assert [o for o in Outcome if not o.ended_badly] == [Outcome.PURGED, Outcome.ABSENT, Outcome.DUPLICATE]


@pytest.mark.parametrize("name", PROPERTIES)
def test_each_group_is_documented_and_divides(name: str) -> None:
    """A property that is true of all or of none is of no use."""
    assert 0 < sum(getattr(outcome, name) for outcome in Outcome) < len(Outcome)
    assert getattr(Outcome, name, None) is not None
    assert vars(Outcome)[name].__doc__


def groups(tree: ast.AST) -> Iterator[str]:
    """Literal collections of outcomes, which should be a property."""
    for node in ast.walk(tree):
        members = node.elts if isinstance(node, ast.Tuple | ast.Set | ast.List) else []
        if len(members) > 1 and all(ast.unparse(member).startswith("Outcome.") for member in members):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_no_module_has_a_group_of_its_own() -> None:
    """The same fact in two places becomes two facts."""
    model = PACKAGE / "core" / "model.py"
    found = {
        str(path.relative_to(PACKAGE)): here
        for path in PACKAGE.rglob("*.py")
        if path != model and (here := list(groups(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == {}
    assert len(list(groups(ast.parse(model.read_text(encoding="utf-8"))))) > 1, "it looks at nothing"
