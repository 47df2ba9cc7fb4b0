"""For every test: a log that goes nowhere, and properties that are tried the same way each time."""

from __future__ import annotations

import io

import pytest

import tests.properties  # noqa: F401 - the profiles of Hypothesis, before the command line chooses one
from purgeengine import logs


@pytest.fixture(autouse=True)
def _quiet_log() -> None:
    """Whatever a test logs goes nowhere; tests about the log set it up themselves."""
    logs.configure_logs("console", quiet=True, stream=io.StringIO())
