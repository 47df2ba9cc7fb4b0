"""What to do about a ledger whose shards are out: run those that are not finished, then collect all."""

from __future__ import annotations

from collections.abc import Sequence

from purgeengine.core.command_words import collect_command, resume_command
from purgeengine.core.policy.advice import Advice
from purgeengine.core.policy.shell import quoted

COMMANDS_MAX = 10
"""Most shards for each of which a command is shown."""
HIDDEN = "FOLDER"
"""Stands for a folder whose name cannot be shown."""


def shard_advice(
    head: str, unfinished: Sequence[str], finished: Sequence[str], unnamed: Sequence[int], *, windows: bool
) -> list[Advice]:
    """Return what to do next. ``unfinished`` and ``finished`` are folders, ``unnamed`` the numbers of shards without one."""
    found: list[Advice] = []
    if unfinished:
        found.append(
            Advice(
                "Shards have rows without an outcome. Run each to its end, on any machine, with the options for the tenant:",
                [resume_command(_shown(folder, windows)) for folder in unfinished[:COMMANDS_MAX]],
            )
        )
    if unnamed:
        shown = ", ".join(map(str, unnamed[:COMMANDS_MAX])) + (", ..." if len(unnamed) > COMMANDS_MAX else ".")
        found.append(
            Advice(f"The folders of some shards were not named, and what became of their rows is not counted: {shown}")
        )
    if finished:
        folders = " ".join(_shown(folder, windows) for folder in finished[:COMMANDS_MAX])
        found.append(Advice("Finished shards can be collected:", [collect_command(_shown(head, windows), folders)]))
    return found


def _shown(folder: str, windows: bool) -> str:
    return quoted(folder, windows=windows) or HIDDEN
