"""Tests of ``inventory`` as a user calls it, by the real command line against the simulated tenant."""

from __future__ import annotations

import csv
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from purgeengine.cli.commands.simulate import GROUP_ID
from purgeengine.edges.inventory.stock_parts import PARTS
from purgeengine.sim.graph.made_up_people import SYNCED_COMPANY, MadeUpPeople
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import Trouble
from tests.support.cli_fixtures import Bench, Ended, a_bench

USERS = [f"user{number}@contoso.example" for number in range(8)]
SLOW = TenantSettings(latency_median_s=0.15, latency_sigma=0.2, overhead_s=0.02)


def filled(settings: TenantSettings, contacts: int = 60, users: list[str] = USERS) -> Tenant:
    """Return a tenant with people."""
    tenant = Tenant(settings, seed=1)
    people = MadeUpPeople(1)
    for user in users:
        people.fill(tenant.truth, user, contacts)
    tenant.truth.add_group(GROUP_ID, users[:3])
    return tenant


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with eight mailboxes full of people, and a file of their users."""
    tenant = filled(TenantSettings(latency_median_s=0.005, overhead_s=0.005))
    with a_bench(tmp_path, tenant, []) as found:
        (tmp_path / "users.txt").write_text("\n".join(USERS))
        yield found


def arguments(bench: Bench, *more: str) -> list[str]:
    """Return the arguments of an inventory in the bench's folder."""
    server = bench.server
    way = ["--graph-url", server.graph_url, "--authority", server.authority_url, "--ca-file", str(server.ca_file)]
    whom = [] if {"--users", "--all-users", "--group"} & {*more} else ["--users", str(bench.folder / "users.txt")]
    files = ["--ledger", str(bench.folder / "found"), "-o", str(bench.folder / "list.csv")]
    return ["inventory", *whom, *files, *way, "--quiet", *more]


def taken(bench: Bench, *more: str) -> Ended:
    """Run an inventory in this process."""
    return bench.here(*arguments(bench, *more))


def listed(bench: Bench, name: str = "list.csv") -> list[dict[str, str]]:
    """Return the rows of a file."""
    with (bench.folder / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def of_company(bench: Bench) -> set[str]:
    """Return the ids of the sync tool's contacts, from the tenant's own record."""
    return {
        contact
        for box in bench.server.tenant.truth
        for contact in box.contacts
        if box.card_of(contact).fields.get("companyName") == SYNCED_COMPANY
    }


def test_from_a_company_name_to_an_empty_mailbox(bench: Bench) -> None:
    """The list of an inventory is the input of a run, after which exactly the contacts that matched are gone."""
    wanted, everything = of_company(bench), sum(len(box.contacts) for box in bench.server.tenant.truth)
    ended = taken(bench, "--company", "fabrikam (SYNCED)", "--json")
    assert (ended.code, ended.json["listed"], ended.json["mailboxes_by_outcome"]["listed"]) == (0, len(wanted), 8)
    assert ended.json["contacts"] == everything
    assert {row["contact"] for row in listed(bench)} == wanted
    assert "Nothing was deleted" in ended.err
    assert "Next: purgeengine plan" in ended.err
    ran = bench.here("run", str(bench.folder / "list.csv"), *bench.run_arguments()[2:])
    assert (ran.code, ran.json["outcomes"]["purged"]) == (0, len(wanted))
    assert of_company(bench) == set()
    assert sum(len(box.contacts) for box in bench.server.tenant.truth) == everything - len(wanted)


def test_filters_of_the_command_line(bench: Bench) -> None:
    """Kinds are joined by all or by any, --not leaves out, a file of addresses counts, and matched says why."""
    some = listed_after(bench, "a", "--folder", "Contacts/Fabrikam/*", "--category", "*sync*")
    assert some
    assert {row["folder_path"] for row in some} == {"Contacts/Fabrikam/Sales"}
    assert {row["matched"] for row in some} == {"folder=Contacts/Fabrikam/*; category=*sync*"}
    (bench.folder / "addresses.txt").write_text(some[0]["emails"] or "nobody@x.example")
    either = listed_after(
        bench, "b", "--any", "--folder", "Sales", "--emails", str(bench.folder / "addresses.txt"), "--not", "company="
    )
    assert {row["contact"] for row in some} <= {row["contact"] for row in either}
    old = listed_after(bench, "c", "--created-before", "2023-01-01", "--not", f"company={SYNCED_COMPANY}")
    assert old
    assert all(row["created_utc"] < "2023" and row["company"] != SYNCED_COMPANY for row in old)


def listed_after(bench: Bench, name: str, *more: str) -> list[dict[str, str]]:
    """Run an inventory with a folder and a list of its own, and return the list."""
    ended = taken(bench, *more, "--ledger", str(bench.folder / name), "-o", str(bench.folder / f"{name}.csv"))
    assert ended.code == 0, ended.err
    return listed(bench, f"{name}.csv")


def test_a_mailbox_that_cannot_be_read_makes_the_exit_code_one(bench: Bench) -> None:
    """It is told, named in the file beside the list, and read once more on demand."""
    bench.server.tenant.truth.mailbox(USERS[2]).trouble = Trouble.DENIED
    ended = taken(bench, "--json")
    assert (ended.code, ended.json["mailboxes_by_outcome"]["refused"]) == (1, 1)
    assert [(row["user"], row["code"]) for row in listed(bench, "list.unread.csv")] == [(USERS[2], "ErrorAccessDenied")]
    assert "--retry-unread" in ended.err
    assert USERS[2] not in {row["user"] for row in listed(bench)}
    bench.server.tenant.truth.mailbox(USERS[2]).trouble = None
    before = bench.server.tenant.counters.calls
    assert taken(bench, "--force").code == 1
    assert bench.server.tenant.counters.calls == before
    assert taken(bench, "--force", "--retry-unread").code == 0
    assert USERS[2] in {row["user"] for row in listed(bench)}
    assert not (bench.folder / "list.unread.csv").exists()


def test_whose_contacts_are_looked_for(bench: Bench) -> None:
    """A group has its users, the whole tenant all of them, and lists of users leave some out."""
    (bench.folder / "some.txt").write_text(f"{USERS[0]}\n{USERS[5]}\n")
    some = str(bench.folder / "some.txt")
    assert {row["user"] for row in listed_after(bench, "a", "--group", GROUP_ID)} == set(USERS[:3])
    assert {row["user"] for row in listed_after(bench, "b", "--all-users")} == set(USERS)
    assert {row["user"] for row in listed_after(bench, "c", "--all-users", "--only-users", some)} == {
        USERS[0],
        USERS[5],
    }
    assert {row["user"] for row in listed_after(bench, "d", "--exclude-users", some)} == set(USERS) - {
        USERS[0],
        USERS[5],
    }
    assert {row["user"] for row in listed_after(bench, "e", "--protected-users", some)} == set(USERS) - {
        USERS[0],
        USERS[5],
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--all-users", "--group", GROUP_ID), "in one way"),
        (("--group", "Sales"), "object id of a group"),
        (("--not", "company"), "--not takes a filter and its value"),
        (("--not", "colour=red"), "--not takes a filter"),
        (("--duplicates", "name,shoe-size"), "not 'shoe-size'"),
        (("--created-before", "yesterday"), "--created-before takes a day or a time"),
        (("-o", "list.xlsx"), "ends in none of"),
        (("-o", "nowhere/list.csv"), "nowhere"),
        (("--connections", "0"), "--connections"),
        (("--emails", "none.txt"), "cannot be read"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_read(bench: Bench, more: tuple[str, ...], said: str) -> None:
    """The exit code is 2, the sentence names the option, and nothing was asked or written."""
    ended = taken(bench, *more)
    assert (ended.code, bench.server.tenant.counters.calls) == (2, 0)
    assert said in ended.err
    assert not (bench.folder / "found").exists()


def test_a_list_that_exists_is_not_replaced_by_mistake(bench: Bench) -> None:
    """A file of that name is kept without --force, also a list of the same inventory that somebody has shortened by hand."""
    (bench.folder / "list.csv").write_text("mine")
    assert taken(bench).code == 2
    assert (bench.folder / "list.csv").read_text() == "mine"
    assert taken(bench, "--force").code == 0
    first = (bench.folder / "list.csv").read_bytes()
    shortened = first[: first.rindex(b"\n", 0, -1) + 1]
    (bench.folder / "list.csv").write_bytes(shortened)
    assert taken(bench).code == 2
    assert (bench.folder / "list.csv").read_bytes() == shortened
    assert taken(bench, "--force").code == 0
    assert (bench.folder / "list.csv").read_bytes() == first
    assert taken(bench, "--force", "--company", "Contoso").code == 2


def test_a_pattern_of_users_is_no_user(bench: Bench) -> None:
    """An inventory needs the name of each mailbox."""
    (bench.folder / "users.txt").write_text("*@contoso.example")
    ended = taken(bench)
    assert ended.code == 2
    assert "stands for many users" in ended.err


def test_status_and_run_refuse_the_folder(bench: Bench) -> None:
    """The folder is no ledger of a purge, and the sentence says so."""
    assert taken(bench).code == 0
    for command in (
        ("status", str(bench.folder / "found")),
        ("export", str(bench.folder / "found"), str(bench.folder / "x.csv")),
    ):
        ended = bench.here(*command)
        assert ended.code == 5
        assert "holds an inventory, and not the ledger of a purge" in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_inventory_goes_on_where_it_was(tmp_path: Path, how: signal.Signals) -> None:
    """Killed while it reads, the same command lists everything in the end, and reads little twice."""
    users = [f"user{number:03}@contoso.example" for number in range(120)]
    with a_bench(tmp_path, filled(SLOW, 12, users), []) as bench:
        (tmp_path / "users.txt").write_text("\n".join(users))
        command = arguments(bench, "--connections", "1", "--company", SYNCED_COMPANY)
        with bench.start(*command) as process:
            for _ in range(600):
                if any((tmp_path / "found" / PARTS).glob("*.parquet")):
                    break
                time.sleep(0.05)
            assert process.poll() is None, process.communicate()[1]
            process.send_signal(how)
            _, said = process.communicate(timeout=30)
        if how is signal.SIGINT:
            assert process.returncode == 4
            assert "give the same command again" in said
        assert not (tmp_path / "list.csv").exists()
        before = bench.server.tenant.counters.requests
        ended = bench.command(*arguments(bench, "--connections", "8", "--company", SYNCED_COMPANY))
        assert ended.code == 0, ended.err
        assert {row["contact"] for row in listed(bench)} == of_company(bench)
        assert bench.server.tenant.counters.requests - before < before + 8 * len(users)
