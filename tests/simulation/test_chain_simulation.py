"""Retries in the simulated world; what is promised of them stands in the campaign."""

from __future__ import annotations

import pytest

from tests.campaigns.chains import case

FAILED_ONCE = [20_067]
"""A mailbox whose failed rows had another of its names than those that were sent first."""


@pytest.mark.parametrize("seed", [*range(1, 31), *FAILED_ONCE])
def test_a_run_and_its_retry_together_are_true(seed: int) -> None:
    """A random job with faults and deaths, then its failed rows again: every promise holds over both ledgers."""
    case(seed)
