"""The files and tables of a ledger: how they are made durable, opened and checked."""
