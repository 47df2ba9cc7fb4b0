"""Figures: each module is one documented command, prints a table and writes JSON where asked to."""
