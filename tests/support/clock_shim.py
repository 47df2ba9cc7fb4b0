"""A clock that can be set, for one process: Dask loads this module into a worker (``--preload``).

The file ``clock-offset`` in the folder in which the worker was started holds the seconds by which its wall clock is ahead.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FILE = "clock-offset"
LOOK_S = 0.1
_real = time.time
_offset = [0.0]


def _look() -> None:
    while True:
        with suppress(OSError, ValueError):
            _offset[0] = float(Path(FILE).read_text(encoding="ascii"))
        time.sleep(LOOK_S)


def dask_setup(worker: Any) -> None:
    """Shift the clock of this process from now on."""
    time.time = lambda: _real() + _offset[0]
    threading.Thread(target=_look, daemon=True).start()
