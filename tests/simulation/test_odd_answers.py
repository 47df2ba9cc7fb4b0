"""Some seeds of the campaign ``answers``: the real command line against a service that answers oddly."""

from __future__ import annotations

import pytest

from tests.campaigns.answers import case


@pytest.mark.parametrize("seed", [5, 10])
def test_odd_answers_break_no_promise(seed: int) -> None:
    """Whatever comes back, the ledger is true, nothing outside the list is touched, and a wait of hours is kept."""
    assert case(seed)["rows"]
