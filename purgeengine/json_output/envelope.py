"""What every object of ``--json`` begins with, and the object that is printed if a command fails before it has a result."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from purgeengine.errors import ErrorKind
from purgeengine.version import __version__

Schema = Literal["purgeengine/1"]
SCHEMA: Schema = "purgeengine/1"
"""The version of the JSON. Its number rises when a key is removed, or gets another type or meaning; new keys leave it as it is."""

Utc = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        extra_json_schema={"format": "date-time"},
    ),
]
"""A time as RFC 3339 writes it, in UTC, with milliseconds: ``2026-01-31T12:00:00.000Z``."""

WHAT_TO_DO: dict[ErrorKind, str] = {
    "usage": "Do not repeat the command: change what the message names.",
    "input": "Do not repeat the command: correct the list.",
    "ledger_mismatch": "Do not repeat the command: name another ledger folder, or the list that the ledger was made from.",
    "sign_in": "Correct the credential, the consent or the scope. Then give the same command again.",
    "unreachable": "Mend what the message names (name, connection, proxy, certificate), or wait for the service. The credential is "
    "not the cause. Then give the same command again.",
    "stopped": "Read the message. After a threshold, look at the failed rows first. Otherwise give the same command again.",
    "ledger": "Check the name of the folder, make room, mend the permission or end the other process. Then repeat the command.",
    "failed": "Keep the ledger and the message, and report them.",
}
"""What to do after an error of each kind."""


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Why a command ended early, or refuses what was asked."""

    kind: ErrorKind
    """The kind of the error. Each kind has one exit code: ``usage``, ``input`` and ``ledger_mismatch`` 2, ``sign_in`` 3,
    ``stopped`` 4, ``ledger`` 5, ``failed`` 1. Only ``unreachable`` has two: 3 if the login is meant, 4 if Graph is."""
    message: str
    """What happened and what to do next, in sentences. Standard error has the same sentences."""
    what_to_do: str
    """What to do after an error of this kind, in a sentence."""

    @classmethod
    def of(cls, kind: ErrorKind, message: str) -> Error:
        """Make an error, with the sentence that belongs to its kind."""
        return cls(kind=kind, message=message, what_to_do=WHAT_TO_DO[kind])


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that every object has."""

    schema: Schema = SCHEMA
    """The version of the JSON. It changes only if a key is removed, or gets another type or meaning."""
    command: str | None
    """The command that printed the object, such as ``run`` or ``config show``. Null if no command was recognised."""
    version: str = __version__
    """The version of the program."""
    exit_code: int | None
    """The exit code of the command. Null while it still runs, as ``simulate`` does."""
    error: Error | None = None
    """Why the command ended early or refuses what was asked. Null if it did not."""


class Failed(Output, frozen=True, kw_only=True):
    """The command failed before it had a result. Only the keys that every object has are there."""

    exit_code: int
    """The exit code of the command, 1 to 5."""
    error: Error
    """Why the command failed."""
