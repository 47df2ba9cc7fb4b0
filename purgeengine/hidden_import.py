"""Imports without what is optional in them: structlog brings in the whole of rich for tracebacks that nobody asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden_import(package: str) -> Iterator[None]:
    """What is imported inside finds this package not installed, unless it is in use already; afterwards all is as before."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # what Python's documentation gives for this
    try:
        yield
    finally:
        del sys.modules[package]
