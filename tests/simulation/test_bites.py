"""The mistakes that test the judge can still be made: the code that they replace is still where they look for it."""

from __future__ import annotations

import inspect

import pytest

from tests.campaigns import bites


@pytest.mark.parametrize("name", bites.MUTANTS)
def test_a_mistake_can_be_put_in(name: str) -> None:
    """Every name that is replaced exists; otherwise the campaign would prove nothing about this promise."""
    with pytest.MonkeyPatch.context() as patch:
        bites.MUTANTS[name].put_in(patch)
        assert patch._setattr, "nothing was replaced"


def test_every_promise_that_a_mistake_can_break_is_broken_by_some() -> None:
    """These are promises 1 to 5. Failing disks, and two plays of one seed, test the others."""
    assert {mutant.promise for mutant in bites.MUTANTS.values()} == {1, 2, 3, 4, 5}
    assert all(inspect.isfunction(mutant.put_in) for mutant in bites.MUTANTS.values())
