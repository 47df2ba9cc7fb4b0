"""Names of files as the operating system has them, in whatever encoding.

SQLite and pyarrow take text as UTF-8. Where a locale or a file system has another encoding, that names another file, or none.
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
"""How names of folders for temporary files begin."""
SPOOLED = "standard input"
"""What the copy of standard input is called, in messages and in the ledger."""
GIVEN_ROWS = "rows of the request"
"""The same for the copy of rows that a program handed over."""


def opened(path: Path) -> pa.NativeFile:
    """The file, to be read by pyarrow. Raises OSError as opening a file does."""
    import pyarrow as pa

    name: Any = os.fsencode(path)  # the stubs know only text
    return pa.OSFile(name, "rb")


def refuse_unspellable(path: Path) -> None:
    """Raise `UsageProblem` for a name that cannot be handed to the operating system in this locale."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise unspellable(path) from error


def unspellable(path: object) -> UsageProblem:
    """The sentence for such a name."""
    return UsageProblem(
        f"The name {str(path)!a} cannot be spelt in this locale, whose encoding is {sys.getfilesystemencoding()}. Nothing was "
        "made. Use a name of ASCII letters, or set LC_ALL to a locale with UTF-8, such as C.UTF-8."
    )
