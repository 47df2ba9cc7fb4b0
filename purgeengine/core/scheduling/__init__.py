"""Decides what is sent next, and what an answer means for the rows that it is about."""
