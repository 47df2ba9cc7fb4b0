"""Tests of the limit of the whole app in a ledger: what is kept, over restarts and retries, and in which clothes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from purgeengine.core.limits.app_rate import LearnedRate
from purgeengine.core.messages import AppLimited
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.edges.ledger.running.app_limit import AppLimit
from purgeengine.edges.ledger.store.database import connect_to_read
from tests.cli.commands.test_retry import ending, retried
from tests.support.ledger_fixtures import NOW, a_source, open_ledger

DENIED = Reply(403, "ErrorAccessDenied", "no")


def test_a_new_ledger_knows_no_limit(tmp_path: Path) -> None:
    """Neither does a ledger in which a run began, nor one of an earlier version, because both look the same."""
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        assert ledger.learned_rate(NOW) is None
        ledger.begin(NOW, {"connections": 4})
        assert ledger.learned_rate(NOW) is None


def test_the_latest_limit_is_kept_with_the_run_that_found_it(tmp_path: Path) -> None:
    """It is there for the next run, with its age; the options of the run are told as given, and the ledger passes its checks."""
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        ledger.begin(NOW, {"connections": 4})
        ledger.write([AppLimited(12.0), AppLimited(18.046)], NOW + 5_000)
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        ledger.begin(NOW + 60_000, {"connections": 8})
        assert ledger.learned_rate(NOW + 65_000) == LearnedRate(18.05, 60.0)
        assert ledger.learned_rate(NOW) == LearnedRate(18.05, 0.0)  # the clock was turned back
        ledger.write([AppLimited(20.0)], NOW + 70_000)
        assert ledger.learned_rate(NOW + 70_000) == LearnedRate(20.0, 0.0)
    with LedgerReader.open(tmp_path / "L") as reader:
        assert reader.app_limit() == AppLimit(20.0, NOW + 70_000)
        assert [dict(run.options) for run in reader.history(1).runs] == [{"connections": 4}, {"connections": 8}]


def test_a_limit_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    """A rate of 0 says so, also if an earlier run had found a limit."""
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        ledger.begin(NOW, {})
        ledger.write([AppLimited(12.0)], NOW)
        ledger.begin(NOW + 1, {})
        ledger.write([AppLimited(0.0)], NOW + 2)
        assert ledger.learned_rate(NOW + 3) is None
    with LedgerReader.open(tmp_path / "L") as reader:
        assert reader.app_limit() is None


def test_without_a_run_nothing_is_kept(tmp_path: Path) -> None:
    """A limit belongs to a run, and no run is invented for it."""
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        ledger.write([AppLimited(12.0)], NOW)
        assert ledger.learned_rate(NOW) is None


def test_a_retry_begins_with_the_limit_that_the_earlier_ledger_knew(tmp_path: Path) -> None:
    """So does a retry of the retry, and what the retry finds itself counts more."""
    with open_ledger(tmp_path / "a", a_source(3)) as ledger:
        ledger.begin(NOW, {})
        ending(ledger, 0, *[(Outcome.REFUSED, DENIED, False)] * 3)
        ledger.write([AppLimited(15.0)], NOW)
    for old, new in (("a", "b"), ("b", "c")):
        retried(tmp_path / old, tmp_path / new)
        with Ledger.open(tmp_path / new, None) as ledger:
            assert ledger.learned_rate(NOW + 10_000) == LearnedRate(15.0, 10.0)
            ending(ledger, 0, *[(Outcome.REFUSED, DENIED, False)] * 3, at_ms=NOW + 5_000)
    with Ledger.open(tmp_path / "c", None) as ledger:
        ledger.begin(NOW, {})
        ledger.write([AppLimited(30.0)], NOW + 20_000)
        assert ledger.learned_rate(NOW + 20_000) == LearnedRate(30.0, 0.0)


def test_the_tables_are_those_of_earlier_versions(tmp_path: Path) -> None:
    """No table or column is added for the limit, so that earlier versions of the program still open the ledger."""
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        ledger.begin(NOW, {})
        ledger.write([AppLimited(12.0)], NOW)
    with closing(connect_to_read(tmp_path / "L")) as connection:
        (columns,) = connection.execute("SELECT group_concat(name) FROM pragma_table_info('start')").fetchone()
    assert columns == "at_ms,options,crc"
