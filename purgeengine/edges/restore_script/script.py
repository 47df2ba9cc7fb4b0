"""Writes the PowerShell script: the text of ``restore.ps1`` beside this file, with what it shall look for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from purgeengine.core.graph.text import printable
from purgeengine.core.restoring.wanted_items import WantedGroup
from purgeengine.edges.ledger.outputs.exporting import appearing
from purgeengine.edges.paths import refuse_missing_folder, refuse_unspellable
from purgeengine.version import __version__
from purgeengine.words import counted, number

TEMPLATE = "restore.ps1"
HEADER, GROUPS = "@@HEADER@@", "@@GROUPS@@"
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Without it, Windows PowerShell 5.1 reads a script in the machine's own code page."""


def script_of(groups: Iterable[WantedGroup], ledgers: Sequence[Path]) -> str:
    """Return the text of the script. The groups of a mailbox must stand together."""
    groups = list(groups)
    lines = "\n".join(_line(group) for group in groups)
    rows, mailboxes = sum(group.rows for group in groups), len({group.user for group in groups})
    whence = ", ".join(_harmless(str(ledger)) for ledger in ledgers)
    in_doubt = sum(group.in_doubt for group in groups)
    doubt = f" {number(in_doubt)} of them may not have been deleted: Graph did not answer." if in_doubt else ""
    header = (
        f"Written by purgeengine {__version__} from {whence}:\n"
        f"{counted(rows, 'contact')} of {counted(mailboxes, 'mailbox')}.{doubt}\n"
        "This file holds names of people and of mailboxes. Treat it as you treat the list."
    )
    text = files("purgeengine.edges.restore_script").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return text.replace(HEADER, header, 1).replace(GROUPS, lines, 1)


def write_script(text: str, out: Path) -> None:
    """Write the script to a file that only its owner can read, with the line ends of Windows. It appears when it is whole.

    Raises `LedgerError` if it cannot be written, and `UsageProblem` if there is no such folder.
    """
    refuse_unspellable(out)
    refuse_missing_folder(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    with appearing(temporary, out), open(temporary, "x", encoding="utf-8", newline="\r\n", opener=_private) as file:
        file.write(BYTE_ORDER_MARK + text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _line(group: WantedGroup) -> str:
    """Return a group as one line of JSON. It is ASCII and begins with a brace: nothing in it ends PowerShell's string."""
    told = {
        "user": group.user,
        "names": group.names,
        "rows": group.rows,
        "doubt": group.in_doubt,
        "spans": group.spans_ms,
    }
    return json.dumps(told)


def _harmless(text: str) -> str:
    """Return a path that cannot end the comment in which it stands."""
    return printable(text).replace("#>", "# >")
