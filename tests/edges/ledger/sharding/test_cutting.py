"""Tests of cutting: every open row in exactly one shard, and a cut that goes on after a crash at any line."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.messages import AppLimited, MailboxBlocked
from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.running.shard_events import Cut
from purgeengine.edges.ledger.sharding import cutting, head, open_rows, shard_rows
from purgeengine.edges.ledger.sharding.cutting import cut, shard_name
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import Limits
from tests.support.crash_points import die_at, lines_of, some_of
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, opened, returned, sent, settled

ROWS = [(f"m{row % 6}@c.example", f"F{row % 2}", f"c-{row}") for row in range(40)]


def a_head(folder: Path, **more: Any) -> Path:
    open_ledger(folder, FakeSource(ROWS), **more).close()
    return folder


def cut_again(folder: Path, shards: int = 3, limits: Limits | None = None, place: str = "shards") -> Cut:
    with HeadLedger.open(folder) as opened_head:
        return cut(opened_head, shards, folder.parent / place, limits or Limits(), utc=lambda: NOW / 1000)


def dealt(folder: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Return the rows of the shards that have their names, by folder."""
    found = {}
    for place in sorted(folder.glob("shard-*")):
        if place.suffix:
            continue
        with LedgerReader.open(place) as reader:
            batches = list(reader.rows(columns=("user", "folder", "contact")))
        found[place.name] = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
    return found


def test_every_open_row_is_in_one_shard_with_its_mailbox(tmp_path: Path) -> None:
    """The shards together have the rows of the head, each mailbox in one of them, and the number of its row in the head."""
    cut_again(a_head(tmp_path / "head"))
    found = dealt(tmp_path / "shards")
    assert sorted(row for rows in found.values() for row in rows) == sorted(ROWS)
    users = Counter(user for rows in found.values() for user in {row[0] for row in rows})
    assert set(users.values()) == {1}
    for name in found:
        with LedgerReader.open(tmp_path / "shards" / name) as reader:
            for batch in reader.rows(columns=("contact", "origin_row")):
                assert all(ROWS[int(row["origin_row"])][2] == row["contact"] for row in batch.to_pylist())
            assert str(tmp_path) not in str(reader.about)  # it is moved to other machines


def test_the_same_head_is_cut_in_the_same_way(tmp_path: Path) -> None:
    """Two copies of a head get the same shards."""
    a_head(tmp_path / "a" / "head")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    one, other = cut_again(tmp_path / "a" / "head"), cut_again(tmp_path / "b" / "head")
    assert one.planned == other.planned
    assert dealt(tmp_path / "a" / "shards") == dealt(tmp_path / "b" / "shards")


def test_a_cut_goes_on_after_a_crash_at_any_line(tmp_path: Path) -> None:
    """No shard has its name before all were staged, the same call goes on, and no two shards share a row."""
    modules = (cutting, head, open_rows, shard_rows)
    a_head(tmp_path / "prepared" / "head")
    expected: dict[str, Any] = {}

    def begun(name: str) -> Path:
        shutil.copytree(tmp_path / "prepared", tmp_path / name)
        return tmp_path / name / "head"

    first = begun("first")
    lines = lines_of(lambda: cut_again(first), modules)
    expected = dealt(tmp_path / "first" / "shards")
    assert len(lines) > 120
    for number, line in enumerate(some_of(lines)):
        folder = begun(str(number))
        if not die_at(lambda: cut_again(folder), modules, line):  # noqa: B023
            continue
        named = dealt(folder.parent / "shards")
        with LedgerReader.open(folder) as reader:
            known = reader.cut()
        assert not named or (known is not None and known.made)
        for name in named:  # whoever finds a shard may take it away
            shutil.move(folder.parent / "shards" / name, folder.parent / name)
        cut_again(folder)
        assert {**named, **dealt(folder.parent / "shards")} == expected
        assert not named.keys() & dealt(folder.parent / "shards").keys()
        shutil.rmtree(folder.parent)


def test_another_folder_or_number_after_a_crash_begins_anew(tmp_path: Path) -> None:
    """What the interrupted cut had staged is never released: only the shards of the later call have names."""
    folder = a_head(tmp_path / "head")
    (place,) = [
        line for line in lines_of(lambda: cut_again(a_head(tmp_path / "x" / "head")), [cutting]) if is_made(line)
    ]
    assert die_at(lambda: cut_again(folder), [cutting], place)
    assert len(list((tmp_path / "shards").glob("*.new"))) == 3
    cut_again(folder, 2, place="others")
    assert dealt(tmp_path / "shards") == {}
    assert sorted(row for rows in dealt(tmp_path / "others").values() for row in rows) == sorted(ROWS)
    cut_again(folder, 3)  # made: this call only looks, and the folder is not the one of the cut
    assert dealt(tmp_path / "shards") == {}


def is_made(line: tuple[str, int]) -> bool:
    """Return True for the line that records that all shards were made."""
    source = Path(line[0]).read_text(encoding="utf-8").splitlines()
    return source[line[1] - 1].strip().startswith("keep_made(")


def test_names_that_are_taken_are_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    """A folder with a shard of another purge is refused, and the head can still be run."""
    folder = a_head(tmp_path / "head")
    (tmp_path / "shards" / "shard-01").mkdir(parents=True)
    with pytest.raises(UsageProblem, match="is there already"):
        cut_again(folder)
    with LedgerReader.open(folder) as reader:
        assert reader.cut() is None


def test_doubts_waits_and_requests_of_the_head_hold_in_the_shards(tmp_path: Path) -> None:
    """A row in doubt stays in doubt, a wait is kept, requests count in the window, and the limit of the app is shared."""
    folder = a_head(tmp_path / "head")
    with open_ledger(folder, None) as ledger:
        ledger.begin(NOW, {})
        ledger.write([sent(1, (0, [0, 1, 2]), (1, [6]))], NOW - 20_000)
        ledger.write([ended(1), settled(0, 1), returned(1, in_doubt=True), returned(2), settled(6, 1)], NOW - 10_000)
        ledger.write([sent(2, (2, [12]))], NOW - 5_000)  # in flight when the process dies
        ledger.write([MailboxBlocked(1, 300.0), AppLimited(90.0)], NOW - 1_000)
        user = [ledger.user_of(number) for number in range(3)]
    made = cut_again(folder)
    assert (sum(shard.rows for shard in made.planned), sum(shard.in_doubt for shard in made.planned)) == (38, 2)
    found: dict[str, Any] = {}
    for number in range(3):
        with open_ledger(tmp_path / "shards" / shard_name(number, 3), None) as ledger:
            assert ledger.learned_rate(NOW) == pytest.approx((30.0, 1.0))
            found |= {ledger.user_of(mailbox.mailbox): mailbox for mailbox in opened(ledger)}
    first, second, third = (found[name] for name in user)
    assert (first.doubt_end - first.next, third.doubt_end - third.next) == (1, 1)
    assert second.blocked_for_s == pytest.approx(299.0)
    assert [rows for _, rows in first.recent] == [3]
    assert third.lost_slots == ((35.0, 1),)


@pytest.mark.parametrize(("number", "shards", "name"), [(3, 8, "shard-03"), (7, 101, "shard-007"), (0, 1, "shard-00")])
def test_the_names_of_shards_sort_by_number(number: int, shards: int, name: str) -> None:
    """Every name of a cut has as many digits, so that a scheduler can print it from an index."""
    assert shard_name(number, shards) == name
