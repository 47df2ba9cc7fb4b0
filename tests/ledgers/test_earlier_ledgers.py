"""Ledgers made by earlier versions: counted, exported, resumed and retried as if they had been made today. See README.md."""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import Bench, a_bench

HERE = Path(__file__).parent
COMMITS = ("26750d7", "c56cd13")
ENDED = ("finished", "resolved", "filtered")
WELL = {"purged", "absent", "duplicate"}


@dataclass(frozen=True)
class Earlier:
    """A ledger in a folder of its own, and what the code that made it said of it."""

    folder: Path
    status: dict[str, Any]
    export: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of its export."""
        return list(csv.DictReader(self.export.splitlines()))

    def rows_that(self, *, ended_well: bool) -> list[dict[str, str]]:
        """Its rows whose contact is gone, or the others that could be sent."""
        return [
            row
            for row in self.rows
            if (row["outcome"] in WELL if ended_well else row["outcome"] not in {*WELL, "invalid", "skipped"})
        ]


def unpacked(commit: str, name: str, tmp_path: Path) -> Earlier:
    """One of the ledgers."""
    with zipfile.ZipFile(HERE / commit / f"{name}.zip") as packed:
        packed.extractall(tmp_path)
    status = json.loads((tmp_path / "status.json").read_text("utf-8"))
    return Earlier(tmp_path / "ledger", status, (tmp_path / "export.csv").read_text("utf-8"))


def a_tenant(rows: list[dict[str, str]]) -> Tenant:
    """A tenant that still has the contacts of these rows, and logs what is asked of it."""
    tenant = Tenant(TenantSettings(latency_median_s=0.0, overhead_s=0.0))
    for row in rows:
        tenant.truth.add(row["user"], row["folder"], row["contact"])
    return tenant


def counted(bench: Bench, ledger: Path) -> dict[str, Any]:
    """What `status` counts now."""
    said = bench.here("status", str(ledger), "--json").json
    return {name: said[name] for name in ("rows", "outcomes", "waiting", "in_doubt")}


@pytest.mark.parametrize("name", [*ENDED, "killed"])
@pytest.mark.parametrize("commit", COMMITS)
def test_an_earlier_ledger_is_counted_and_exported_as_by_the_code_that_made_it(
    commit: str, name: str, tmp_path: Path
) -> None:
    """The same counts, and the same export to the byte."""
    earlier = unpacked(commit, name, tmp_path)
    with a_bench(tmp_path, a_tenant([]), []) as bench:
        assert counted(bench, earlier.folder) == earlier.status
        assert bench.here("export", str(earlier.folder), str(tmp_path / "now.csv")).code == 0
    assert (tmp_path / "now.csv").read_text("utf-8") == earlier.export


@pytest.mark.parametrize("commit", COMMITS)
def test_an_earlier_run_that_was_killed_is_resumed(commit: str, tmp_path: Path) -> None:
    """Every row has its outcome, and only the rows without one are sent: those in doubt among them."""
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


@pytest.mark.parametrize("name", ENDED)
@pytest.mark.parametrize("commit", COMMITS)
def test_an_earlier_run_that_has_ended_sends_nothing_when_it_is_resumed(commit: str, name: str, tmp_path: Path) -> None:
    """And leaves the ledger as it was."""
    earlier = unpacked(commit, name, tmp_path)
    tenant = a_tenant(earlier.rows)
    with a_bench(tmp_path, tenant, []) as bench:
        ended = resumed(bench, earlier)
        assert ended.json["outcomes"] == earlier.status["outcomes"], ended.err
        assert counted(bench, earlier.folder) == earlier.status
    assert len(tenant.log) == 0


@pytest.mark.parametrize("commit", COMMITS)
def test_the_failed_rows_of_an_earlier_run_are_retried(commit: str, tmp_path: Path) -> None:
    """In a new ledger, which holds them and no others; here their contacts can be found, and are purged."""
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
    """`run` on the ledger alone, which knows its input."""
    arguments = bench.run_arguments()
    arguments.remove(str(bench.input))
    arguments[arguments.index("--ledger") + 1] = str(earlier.folder)
    return bench.here(*arguments)
