"""Tests of the end of a process.

Its exit code, its end in time whatever hangs, and its sentence if the machine lacks something.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from purgeengine.edges.ledger.store.storage import cause_of
from purgeengine.engine import loop
from purgeengine.shortages import FILES, FILES_OF_ALL, MEMORY, TEMPORARY, THREADS, shortage
from purgeengine.sim.graph.faults import Faults
from tests.cli.test_processes import QUICK, a_job, ended, posix, until
from tests.disk.full import SPOKEN, NoSuchDisk, play_small_disk
from tests.support.cli_fixtures import Ended, rows_of, write_csv

SIGNALS_AT_THE_END = 4
"""Runs that get a signal after their summary; the campaign of signals sends some hundreds."""


@pytest.mark.parametrize(
    ("command", "kib"),
    [("run", 3_200), ("run", 3_904), ("export.csv.gz", 512), ("export.parquet", 1_024)],
)
def test_a_full_disk_is_a_sentence_and_nothing_else(tmp_path: Path, command: str, kib: int) -> None:
    """A full disk gives one sentence, at the stages where another library's writer is still open.

    ``python -m tests.campaigns small_disks`` plays all stages.
    """
    try:
        play_small_disk(tmp_path, command, kib)
    except NoSuchDisk as reason:
        pytest.skip(str(reason))


@posix
def test_a_file_that_may_not_grow_is_a_sentence_and_nothing_else(tmp_path: Path) -> None:
    """A limit for the size of files gives one sentence and exit code 5, like a small disk."""
    with a_job(tmp_path, *[400] * 10, settings=QUICK) as bench:
        for blocks in (0, 16, 64):
            limited = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", sys.executable, "-m", "purgeengine"]
            with bench.start(command=[*limited, *bench.run_arguments()]) as process:
                code, _, err = ended(process)
            assert (code, SPOKEN.search(err), err.count("purgeengine: ")) == (5, None, 1), err


# --------------------------------------------------------------------------------------------------------------- signals


@posix
def test_a_signal_after_the_summary_changes_nothing(tmp_path: Path) -> None:
    """A signal after the summary changes neither the exit code nor the output."""
    rng = random.Random(5)
    with a_job(tmp_path, 3, 3, settings=QUICK) as bench:
        assert bench.run().code == 0
        for _ in range(SIGNALS_AT_THE_END):
            with bench.start(*bench.run_arguments()) as process:
                assert process.stdout is not None
                assert json.loads(process.stdout.readline())["exit_code"] == 0
                process.send_signal(rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
                code, _, err = ended(process)
            assert (code, err) == (0, "")


HANGING = textwrap.dedent("""
    import socket, sys, threading
    from purgeengine.engine import loop as engine
    engine.DRAIN_S_MAX = 0.5
    if sys.argv[1] == "name":
        look_up = socket.getaddrinfo
        def hanging(host, *more, **named):
            return threading.Event().wait() if "graph" in str(host) else look_up(host, *more, **named)
        socket.getaddrinfo = hanging
    if sys.argv[1] == "closing":
        from purgeengine.edges.ledger.recorder import Recorder
        Recorder.close = lambda self: threading.Event().wait()
        from purgeengine.cli import signals
        signals.ENDING_S_MAX = 1.0
    from purgeengine.cli.main import main
    main(sys.argv[2:])
""")
"""The command line with a short drain and one thing that never ends."""


@posix
@pytest.mark.parametrize("what", ["answer", "closing", "name"])
def test_a_stop_ends_in_time_whatever_hangs(tmp_path: Path, what: str) -> None:
    """A stop ends in time with exit code 4, even if an answer, a name's lookup or the ledger's closing hangs."""
    with a_job(tmp_path, 8, 8, settings=QUICK) as bench:
        bench.server.tenant.set_faults(Faults(hang_after=1.0))
        arguments = bench.run_arguments()
        if what == "name":
            url = bench.server.graph_url.replace("127.0.0.1", "graph.simulated.example")
            arguments[arguments.index("--graph-url") + 1] = url
        with bench.start(command=[sys.executable, "-c", HANGING, what, *arguments]) as process:
            if what == "name":
                until((bench.ledger / "reserve").exists, process)
            else:
                until(lambda: bench.server.tenant.counters.purged > 0, process)
            process.send_signal(signal.SIGTERM)
            code, out, err = ended(process)
    assert code == 4, err
    assert "Stopping" in err or what == "name"
    if what == "answer":
        assert json.loads(out)["in_doubt"] > 0


def test_a_second_reason_to_stop_gives_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second reason to stop does not extend the drain: such a run once took twice as long as a stop may."""
    now = [100.0]

    class Clock:
        def monotonic(self) -> float:
            return now[0]

    running = object.__new__(loop.Engine)
    monkeypatch.setattr(running, "_clock", Clock(), raising=False)
    running._drain_until, running._unsent = None, set()
    running._begin_to_drain()
    now[0] += 20.0
    running._begin_to_drain()
    assert running._drain_until == 100.0 + loop.DRAIN_S_MAX


# -------------------------------------------------------------------------------------------------------------- shortages


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), MEMORY),
        (ImportError("libarrow.so: failed to map segment from shared object"), MEMORY),
        (RuntimeError("can't start new thread"), THREADS),
        (OSError(errno.EMFILE, "Too many open files"), FILES),
        (OSError(errno.ENFILE, "Too many open files in system"), FILES_OF_ALL),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), TEMPORARY),
        (ValueError("something else"), None),
        (OSError(errno.ENOSPC, "No space left on device"), None),
    ],
)
def test_what_is_short_is_named(error: Exception, sentence: str | None) -> None:
    """A lack of memory, threads, files or temporary space is named, also if it is the cause of another error."""
    outer = RuntimeError("it could not be done")
    outer.__cause__ = error
    assert shortage(error) == shortage(outer) == sentence
    if sentence is not None:
        assert cause_of(error).lower() == sentence.lower()


def limited(bench_arguments: list[str], limit: str, scratch: Path) -> Ended:
    """Run a command under a limit of the shell."""
    command = ["sh", "-c", f'{limit}; exec "$@"', "sh", sys.executable, "-m", "purgeengine", *bench_arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=scratch, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of other systems differ, or do not hold")
@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("ulimit -v 60000", MEMORY),
        ("ulimit -v 270000", MEMORY),
        ("ulimit -n 10", FILES),
        ("ulimit -n 20", FILES),
    ],
)
def test_a_command_under_a_low_limit_is_a_sentence(tmp_path: Path, limit: str, sentence: str) -> None:
    """A command under a low limit of memory or files ends with exit code 4 and one sentence, and makes nothing."""
    rows = write_csv(tmp_path / "in.csv", rows_of([3]))
    found = limited(["run", str(rows), "--ledger", str(tmp_path / "L"), "--yes"], limit, tmp_path)
    assert (found.code, found.err) == (4, f"purgeengine: {sentence}\n")
    assert not (tmp_path / "L").exists()


@posix
@pytest.mark.parametrize("zone", [":/nonexistent", "garbage!!"])
def test_an_odd_zone_or_a_folder_that_is_gone_is_no_obstacle(tmp_path: Path, zone: str) -> None:
    """An unknown time zone or a deleted working folder does not disturb ``plan``."""
    rows = write_csv(tmp_path / "in.csv", rows_of([3]))
    gone = tmp_path / "gone"
    gone.mkdir()
    found = limited(["plan", str(rows)], f"TZ={zone} ; export TZ; rmdir {gone}", gone)
    assert (found.code, found.err) == (0, ""), found.err


# ------------------------------------------------------------------------------------------------------------------ names

LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "unknown": {"LC_ALL": "xx_YY.ISO-8859-1"},
    "UTF-8": {"LC_ALL": "C.UTF-8"},
}


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
@pytest.mark.parametrize(
    ("locale", "name"), [("C", "Löschung".encode()), ("unknown", b"L\xf6schung"), ("UTF-8", b"x\xff\xfe %3f#?")]
)
def test_a_name_that_the_locale_cannot_spell_works(tmp_path: Path, locale: str, name: bytes) -> None:
    """Names that the locale cannot decode work for input, ledger, CA file, export and report."""
    with a_job(tmp_path, 2, 2, settings=QUICK) as bench:
        base = os.fsencode(tmp_path) + b"/" + name
        source, ledger, authority = base + b".csv", base, base + b".pem"
        Path(os.fsdecode(source)).write_bytes(bench.input.read_bytes())
        Path(os.fsdecode(authority)).write_bytes(bench.server.ca_file.read_bytes() if bench.server.ca_file else b"")
        endpoint = [
            "--graph-url",
            bench.server.graph_url,
            "--authority",
            bench.server.authority_url,
            "--ca-file",
            authority,
        ]
        for command in (
            ["run", source, "--ledger", ledger, "--yes", "--json", *endpoint],
            ["export", ledger, base + b".parquet"],
            ["plan", base + b".parquet"],
            ["report", ledger, "-o", base + b".html", "--json"],
        ):
            start = [sys.executable, "-m", "purgeengine", *command]
            with bench.start(command=start, **LOCALES[locale]) as process:  # type: ignore[arg-type]
                code, _, err = ended(process)
            assert code == 0, err
    assert os.path.isfile(ledger + b"/ledger.sqlite")  # noqa: PTH113 - bytes


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_cannot_even_be_asked_for_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """A name from a settings file that the locale cannot encode is refused with exit code 2 before anything is made."""
    rows = write_csv(tmp_path / "in.csv", rows_of([3]))
    settings = tmp_path / "purgeengine.toml"
    settings.write_text('[run]\nledger = "Löschung"\n', encoding="utf-8")
    environment = {**os.environ, **LOCALES["C"], "PURGEENGINE_CONFIG": str(settings), "PURGEENGINE_ACCESS_TOKEN": "x"}
    command = [sys.executable, "-m", "purgeengine", "run", str(rows), "--yes"]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert (found.returncode, SPOKEN.search(found.stderr)) == (2, None), found.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "purgeengine.toml"]
