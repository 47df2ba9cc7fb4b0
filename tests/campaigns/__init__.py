"""The long versions of the tests: many seeds on all cores, with a progress line. See ``python -m tests.campaigns --help``."""
