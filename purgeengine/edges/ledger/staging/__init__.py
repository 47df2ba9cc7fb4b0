"""Read an input into a new ledger."""
