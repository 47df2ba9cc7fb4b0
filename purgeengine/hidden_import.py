"""Import a library without its optional dependencies.

structlog would import all of rich, for tracebacks that nobody asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden_import(package: str) -> Iterator[None]:
    """Hide a package from imports inside, unless it is imported already. Afterwards everything is as before."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment] # Python's documentation gives None for this
    try:
        yield
    finally:
        del sys.modules[package]
