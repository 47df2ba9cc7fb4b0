"""Looks at the arguments of the public functions: what cannot be used is refused by name before anything begins."""

from __future__ import annotations

from pathlib import Path

from purgeengine.errors import UsageProblem
from purgeengine.jobs.callbacks import StopHandle
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.words import shown


def refuse_odd_request(request: object) -> None:
    """Raise `UsageProblem` for what is no `PurgeRequest`."""
    if not isinstance(request, PurgeRequest):
        raise UsageProblem(f"request must be a PurgeRequest, not {shown(request)}.")


def refuse_odd_call(request: object, confirm: object, on_progress: object, stop: object) -> None:
    """Raise `UsageProblem` naming the first argument of a purge that is of another type."""
    refuse_odd_request(request)
    for name, function in (("confirm", confirm), ("on_progress", on_progress)):
        if function is not None and not callable(function):
            raise UsageProblem(f"{name} must be a function, or None, not {shown(function)}.")
    if not isinstance(stop, StopHandle):
        raise UsageProblem(f"stop must be a StopHandle, or None, not {shown(stop)}.")


def folder_named(folder: object) -> Path:
    """Return the folder of a ledger. Raises `UsageProblem` for what is no name, and for an empty one: it is the current folder."""
    if not isinstance(folder, str | Path) or not str(folder).strip():
        raise UsageProblem(f"folder must be the name of a folder, not {shown(folder)}.")
    return Path(folder)
