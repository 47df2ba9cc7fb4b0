"""Read an input: files in, record batches of checked rows out, whatever the format of the files.

This package knows files, compression, encodings, formats, and how people name their columns. It does not know limits
of mailboxes, ledgers or Graph. Only `purgeengine.core.graph.identifiers` knows which users and ids are allowed.
"""

from __future__ import annotations

from purgeengine.edges.source.opened import Source, open_source
from purgeengine.edges.source.rows.checked_rows import BATCH_ROWS_MAX
from purgeengine.edges.source.rows.column_names import LEDGER_COLUMNS, safe_name
from purgeengine.edges.source.rows.columns import ALIASES
from purgeengine.edges.source.users import read_users

__all__ = ["ALIASES", "BATCH_ROWS_MAX", "LEDGER_COLUMNS", "Source", "open_source", "read_users", "safe_name"]
