"""Tests of ``export`` to standard output, by real processes with real pipes."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger import LedgerReader, export
from tests.cli.test_processes import posix
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, sent, settled
from tests.support.process_fixtures import command_here

ROWS = 3_000
"""Rows whose CSV is longer than a pipe holds (64 KiB), so that a reader that has gone is noticed."""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a ledger with some purged rows and many waiting ones."""
    folder = tmp_path_factory.mktemp("export") / "L"
    with open_ledger(folder, a_source(ROWS)) as found:
        found.write([sent(1, (0, [0, 1])), ended(1), settled(0, 1), settled(1, 1, Outcome.REFUSED)], NOW)
    return folder


def streamed(ledger: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``export DIR -`` in a process."""
    command = [sys.executable, "-m", "purgeengine", "export", str(ledger), "-", *more]
    return subprocess.run(command, capture_output=True, timeout=60)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_stream_has_what_a_file_has(ledger: Path, tmp_path: Path, kind: str) -> None:
    """Standard output gets, byte for byte or row for row, what a file of that format gets, and nothing else."""
    out = tmp_path / f"out.{kind}"
    with LedgerReader.open(ledger) as reader:
        assert export(reader, out) == ROWS
    done = streamed(ledger, *([] if kind == "csv" else ["--format", kind]))
    assert (done.returncode, done.stderr) == (0, f"{ROWS:,} rows written to standard output{os.linesep}".encode())
    match kind:
        case "csv":
            assert done.stdout == out.read_bytes()
        case "csv.gz":
            assert gzip.decompress(done.stdout) == gzip.decompress(out.read_bytes())
        case _:
            assert pq.read_table(io.BytesIO(done.stdout)).equals(pq.read_table(out))


def test_a_choice_of_no_row_is_a_header(ledger: Path) -> None:
    """A choice that no row fits gives a header, and a sentence that says so."""
    done = streamed(ledger, "--only", "absent")
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 1)
    assert b"no row of the ledger is absent" in done.stderr


@posix
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_reader_that_goes_ends_the_export_quietly(ledger: Path, kind: str) -> None:
    """If the reader of the pipe goes, as ``| head`` does, the export ends with 0 and without a word."""
    command = [sys.executable, "-m", "purgeengine", "export", str(ledger), "-", "--format", kind]
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_full_disk_behind_standard_output_is_a_sentence(ledger: Path, kind: str) -> None:
    """If standard output is a file on a full disk, the export ends with 5 and one sentence."""
    command = [sys.executable, "-m", "purgeengine", "export", str(ledger), "-", "--format", kind]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 5
    assert done.stderr.startswith(b"purgeengine: The output could not be written:")
    assert done.stderr.count(b"\n") == 1


@posix
def test_a_terminal_gets_no_binary_data(ledger: Path) -> None:
    """Parquet and gzip are not written to a terminal: that is wrong usage, with a sentence."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "purgeengine", "export", str(ledger), "-", "--format", "parquet"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, timeout=60)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"Standard output is a terminal, which cannot show parquet." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["out.csv", "--format", "parquet"], "--format is for standard output"), (["-", "--format", "doc"], "doc")],
)
def test_a_format_that_cannot_be_is_refused(ledger: Path, arguments: list[str], said: str) -> None:
    """A format beside a file's name, or one that does not exist, is wrong usage."""
    command = [sys.executable, "-m", "purgeengine", "export", str(ledger), *arguments]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_file_that_exists_is_replaced_only_by_force(ledger: Path) -> None:
    """The file may be the list itself. It stays as it was, the sentence names --force, and with that it is replaced."""
    out = ledger.parent / "contacts.csv"
    out.write_text("my list")
    refused = command_here("export", str(ledger), str(out))
    assert refused.code == 2
    assert "exists already, and nothing was written" in refused.err
    assert "--force" in refused.err
    assert out.read_text() == "my list"
    assert command_here("export", str(ledger), str(out), "--force").code == 0
    assert out.read_text(encoding="utf-8-sig").startswith('"row","user"')


def test_an_export_into_a_folder_that_is_missing_is_wrong_usage(ledger: Path) -> None:
    """The name of the file is wrong, and nothing is wrong with the ledger: exit code 2, with the folder in the sentence."""
    ended = command_here("export", str(ledger), str(ledger.parent / "none" / "out.csv"))
    assert ended.code == 2
    assert f"there is no folder {ledger.parent / 'none'}" in ended.err
