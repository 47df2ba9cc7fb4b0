"""For every test: a log that tells warnings only, so that a failure can be read."""

from __future__ import annotations

import io

import pytest

from purgeengine import logs


@pytest.fixture(autouse=True)
def _quiet_log() -> None:
    """Whatever a test logs goes nowhere; tests about the log set it up themselves."""
    logs.configure_logs("console", quiet=True, stream=io.StringIO())
