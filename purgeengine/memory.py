"""How this process deals with memory: set once, before the libraries that ask for it are imported."""

from __future__ import annotations

import gc
import os


def lean_memory() -> None:
    """Before pyarrow is imported: its own pools keep a third more than is used, and large inputs pass through in small pieces."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    spare_the_collector()


def spare_the_collector() -> None:
    """What was imported stays, and rows pass through as short-lived tuples: looking for cycles costs a twentieth of the CPU."""
    gc.freeze()  # without a collection first, which takes longer than the little garbage of starting is worth
    gc.set_threshold(100_000, 50, 100)
