"""Set-up of memory and other scarce resources, before the libraries that need them are imported."""

from __future__ import annotations

import gc
import mmap
import os

ADDRESS_SPACE_BYTES_MIN = 384 << 20
"""Bytes of address space that a command needs besides Python.

pyarrow and threads take most of it; untouched pages cost nothing.
"""
FILES_MIN = 24
"""Files that a command opens at once besides its connections: a ledger takes ten, an event loop six, a login two."""


def lean_memory() -> None:
    """Make pyarrow use the system's allocator. Call it before pyarrow is imported.

    pyarrow's own pools keep a third more memory than is used, and large inputs pass through in small pieces.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    spare_the_collector()


def spare_the_collector() -> None:
    """Let the garbage collector run rarely. Its search for cycles would cost a twentieth of the CPU.

    Imported modules stay for good, and rows pass through as short-lived tuples, so there is little to find.
    """
    gc.freeze()  # no collection first: it takes longer than the little garbage of the start is worth
    gc.set_threshold(100_000, 50, 100)


def require_room() -> None:
    """Raise MemoryError or OSError if a limit (``ulimit -v``, ``ulimit -n``) leaves too little for a command.

    Libraries in C and C++ end the process without a message if they get no memory or file while they are loaded.
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
