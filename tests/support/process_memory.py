"""Searches the memory of another process, on Linux."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

CHUNK = 16 * 1024 * 1024


def occurrences(pid: int, marker: bytes) -> int:
    """Return how often the bytes occur in the writable memory of a process. It must be ours to look into."""
    found = 0
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="ascii")
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps.splitlines():
            span = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if span is None:
                continue
            begin, end = (int(number, 16) for number in span.groups())
            tail = b""
            while begin < end:
                with suppress(OSError, ValueError):
                    memory.seek(begin)
                    piece = memory.read(min(CHUNK, end - begin))
                    found += (tail + piece).count(marker)
                    tail = piece[-len(marker) + 1 :]
                begin += CHUNK
    return found
