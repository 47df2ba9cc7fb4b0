"""Finds the files of an input, says what they are, and reads their bytes as text."""
