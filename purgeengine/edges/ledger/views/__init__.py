"""Figures and rows of a ledger. These modules change nothing."""
