"""Tests of what is taken for granted of a lost ledger."""

from __future__ import annotations

from purgeengine.core.coordination.coordinator_messages import Redo, lost


def test_every_window_is_full_and_every_open_row_is_in_doubt() -> None:
    """Nothing may be sent while its last calls may run, and all that a window allows counts from then on."""
    facts = lost(Redo(3, 1, 1_700_000_000_000), quarantine_s=40.0, mailbox_requests=10_000)
    assert facts.blocked == (1_700_000_040_000, 1_700_000_000_000)
    assert facts.seen == (1_700_000_040_000, 10_000)
    assert facts.in_doubt(settled=False)
    assert not facts.in_doubt(settled=True)
