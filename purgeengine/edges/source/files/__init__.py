"""Find the files of an input, tell their kind, and read their bytes as text."""
