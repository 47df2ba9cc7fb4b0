"""Runs the command line: ``purgeengine``, or ``python -m purgeengine``."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. A signal or a lack of memory during its import also ends with a sentence and an exit code."""
    try:
        _heed_signals()
        from purgeengine.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        sys.stderr.write("purgeengine: Stopped before anything was done.\n")
        sys.exit(4)
    except (MemoryError, ImportError, OSError, RuntimeError, SystemError) as error:
        from purgeengine.shortages import shortage

        sentence = shortage(error)
        if sentence is None:
            raise
        with suppress(OSError):  # not by `print`: the stream may not be there, and takes more memory
            os.write(2, f"purgeengine: {sentence}\n".encode())
        os._exit(4)  # Python's own way out would need memory for what it tears down


def _heed_signals() -> None:
    """A request to end is a Ctrl-C from here on; later, `purgeengine.cli.signals` knows more."""
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    main()
