"""A PowerShell script that brings back from Purges what a ledger says was deleted. Graph itself cannot reach that folder."""

from __future__ import annotations

from purgeengine.edges.restore_script.purged_rows import ROWS_MAX, purged_rows
from purgeengine.edges.restore_script.script import script_of, write_script

__all__ = ["ROWS_MAX", "purged_rows", "script_of", "write_script"]
