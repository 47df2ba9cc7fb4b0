"""Tests of what a report tells of one ledger: bounded, however long its work took, and true about what was cut."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from purgeengine.core.model import Attempt
from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.report_page.ledger_findings import (
    CUT,
    DRAWN_MAX,
    ID_CHARS_MAX,
    INTERVALS_MAX,
    INTERVALS_MIN,
    ledger_findings,
    shown_id,
)
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, returned, sent, settled
from tests.support.report_fixtures import a_busy_ledger


def test_a_name_that_may_be_sent_is_shown_whole_and_a_cut_one_says_so() -> None:
    """An id of the greatest length that may be sent is not cut. A longer one ends with a mark."""
    assert shown_id("x" * ID_CHARS_MAX) == "x" * ID_CHARS_MAX
    assert shown_id("x" * ID_CHARS_MAX + "y") == "x" * ID_CHARS_MAX + CUT
    assert shown_id(None) == ""


def test_an_outage_of_hours_is_in_the_picture_and_does_not_make_it_larger(tmp_path: Path) -> None:
    """The intervals reach to the last call, also if no row was settled for hours, and they are as few as ever."""
    with open_ledger(tmp_path / "L", a_source(2)) as ledger:
        ledger.write([sent(1, (0, [0])), ended(1), settled(0, 1)], NOW)
        for hour in range(1, 9):
            attempt = Attempt(1, hour, 0, hour > 1)
            ledger.write([sent(hour + 1, (0, [attempt]))], NOW + hour * 3_600_000)
            ledger.write([ended(hour + 1, None), returned(1, hour, in_doubt=True)], NOW + hour * 3_600_000 + 9_000)
    with LedgerReader.open(tmp_path / "L") as reader:
        timeline = ledger_findings(reader, 2, Counter(), 20, 0, 1)["timeline"]
    assert timeline["bucket_s"] >= 8 * 3_600 / INTERVALS_MAX
    assert sum(bucket["lost_calls"] for bucket in timeline["buckets"]) == 8
    assert timeline["buckets"][0] == {
        "at_utc": "2026-01-01T00:00:00.000Z", "well": 1, "badly": 0, "calls": 1, "lost_calls": 0, "requests": 1, "put_off": 0,
    }  # fmt: skip


def test_a_ledger_of_a_long_chain_takes_little_room(tmp_path: Path) -> None:
    """The more ledgers a chain has, the fewer intervals each has, and the work of mailboxes is drawn for the first ones only."""
    a_busy_ledger(tmp_path / "L")
    with LedgerReader.open(tmp_path / "L") as reader:
        alone = ledger_findings(reader, 485, Counter(), 20, 0, 1)
        late = ledger_findings(reader, 485, Counter(), 20, DRAWN_MAX, 200)
    assert len(alone["timeline"]["buckets"]) > len(late["timeline"]["buckets"])
    assert len(late["timeline"]["buckets"]) <= INTERVALS_MIN + 1
    assert (len(alone["largest_mailboxes"]), late["largest_mailboxes"]) == (10, [])
    assert late["largest_mailboxes_in_all"] == 12
