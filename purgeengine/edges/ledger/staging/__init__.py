"""Reads an input into a new ledger."""
