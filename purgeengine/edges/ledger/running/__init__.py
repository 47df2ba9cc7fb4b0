"""What a run reads from its ledger and writes to it."""
