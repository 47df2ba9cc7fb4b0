"""Retries in the simulated world. The campaign ``chains`` lists what is promised of them."""

from __future__ import annotations

import pytest

from tests.campaigns.chains import case

FAILED_ONCE = [20_067]
"""Here the failed rows of a mailbox had another of its names than the rows that were sent first."""


@pytest.mark.parametrize("seed", [*range(1, 31), *FAILED_ONCE])
def test_a_run_and_its_retry_together_are_true(seed: int) -> None:
    """For a random job with faults and deaths, then its failed rows again, every promise holds over both ledgers."""
    case(seed)
