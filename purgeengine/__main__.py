"""Runs the command line: ``python -m purgeengine``."""

from purgeengine.cli import main

main()
