"""Every command that writes, on file systems of 64 KiB to 4 MiB, in steps of 64 KiB. Needs Linux and root to mount them."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from tests.disk.full import COMMANDS, play_small_disk

SUMMARY = "A full disk at every stage of every command that writes: exit 5 and a sentence, and nothing else is said."
SEEDS_PER_CHUNK = 5
STEP_KIB = 64
SIZES = 65
SEEDS_OF_ALL = SIZES * len(COMMANDS)
"""After this many seeds, the campaign begins again."""


def case(seed: int) -> Counter[str]:
    """Run one command on one size. Raises AssertionError on a broken promise, `NoSuchDisk` if nothing can be mounted."""
    command, size = divmod((seed - 1) % SEEDS_OF_ALL, SIZES)
    with tempfile.TemporaryDirectory(prefix="purgeengine-") as scratch:
        return play_small_disk(Path(scratch), COMMANDS[command], STEP_KIB * (size + 1))
