"""Some seeds of the campaign ``answers``: the real command line against a service that answers oddly."""

from __future__ import annotations

import pytest

from tests.campaigns.answers import case


@pytest.mark.parametrize("seed", [5, 10])
def test_odd_answers_break_no_promise(seed: int) -> None:
    """The ledger is true and nothing beside the list is touched, whatever comes back; a wait of hours is kept."""
    assert case(seed)["rows"]
