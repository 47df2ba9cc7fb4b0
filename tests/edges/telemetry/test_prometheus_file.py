"""Tests of the metrics file: whole at any time, readable for the node exporter, and no reason for a run to fail."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from unittest.mock import patch

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from purgeengine import log_events
from purgeengine.edges.telemetry import prometheus_file
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.edges.telemetry.prometheus_file import PrometheusFile, replace_file
from purgeengine.errors import UsageProblem
from tests.support.telemetry_fixtures import Told, told  # noqa: F401 - a fixture

NEVER_S = 3_600.0


def as_flags(setting: str) -> str:
    """Spell a setting as an option."""
    return f"--{setting.replace('_', '-')}"


def value_in(path: Path, name: str) -> float:
    """Return the value of a metric without labels in the file."""
    (family,) = [family for family in parse(path.read_text(encoding="utf-8")) if family.name == name]
    return family.samples[0].value


def test_the_file_is_there_at_once_and_has_the_end_at_the_end(tmp_path: Path) -> None:
    """The file is written at the start and at the end, and nothing else is left in the folder."""
    path, counts = tmp_path / "purge.prom", Measurements()
    file = PrometheusFile(counts, path, as_flags, NEVER_S)
    assert value_in(path, "purgeengine_run_active") == 0
    counts.begins("https://graph.example/v1.0/$batch")
    counts.ended(4)
    file.close()
    assert value_in(path, "purgeengine_run_exit_code") == 4
    assert value_in(path, "purgeengine_run_active") == 0
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_written_again_and_again(tmp_path: Path) -> None:
    """While the run goes on, the file is replaced regularly."""
    path, replaced = tmp_path / "purge.prom", threading.Semaphore(0)

    def replace(path: Path, content: bytes) -> None:
        replace_file(path, content)
        replaced.release()

    with patch.object(prometheus_file, "replace_file", replace):
        file = PrometheusFile(Measurements(), path, as_flags, 0.001)
        assert all(replaced.acquire(timeout=30) for _ in range(5))
        file.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_everybody_may_read_the_file_whatever_the_umask(tmp_path: Path) -> None:
    """The file can be read by the node exporter, which runs as another user, also with a strict umask."""
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "purge.prom", b"x 1\n")
    finally:
        os.umask(before)
    assert (tmp_path / "purge.prom").stat().st_mode & 0o777 == 0o644


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """A failure in the middle of a writing leaves the old file whole and no rest beside it."""
    path = tmp_path / "purge.prom"
    replace_file(path, b"old 1\n")
    with patch.object(Path, "replace", side_effect=OSError("full")), pytest.raises(OSError, match="full"):
        replace_file(path, b"new 1\n")
    assert path.read_bytes() == b"old 1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_the_node_exporter_does_not_read_what_is_not_whole(tmp_path: Path) -> None:
    """What is being written has a name that does not end in `.prom`, so that the textfile collector leaves it alone."""
    names: list[str] = []
    with patch.object(Path, "replace", lambda new, path: names.append(new.name)):
        replace_file(tmp_path / "purge.prom", b"x 1\n")
    assert len(names) == 1
    assert not names[0].endswith(".prom")


def test_a_folder_that_does_not_exist_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """A file that cannot be written is refused with a sentence that names the option and the file."""
    with pytest.raises(
        UsageProblem, match=r"missing.purge\.prom of --metrics-file cannot be written.*Nothing was sent"
    ):
        PrometheusFile(Measurements(), tmp_path / "missing" / "purge.prom", as_flags)


def test_a_disk_that_fills_up_is_told_once(tmp_path: Path, told: Told) -> None:  # noqa: F811
    """If the file cannot be written later, the log says so once however often it fails, and nothing is raised."""
    path, failed = tmp_path / "purge.prom", threading.Semaphore(0)
    file = PrometheusFile(Measurements(), path, as_flags, 0.001)

    def fail(path: Path, content: bytes) -> None:
        failed.release()
        raise OSError(28, "No space left on device")

    with patch.object(prometheus_file, "replace_file", fail):
        assert all(failed.acquire(timeout=30) for _ in range(5))
        file._every_s = NEVER_S
        file.close()
    sentences = told(log_events.TELEMETRY_FAILED)
    assert len(sentences) <= 2  # and once more at the end, because the file is wrong then
    assert "purge.prom could not be written: No space left on device. The run goes on." in sentences[0]
