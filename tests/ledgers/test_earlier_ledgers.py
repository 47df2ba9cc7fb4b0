"""Tests of ledgers that earlier versions made: each is counted, exported, resumed and retried like a new one.

See README.md.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import Bench, a_bench
from tests.support.ledger_fixtures import opened

HERE = Path(__file__).parent
COMMITS = ("26750d7", "c56cd13")
ENDED = ("finished", "resolved", "filtered")
WELL = {"purged", "absent", "duplicate"}


@dataclass(frozen=True)
class Earlier:
    """A ledger in its own folder, with the counts and export of the code that made it."""

    folder: Path
    status: dict[str, Any]
    export: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of the ledger's export."""
        return list(csv.DictReader(self.export.splitlines()))

    def rows_that(self, *, ended_well: bool) -> list[dict[str, str]]:
        """Return the rows that ended well, or the other rows that could be sent."""
        return [
            row
            for row in self.rows
            if (row["outcome"] in WELL if ended_well else row["outcome"] not in {*WELL, "invalid", "skipped"})
        ]


def unpacked(commit: str, name: str, tmp_path: Path) -> Earlier:
    """Unpack one of the ledgers."""
    with zipfile.ZipFile(HERE / commit / f"{name}.zip") as packed:
        packed.extractall(tmp_path)
    status = json.loads((tmp_path / "status.json").read_text("utf-8"))
    return Earlier(tmp_path / "ledger", status, (tmp_path / "export.csv").read_text("utf-8"))


def a_tenant(rows: list[dict[str, str]]) -> Tenant:
    """Return a tenant that has the contacts of these rows and logs its requests."""
    tenant = Tenant(TenantSettings(latency_median_s=0.0, overhead_s=0.0))
    for row in rows:
        tenant.truth.add(row["user"], row["folder"], row["contact"])
    return tenant


def counted(bench: Bench, ledger: Path) -> dict[str, Any]:
    """Return what `status` counts now."""
    said = bench.here("status", str(ledger), "--json").json
    return {name: said[name] for name in ("rows", "outcomes", "waiting", "in_doubt")}


@pytest.mark.parametrize("name", [*ENDED, "killed"])
@pytest.mark.parametrize("commit", COMMITS)
def test_an_earlier_ledger_is_counted_and_exported_as_by_the_code_that_made_it(
    commit: str, name: str, tmp_path: Path
) -> None:
    """An earlier ledger has the counts of the code that made it, and its export is equal byte by byte."""
    earlier = unpacked(commit, name, tmp_path)
    with a_bench(tmp_path, a_tenant([]), []) as bench:
        assert counted(bench, earlier.folder) == earlier.status
        assert bench.here("export", str(earlier.folder), str(tmp_path / "now.csv")).code == 0
    assert (tmp_path / "now.csv").read_text("utf-8") == earlier.export


@pytest.mark.parametrize("commit", COMMITS)
def test_an_earlier_run_that_was_killed_is_resumed(commit: str, tmp_path: Path) -> None:
    """A killed run of an earlier version is resumed: only rows without an outcome are sent, and all rows are purged."""
    earlier = unpacked(commit, "killed", tmp_path)
    open_rows = earlier.rows_that(ended_well=False)
    tenant = a_tenant(open_rows)
    with a_bench(tmp_path, tenant, []) as bench:
        ended = resumed(bench, earlier)
        assert ended.code == 0, ended.err
        assert (ended.json["waiting"], ended.json["in_doubt"], ended.json["outcomes"]["purged"]) == (0, 0, 33)
        assert ended.json["requests"] == earlier.status["waiting"] + earlier.status["in_doubt"] == len(open_rows)
        again = {row["row"]: row["outcome"] for row in bench.exported(earlier.folder.name)}
    assert tenant.truth.remaining() == 0
    assert Counter(again.values()) == {"purged": 33}


@pytest.mark.parametrize("commit", COMMITS)
def test_what_an_earlier_run_had_in_flight_holds_its_slots(commit: str, tmp_path: Path) -> None:
    """The four rows that a killed run of an earlier version had in flight hold four slots until their cooldown is over."""
    earlier = unpacked(commit, "killed", tmp_path)
    with Ledger.open(earlier.folder, None) as ledger:
        with closing(connect_to_read(earlier.folder)) as connection:
            (sent_ms,) = connection.execute("SELECT sent_ms FROM batch WHERE ended_ms IS NULL").fetchone()
        (after_1_s, after_41_s) = (opened(ledger, sent_ms + since_ms) for since_ms in (1_000, 41_000))
    assert [box.lost_slots for box in after_1_s if box.lost_slots] == [((39.0, 4),)]
    assert not any(box.lost_slots or box.blocked_for_s for box in after_41_s)


@pytest.mark.parametrize("name", [*ENDED, "killed"])
@pytest.mark.parametrize("commit", COMMITS)
def test_an_earlier_ledger_keeps_its_identity(commit: str, name: str, tmp_path: Path) -> None:
    """A ledger of an earlier version is told from others as before, by its input and its first call, so its retries know it."""
    earlier = unpacked(commit, name, tmp_path)
    with LedgerReader.open(earlier.folder) as reader, closing(connect_to_read(earlier.folder)) as its:
        first = its.execute("SELECT client_request_id FROM batch ORDER BY number LIMIT 1").fetchone()[0]
        assert reader.identity == sha256(f"{reader.about['digest']} {first!r}".encode()).hexdigest()[:32]


@pytest.mark.parametrize("name", ENDED)
@pytest.mark.parametrize("commit", COMMITS)
def test_an_earlier_run_that_has_ended_sends_nothing_when_it_is_resumed(commit: str, name: str, tmp_path: Path) -> None:
    """A finished run of an earlier version sends nothing when it is resumed, and its ledger keeps its counts."""
    earlier = unpacked(commit, name, tmp_path)
    tenant = a_tenant(earlier.rows)
    with a_bench(tmp_path, tenant, []) as bench:
        ended = resumed(bench, earlier)
        assert ended.json["outcomes"] == earlier.status["outcomes"], ended.err
        assert counted(bench, earlier.folder) == earlier.status
    assert len(tenant.log) == 0


@pytest.mark.parametrize("commit", COMMITS)
def test_the_failed_rows_of_an_earlier_run_are_retried(commit: str, tmp_path: Path) -> None:
    """A retry of an earlier version's ledger has exactly its failed rows, and purges them."""
    earlier = unpacked(commit, "finished", tmp_path)
    failed = earlier.rows_that(ended_well=False)
    tenant = a_tenant(failed)
    with a_bench(tmp_path, tenant, []) as bench:
        endpoint = bench.run_arguments()[bench.run_arguments().index("--graph-url") :]
        ended = bench.here(
            "retry", str(earlier.folder), "--ledger", str(tmp_path / "new"), "--yes", "--json", "--quiet", *endpoint
        )
        assert ended.code == 0, ended.err
        assert ended.json["rows"] == ended.json["outcomes"]["purged"] == len(failed)
        assert {row["contact"] for row in bench.exported("new")} == {row["contact"] for row in failed}
    assert tenant.truth.remaining() == 0


def resumed(bench: Bench, earlier: Earlier) -> Any:
    """Call `run` with the ledger alone, which knows its input."""
    arguments = bench.run_arguments()
    arguments.remove(str(bench.input))
    arguments[arguments.index("--ledger") + 1] = str(earlier.folder)
    return bench.here(*arguments)
