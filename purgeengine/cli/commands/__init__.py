"""The commands, one module for each. Each takes the arguments and returns the exit code."""
