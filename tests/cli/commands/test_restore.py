"""``restore --from purges``: what the script looks for, against the tenant's truth, and hostile names in it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from purgeengine.cli.commands.restore import restore
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.restoring.wanted_items import PurgedRow, PurgedRows
from purgeengine.edges.restore_script import script_of, write_script
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, returned, sent, settled

HOSTILE = [
    "'@",
    "x\n'@\nRemove-Item *",
    "\N{RIGHT SINGLE QUOTATION MARK}@",
    "$(Get-Date)",
    "#>",
    "`n",
    '"',
    "\u2028'@",
    "😀 Ö",
]
POWERSHELL = shutil.which("pwsh") or shutil.which("powershell")


def groups_in(script: str) -> list[dict[str, Any]]:
    """Return what the script looks for, as PowerShell would read it."""
    body = script.partition("$lines = @'")[2].partition("\n'@ -split")[0]
    return [json.loads(line) for line in body.splitlines() if line]


def named_list(bench: Bench, names: list[str]) -> None:
    """Give the list of the bench a column with names."""
    with bench.input.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    with bench.input.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("user", "folder", "contact", "Display Name"))
        writer.writerows([*row, name] for row, name in zip(rows, names, strict=True))


def test_the_script_looks_for_what_the_tenant_lost(tmp_path: Path) -> None:
    """Names and numbers by mailbox are those of the contacts that the tenant deleted; what was gone before is not in it."""
    rows = rows_of([5, 3])
    names = ["Ada", "Ada", "Bo", "Cy", "Di", "Ada", "Bo", "Eve"]
    with a_bench(tmp_path, Tenant(TenantSettings(), contacts=rows[:7], seed=1), rows) as bench:
        named_list(bench, names)
        bench.server.tenant.truth.add_mailbox(rows[7][0])
        assert bench.run_here().code == 0
        script = tmp_path / "restore.ps1"
        ended = bench.here("restore", str(bench.ledger), "--from", "purges", "-o", str(script), "--json")
    assert ended.code == 0, ended.err
    found = {(group["user"], *group["names"]): group["rows"] for group in groups_in(script.read_text("utf-8-sig"))}
    first, second = rows[0][0], rows[5][0]
    assert found == {
        (first, "Ada"): 2,
        (first, "Bo"): 1,
        (first, "Cy"): 1,
        (first, "Di"): 1,
        (second, "Ada"): 1,
        (second, "Bo"): 1,
    }
    assert (ended.json["contacts"], ended.json["mailboxes"], ended.json["without_name"]) == (7, 2, 0)
    assert script.read_bytes().startswith(b"\xef\xbb\xbf")
    if os.name == "posix":
        assert stat.S_IMODE(script.stat().st_mode) == 0o600


def test_doubtful_rows_and_lists_without_names_are_told(tmp_path: Path) -> None:
    """Rows without an answer may have been deleted: they are looked for too, until a lost call must have ended.

    Of five rows, one waits in doubt, one is exhausted in doubt, one is purged, one is refused and one was never sent.
    """
    ledger, script = tmp_path / "L", tmp_path / "restore.ps1"
    with open_ledger(ledger, a_source(5)) as opened:
        opened.write([sent(1, (0, [0, 1, 2, 3]))], NOW)
        denied = settled(3, 1, Outcome.REFUSED, reply=Reply(403, "ErrorAccessDenied"))
        lost = settled(1, 1, Outcome.EXHAUSTED, in_doubt=True, reply=Reply(0))
        opened.write([ended(1), returned(0, in_doubt=True), lost, settled(2, 1), denied], NOW + 9_000)
    done = CliRunner().invoke(restore, [str(ledger), "--from", "purges", "-o", str(script)], standalone_mode=False)
    assert done.return_value == 0, done.output
    assert "2 of them may not have been deleted" in done.output
    (group,) = groups_in(script.read_text("utf-8-sig"))
    assert (group["user"], group["names"], group["rows"], group["doubt"]) == ("a@contoso.example", [], 3, 2)
    assert group["spans"] == [[NOW, NOW + 40_000]]


def test_only_the_users_asked_for(tmp_path: Path) -> None:
    """``--only-users`` narrows the script, and a filter that leaves nothing is told."""
    rows = rows_of([2, 2])
    only = tmp_path / "only.txt"
    only.write_text(rows[2][0].upper(), encoding="utf-8")
    with a_bench(tmp_path, Tenant(TenantSettings(), contacts=rows, seed=1), rows) as bench:
        assert bench.run_here().code == 0
        script = tmp_path / "restore.ps1"
        arguments = ["restore", str(bench.ledger), "--from", "purges", "-o", str(script)]
        assert bench.here(*arguments, "--only-users", str(only)).code == 0
        assert {group["user"] for group in groups_in(script.read_text("utf-8-sig"))} == {rows[2][0]}
        again = bench.here(*arguments)
        assert (again.code, "--force" in again.err) == (2, True)
        only.write_text("nobody@contoso.example", encoding="utf-8")
        none = bench.here(*arguments, "--force", "--only-users", str(only))
        assert (none.code, "nothing to bring back" in none.err) == (2, True)
        column = bench.here(*arguments, "--force", "--name-column", "who")
        assert (column.code, "no column 'who'" in column.err) == (2, True)
        ending = bench.here(*arguments[:-1], str(tmp_path / "restore.txt"))
        assert (ending.code, "must end in .ps1" in ending.err) == (2, True)


def test_contacts_in_deleted_items_are_not_looked_for_in_purges(tmp_path: Path) -> None:
    """A ledger of plain deletes is refused, with where its contacts are."""
    rows = rows_of([1])
    with a_bench(tmp_path, Tenant(TenantSettings(), contacts=rows, seed=1), rows) as bench:
        assert bench.run_here("--action", "delete").code == 0
        ended = bench.here("restore", str(bench.ledger), "--from", "purges", "-o", str(tmp_path / "restore.ps1"))
    assert (ended.code, "Deleted Items" in ended.err) == (2, True)
    assert not (tmp_path / "restore.ps1").exists()


def hostile_script() -> str:
    found = PurgedRows()
    for number, name in enumerate(HOSTILE):
        found.add(PurgedRow("o'neil@contoso.example", f"id-{number}", (name,), 0, 1_000, in_doubt=False))
    return script_of(found.groups(), [Path("a #> folder")])


def test_hostile_names_stay_text() -> None:
    """Names come back as they were, and the script's own lines are the same with any names."""
    script = hostile_script()
    assert {name for group in groups_in(script) for name in group["names"]} == set(HOSTILE)
    plain = script_of([], [Path("a #> folder")])
    kept = [line for line in script.splitlines() if not line.startswith('{"user"')]
    without_count = [line for line in plain.splitlines() if line]
    assert [line for line in kept if line and " of 1 mailbox" not in line] == [
        line for line in without_count if " of 0 mailboxes" not in line
    ]
    assert script.partition("$lines")[0].count("#>") == 1  # the comment ends where it should
    assert script.isascii()


@pytest.mark.skipif(
    not find_spec("tree_sitter_powershell"),
    reason="the grammar of PowerShell is not installed: the dependency group docs has it",
)
def test_the_script_parses() -> None:
    """A grammar of PowerShell that others wrote reads the whole script without an error."""
    import tree_sitter_powershell
    from tree_sitter import Language, Parser

    parser = Parser(Language(tree_sitter_powershell.language()))
    assert not parser.parse(hostile_script().encode()).root_node.has_error


STUBS = """
$purges = @(
    @{ EntryID = '1'; Subject = 'Ada'; LastModifiedTime = '2026-01-31T12:00:05Z'; LastParentPath = 'Contacts' },
    @{ EntryID = '2'; Subject = 'Ada'; LastModifiedTime = '2026-01-31T12:00:06Z'; LastParentPath = 'Contacts' },
    @{ EntryID = '3'; Subject = 'Bo'; LastModifiedTime = '2026-01-31T12:00:05Z'; LastParentPath = 'Contacts' },
    @{ EntryID = '4'; Subject = 'Bo'; LastModifiedTime = '2026-01-31T12:00:05Z'; LastParentPath = 'Contacts' },
    @{ EntryID = '5'; Subject = 'Cy'; LastModifiedTime = '2026-01-31T18:00:00Z'; LastParentPath = 'Contacts' }
) | ForEach-Object {
    $_.LastModifiedTime = [DateTimeOffset]::Parse($_.LastModifiedTime).UtcDateTime
    [pscustomobject] $_
}
function Get-RecoverableItems {
    param($Identity, $SourceFolder, $FilterItemType, $FilterStartTime, $FilterEndTime, $ResultSize)
    $purges
}
function Restore-RecoverableItems {
    param($Identity, $SourceFolder, $EntryID)
    Add-Content restored.txt $EntryID
    [pscustomobject]@{ WasRestoredSuccessfully = $true; RestoredToFolderPath = 'Contacts' }
}
"""


@pytest.mark.skipif(POWERSHELL is None, reason="there is no PowerShell on this machine; CI on Windows runs this test")
@pytest.mark.parametrize("bring_back", [False, True])
def test_powershell_brings_back_what_is_certain(tmp_path: Path, *, bring_back: bool) -> None:
    """Two of two named Ada come back; of Bo Purges holds more than were deleted; Cy was removed at another time."""
    assert POWERSHELL is not None
    noon = 1_769_860_800_000  # 2026-01-31T12:00:00Z
    found = PurgedRows()
    for number, name in enumerate(["Ada", "Ada", "Bo", "Cy"]):
        found.add(PurgedRow("a@x.example", str(number), (name,), noon, noon + 8_000, in_doubt=False))
    write_script(script_of(found.groups(), [tmp_path]), tmp_path / "restore.ps1")
    switch = " -Restore" if bring_back else ""
    (tmp_path / "all.ps1").write_text(f"{STUBS}\n./restore.ps1{switch}\n", encoding="utf-8")
    subprocess.run(
        [POWERSHELL, "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", "all.ps1"],
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    with (tmp_path / "restore-result.csv").open(encoding="utf-8-sig", newline="") as lines:
        told = {(row["Name"], row["State"], row["Items"]) for row in csv.DictReader(lines)}
    state = "restored" if bring_back else "would be restored"
    assert told == {("Ada", state, "1"), ("Bo", "ambiguous", "2"), ("Cy", "not found", "1")}
    restored = tmp_path / "restored.txt"
    assert (restored.read_text("utf-8").split() if restored.exists() else []) == (["1", "2"] if bring_back else [])
