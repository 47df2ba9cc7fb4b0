"""Tests of docs/json.md: its commands for bash are run as they stand, with the real jq."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from purgeengine.core.model import Outcome, Reply
from tests.support.cli_fixtures import write_csv
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, rows_of, sent, settled

PAGE = Path(__file__).parents[1] / "docs" / "json.md"
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
needs_jq = pytest.mark.skipif(
    shutil.which("jq") is None or shutil.which("bash") is None, reason="jq or bash is not installed here"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a list of three contacts and a ledger in which one of them was refused."""
    rows = rows_of("a", 3)
    write_csv(tmp_path / "contacts.csv", rows)
    with open_ledger(tmp_path / "cleanup", FakeSource(rows)) as ledger:
        refused = settled(2, 1, Outcome.REFUSED, reply=Reply(403, "ErrorAccessDenied", "No."))
        ledger.write([sent(1, (0, [0, 1, 2])), ended(1), settled(0, 1), settled(1, 1), refused], NOW)
    return tmp_path


def played(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block in bash, with this installation's program first on the path. Nobody has signed in."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "PURGEENGINE_"))}
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    command = ["bash", "-euo", "pipefail", "-c", block]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def block_with(words: str) -> str:
    """Return the only block with these words."""
    (found,) = (block for block in BLOCKS if words in block)
    return found


@needs_jq
def test_the_filters_find_what_they_ask_for(folder: Path) -> None:
    """Each jq filter of the page gives the figures of the ledger and the list, whose short ids it warns of."""
    done = played(block_with(".outcomes.refused"), folder)
    assert (done.returncode, done.stdout.splitlines()) == (
        0, ["1", "1 × 403 ErrorAccessDenied", '"a@contoso.example",3', "Look at the list first"],
    ), done.stderr  # fmt: skip


@needs_jq
def test_the_script_that_acts_on_the_end_of_a_run_does(folder: Path) -> None:
    """The script for the end of a run prints the message and the advice of a run that has no way to sign in."""
    done = played(block_with("summary=$("), folder)
    assert done.returncode == 1
    assert "AZURE_TENANT_ID" in done.stderr
    assert "Correct the credential" in done.stderr
    assert (folder / "run.log").read_text(encoding="utf-8")


@needs_jq
def test_the_exports_are_what_the_page_says(folder: Path) -> None:
    """The exports of the page write a file with its digest, the first lines of a CSV, and a Parquet file."""
    pq = pytest.importorskip("pyarrow.parquet")
    done = played(block_with("sha256"), folder)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr
    assert played("sha256sum -c failed.csv.sha256", folder).returncode == 0
    assert pq.read_table(folder / "all.parquet").num_rows == 3
