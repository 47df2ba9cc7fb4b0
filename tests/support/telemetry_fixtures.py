"""What tests of telemetry share: the sentences that were logged, and missing packages."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import structlog

from purgeengine import logs

Told = Callable[[str], list[str]]


@pytest.fixture
def told() -> Iterator[Told]:
    """Yield a function that returns the sentences that were logged with an event."""
    out = io.StringIO()
    logs.configure_logs("json", stream=out)
    try:
        yield lambda event: [
            found["because"] for line in out.getvalue().splitlines() if (found := json.loads(line))["event"] == event
        ]
    finally:
        structlog.reset_defaults()


@contextmanager
def missing(package: str) -> Iterator[None]:
    """Let a package be missing inside, with all its modules."""
    hidden = {name: None for name in sys.modules if name == package or name.startswith(f"{package}.")}
    ours = [name for name in sys.modules if name.startswith("purgeengine.edges.telemetry.")]
    with patch.dict(sys.modules, {package: None, **hidden}):
        for name in ours:
            del sys.modules[name]
        yield
