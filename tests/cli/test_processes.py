"""Tests of real processes: killed, stopped, suspended, without parent, streams or terminal, and two at a time.

Each is the real command line against the simulated tenant over TLS.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from purgeengine.cli.signals import heeded_signals
from purgeengine.cli.standard_streams import reader_has_gone
from purgeengine.core.graph.operations import Action, deletion_by
from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.edges.source import open_source
from purgeengine.edges.threads import beside_the_loop
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.tenant_settings import TenantSettings
from tests.campaigns import kills
from tests.support.cli_fixtures import Bench, a_bench, rows_of, write_csv

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no signals between processes, and no terminals like these"
)

SLOW = TenantSettings(latency_median_s=0.05, overhead_s=0.02, latency_s_max=0.2)
"""A tenant whose calls take one second at most."""
QUICK = TenantSettings(latency_median_s=0.01, overhead_s=0.01, latency_s_max=0.1)
IN_A_HURRY = ("--quarantine-s", "1")


@contextmanager
def a_job(
    folder: Path, *mailboxes: int, settings: TenantSettings = SLOW, login: LoginEndpoint | None = None
) -> Iterator[Bench]:
    """Open a bench whose tenant has every contact of the list."""
    rows = rows_of(mailboxes or [40] * 15)
    with a_bench(folder, Tenant(settings, contacts=rows, seed=5), rows, login) as bench:
        yield bench


@contextmanager
def running(bench: Bench, *more: str, after: int = 60, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a run, and yield its process after it has purged ``after`` more contacts."""
    counters = bench.server.tenant.counters
    enough = counters.purged + after
    with bench.start(*bench.run_arguments(*IN_A_HURRY, "--connections", "2", *more), how=how) as process:
        try:
            until(lambda: counters.purged >= enough, process)
            yield process
        finally:
            process.kill()


def until(seen: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until the condition holds, or fail if the process has ended."""
    while not seen():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def stopped_by(number: signal.Signals, start: Callable[[], subprocess.Popen[str]], seen: Callable[[], bool]) -> str:
    """Send the signal as soon as the condition holds, and return what the process says before it ends with exit code 4.

    On a slow machine a process may end before the signal is sent; then another one is started.
    """
    for _ in range(20):
        with start() as process:
            until(lambda: seen() or process.poll() is not None, process)
            process.send_signal(signal.SIGSTOP)  # so that it cannot end before the signal comes
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            code, _, err = ended(process)
        if code == 4:
            return err.strip()
    raise AssertionError(f"It always ended before the signal came: exit {code}, {err}")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the process, and return its exit code and output."""
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in (err or ""), err
    return process.returncode, out, err


def sent_twice(tenant: Tenant) -> set[str]:
    """Return the contacts that the tenant was asked for more than once."""
    return {contact for contact, count in Counter(seen.contact for seen in tenant.log).items() if count > 1}


def files_of(ledger: Path) -> dict[str, bytes]:
    """Return every byte of a ledger, without ``-shm`` and empty files: SQLite's readers share and leave those."""
    found = {str(path.relative_to(ledger)): path.read_bytes() for path in sorted(ledger.rglob("*")) if path.is_file()}
    return {name: content for name, content in found.items() if not name.endswith("-shm") and content}


# ----------------------------------------------------------------------------------------------------------------- kills


def test_real_kills_break_no_promise() -> None:
    """At least eight kills by SIGKILL, each followed by the same command, lose nothing and send nothing again.

    On a fast machine a job may end before its kill, so jobs are played until there were enough kills.
    """
    counts = Counter[str]()
    with ThreadPoolExecutor(4) as jobs:
        for first in range(1, 25, 4):
            counts += sum(jobs.map(kills.case, range(first, first + 4)), Counter[str]())
            if counts["kills"] >= 8:
                break
    assert counts["kills"] >= 8, counts


# -------------------------------------------------------------------------------------------------- two at the same time


def test_a_second_run_is_refused_and_onlookers_see_a_ledger_that_adds_up(tmp_path: Path) -> None:
    """A second run on the same ledger ends with exit code 5.

    Status and export meanwhile add up, and the first run ends well.
    """
    with a_job(tmp_path) as bench:
        tenant = bench.server.tenant
        with running(bench) as first:
            tenant.set_faults(Faults(call_throttled=1.0, retry_after_s_max=1))  # so that it does not end yet
            second = bench.run()
            assert (second.code, second.json["error"]["kind"]) == (5, "ledger")
            assert "in use by another process" in second.err
            _look(bench, tenant)
            assert first.poll() is None
            tenant.set_faults(Faults())
            _look(bench, tenant)
            code, out, err = ended(first)
        assert (code, json.loads(out)["outcomes"]["purged"]) == (0, 600), err
        assert sent_twice(tenant) == set()


def _look(bench: Bench, tenant: Tenant) -> None:
    status = bench.command("status", str(bench.ledger), "--json")
    assert status.code == 0, status.err
    found = status.json
    assert sum(found["outcomes"].values()) + found["waiting"] + found["in_doubt"] == found["rows"] == 600
    shown = bench.command("status", str(bench.ledger))
    assert (shown.code, shown.err) == (0, "")
    exported = bench.exported()
    assert len(exported) == 600
    for row in exported:
        assert row["outcome"] in ("", "purged"), row
        assert not row["outcome"] or not tenant.truth.exists(row["user"], row["contact"]), row


def test_status_and_export_while_the_input_is_read(tmp_path: Path) -> None:
    """The commands status and export end with exit code 5 while the input is staged, and the run continues."""
    with a_job(tmp_path, *[1_000] * 100) as bench:
        with bench.start(*bench.run_arguments("--max-items", "0")) as process:
            until(bench.ledger.exists, process)
            for command in (["status", str(bench.ledger)], ["export", str(bench.ledger), str(tmp_path / "out.csv")]):
                look = bench.command(*command)
                assert look.code in (0, 5), look.err  # 0 if staging was quick
                assert "Traceback" not in look.err
            code, _, err = ended(process)
        assert code == 2, err
        assert "100,000 rows to purge" in err


@posix
def test_a_lock_that_a_dead_process_held_holds_nobody_up(tmp_path: Path) -> None:
    """The lock of a killed process does not stop the next run: its file stays, but the lock is released."""
    with a_job(tmp_path) as bench:
        with running(bench) as process:
            process.kill()
        assert (bench.ledger / "lock").exists()
        again = bench.run(*IN_A_HURRY)
        assert (again.code, again.json["outcomes"]["purged"]) == (0, 600), again.err


@posix
def test_another_input_tenant_or_action_changes_no_byte_of_a_ledger(tmp_path: Path) -> None:
    """Another input, tenant or action ends with exit code 2, sends nothing, and changes no byte of the ledger."""
    with a_job(tmp_path, 40, 40) as bench:
        with running(bench, after=20) as process:
            process.kill()
        before, calls = files_of(bench.ledger), bench.server.tenant.counters.calls
        arguments = bench.run_arguments()
        arguments[1] = str(write_csv(tmp_path / "other.csv", rows_of([3])))
        refused = bench.command(*arguments)
        assert (refused.code, refused.json["error"]["kind"]) == (2, "ledger_mismatch"), refused.err
        assert "was made from another input" in refused.err
        assert files_of(bench.ledger) == before
        for about, word, its in (
            ({"tenant_id": "another"}, "tenant", "another"),
            ({"deletion": deletion_by(Action.DELETE)}, "action", "delete"),
        ):
            made = Path(tmp_path / word)
            kept: dict[str, Any] = {"tenant_id": bench.server.login.app.tenant_id, **about}
            Ledger.open(made, open_source([bench.input]), **kept).close()
            before_that = files_of(made)
            arguments = bench.run_arguments()
            arguments[3] = str(made)
            refused = bench.command(*arguments)
            assert (refused.code, refused.json["error"]["kind"]) == (2, "ledger_mismatch"), refused.err
            assert f"belongs to the {word} {its}" in refused.err
            assert files_of(made) == before_that
        assert bench.server.tenant.counters.calls == calls
        assert bench.run(*IN_A_HURRY).code == 0


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks is refused, because a lock that is a mere file would outlive a killed run."""
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")

    def missing(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    from purgeengine.errors import LedgerError

    with pytest.raises(LedgerError, match="has no locks"):
        Ledger.open(tmp_path / "L", open_source([write_csv(tmp_path / "in.csv", rows_of([1]))]), tenant_id="contoso")


# --------------------------------------------------------------------------------------------------------------- signals


@posix
def test_sigint_sigterm_and_sighup_drain_and_the_same_command_resumes(tmp_path: Path) -> None:
    """Runs that get SIGINT, SIGTERM or SIGHUP finish their calls and end with exit code 4.

    The fourth run finishes the job, and no contact was sent twice.
    """
    with a_job(tmp_path) as bench:
        tenant = bench.server.tenant
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with running(bench) as process:
                process.send_signal(number)
                code, out, err = ended(process)
            assert code == 4, err
            assert "Stopping: waiting for the batches in flight" in err or "Stopping now: no batch is in flight." in err
            summary = json.loads(out)
            assert (summary["exit_code"], summary["in_doubt"]) == (4, 0)
            assert number.name in summary["stopped"]
            assert summary["outcomes"]["purged"] == tenant.counters.purged == 600 - summary["waiting"]
        last = bench.run(*IN_A_HURRY)
        assert (last.code, last.json["outcomes"]["purged"]) == (0, 600), last.err
        assert sent_twice(tenant) == set()


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_second_signal_leaves_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """A second signal while a call hangs ends the run at once with exit code 4.

    The same command settles the rows in doubt.
    """
    with a_job(tmp_path, *[8] * 5) as bench:
        tenant = bench.server.tenant
        tenant.set_faults(Faults(hang_after=1.0))
        with bench.start(*bench.run_arguments(*IN_A_HURRY)) as process:
            until(lambda: tenant.counters.purged > 0, process)
            process.send_signal(number)
            assert process.stderr is not None
            assert "Stopping" in process.stderr.readline()
            process.send_signal(number)
            code, out, err = ended(process)
        assert (code, json.loads(out)["error"]["kind"]) == (4, "stopped")
        assert "Ended at once" in err
        with LedgerReader.open(bench.ledger) as reader:
            assert reader.counts().in_doubt > 0
        tenant.set_faults(Faults())
        again = bench.run(*IN_A_HURRY)
        assert (again.code, again.json["outcomes"]["purged"]) == (0, 40), again.err


@posix
def test_two_signals_reach_a_run_that_is_held_up_by_its_own_output(tmp_path: Path) -> None:
    """Two signals end a run that is blocked by its own output, because nobody reads the pipe."""
    with a_job(tmp_path, *[40] * 30, settings=QUICK) as bench:
        arguments = [a for a in bench.run_arguments("--verbose", *IN_A_HURRY) if a != "--quiet"]
        with bench.start(*arguments) as process:
            seen = -1
            while seen != (seen := bench.server.tenant.counters.requests) or not seen:
                time.sleep(1.0)  # until a second passes without progress
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            # A signal in the same instant may go to another thread, which interrupts no write of the main one.
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 4
        again = bench.run(*IN_A_HURRY)
        assert (again.code, again.json["outcomes"]["purged"]) == (0, 1_200), again.err


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_while_the_login_hangs_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """A signal while the login hangs ends the run at once with exit code 4 and one sentence, and makes no ledger."""
    rows = write_csv(tmp_path / "in.csv", rows_of([1]))
    with a_job(tmp_path, 1) as bench, socket.create_server(("127.0.0.1", 0)) as silent:
        authority = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with bench.start("run", str(rows), "--ledger", str(bench.ledger), "--yes", "--authority", authority) as process:
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                process.send_signal(number)
                code, _, err = ended(process)
        assert code == 4
        assert err == "purgeengine: Stopped before anything was sent. The same command begins again.\n"
        assert not bench.ledger.exists()


@posix
def test_a_signal_while_the_input_is_read_is_an_orderly_stop(tmp_path: Path) -> None:
    """A signal while the input is staged ends the run with exit code 4 and a sentence, and the same command stages it again."""
    with a_job(tmp_path, *[1_000] * 200) as bench:

        def start() -> subprocess.Popen[str]:
            shutil.rmtree(bench.ledger, ignore_errors=True)
            return bench.start(*bench.run_arguments("--max-items", "0"))

        for number in (signal.SIGTERM, signal.SIGINT):
            said = stopped_by(number, start, (bench.ledger / "staging").exists)
            assert said == "purgeengine: Stopped. To resume, give the same command again."
        again = bench.run("--max-items", "0")
    assert again.code == 2, again.err
    assert "200,000 rows to purge" in again.err


@posix
def test_a_signal_during_an_export_leaves_nothing_behind(tmp_path: Path) -> None:
    """A signal during an export ends it with exit code 4 and leaves no file."""
    out = tmp_path / "out" / "all.csv"
    out.parent.mkdir()
    with a_job(tmp_path, *[1_000] * 200) as bench:
        Ledger.open(bench.ledger, open_source([bench.input]), tenant_id="contoso").close()

        def start() -> subprocess.Popen[str]:
            out.unlink(missing_ok=True)
            return bench.start("export", str(bench.ledger), str(out))

        said = stopped_by(signal.SIGTERM, start, lambda: any(out.parent.iterdir()))
    assert said == "purgeengine: Stopped. The same command begins again."
    assert list(out.parent.iterdir()) == []


@posix
def test_signals_that_were_ignored_from_the_start_stay_ignored(tmp_path: Path) -> None:
    """Signals that were ignored at the start stay ignored: SIGHUP under nohup, and SIGINT in a script's background job."""

    def ignored() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with a_job(tmp_path, 40, 40) as bench, running(bench, after=20, preexec_fn=ignored) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        code, out, err = ended(process)
    assert (code, json.loads(out)["outcomes"]["purged"]) == (0, 80), err


def test_ctrl_c_during_the_first_imports_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Ctrl-C during the first imports ends with exit code 4 and one sentence."""
    from purgeengine.__main__ import main

    def interrupted(name: str, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.__import__", interrupted)
    with pytest.raises(SystemExit) as end:
        main()
    monkeypatch.undo()
    assert end.value.code == 4
    assert capsys.readouterr().err == "purgeengine: Stopped before anything was done.\n"


def test_only_signals_of_the_platform_are_heeded() -> None:
    """Each platform heeds the signals that it has: SIGBREAK on Windows and SIGHUP elsewhere."""
    names = {number.name for number in heeded_signals()}
    assert {"SIGINT", "SIGTERM"} <= names
    assert ("SIGBREAK" in names, "SIGHUP" in names) == ((True, False) if sys.platform == "win32" else (False, True))


def test_a_blocking_call_that_nobody_waits_for_holds_nobody_up() -> None:
    """A blocking call beside the loop returns or raises, and one that hangs does not keep the loop from ending."""
    release = threading.Event()

    async def main() -> None:
        assert await beside_the_loop(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await beside_the_loop(lambda: 1 // 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beside_the_loop(release.wait), 0.01)

    asyncio.run(main())
    assert not release.is_set()
    release.set()


# --------------------------------------------------------------------------------------------------------------- streams


def nobody_reads() -> int:
    """Return the writing end of a pipe whose reading end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@posix
@pytest.mark.parametrize("closed", ["", "2>&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_every_command_does_its_work_without_its_streams(tmp_path: Path, closed: str) -> None:
    """Every command does its work and gives its own exit code if its streams are unread, closed or full.

    No file of the ledger takes the place of a closed stream.
    """
    bad = Path(__file__).parents[2] / "sample_inputs" / "every-bad-row.csv"
    with a_job(tmp_path, 6, 6, settings=QUICK) as bench:
        contents = bench.input.read_text(encoding="utf-8") + "nobody,,\n"
        bench.input.write_text(contents, encoding="utf-8")
        out = tmp_path / "out.csv"
        run = [a for a in bench.run_arguments("--verbose") if a != "--quiet"]
        unasked = [a for a in run if a != "--yes"]
        unasked[3] += "-2"
        commands = [
            (["plan", str(bad)], 0),
            (run, 1),
            (["status", str(bench.ledger)], 0),
            (["status", str(bench.ledger), "--json"], 0),
            (["export", str(bench.ledger), str(out)], 0),
            (unasked, 2),
            (["status", str(tmp_path / "nowhere")], 5),
        ]
        for arguments, code in commands:
            assert _without(bench, closed, arguments) == (code, ""), arguments
        with out.open(encoding="utf-8", newline="") as lines:
            outcomes = Counter(row["outcome"] for row in csv.DictReader(lines))
        assert outcomes == {"purged": 12, "invalid": 1}
        assert not any(b"[debug" in content for content in files_of(bench.ledger).values())


def _without(bench: Bench, closed: str, arguments: list[str]) -> tuple[int, str]:
    """Return the exit code and the lines in which Python itself complains."""
    command = ["bash", "-c", f'exec "$@" {closed}', "bash", sys.executable, "-m", "purgeengine", *arguments]
    stdout = nobody_reads()
    try:
        with bench.start(command=command, how={"stdout": stdout}) as process:
            _, err = process.communicate(timeout=60)
    finally:
        os.close(stdout)
    return process.returncode, "".join(
        line for line in err.splitlines(True) if "Traceback" in line or "Exception" in line
    )


def test_a_reader_that_has_gone_is_told_from_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader that has gone is distinguished from a full disk, also on Windows, where a closed pipe is an invalid argument."""
    assert reader_has_gone(BrokenPipeError(32, "Broken pipe"))
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe, os.fdopen(reading):
        monkeypatch.setattr(sys, "stdout", pipe)
        assert not reader_has_gone(OSError(28, "No space left on device"))
        assert not reader_has_gone(OSError(5, "Input/output error"))
        with monkeypatch.context() as windows:
            windows.setattr(os, "name", "nt")
            assert reader_has_gone(OSError(22, "Invalid argument"))
            assert not reader_has_gone(OSError(28, "No space left on device"))


# ------------------------------------------------------------------------------------------------- terminals and parents


@posix
@pytest.mark.parametrize("its_own", [True, False], ids=["its-own-terminal", "inherited-terminal"])
def test_a_terminal_that_goes_away_spoils_no_run(tmp_path: Path, its_own: bool) -> None:
    """A run whose own terminal closes gets SIGHUP, ends with exit code 4 and is resumed.

    Another terminal that closes does not stop it.
    """
    import fcntl
    import pty
    import termios

    def take_the_terminal() -> None:
        fcntl.ioctl(2, termios.TIOCSCTTY, 0)

    with a_job(tmp_path, *[40] * 8) as bench:
        controller, terminal = pty.openpty()
        arguments = [
            a for a in bench.run_arguments(*IN_A_HURRY, "--connections", "2") if a not in ("--quiet", "--json")
        ]
        how = {"stdin": terminal, "stdout": terminal, "stderr": terminal, "start_new_session": True}
        if its_own:
            how["preexec_fn"] = take_the_terminal
        with bench.start(*arguments, how=how) as process:
            os.close(terminal)
            until(lambda: bench.server.tenant.counters.purged >= 40, process)
            os.read(controller, 65_536)
            os.close(controller)
            code = process.wait(timeout=60)
        counts = Counter(row["outcome"] for row in bench.exported())
        if its_own:
            assert code == 4
            assert counts["purged"] == bench.server.tenant.counters.purged < 320
            assert bench.run(*IN_A_HURRY).code == 0
            assert sent_twice(bench.server.tenant) == set()
        else:
            assert (code, counts) == (0, {"purged": 320})


@posix
def test_a_run_whose_parent_died_goes_on_to_its_end(tmp_path: Path) -> None:
    """A run whose parent was killed continues to its end."""
    with a_job(tmp_path, *[40] * 5) as bench:
        arguments = bench.run_arguments(*IN_A_HURRY, "--connections", "2")
        script = f'{sys.executable} -m purgeengine "$@" & wait'
        with bench.start(command=["bash", "-c", script, "bash", *arguments]) as parent:
            until(lambda: bench.server.tenant.counters.purged >= 40, parent)
            parent.kill()
            out, err = parent.communicate(timeout=60)  # the run holds the other ends of these pipes until it ends
        assert json.loads(out)["outcomes"]["purged"] == 200, err
        assert bench.server.tenant.truth.remaining() == 0


# -------------------------------------------------------------------------------------------------------- time and clocks

SHORT_OF_PATIENCE = textwrap.dedent("""
    import sys
    from functools import partial
    from purgeengine.edges.http import transport
    transport.Timeouts = partial(transport.Timeouts, call_s=2.5)
    from purgeengine.cli.main import main
    main(sys.argv[1:])
""")
"""The command line with calls that may take 2.5 s instead of 120 s: a busy machine may need more than one for a call."""


@posix
def test_a_run_that_was_suspended_goes_on(tmp_path: Path) -> None:
    """A run that was suspended for longer than a call, a token, a wait and a cooldown last purges every row."""
    with a_job(tmp_path, *[40] * 8, login=LoginEndpoint(lifetime_s=2.0)) as bench:
        tenant = bench.server.tenant
        tenant.set_faults(Faults(item_throttled_before=0.05, call_throttled=0.05, retry_after_s_max=1))
        arguments = bench.run_arguments(*IN_A_HURRY, "--connections", "4")
        with bench.start(command=[sys.executable, "-c", SHORT_OF_PATIENCE, *arguments]) as process:
            until(lambda: tenant.counters.purged >= 40, process)
            process.send_signal(signal.SIGSTOP)
            time.sleep(4.0)
            process.send_signal(signal.SIGCONT)
            code, out, err = ended(process)
    assert code == 0, err
    summary = json.loads(out)
    assert summary["outcomes"]["purged"] == 320
    assert summary["lost_calls"] == 0, "an answer that lay ready was thrown away"
    assert (tenant.counters.refused_concurrency, tenant.counters.early_retries) == (0, 0)


def test_the_zone_of_the_machine_changes_no_byte(tmp_path: Path) -> None:
    """Exports in two time zones are equal byte by byte, because all times are UTC."""
    with a_job(tmp_path, 6, 6, settings=QUICK) as bench:
        assert bench.run(TZ="America/New_York").code == 0
        files = []
        for zone in ("America/New_York", "Pacific/Apia"):
            out = tmp_path / f"{len(files)}.csv"
            assert bench.command("export", str(bench.ledger), str(out), TZ=zone).code == 0
            files.append(out.read_bytes())
    assert files[0] == files[1]
    assert time.strftime("%Y-%m-%dT%H", time.gmtime()).encode()[:10] in files[0]
