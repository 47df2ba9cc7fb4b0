"""The words of the command line that sentences of the core name: options, and commands with their arguments.

The core knows no command line. But its sentences about a ledger (why a row is invalid, which filter left it out, what to do about
a failure) are written into ledgers, reports and logs. An administrator reads them days later and acts on them with a command.
Such a sentence must name that command, whatever program started the purge. All of these words stand here and nowhere else in the
core, so that a renamed option is one change. Sentences about a setting that was just given are different: the front end supplies
their words (`purgeengine.words.Spelling`).
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
UNTIL = "--until"


def resume_command(folder: str) -> str:
    """Return the command that continues with the ledger in ``folder``, a path that is quoted for the shell."""
    return f"purgeengine run --ledger {folder}"


def retry_command(folder: str, new: str, selection: str) -> str:
    """Return the command that runs rows of the ledger in ``folder`` again, in the new ledger ``new``.

    ``selection`` is the text of the options that select the rows, with a space in front, or empty.
    """
    return f"purgeengine retry {folder} --ledger {new}{selection}"


def correct_commands(folder: str) -> list[str]:
    """Return two commands: export the invalid rows of the ledger in ``folder`` to a file, and run the corrected file."""
    return [
        f"purgeengine export {folder} bad.csv {ONLY} invalid",
        "purgeengine run bad.csv --ledger CORRECTED-FOLDER",
    ]


def collect_command(head: str, folders: str) -> str:
    """Return the command that collects the shards in ``folders`` into the ledger in ``head``. All are quoted for the shell."""
    return f"purgeengine shard collect {head} {folders}"
