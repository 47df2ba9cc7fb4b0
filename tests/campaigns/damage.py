"""Finished, killed and stopped ledgers: cut at every length, with a changed byte at every place, or with a sector of zeros."""

from __future__ import annotations

from collections import Counter

from tests.disk.damage import drawn, play_damage

SUMMARY = "Damaged ledgers: status, export and the same command again say nothing false."


def case(seed: int) -> Counter[str]:
    """Play one damage. Raises AssertionError if something false is said, or a traceback appears."""
    return play_damage(*drawn(seed), resumes=seed % 8 == 0)
