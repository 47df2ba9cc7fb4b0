"""Runs the command line: ``purgeengine``, or ``python -m purgeengine``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """As `purgeengine.cli.main`; a Ctrl-C while that is being imported is a sentence, too."""
    try:
        from purgeengine.cli import main as command_line
    except KeyboardInterrupt:
        sys.stderr.write("purgeengine: Stopped before anything was done.\n")
        sys.exit(4)
    command_line()


if __name__ == "__main__":
    main()
