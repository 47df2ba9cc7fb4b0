"""The guard rails through the real command line: asked at the terminal, filtered, limited, rehearsed, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from purgeengine.sim.wire.answers import Trouble
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import TIMEOUT_S, Bench, a_bench, rows_of, write_csv

ANN, BOB, CAT = (f"user{number:04d}@contoso.example" for number in range(3))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Three mailboxes with 6, 3 and 1 contacts."""
    rows = rows_of([6, 3, 1])
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        yield bench


def listed(folder: Path, *users: str, name: str = "users.txt") -> str:
    """A file that lists them."""
    path = folder / name
    path.write_text("".join(f"{user}\n" for user in users), encoding="utf-8")
    return str(path)


# ----------------------------------------------------------------------------------------------------------- terminal

ON_A_TERMINAL = """
import os, pty, subprocess, sys
child, controller = pty.fork()  # the child's own session, with this as its controlling terminal
if child == 0:
    os.execv(sys.executable, [sys.executable, "-c", {inner!r}, *sys.argv[1:]])
shown = b""
while b"to stop: " not in shown:
    try:
        piece = os.read(controller, 1024)
    except OSError:
        piece = b""
    if not piece:
        break
    shown += piece
else:
    os.write(controller, os.environ["TYPED"].encode() + b"\\n")
    try:
        while piece := os.read(controller, 1024):
            shown += piece
    except OSError:
        pass
_, status = os.waitpid(child, 0)
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(status))
"""
INNER = """
import os, subprocess, sys
sys.exit(subprocess.run(
    [sys.executable, "-m", "purgeengine", *sys.argv[1:]], stdin=open(os.environ["INPUT"], "rb"),
    stdout=open(os.environ["OUT"], "wb"), stderr=subprocess.STDOUT).returncode)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals in the standard library")
@pytest.mark.parametrize(("typed", "code", "purged"), [("10", 0, 10), ("11\n11\n11", 2, 0), ("no", 4, 0)])
def test_the_terminal_is_asked_although_the_input_comes_from_a_pipe(
    bench: Bench, tmp_path: Path, typed: str, code: int, purged: int
) -> None:
    """Standard input is the list, output and errors go to a file, and the number is typed at the terminal itself."""
    arguments = [argument for argument in bench.run_arguments() if argument != "--yes"]
    arguments[1] = "-"
    out = tmp_path / "out.txt"
    app = bench.server.login.app
    environment = {
        **os.environ,
        "AZURE_TENANT_ID": app.tenant_id,
        "AZURE_CLIENT_ID": app.client_id,
        "AZURE_CLIENT_SECRET": app.client_secret,
        "PURGEENGINE_CONFIG": os.devnull,
        "INPUT": str(bench.input),
        "OUT": str(out),
        "TYPED": typed,
    }
    ended = subprocess.run(
        [sys.executable, "-c", ON_A_TERMINAL.format(inner=INNER), *arguments],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert ended.returncode == code, (ended, out.read_text())
    assert f"deletes 10 contacts in 3 mailboxes of tenant Simulated tenant ({app.tenant_id})" in ended.stdout
    assert bench.server.tenant.counters.purged == purged
    assert bench.ledger.exists() == bool(purged)


def test_standard_input_is_an_input_that_resumes(bench: Bench) -> None:
    """The same rows piped again find the same ledger; other rows are refused; none at all resume it too."""
    arguments = bench.run_arguments()
    arguments[1] = "-"

    def piped(rows: bytes, *more: str) -> tuple[int, str]:
        with bench.start(*arguments, *more, stdin=subprocess.PIPE) as process:
            out, err = process.communicate(rows.decode(), timeout=TIMEOUT_S)
        return process.returncode, out + err

    rows = bench.input.read_bytes()
    code, said = piped(rows)
    assert (code, bench.server.tenant.counters.purged) == (0, 10), said
    code, said = piped(rows)
    assert (code, '"calls":0' in said) == (0, True), said
    code, said = piped(rows.replace(b"user0001", b"user0002"))
    assert (code, "another input" in said) == (2, True), said
    without = [argument for argument in arguments if argument != "-"]
    ended = bench.command(*without)
    assert (ended.code, ended.json["calls"]) == (0, 0), ended.err
    assert bench.server.tenant.counters.purged == 10


def test_nothing_of_a_list_from_a_pipe_is_sent_whose_quoting_cannot_be_followed(bench: Bench) -> None:
    """A quote that is never closed, after good rows: exit code 2, its line is named, and no contact is purged."""
    arguments = bench.run_arguments()
    arguments[1] = "-"
    with bench.start(*arguments, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(bench.input.read_text() + 'user0001@contoso.example,"A\n', timeout=TIMEOUT_S)
    assert (process.returncode, "a cell opens a quote that is never closed" in out + err) == (2, True), out + err
    assert bench.server.tenant.counters.purged == 0


def test_a_run_without_input_resumes_what_is_there_and_nothing_else(tmp_path: Path) -> None:
    """Stopped half-way, the ledger alone is enough to go on; an empty folder is not."""
    rows = rows_of([40] * 10)
    tenant = a_tenant(rows)
    with a_bench(tmp_path, tenant, rows) as bench:
        without = [argument for argument in bench.run_arguments() if argument != str(bench.input)]
        ended = bench.command(*without)
        assert (ended.code, "INPUT" in ended.err, bench.ledger.exists()) == (2, True, False), ended.err
        for user, _, _ in rows[:120]:
            tenant.truth.mailbox(user).trouble = Trouble.DENIED
        assert bench.run_here("--max-failures", "3", "--connections", "1").code == 4
        for user, _, _ in rows:
            tenant.truth.mailbox(user).trouble = None
        bench.input.unlink()
        ended = bench.command(*without)
        assert (ended.code, ended.json["complete"]) == (1, True), ended.err


def test_a_list_from_a_pipe_needs_yes_where_there_is_no_terminal(bench: Bench) -> None:
    """The rows are no answer to the question: exit 2, and nothing was sent."""
    arguments = [argument for argument in bench.run_arguments() if argument != "--yes"]
    arguments[1] = "-"
    with bench.start(*arguments, stdin=subprocess.PIPE) as process:
        _, err = process.communicate(bench.input.read_text() + "10\n", timeout=TIMEOUT_S)
    assert (process.returncode, "--yes" in err, bench.server.tenant.counters.calls) == (2, True, 0), err


def test_nothing_piped_in_is_no_input(bench: Bench) -> None:
    """An empty pipe is an empty file; the sentence says so, and nothing was made."""
    arguments = bench.run_arguments()
    arguments[1] = "-"
    ended = bench.command(*arguments)
    assert (ended.code, "empty" in ended.err, bench.ledger.exists()) == (2, True, False), ended.err


# ------------------------------------------------------------------------------------------------------------- filters


def test_users_left_out_are_never_asked_for_and_stay_left_out(bench: Bench, tmp_path: Path) -> None:
    """Excluded and protected users keep their contacts; a run without the filters does not purge them either."""
    filters = [
        "--exclude-users",
        listed(tmp_path, ANN.upper()),
        "--protected-users",
        listed(tmp_path, "*@contoso.example", name="p.txt"),
    ]
    nobody = bench.run_here(*filters, "--only-users", listed(tmp_path, CAT, name="only.txt"))
    assert (nobody.code, nobody.json["outcomes"]["skipped"]) == (1, 10), nobody.err
    assert bench.server.tenant.counters.calls == 0
    again = bench.run_here()
    assert (again.code, again.json["outcomes"]["skipped"], "stay left out" in again.err) == (1, 10, True)
    assert bench.server.tenant.counters.calls == 0


def test_only_users_are_purged_and_misspelt_ones_are_told(bench: Bench, tmp_path: Path) -> None:
    """A pilot: one of three mailboxes; the name that does not occur is a warning."""
    ended = bench.run_here("--only-users", listed(tmp_path, CAT, "typo@contoso.example"))
    assert (ended.code, ended.json["outcomes"]["purged"], ended.json["outcomes"]["skipped"]) == (1, 1, 9), ended.err
    assert "1 of the 2 users that --only-users lists does not occur" in ended.err
    assert {row["code"] for row in bench.exported() if row["outcome"] == "skipped"} == {"Filtered"}


def test_an_only_list_that_names_nobody_of_the_input_is_refused(bench: Bench, tmp_path: Path) -> None:
    """It would leave everything out for good, without a question; a dry run says so, and the right list then goes on."""
    wrong = ["--only-users", listed(tmp_path, "ann@contoso.example", "*@fabrikam.example")]
    for more in ([], ["--dry-run"]):
        ended = bench.run_here(*wrong, *more)
        assert (ended.code, "--only-users" in ended.err, "Traceback" in ended.err) == (2, True, False), ended.err
    assert bench.run_here("--only-users", listed(tmp_path, "*@contoso.example")).code == 0


@pytest.mark.parametrize("option", ["--only-users", "--exclude-users", "--protected-users"])
def test_a_list_that_cannot_be_used_is_refused(bench: Bench, tmp_path: Path, option: str) -> None:
    """Missing, empty or not understood: exit 2, and nothing was sent or made."""
    for text in (None, "", "not a user\n"):
        path = tmp_path / "list.txt"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")
        ended = bench.run_here(option, str(path))
        assert (ended.code, "list.txt" in ended.err, "Traceback" in ended.err) == (2, True, False), ended.err
    assert not bench.ledger.exists()


def test_a_protected_list_that_cannot_recognise_the_input_is_refused(bench: Bench, tmp_path: Path) -> None:
    """Object ids in the list, names in the input: nobody can say whether a protected user is among them."""
    ended = bench.run_here("--protected-users", listed(tmp_path, "11111111-2222-4333-8444-555555555555"))
    assert (ended.code, "could not be recognised" in ended.err) == (2, True), ended.err
    assert bench.server.tenant.counters.calls == 0


def test_a_mailbox_with_too_many_rows_is_refused_by_name(bench: Bench) -> None:
    """Nothing was sent; within the limit the run goes on."""
    ended = bench.run_here("--max-items-per-mailbox", "2")
    assert ended.code == 2
    assert (
        f"2 mailboxes have more rows to purge than the 2 that --max-items-per-mailbox allows: {ANN} (6), {BOB} (3)"
        in ended.err
    )
    assert bench.server.tenant.counters.calls == 0
    unlimited = bench.here("run", "--ledger", str(bench.ledger), "--yes")
    assert (unlimited.code, "There is no ledger in" in unlimited.err) == (2, True), unlimited.err
    assert bench.run_here("--max-items-per-mailbox", "6").code == 0


# ------------------------------------------------------------------------------------------------------------- dry run


def test_a_dry_run_tells_what_would_become_of_every_row(bench: Bench, tmp_path: Path) -> None:
    """To purge, invalid, duplicate and left out with reasons; no credentials, no ledger, no call."""
    rows = rows_of([6, 3, 1])
    write_csv(bench.input, [*rows, rows[0], ("nobody", "", "x")])
    ended = bench.run_here("--dry-run", "--exclude-users", listed(tmp_path, BOB), AZURE_CLIENT_SECRET="")
    assert ended.code == 0, ended.err
    found = ended.json
    assert (
        found["rows"],
        found["to_purge"],
        found["outcomes"]["duplicate"],
        sum(found["invalid_by_reason"].values()),
    ) == (12, 7, 1, 1)
    assert found["left_out"] == [
        {"code": "Filtered", "message": "--exclude-users names the mailbox.", "rows": 3, "mailboxes": 1}
    ]
    assert found["error"] is None
    assert not bench.ledger.exists()
    assert bench.server.tenant.counters.calls == 0


def test_a_dry_run_of_a_run_that_would_be_refused_is_refused(bench: Bench) -> None:
    """The preview is printed all the same, and the code is that of the run."""
    for limit in (["--max-items", "9"], ["--max-items-per-mailbox", "5"]):
        ended = bench.run_here("--dry-run", *limit)
        assert (ended.code, ended.json["to_purge"], limit[0] in ended.json["error"]["message"]) == (2, 10, True)


def test_a_dry_run_on_a_ledger_tells_what_resuming_would_send(bench: Bench, tmp_path: Path) -> None:
    """Only what is left, and the ledger is as it was; another input is refused as the run would refuse it."""
    assert bench.run_here("--only-users", listed(tmp_path, ANN)).code == 1
    before = {path: path.read_bytes() for path in bench.ledger.rglob("*.parquet")}
    ended = bench.run_here("--dry-run")
    assert (ended.code, ended.json["to_purge"]) == (0, 0), ended.err
    assert (ended.json["outcomes"]["purged"], ended.json["outcomes"]["skipped"]) == (6, 4)
    assert any("stay left out" in warning for warning in ended.json["warnings"])
    assert before == {path: path.read_bytes() for path in bench.ledger.rglob("*.parquet")}
    write_csv(bench.input, rows_of([2]))
    ended = bench.run_here("--dry-run")
    assert (ended.code, "another input" in ended.err) == (2, True)


def test_a_dry_run_for_people_says_that_it_is_one(bench: Bench) -> None:
    """In words, with the largest mailboxes."""
    arguments = [argument for argument in bench.run_arguments("--dry-run") if argument != "--json"]
    ended = bench.command(*arguments)
    assert ended.code == 0
    assert ended.out.startswith("Dry run: nothing is sent")
    assert "to purge    10" in ended.out
    assert ANN in ended.out


# ------------------------------------------------------------------------------------------------------- when it stops


def test_a_run_that_is_denied_everywhere_stops_itself_and_resumes(tmp_path: Path) -> None:
    """Ten mailboxes in a row: exit 4 and what to check; once access is given, the same command purges all that is left."""
    rows = rows_of([30] * 60)
    tenant = a_tenant(rows)
    for user, _, _ in rows:
        tenant.truth.mailbox(user).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        ended = bench.run_here("--connections", "1")
        assert ended.code == 4, ended.err
        assert "denied the app" in ended.json["stopped"]
        assert "--no-auto-stop" in ended.json["stopped"]
        assert ended.json["waiting"] > 1_000
        for user, _, _ in rows:
            tenant.truth.mailbox(user).trouble = None
        again = bench.run_here()
        assert (again.code, again.json["stopped"], again.json["waiting"]) == (1, None, 0)
        assert again.json["outcomes"]["purged"] == ended.json["waiting"]


def test_auto_stop_can_be_switched_off(tmp_path: Path) -> None:
    """The run then ends, with every row refused or skipped."""
    rows = rows_of([5] * 30)
    tenant = a_tenant(rows)
    for user, _, _ in rows:
        tenant.truth.mailbox(user).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        ended = bench.run_here("--connections", "1", "--no-auto-stop")
    assert (ended.code, ended.json["complete"]) == (1, True), ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process could handle")
def test_outside_its_window_a_run_waits_and_can_be_ended(bench: Bench) -> None:
    """In a window that is hours away: nothing is sent, the log says so, SIGTERM ends the wait, and another window resumes."""
    later = datetime.now(UTC) + timedelta(hours=6)
    window = f"{later:%H}:00-{later:%H}:30"
    with bench.start(*bench.run_arguments("--window", window, "--time-zone", "UTC")) as process:
        assert process.stderr is not None
        while "run.paused" not in (line := process.stderr.readline()):
            assert line, "the run ended and did not wait"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, "SIGTERM" in out, bench.server.tenant.counters.calls) == (4, True, 0), err
    assert bench.run_here("--window", "00:00-24:00").code == 0


@pytest.mark.parametrize(
    "arguments", [["--window", "8-9"], ["--until", "soon"], ["--window", "08:00-09:00", "--time-zone", "X"]]
)
def test_hours_that_are_none_are_refused(bench: Bench, arguments: list[str]) -> None:
    """Exit 2 before anything is asked or sent, by a dry run too."""
    for more in ([], ["--dry-run"]):
        ended = bench.run_here(*arguments, *more)
        assert (ended.code, arguments[-2] in ended.err, "Traceback" in ended.err) == (2, True, False), ended.err
    assert not bench.ledger.exists()
