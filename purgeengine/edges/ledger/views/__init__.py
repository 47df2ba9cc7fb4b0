"""Figures and rows of a ledger. Nothing is changed."""
