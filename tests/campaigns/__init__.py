"""The long versions of the tests: many seeds over all cores, with a progress line. ``python -m tests.campaigns --help``."""
