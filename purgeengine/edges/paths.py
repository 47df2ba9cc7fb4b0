"""File names as the operating system has them, in whatever encoding.

SQLite and pyarrow take text as UTF-8. Where a locale or a file system has another encoding, that would name another
file, or none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgeengine.errors import UsageProblem

if TYPE_CHECKING:
    import pyarrow as pa

SCRATCH_PREFIX = "purgeengine-"
"""Beginning of the names of folders for temporary files."""
SPOOLED = "standard input"
"""Name of the copy of standard input, in messages and in the ledger."""
GIVEN_ROWS = "rows of the request"
"""Name of the temporary copy of rows that a program handed over, in sentences."""


def opened(path: Path) -> pa.NativeFile:
    """Open a file for pyarrow. Raises OSError if it cannot be opened."""
    import pyarrow as pa

    name: Any = os.fsencode(path)  # the type stubs know only text
    return pa.OSFile(name, "rb")


def refuse_unspellable(path: Path) -> None:
    """Raise `UsageProblem` if the operating system has no such name in this locale."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise unspellable(path) from error


def unspellable(path: object) -> UsageProblem:
    """Return the error for a name that the operating system does not have in this locale."""
    return UsageProblem(
        f"The name {str(path)!a} cannot be spelt in this locale, whose encoding is {sys.getfilesystemencoding()}. Nothing was "
        "made. Use a name of ASCII letters, or set LC_ALL to a locale with UTF-8, such as C.UTF-8."
    )


def refuse_missing_folder(out: Path) -> None:
    """Raise `UsageProblem` if the folder in which a file is to appear does not exist."""
    try:
        there = out.parent.is_dir()
    except (OSError, ValueError):
        return  # writing tells what is wrong with it
    if not there:
        raise UsageProblem(
            f"{out} cannot be written: there is no folder {out.parent}. Make it, or name another file. Nothing was written."
        )
