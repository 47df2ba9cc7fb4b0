"""Tests of the real command line against the simulated tenant over HTTP and TLS, as an administrator sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from purgeengine.core.messages import RunBlocked
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.source import open_source
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import Trouble
from tests.simulation.scenario import zipf
from tests.support.cli_fixtures import Bench, Row, a_bench, rows_of

QUICK = TenantSettings(latency_median_s=0.01, overhead_s=0.01, latency_s_max=0.5)
COLUMNS = [
    "row", "user", "folder", "contact", "outcome", "status", "code", "message", "attempts", "in_doubt",
    "first_sent_utc", "settled_utc", "request_id", "client_request_id",
]  # fmt: skip


def a_tenant(rows: list[Row], gone: int = 0, faults: Faults | None = None, settings: TenantSettings = QUICK) -> Tenant:
    """Return a tenant with every contact of the list but the last ``gone`` ones."""
    tenant = Tenant(settings, contacts=rows[: len(rows) - gone], faults=faults, seed=5)
    for user, _, _ in rows:
        tenant.truth.add_mailbox(user)
    return tenant


def test_four_thousand_sorted_rows_end_purged_in_full_calls(tmp_path: Path) -> None:
    """A run of 4,000 rows in 150 skewed mailboxes purges all in at most 320 calls, with no request refused or early."""
    rows = rows_of(zipf(4_000, 150))
    tenant = a_tenant(rows)
    with a_bench(tmp_path, tenant, rows) as bench:
        ended = bench.run()
        assert ended.code == 0, ended.err
        assert ended.json["outcomes"]["purged"] == 4_000
        assert ended.json["calls"] <= 320
        exported = bench.exported()
    assert tenant.truth.remaining() == 0
    counters = tenant.counters
    assert (counters.refused_concurrency, counters.refused_rate, counters.early_retries) == (0, 0, 0)
    assert list(exported[0]) == COLUMNS
    assert [(row["user"], row["folder"], row["contact"]) for row in exported] == rows
    assert {(row["outcome"], row["status"], row["attempts"]) for row in exported} == {("purged", "204", "1")}
    assert all(row["client_request_id"] and row["request_id"] and row["settled_utc"] for row in exported)


def test_the_ledger_equals_the_truth_whatever_goes_wrong(tmp_path: Path) -> None:
    """With many faults, absent contacts and two mailboxes in trouble, the run ends with 1 and the export is true in every row."""
    rows = rows_of(zipf(600, 40))
    gone = {contact for _, _, contact in rows[-50:]}
    faults = Faults(  # rare, because a row that fails again and again waits up to a minute
        item_throttled_before=0.02, item_error_before=0.005, item_error_after=0.005, item_missing=0.005, item_repeated=0.005,
        call_throttled=0.02, call_error_before=0.01, reset_before=0.01, reset_after=0.01, truncated=0.01, html_page=0.01,
        empty_body=0.01, expired_token=0.01, odd_body=0.1, retry_after_s_max=1,
    )  # fmt: skip
    tenant = a_tenant(rows, gone=50, faults=faults)
    denied, missing = "user0003@contoso.example", "user0004@contoso.example"
    tenant.truth.mailbox(denied).trouble = Trouble.DENIED
    tenant.truth.mailbox(missing).trouble = Trouble.MISSING
    with a_bench(tmp_path, tenant, rows) as bench:
        ended = bench.run("--connections", "8", "--quarantine-s", "3", timeout_s=300)
        assert ended.code == 1, ended.err
        exported = bench.exported()
    assert len(exported) == 600
    for row in exported:
        exists = tenant.truth.exists(row["user"], row["contact"])
        if row["user"] in (denied, missing):
            assert row["outcome"] in ("refused", "skipped"), row
            assert exists or row["contact"] in gone
        elif row["contact"] in gone:
            assert row["outcome"] == "absent" or (row["outcome"] == "purged" and int(row["attempts"]) > 1), row
        else:
            assert row["outcome"] == "purged", row
            assert not exists


def test_a_service_that_runs_batches_at_once_is_adapted_to(tmp_path: Path) -> None:
    """With a service that runs whole batches at once, the run decides on a fanout of 4, purges all rows, and has few refusals."""
    rows = rows_of(zipf(1_500, 60))
    tenant = a_tenant(rows, settings=TenantSettings(dispatch="all", latency_median_s=0.02, overhead_s=0.01))
    with a_bench(tmp_path, tenant, rows) as bench:
        arguments = [argument for argument in bench.run_arguments("--log-format", "json") if argument != "--quiet"]
        ended = bench.command(*arguments)
    assert ended.code == 0, ended.err
    assert ended.json["fanout"] == 4
    assert '"rows": 4, "event": "fanout.decided"' in ended.err
    assert tenant.counters.refused_concurrency <= 0.1 * tenant.counters.requests


def test_tokens_that_expire_and_an_outage_cost_no_row(tmp_path: Path) -> None:
    """Tokens that live for 1 s and an outage of 2 s cost no row, and the run ends with exit code 0."""
    rows = rows_of([40] * 40)
    outage = Faults(outage=(0.5, 2.5))
    tenant = a_tenant(rows, faults=outage, settings=TenantSettings(latency_median_s=0.05, overhead_s=0.02))
    login = LoginEndpoint(lifetime_s=1.0)
    with a_bench(tmp_path, tenant, rows, login) as bench:
        ended = bench.run("--connections", "8", "--quarantine-s", "1")
    assert ended.code == 0, ended.err
    assert ended.json["outcomes"]["purged"] == 1_600
    assert login.issued > 1


# ------------------------------------------------------------------------------------------------- refusals to begin


@pytest.fixture
def bench(tmp_path: Path) -> object:
    """Open a bench with two mailboxes of five contacts."""
    rows = rows_of([5, 5])
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        yield bench


def test_without_a_terminal_and_without_yes_nothing_is_sent(bench: Bench) -> None:
    """A run without --yes and without a terminal ends with exit code 2 and sends nothing."""
    arguments = [argument for argument in bench.run_arguments() if argument != "--yes"]
    ended = bench.command(*arguments)
    assert ended.code == 2
    assert "--yes" in ended.err
    assert bench.server.tenant.counters.calls == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals in the standard library")
@pytest.mark.parametrize(("typed", "code", "purged"), [("10", 0, 10), ("9\n10", 0, 10), ("9\n8\n7", 2, 0), ("", 4, 0)])
def test_on_a_terminal_the_number_of_contacts_must_be_typed(bench: Bench, typed: str, code: int, purged: int) -> None:
    """On a terminal the number of contacts must be typed. A wrong one is asked for again, and nothing typed stops the run."""
    import pty

    arguments = [argument for argument in bench.run_arguments() if argument != "--yes"]
    controller, terminal = pty.openpty()
    with (
        os.fdopen(controller, "wb", buffering=0) as keyboard,
        bench.start(*arguments, how={"stdin": terminal}) as process,
    ):
        os.close(terminal)
        assert process.stderr is not None
        asked = b""
        while b"to stop: " not in asked:  # what is typed before the question does not answer it
            piece = os.read(process.stderr.fileno(), 4_096)
            assert piece, asked
            asked += piece
        keyboard.write(f"{typed}\n".encode())
        out, err = process.communicate(timeout=60)
        err = asked.decode() + err
    assert process.returncode == code, err
    assert "10 contacts in 2 mailboxes of tenant Simulated tenant (5157a1ed-0000-4000-8000-000000000001)." in err
    assert bench.server.tenant.counters.purged == purged
    found = json.loads(out)
    assert (found["exit_code"], found.get("outcomes", {"purged": 0})["purged"]) == (code, purged)


def test_a_larger_input_than_allowed_is_refused(bench: Bench) -> None:
    """A run with more rows than --max-items ends with exit code 2 and sends nothing."""
    ended = bench.run_here("--max-items", "9")
    assert (ended.code, bench.server.tenant.counters.calls) == (2, 0)
    assert "10 rows" in ended.err


def test_dry_run_sends_nothing(bench: Bench) -> None:
    """A dry run counts the rows without credentials, and makes no ledger."""
    ended = bench.run_here("--dry-run", AZURE_CLIENT_SECRET="")
    assert ended.code == 0, ended.err
    assert ended.json["to_purge"] == 10
    assert not bench.ledger.exists()
    assert bench.server.tenant.counters.calls == 0


@pytest.mark.parametrize("missing", ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"])
def test_missing_credentials_are_named(bench: Bench, missing: str) -> None:
    """A missing credential ends the run with exit code 3 and the name of its variable."""
    ended = bench.run_here(**{missing: ""})
    assert ended.code == 3
    assert missing in ended.err


def test_a_wrong_secret_is_refused_and_not_repeated(bench: Bench) -> None:
    """A wrong secret ends the run with exit code 3 and a sentence without the secret."""
    ended = bench.run_here(AZURE_CLIENT_SECRET="wrong-secret-1234")
    assert ended.code == 3
    assert "AADSTS" in ended.err
    assert "wrong-secret-1234" not in ended.out + ended.err
    assert "Traceback" not in ended.err


def test_an_unknown_certificate_authority_is_a_sentence(bench: Bench, tmp_path: Path) -> None:
    """A login with an unknown certificate ends the run with exit code 3 and a sentence that names --ca-file."""
    arguments = bench.run_arguments()
    at = arguments.index("--ca-file")
    ended = bench.here(
        *arguments[:at], *arguments[at + 2 :], REQUESTS_CA_BUNDLE="", SSL_CERT_FILE="", CURL_CA_BUNDLE=""
    )
    assert ended.code == 3
    assert "Traceback" not in ended.err
    assert "--ca-file" in ended.err


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read"), ("no certificate", "holds no certificates in PEM")]
)
def test_certificates_that_cannot_be_used_are_told_before_anything(
    bench: Bench, tmp_path: Path, content: str | None, says: str
) -> None:
    """An unusable CA file ends the run with exit code 2 before the list is staged."""
    path = tmp_path / "other.pem"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    arguments = bench.run_arguments()
    arguments[arguments.index("--ca-file") + 1] = str(path)
    ended = bench.here(*arguments)
    assert (ended.code, bench.server.tenant.counters.calls) == (2, 0)
    assert f"The CA file {path} {says}" in ended.err
    assert not (bench.folder / "ledger").exists()


def test_unusable_inputs_are_refused_before_anything(bench: Bench, tmp_path: Path) -> None:
    """A missing input, and one without the columns, end plan and run with exit code 2 and the file's name."""
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("name,phone\nAnn,1\n", encoding="utf-8")
    for path in (tmp_path / "nowhere.csv", wrong):
        for command in (["plan", str(path)], ["run", str(path), "--ledger", str(tmp_path / "l"), "--yes"]):
            ended = bench.here(*command)
            assert ended.code == 2
            assert path.name in ended.err
            assert "Traceback" not in ended.err


def test_a_wait_that_outlives_the_run_is_told_and_not_cut_short(bench: Bench) -> None:
    """A recorded wait of three years stops the run at once with exit code 4, the time and nothing sent."""
    source = open_source([bench.input])
    with Ledger.open(bench.ledger, source, tenant_id=bench.server.login.app.tenant_id) as ledger:
        ledger.write([RunBlocked(1e8)], round(time.time() * 1000))
    ended = bench.run_here()
    assert (ended.code, bench.server.tenant.counters.calls) == (4, 0)
    assert "1157 d" in ended.json["stopped"]


def test_status_and_export_of_a_folder_that_is_no_ledger(bench: Bench, tmp_path: Path) -> None:
    """The commands status and export on a folder without a ledger end with exit code 5 and a sentence."""
    for command in (["status", str(tmp_path)], ["export", str(tmp_path), str(tmp_path / "out.csv")]):
        ended = bench.here(*command)
        assert ended.code == 5
        assert "ledger" in ended.err
        assert "Traceback" not in ended.err


def test_a_cloud_without_permanent_delete_is_refused(bench: Bench) -> None:
    """A run in a cloud without permanentDelete ends with exit code 2 and names the alternative."""
    for more in ([], ["--dry-run"]):
        ended = bench.run_here("--cloud", "usgov", *more)
        assert (ended.code, bench.server.tenant.counters.calls) == (2, 0)
        assert "--action delete" in ended.err


def test_max_failures_stops_the_run(tmp_path: Path) -> None:
    """With many denied mailboxes, --max-failures stops the run with exit code 4 and rows left to resume."""
    rows = rows_of([20] * 60)
    tenant = a_tenant(rows)
    for user, _, _ in rows:
        tenant.truth.mailbox(user).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        ended = bench.run_here("--max-failures", "30", "--connections", "1")
        assert ended.code == 4, ended.err
        assert "--max-failures" in ended.json["stopped"]
        assert ended.json["waiting"] > 0


def test_an_export_of_failed_rows_is_an_input(tmp_path: Path) -> None:
    """The export of a denied mailbox's rows is an input, and its run purges them after access was given."""
    rows = rows_of([10, 10])
    tenant = a_tenant(rows)
    user = rows[0][0]
    tenant.truth.mailbox(user).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        assert bench.run_here().code == 1
        failed = tmp_path / "failed.csv"
        assert bench.here("export", str(bench.ledger), str(failed), "--only", "refused,skipped").code == 0
        tenant.truth.mailbox(user).trouble = None
        arguments = bench.run_arguments()
        arguments[1], arguments[3] = str(failed), str(tmp_path / "second")
        ended = bench.here(*arguments)
    assert ended.code == 0, ended.err
    assert ended.json["outcomes"]["purged"] == 10
    assert tenant.truth.remaining() == 0


def test_every_kind_of_bad_row_is_told_and_none_is_sent(bench: Bench) -> None:
    """Every kind of bad row is counted by plan, gets its outcome in a run with exit code 1, and is not sent."""
    sample = Path(__file__).parents[2] / "sample_inputs" / "every-bad-row.csv"
    plan = bench.here("plan", str(sample), "--json")
    assert plan.code == 0, plan.err
    arguments = bench.run_arguments()
    arguments[1] = str(sample)
    ended = bench.here(*arguments)
    assert ended.code == 1
    assert ended.json["outcomes"]["invalid"] == sum(plan.json["invalid_by_reason"].values()) > 5
    assert bench.server.tenant.violations == []


def test_no_secret_is_left_anywhere(bench: Bench, tmp_path: Path) -> None:
    """Neither the secret nor a token stands in the output or in any file of the ledger, even with --verbose."""
    arguments = [argument for argument in bench.run_arguments("--verbose") if argument != "--quiet"]
    ended = bench.here(*arguments)
    assert ended.code == 0, ended.err
    for event in ("ledger.opened", "run.started", "batch.sent", "batch.answered", "item.settled", "run.ended"):
        assert event in ended.err
    app = bench.server.login.app
    written = b"".join(path.read_bytes() for path in bench.ledger.rglob("*") if path.is_file())
    for text in (ended.out.encode(), ended.err.encode(), written):
        assert app.client_secret.encode() not in text
        assert b"eyJ" not in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_output_that_cannot_be_written_is_a_sentence(bench: Bench) -> None:
    """Output to a full disk ends with exit code 5 and no traceback, and a reader that has gone ends with 0."""
    plan = f"{sys.executable} -m purgeengine plan {bench.input}"
    for command, code in ((f"{plan} --json > /dev/full", 5), (f"set -o pipefail; {plan} | true", 0)):
        ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "command",
    ["", "plan", "check", "run", "status", "export", "retry", "report", "simulate", "config show", "demo", "schema"],
)
def test_help_has_examples(bench: Bench, command: str) -> None:
    """Every command's help has examples of its own, each on its own line, and no control marks."""
    ended = bench.here(*command.split(), "--help")
    assert ended.code == 0
    _, _, examples = ended.out.partition("Examples:\n")
    lines = [line.strip() for line in examples.partition("\n\n")[0].splitlines()]
    assert [line for line in lines if line.startswith(f"purgeengine {command}".rstrip())], ended.out
    assert "\b" not in ended.out
    assert "\\b" not in ended.out


def test_wrong_usage_is_exit_two(bench: Bench) -> None:
    """Unknown commands and options end with exit code 2 and no traceback."""
    for arguments in (["nonsense"], ["run"], ["plan", "x", "--nonsense"], ["export", "a", "b", "--only", "gone"]):
        ended = bench.here(*arguments)
        assert ended.code == 2, arguments
        assert "Traceback" not in ended.err
