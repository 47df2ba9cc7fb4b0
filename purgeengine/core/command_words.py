"""The words of the command line that the core's sentences name: options, and commands with their arguments.

The core knows no command line. But what it says about a ledger (why a row is invalid, which filter left it out, what to do about a
failure) is written into ledgers, reports and logs, and read there days later by an administrator, who acts on it with a command.
Such a sentence must name the command, whoever started the purge. So all of these words stand here and nowhere else in the core: a
renamed option is one change. A sentence about a setting that somebody has just given is another matter; it is told the word by the
front end (`purgeengine.words.Spelling`).
"""

from __future__ import annotations

ACTION_DELETE = "--action delete"
CLEAN = "--clean"
CLOUD = "--cloud"
CODES = "--codes"
CONNECTIONS = "--connections"
EXCLUDE_USERS = "--exclude-users"
GRAPH_URL = "--graph-url"
ID_TYPE = "--id-type"
JSON = "--json"
ONLY = "--only"
ONLY_USERS = "--only-users"
PROTECTED_USERS = "--protected-users"
RATE = "--rate"
RESOLVE_USERS = "--resolve-users"


def resume_command(folder: str) -> str:
    """Goes on with the ledger in ``folder``, which is quoted for the shell."""
    return f"purgeengine run --ledger {folder}"


def retry_command(folder: str, new: str, selection: str) -> str:
    """Runs rows of the ledger in ``folder`` again, in a new ledger; ``selection`` are options, or empty."""
    return f"purgeengine retry {folder} --ledger {new}{selection}"


def correct_commands(folder: str) -> list[str]:
    """Write the invalid rows of the ledger in ``folder`` to a file, and run the corrected file."""
    return [
        f"purgeengine export {folder} bad.csv {ONLY} invalid",
        "purgeengine run bad.csv --ledger CORRECTED-FOLDER",
    ]
