"""Tests of a run at a real terminal, as a person sees it. The screen is drawn by pyte, which knows nothing of this program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals in the standard library", allow_module_level=True)

from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import Trouble
from tests.cli.test_processes import ended, until
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.pseudo_terminal import PseudoTerminal

QUICK = TenantSettings(latency_median_s=0.01, overhead_s=0.01, latency_s_max=0.5)
FAULTS = Faults(item_throttled_before=0.15, retry_after_s_max=1)
DENIED = "user0003@contoso.example"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench whose tenant denies one mailbox of fifty."""
    rows = rows_of([4] * 50)
    tenant = Tenant(QUICK, contacts=rows, seed=5)
    for user, _, _ in rows:
        tenant.truth.add_mailbox(user)
    tenant.truth.mailbox(DENIED).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        yield bench


def at_a_terminal(bench: Bench, *more: str, without: tuple[str, ...] = (), **how: object) -> PseudoTerminal:
    """Start a run at a terminal."""
    left_out = ("--json", "--quiet", *without)
    arguments = [argument for argument in bench.run_arguments("--quarantine-s", "1", *more) if argument not in left_out]
    environment = dict(how.pop("environment", {}))  # type: ignore[call-overload]
    return PseudoTerminal(
        [sys.executable, "-m", "purgeengine", *arguments],
        environment={**bench._environment({}), "LC_ALL": "C.UTF-8", **environment},
        **how,  # type: ignore[arg-type]
    )


def nobodys_hours() -> str:
    """Return a window that is hours away."""
    later = time.localtime(time.time() + 6 * 3_600)
    return f"{later.tm_hour:02}:00-{later.tm_hour:02}:30"


@pytest.mark.parametrize("columns", [100, 40])
def test_a_run_is_calm(bench: Bench, columns: int, tmp_path: Path) -> None:
    """Much throttling gives one sentence about the closed mailbox, one block, the summary, and nothing else.

    The log file has all events, and nothing that looks like them is on the screen.
    """
    log = tmp_path / "run.log"
    bench.server.tenant.set_faults(FAULTS)
    counters = bench.server.tenant.counters
    with at_a_terminal(bench, "--log-file", str(log), columns=columns) as terminal:
        terminal.until(lambda: counters.purged > 50)
        bench.server.tenant.set_faults(Faults())  # the waits of the first half are enough
        assert terminal.ended() == 1, terminal.lines
        text, lines = terminal.text, terminal.lines
    unwrapped = "".join(text.split())  # a narrow terminal breaks words at its edge
    assert unwrapped.count(f"Themailbox{DENIED}cannotbeserved:403") == 1
    assert text.count("100 %") == 1
    assert "200 of 200 rows" in text
    for noise in ("mailbox.blocked", "item.settled", "[info", "[warning", "{", "run.ended", "None"):
        assert noise not in text, lines
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = [event["event"] for event in events]
    assert names.count("mailbox.blocked") > 5
    assert names[-1] == "run.ended"
    assert "purgeengineretry" in unwrapped[unwrapped.rindex("Next,") :]
    above = lines[: next(number for number, line in enumerate(lines) if "━" in line)]
    assert len(above) <= (3 if columns == 100 else 6), above


def test_an_ascii_locale_gets_ascii_and_no_color_no_colour(bench: Bench) -> None:
    """In a locale of ASCII everything on the screen is ASCII, and with NO_COLOR nothing on it has a colour."""
    with at_a_terminal(bench, environment={"LC_ALL": "C", "NO_COLOR": "1"}) as terminal:
        assert terminal.ended() == 1
        assert terminal.seen.isascii()
        assert "\\x" not in terminal.seen
        assert "#####" in terminal.text
        colours = {cell.fg for row in terminal.screen.buffer.values() for cell in row.values()}
    assert colours == {"default"}


def test_a_terminal_may_change_its_size(bench: Bench) -> None:
    """A terminal that becomes narrower and wider again during the run spoils nothing."""
    bench.server.tenant.set_faults(Faults(call_throttled=1.0, retry_after_s_max=1))
    with at_a_terminal(bench, columns=120) as terminal:
        terminal.until(lambda: "of 200 rows" in terminal.text)
        for columns in (40, 120):
            terminal.resize(columns)
            written = len(terminal.seen)
            terminal.until(lambda written=written: terminal.seen.count("of 200 rows", written) >= 2)  # type: ignore[misc]
        bench.server.tenant.set_faults(Faults())
        assert terminal.ended() == 1
        assert "200 of 200 rows" in terminal.text


def test_a_stop_says_what_it_waits_for_and_a_resumed_run_what_is_done(bench: Bench) -> None:
    """Ctrl-C shows how many answers are awaited and counts down. The same command tells how many rows are done."""
    tenant = bench.server.tenant
    with at_a_terminal(bench, "--connections", "2", "--rate", "40") as terminal:
        terminal.until(lambda: tenant.counters.purged > 20)
        tenant.set_faults(Faults(hang_after=1.0))
        calls = tenant.counters.calls
        terminal.until(lambda: tenant.counters.calls > calls)
        terminal.type("\x03")
        terminal.until(lambda: "stopping: waiting for" in terminal.text)
        assert "Stopping:" not in terminal.text
        assert "Ctrl-C again ends at once" in terminal.text
        tenant.set_faults(Faults())
        terminal.type("\x03")
        assert terminal.ended() == 4
        text = "".join(terminal.text.split())  # a narrow terminal breaks words at its edge
        assert "Endedatonce.Next,toresumethisrun:" in text
        assert f"--ledger{bench.ledger}--yes" in text[text.index("thisrun:") :]
        assert "waiting for" not in terminal.text  # nothing is awaited any more
    with at_a_terminal(bench, "--window", nobodys_hours()) as terminal:
        terminal.until(lambda: "waiting for the hours of --window" in terminal.text)
        terminal.type("\x03")
        assert terminal.ended() == 4
        assert "topping: waiting" not in terminal.text
        assert "The run was stopped: Ctrl-C was pressed." in terminal.text
    with at_a_terminal(bench) as terminal:
        assert terminal.ended() == 1
        assert " of 200 rows are done, " in terminal.text
        assert terminal.text.count("Resuming: ") == 1


def test_the_question_names_the_tenant(bench: Bench) -> None:
    """The question has the name of the tenant beside its id, and a mistyped number is asked for again."""
    with at_a_terminal(bench, without=("--yes",)) as terminal:
        terminal.until(lambda: "nothing to stop:" in terminal.text)
        tenant = f"Simulated tenant ({bench.server.login.app.tenant_id})"
        assert f"200 contacts in 50 mailboxes of tenant {tenant}." in terminal.text
        assert bench.server.tenant.counters.purged == 0
        terminal.type("20\r")
        terminal.until(lambda: "'20' is not the number of contacts, which is 200." in terminal.text)
        terminal.type("200\r")
        assert terminal.ended() == 1
    assert bench.server.tenant.counters.purged == 196


def test_three_mistyped_numbers_are_exit_two(bench: Bench) -> None:
    """Three wrong numbers end with exit code 2, and nothing was sent."""
    with at_a_terminal(bench, without=("--yes",)) as terminal:
        for number in range(1, 4):
            terminal.until(lambda number=number: terminal.text.count("nothing to stop:") == number)  # type: ignore[misc]
            terminal.type("7\r")
        assert terminal.ended() == 2
    assert bench.server.tenant.counters.purged == 0


def test_without_a_terminal_a_run_is_calm_too(bench: Bench) -> None:
    """In a pipe, the same run has at most five lines of a kind, no nested values, and one line at the end."""
    bench.server.tenant.set_faults(FAULTS)
    arguments = [
        argument for argument in bench.run_arguments("--quarantine-s", "1") if argument not in ("--json", "--quiet")
    ]
    counters = bench.server.tenant.counters
    with bench.start(*arguments) as process:
        until(lambda: counters.purged > 50, process)
        bench.server.tenant.set_faults(Faults())  # the waits of the first half are enough
        code, _, err = ended(process)
    assert code == 1, err
    lines = err.splitlines()
    for event in ("mailbox.blocked", "item.settled", "batch.lost"):
        assert sum(f" {event} " in f" {line} " for line in lines) <= 6
    assert sum("run.ended" in line for line in lines) == 1
    assert not any("{" in line for line in lines), lines
    assert "events.counted" in err


def test_a_log_file_that_cannot_be_written_ends_no_run(bench: Bench, tmp_path: Path) -> None:
    """A folder that does not exist is told in one sentence, and the run does its work."""
    missing = tmp_path / "nowhere" / "run.log"
    run = bench.run_here("--log-file", str(missing))
    assert run.code == 1, run.err
    assert run.err.count("The log file") == 1
    assert run.json["complete"]


def test_a_log_in_the_place_of_something_else_is_refused(bench: Bench) -> None:
    """The input as a log file ends with exit code 2, and the input stays as it was."""
    before = bench.input.read_bytes()
    run = bench.run_here("--log-file", str(bench.input))
    assert (run.code, "--log-file" in run.err) == (2, True)
    assert bench.input.read_bytes() == before
    assert not bench.ledger.exists()


def test_keys_typed_ahead_do_not_confirm_a_purge(bench: Bench) -> None:
    """The right number was typed before the question stood there: it is dropped, and what is typed then decides."""
    with at_a_terminal(bench, without=("--yes",)) as terminal:
        terminal.type("200\n")
        terminal.until(lambda: "Type the number of contacts" in terminal.text)
        terminal.type("\n")
        assert terminal.ended() == 4, terminal.lines
        assert "nothing was sent" in terminal.text
    assert bench.server.tenant.counters.purged == 0


def test_a_run_killed_at_its_question_is_resumed_only_with_its_list(bench: Bench, tmp_path: Path) -> None:
    """Its filters are recorded nowhere. So the ledger alone is refused, and the whole command with its list goes on."""
    keep = tmp_path / "keep.txt"
    keep.write_text("user0000@contoso.example", encoding="utf-8")
    with at_a_terminal(bench, "--exclude-users", str(keep), without=("--yes",)) as terminal:
        terminal.until(lambda: "nothing to stop:" in terminal.text)
        terminal.process.kill()
    whole = bench.run_arguments("--exclude-users", str(keep))
    alone = [argument for argument in bench.run_arguments() if argument != str(bench.input)]
    refused = bench.here(*alone)
    assert (refused.code, "ended before it was confirmed" in refused.err) == (2, True), refused.err
    assert bench.server.tenant.counters.purged == 0
    assert bench.here(*whole).code == 1
    assert bench.server.tenant.counters.purged == 192
    assert bench.here(*alone).code == 1
