"""A file that a command writes for its user: it replaces another one only if that was asked for."""

from __future__ import annotations

import os

from purgeengine.errors import UsageProblem


def refuse_existing(name: str, *, force: bool, nothing: str = "nothing was written") -> None:
    """Raise `UsageProblem` if there is such a file, unless ``force`` is true. ``nothing`` says what was not done.

    It may be the list itself, or one that somebody has corrected by hand.
    """
    if not force and os.path.isfile(name):  # noqa: PTH113 - no name makes it raise
        raise UsageProblem(f"{name} exists already, and {nothing}. Name another file, or add --force to replace it.")
