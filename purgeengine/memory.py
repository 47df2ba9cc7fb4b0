"""How this process deals with memory and other things that a machine has few of, before libraries are imported that need them."""

from __future__ import annotations

import gc
import mmap
import os

ADDRESS_SPACE_BYTES_MIN = 384 << 20
"""What a command needs beside Python itself: pyarrow and the threads take most of it. Pages that nobody touches cost nothing."""
FILES_MIN = 24
"""Files that a command opens at once beside its connections: a ledger takes ten, an event loop six, a login two."""


def lean_memory() -> None:
    """Before pyarrow is imported: its own pools keep a third more than is used, and large inputs pass through in small pieces."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    spare_the_collector()


def spare_the_collector() -> None:
    """What was imported stays, and rows pass through as short-lived tuples: looking for cycles costs a twentieth of the CPU."""
    gc.freeze()  # without a collection first, which takes longer than the little garbage of starting is worth
    gc.set_threshold(100_000, 50, 100)


def require_room() -> None:
    """Raise MemoryError or OSError where a limit (``ulimit -v``, ``ulimit -n``) leaves too little for a command.

    Libraries in C and C++ end the process when they get no memory or file while they are loaded, and nobody could say why.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2 * FILES_MIN:
        _open_some_files()
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    try:
        mmap.mmap(-1, ADDRESS_SPACE_BYTES_MIN).close()
    except OSError as error:
        raise MemoryError from error


def _open_some_files() -> None:
    files: list[int] = []
    try:
        files.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(FILES_MIN))
    finally:
        for file in files:
            os.close(file)
