"""Tests of ``demo``: what a person reads who tries the program for the first time."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from purgeengine import log_events
from purgeengine.cli import main
from tests.support.cli_fixtures import rows_of, write_csv

demo: Any = importlib.import_module("purgeengine.cli.commands.demo")  # the package has the command by this name


def test_the_demo_prints_sentences_and_no_lines_of_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two mailboxes are closed in it: each is told in a sentence. No event shows its name, its level or its values."""
    sample = write_csv(tmp_path / "sample.csv", rows_of([3] * 8))
    monkeypatch.setattr(demo, "sample_input", lambda: sample)
    assert main.run(["demo"]) == 0
    told = capsys.readouterr().err
    assert told.count("cannot be served: ") == 2
    assert re.search(r"\[(info|warning) *\]", told) is None
    assert log_events.MAILBOX_CLOSED not in told
