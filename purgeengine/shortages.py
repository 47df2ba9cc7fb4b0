"""Messages for a lack of memory, threads, open files or temporary space. Imports nothing that a start does not need."""

from __future__ import annotations

import errno

AGAIN = "then give the same command again."
MEMORY = f"There is not enough memory for this process. Free some, or raise its limit (ulimit -v, or the container's), {AGAIN}"
THREADS = f"The system allows this process no further thread. Raise its limit (ulimit -u, or the container's), {AGAIN}"
FILES = (
    f"This process may open no further file or connection. Raise its limit (ulimit -n), or lower --connections, {AGAIN}"
)
FILES_OF_ALL = f"The system can open no further file or connection. End other programs, {AGAIN}"
TEMPORARY = f"There is no folder for temporary files that can be written. Name one in TMPDIR (TEMP on Windows), {AGAIN}"
CAUSES_MAX = 10
"""Most errors followed back along their causes. A chain of ours has three."""

_NO_THREADS = (
    "can't start new thread",
    "can't create new thread",
    "failed to launch worker thread",
    "unable to create thread",
)
_NO_MEMORY = (
    "cannot allocate memory",
    "failed to map segment",
    "out of memory",
    "cannot allocate write+execute memory",
    "bad_alloc",
)


def shortage(error: BaseException) -> str | None:
    """Return the message for an error caused by a lack of memory, threads, open files or temporary space. None for others."""
    cause: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if cause is None:
            return None
        if (sentence := _of(cause)) is not None:
            return sentence
        cause = cause.__cause__ or cause.__context__
    return None


def _of(error: BaseException) -> str | None:
    text = str(error).lower()
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(said in text for said in _NO_MEMORY):
        return MEMORY
    if any(said in text for said in _NO_THREADS):
        return THREADS
    if number == errno.ENFILE:
        return FILES_OF_ALL
    if number == errno.EMFILE or "too many open files" in text:
        return FILES
    if "no usable temporary directory" in text:
        return TEMPORARY
    return None
