"""The command line: arguments to calls, results to text. It decides nothing about a purge."""
