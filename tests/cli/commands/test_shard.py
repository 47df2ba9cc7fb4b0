"""Tests of ``shard cut``, ``shard collect`` and ``status`` over shards, by the real command line against the tenant's truth."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purgeengine.edges.ledger import LedgerReader
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.wire.answers import Trouble
from tests.cli.test_main import a_tenant
from tests.jobs.test_purge_steps import stopped_at_once
from tests.support.cli_fixtures import Bench, Ended, Row, a_bench, rows_of
from tests.support.json_judge import judged

ROWS = [*rows_of([9, 7, 5, 5, 3, 2, 1]), ("nobody", "", "x"), *rows_of([1])]
"""Seven mailboxes with 32 rows, an invalid row, and a duplicate."""
DENIED, GONE = ROWS[9][0], ROWS[16]
SENT_LATER = {"row", "user", "folder", "contact", "outcome", "status", "code", "message", "attempts", "in_doubt"}


def a_tenant_with_trouble() -> Tenant:
    """Return a tenant in which the second mailbox is denied, and one contact of the third is gone before anything is sent."""
    tenant = a_tenant([row for row in ROWS[:32] if row != GONE])
    tenant.truth.mailbox(DENIED).trouble = Trouble.DENIED
    return tenant


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with the rows and the tenant."""
    with a_bench(tmp_path, a_tenant_with_trouble(), ROWS) as found:
        yield found


def way(bench: Bench) -> list[str]:
    """Return the addresses of the bench's tenant, as options."""
    return bench.run_arguments()[7:]


def cut(
    bench: Bench, *more: str, shards: int = 3, source: tuple[str, ...] | None = None, place: str = "shards"
) -> Ended:
    """Cut the bench's input, or another source, into the folder ``shards``, or another."""
    what = source if source is not None else (str(bench.input), "--ledger", str(bench.ledger))
    where = ("-o", str(bench.folder / place))
    return bench.here("shard", "cut", *what, "--shards", str(shards), *where, "--yes", "--json", *way(bench), *more)


def run_shard(bench: Bench, number: int, *more: str) -> Ended:
    """Run one shard to its end."""
    folder = str(bench.folder / "shards" / f"shard-{number:02d}")
    return bench.here("run", "--ledger", folder, "--yes", "--json", "--quiet", *way(bench), *more)


def collect(bench: Bench, *folders: str | Path, head: str = "ledger", more: tuple[str, ...] = ("--json",)) -> Ended:
    """Collect shards into the head."""
    return bench.here("shard", "collect", str(bench.folder / head), *map(str, folders), *more)


def told(ended: Ended, command: str) -> dict[str, Any]:
    """Return what a command printed, which must be valid by its schema."""
    found = judged(ended.out, command)
    assert found["exit_code"] == ended.code, ended.err
    return found


def facts(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return what two exports of one purge have in common: all but times and random ids.

    How many rows of a denied mailbox are asked for before it is closed depends on what else fills the batches.
    """
    found = [{name: value for name, value in row.items() if name in SENT_LATER} for row in rows]
    for row in found:
        if row["user"] == DENIED and row["outcome"] == "refused":
            row |= {"outcome": "skipped", "attempts": "0"}
    return found


def test_shards_that_are_run_and_collected_leave_the_ledger_of_one_run(bench: Bench, tmp_path: Path) -> None:
    """Row by row, the export of the head equals that of one run over the same tenant, and the tenant has the same contacts left."""
    made = told(cut(bench), "shard cut")
    assert (made["rows"], made["made_before"]) == (32, False)
    assert [one["number"] for one in made["made_shards"]] == [0, 1, 2]
    assert sum(one["connections"] for one in made["made_shards"]) == 64
    assert sum(one["requests_per_s"] for one in made["made_shards"]) == 12_000
    assert len(bench.server.tenant.log) == 0
    codes = [run_shard(bench, number).code for number in range(3)]
    assert sorted(codes) == [0, 0, 1]  # one has the denied mailbox
    ended = told(collect(bench, bench.folder / "shards"), "shard collect")
    assert (ended["missing"], ended["complete"], ended["exit_code"]) == ([], True, 0)
    (tmp_path / "one").mkdir()
    with a_bench(tmp_path / "one", a_tenant_with_trouble(), ROWS) as other:
        assert other.run_here().code == 1
        alone, left = other.exported(), other.server.tenant.truth.remaining()
    assert facts(bench.exported()) == facts(alone)
    assert bench.server.tenant.truth.remaining() == left == 7
    status = told(bench.here("status", str(bench.ledger), "--json"), "status")
    assert (status["shards"], status["complete"], status["outcomes"]) == ([], True, ended["outcomes"])
    assert bench.here("report", str(bench.ledger), "-o", str(tmp_path / "report.html")).code == 0
    again = bench.here("retry", str(bench.ledger), "--ledger", str(tmp_path / "again"), "--yes", "--quiet", *way(bench))
    assert again.code == 1
    whole = told(bench.here("status", str(bench.ledger), str(tmp_path / "again"), "--json"), "status")
    assert whole["outcomes"]["purged"] == status["outcomes"]["purged"]


def test_a_run_over_a_ledger_whose_shards_are_out_is_refused(bench: Bench) -> None:
    """A run, a dry run and a second cut of the head are refused with a sentence that names the shards, and nothing is sent."""
    assert cut(bench).code == 0
    for arguments in (bench.run_arguments(), [*bench.run_arguments(), "--dry-run"]):
        refused = bench.here(*arguments)
        assert (refused.code, len(bench.server.tenant.log)) == (2, 0)
        assert "was cut into 3 shards, and shards 0, 1 and 2 are not collected" in refused.err
        assert f"purgeengine shard collect {bench.ledger} {bench.folder / 'shards'}" in refused.err
    other = cut(bench, shards=2)
    assert (other.code, "was cut into 3 shards" in other.err) == (2, True)


def test_the_same_cut_again_makes_nothing_new(bench: Bench) -> None:
    """A second call tells the shards. A shard that was moved away meanwhile is not made again."""
    first = told(cut(bench), "shard cut")
    shutil.move(bench.folder / "shards" / "shard-01", bench.folder / "elsewhere")
    again = told(cut(bench), "shard cut")
    assert again["made_before"]
    assert again["made_shards"] == first["made_shards"]
    assert not (bench.folder / "shards" / "shard-01").exists()


def test_status_shows_the_whole_before_shards_are_collected(bench: Bench) -> None:
    """The counts over head and shards are those after collecting, at each step, and no row is counted twice."""
    assert cut(bench).code == 0
    shards = bench.folder / "shards"

    def standing(*folders: Path) -> dict[str, Any]:
        return told(bench.here("status", str(bench.ledger), *map(str, folders), "--json"), "status")

    assert [one["state"] for one in standing()["shards"]] == ["not_named"] * 3
    assert standing(shards)["waiting"] == standing()["waiting"] == 32
    for number in range(3):
        run_shard(bench, number)
        before = standing(shards)
        assert [one["state"] for one in before["shards"][: number + 1]] == ["collected"] * number + ["finished"]
        assert sum(before["outcomes"].values()) + before["waiting"] + before["in_doubt"] == before["rows"] == 34
        partly = told(collect(bench, shards / f"shard-{number:02d}"), "shard collect")
        assert partly["missing"] == list(range(number + 1, 3))
        assert partly["exit_code"] == (1 if partly["missing"] else 0)
        after = standing(*([shards] if partly["missing"] else []))
        assert {name: after[name] for name in ("outcomes", "waiting", "in_doubt", "calls")} == {
            name: before[name] for name in ("outcomes", "waiting", "in_doubt", "calls")
        }
    text = bench.here("status", str(bench.ledger))
    assert "complete" in text.out


def test_a_shard_is_collected_once_and_only_by_its_head(bench: Bench, tmp_path: Path) -> None:
    """Naming a shard again changes nothing. Copies, strangers and unfinished shards are refused, each with a sentence."""
    assert cut(bench).code == 0
    shards = bench.folder / "shards"
    for number in (0, 1):
        run_shard(bench, number)
    first = told(collect(bench, shards / "shard-00"), "shard collect")
    again = told(collect(bench, shards / "shard-00"), "shard collect")
    assert again["collected"][0]["collected_before"]
    assert again["outcomes"] == first["outcomes"]
    shutil.copytree(shards / "shard-01", tmp_path / "copy")
    twice = collect(bench, shards / "shard-01", tmp_path / "copy", more=())
    assert (twice.code, "are both shard 1" in twice.err) == (2, True)
    unfinished = collect(bench, shards / "shard-02", more=())
    assert (unfinished.code, "is not finished" in unfinished.err) == (2, True)
    other = cut(bench, source=(str(bench.input), "--ledger", str(tmp_path / "other")), place="theirs")
    assert other.code == 0, other.err
    stranger = collect(bench, shards / "shard-01", head="other", more=())
    assert (stranger.code, "belongs to another ledger, ledger" in stranger.err) == (2, True)
    assert "no shard" in collect(bench, bench.folder / "other", more=()).err
    never = bench.folder / "never"
    stopped_at_once(bench, ledger=never)
    assert "never cut" in collect(bench, shards / "shard-01", head="never", more=()).err


def test_a_damaged_shard_does_not_keep_the_others_from_being_collected(bench: Bench) -> None:
    """The damaged shard is told with exit code 5, the other one is collected, and the head stays readable."""
    assert cut(bench, shards=2).code == 0
    for number in (0, 1):
        run_shard(bench, number)
    database = bench.folder / "shards" / "shard-00" / "ledger.sqlite"
    content = bytearray(database.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2_000] = b"\xff" * 2_000
    database.write_bytes(content)
    ended = told(collect(bench, bench.folder / "shards"), "shard collect")
    assert (ended["exit_code"], ended["missing"]) == (5, [0])
    assert [one["number"] for one in ended["collected"]] == [1]
    assert [one["kind"] for one in ended["problems"]] == ["ledger"]
    with LedgerReader.open(bench.ledger) as reader:
        assert sum(reader.counts().outcomes.values()) > 0


def test_a_shard_that_is_collected_unfinished_is_closed_and_its_rows_go_back(bench: Bench) -> None:
    """The head has the open rows back, a run over the shard is refused, and a run over the head finishes the purge."""
    assert cut(bench, shards=2).code == 0
    run_shard(bench, 0)
    ended = told(collect(bench, bench.folder / "shards", more=("--json", "--unfinished")), "shard collect")
    assert (ended["exit_code"], ended["missing"], ended["complete"]) == (0, [], False)
    assert [one["left"] > 0 for one in ended["collected"]] == [False, True]
    refused = run_shard(bench, 1)
    assert (refused.code, "was collected into the ledger ledger before it was finished" in refused.err) == (2, True)
    assert bench.run_here().code == 1
    assert Counter(row["outcome"] for row in bench.exported())["purged"] == 24
    assert bench.server.tenant.truth.remaining() == 7


def test_what_a_stopped_run_has_left_is_cut(bench: Bench) -> None:
    """A ledger is named in the place of an input. Its finished rows are not sent again, and it can be cut again later."""
    assert stopped_at_once(bench).exit_code == 4
    made = told(cut(bench, source=(str(bench.ledger),), shards=2), "shard cut")
    assert made["rows"] == 32
    run_shard(bench, 0)
    assert collect(bench, bench.folder / "shards", more=("--unfinished",)).code == 0
    shutil.rmtree(bench.folder / "shards")
    again = told(cut(bench, source=(str(bench.ledger),), shards=2), "shard cut")
    assert again["rows"] == made["made_shards"][1]["rows"]
    for number in (0, 1):
        run_shard(bench, number)
    assert told(collect(bench, bench.folder / "shards"), "shard collect")["complete"]
    assert bench.server.tenant.truth.remaining() == 7


def test_a_ledger_in_the_place_of_an_input_is_never_read_as_a_list(bench: Bench) -> None:
    """A ledger of the environment gives way to the one that is named; two ledgers on the command line are refused."""
    assert stopped_at_once(bench).exit_code == 4
    other = str(bench.folder / "other")
    refused = cut(bench, source=(str(bench.ledger), "--ledger", other), shards=2)
    assert (refused.code, "is a ledger, and --ledger names another one" in refused.err) == (2, True)
    where = ["-o", str(bench.folder / "shards"), "--shards", "2", "--yes", "--json"]
    made = bench.here("shard", "cut", str(bench.ledger), *where, *way(bench), PURGEENGINE_LEDGER=other)
    assert told(made, "shard cut")["ledger"] == str(bench.ledger)
    assert not Path(other).exists()


def test_guard_rails_and_filters_hold_for_the_whole_list(bench: Bench, tmp_path: Path) -> None:
    """A list that is too long is refused before a shard is made, and a protected mailbox is in no shard."""
    assert cut(bench, "--max-items", "31").code == 2
    assert not (bench.folder / "shards").exists()
    users = tmp_path / "protected.txt"
    users.write_text(DENIED)
    made = told(cut(bench, "--protected-users", str(users)), "shard cut")
    assert (made["rows"], sum(one["mailboxes"] for one in made["made_shards"])) == (25, 6)
    dry = judged(cut(bench, "--dry-run", source=(str(bench.input), "--ledger", str(tmp_path / "x"))).out, "shard cut")
    assert dry["to_purge"] == 32
    assert not (tmp_path / "x").exists()


def test_a_shard_is_not_cut_and_shards_are_not_made_inside_a_ledger(bench: Bench) -> None:
    """A cut of a shard would give its rows to two heads. Shards in the head's own folder would be moved with it."""
    assert cut(bench).code == 0
    again = cut(bench, source=(str(bench.folder / "shards" / "shard-00"),), place="more", shards=1)
    assert (again.code, "is a shard itself" in again.err) == (2, True)
    inside = cut(bench, source=(str(bench.input), "--ledger", str(bench.folder / "new")), place="new/shards")
    assert (inside.code, "lies in the ledger that is cut" in inside.err) == (2, True)


@pytest.mark.parametrize(
    ("shards", "said"), [(0, "from 1 to 1,000"), (8, "7 mailboxes have rows"), (7, "cannot share")]
)
def test_a_number_of_shards_that_cannot_be_made_is_refused(bench: Bench, shards: int, said: str) -> None:
    """Nothing is made, and the sentence says what is possible."""
    refused = cut(bench, "--connections", "5", shards=shards)
    assert (refused.code, said in refused.err) == (2, True), refused.err
    assert not list((bench.folder / "shards").glob("*"))


def test_a_shard_runs_with_its_share_unless_it_is_given_another(bench: Bench) -> None:
    """The connections and the rate of a shard's run are its shares, or those of its own options."""
    assert cut(bench, "--connections", "7", "--rate", "100", shards=2).code == 0
    run_shard(bench, 0)
    run_shard(bench, 1, "--connections", "2")
    asked = []
    for number in (0, 1):
        with LedgerReader.open(bench.folder / "shards" / f"shard-{number:02d}") as reader:
            (run,) = reader.history(10).runs
            asked.append((run.options["connections"], run.options["requests_per_s"]))
    assert asked == [(4, 50), (2, 50)]


def test_names_that_were_looked_up_are_not_looked_up_again(tmp_path: Path) -> None:
    """With --resolve-users, a mailbox with two names is one mailbox of one shard, and the shards know both names."""
    rows: list[Row] = rows_of([4, 4])
    tenant = a_tenant(rows)
    upn = rows[0][0]
    object_id = tenant.truth.mailbox(upn).object_id
    mixed = [
        (object_id if number % 2 else upn, folder, contact) for number, (_, folder, contact) in enumerate(rows[:4])
    ]
    with a_bench(tmp_path, tenant, [*mixed, *rows[4:]]) as bench:
        made = told(cut(bench, "--resolve-users", shards=2), "shard cut")
        assert sorted(one["rows"] for one in made["made_shards"]) == [4, 4]
        protected = tmp_path / "users.txt"
        protected.write_text(object_id)
        codes = [run_shard(bench, number, "--protected-users", str(protected)).code for number in (0, 1)]
        assert sorted(codes) == [0, 1]
        assert told(collect(bench, bench.folder / "shards"), "shard collect")["outcomes"]["skipped"] == 4
        assert tenant.truth.remaining() == 4


def test_text_for_people(bench: Bench) -> None:
    """Without --json, cut and collect say in lines what was made, what to type next, and what is missing."""
    place = str(bench.folder / "shards")
    arguments = ["shard", "cut", str(bench.input), "--ledger", str(bench.ledger), "-o", place, "--shards", "2", "--yes"]
    made = bench.here(*arguments, "--quiet", *way(bench))
    assert made.code == 0, made.err
    assert "2 shards with 32 rows" in made.out
    assert f"purgeengine run --ledger {place}/shard-01" in made.out
    ran = bench.here("run", "--ledger", f"{place}/shard-00", "--yes", "--quiet", *way(bench))
    assert f"shard collect ledger {place}/shard-00" in ran.out + ran.err
    some = collect(bench, Path(place) / "shard-00", more=())
    assert (some.code, "Of 2 shards, shard 1 is not collected yet." in some.out) == (1, True)
    status = bench.here("status", str(bench.ledger), place).out
    assert "34 rows over 2 shards, not complete" in status
    assert f"shard 1 ({place}/shard-01)" in status
    assert json.loads(bench.here("config", "show", "--json", "shard", "cut").out)["of_command"] == "shard cut"
