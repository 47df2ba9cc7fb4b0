"""The mistakes that the judge is tried with can still be made: what they replace is where they look for it."""

from __future__ import annotations

import inspect

import pytest

from tests.campaigns import bites


@pytest.mark.parametrize("name", bites.MUTANTS)
def test_a_mistake_can_be_put_in(name: str) -> None:
    """Every name that is replaced exists; else the campaign would say nothing of this promise."""
    with pytest.MonkeyPatch.context() as patch:
        bites.MUTANTS[name].put_in(patch)
        assert patch._setattr, "nothing was replaced"


def test_every_promise_that_a_mistake_can_break_is_broken_by_some() -> None:
    """Promises 1 to 5; the others are tried by failing disks, and by two plays of one seed."""
    assert {mutant.promise for mutant in bites.MUTANTS.values()} == {1, 2, 3, 4, 5}
    assert all(inspect.isfunction(mutant.put_in) for mutant in bites.MUTANTS.values())
