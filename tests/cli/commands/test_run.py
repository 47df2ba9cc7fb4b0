"""Tests of what ``run --workers`` refuses. What it does is tested in ``tests/jobs/coordination``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.json_judge import judged

ROWS = rows_of([5, 4, 3])
HIDDEN = "import sys; sys.modules['distributed'] = None; from purgeengine.__main__ import main; main()"
"""The command line where Dask is not installed."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with three mailboxes."""
    with a_bench(tmp_path, a_tenant(ROWS), ROWS) as found:
        yield found


def test_without_dask_a_sentence_names_the_extra_and_nothing_happens(bench: Bench) -> None:
    """No ledger is made and nothing is sent; a run without --workers does not need Dask."""
    arguments = bench.run_arguments()
    with bench.start(*arguments, "--workers", "2", program=("-c", HIDDEN)) as process:
        out, _ = process.communicate(timeout=60.0)
    assert process.returncode == 2
    error = judged(out, "run")["error"]
    assert "purgeengine[dask]" in error["message"]
    assert not bench.ledger.exists()
    with bench.start(*arguments, program=("-c", HIDDEN)) as process:
        process.communicate(timeout=60.0)
    assert (process.returncode, bench.server.tenant.counters.purged) == (0, 12)


def test_what_cannot_be_watched_or_shared_is_refused(bench: Bench) -> None:
    """Metrics, a code that a person enters, a shard, and more workers than mailboxes end with a sentence, and nothing is sent."""
    assert bench.here("run", str(bench.input), "--ledger", str(bench.ledger), "--workers", "0").code == 2
    metrics = bench.run_here("--workers", "2", "--metrics-file", str(bench.folder / "metrics.prom"))
    assert (metrics.code, "--metrics-file" in metrics.json["error"]["message"]) == (2, True)
    pytest.importorskip("distributed", reason="dask.distributed is not installed; it comes with the extra dask")
    code = bench.run_here("--workers", "2", "--auth", "device-code")
    assert (code.code, "device-code" in code.json["error"]["message"]) == (2, True)
    many = bench.run_here("--workers", "4")
    assert (many.code, "3 mailboxes" in many.json["error"]["message"]) == (2, True), many.out
    shards = str(bench.folder / "shards")
    assert (
        bench.here(
            "shard", "cut", str(bench.ledger), "--shards", "2", "-o", shards, "--yes", *bench.run_arguments()[7:]
        ).code
        == 0
    )
    shard = bench.here(
        "run", "--ledger", f"{shards}/shard-00", "--workers", "2", "--yes", "--json", *bench.run_arguments()[7:]
    )
    assert (shard.code, "is a shard itself" in shard.json["error"]["message"]) == (2, True)
    assert bench.server.tenant.counters.purged == 0
