"""Tests of what is reported of an input: what is read, what is ignored, and what is wrong with a cell, before anything is sent."""

from __future__ import annotations

import bz2
import json
import lzma
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from purgeengine.core.graph.identifiers import id_problem, user_problem
from purgeengine.core.graph.unlikely_ids import Unlikely, unlikely
from purgeengine.edges.source import open_source
from purgeengine.errors import InputError, UsageProblem
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import Bench, a_bench
from tests.support.source_fixtures import CONTACT, FOLDER, USER, a_file, records, rows, rows_of

GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
REAL = "AAMkAGI2" + "THVSAAA" * 17 + "0="


@pytest.mark.parametrize(
    ("user", "cause", "is_mended"),
    [
        (f"mailto:{USER}", "begins with 'mailto:'", True),
        (f"SMTP:{USER}", "begins with 'smtp:'", True),
        (f"sip:{USER}", "begins with 'sip:'", False),
        (f"Ann <{USER}>", "is a name and an address", False),
        ("{" + GUID + "}", "is in braces", True),
        (f"\u200b{USER}", "holds the invisible character U+200B", True),
        (f"{USER}\ufeff", "holds the invisible character U+FEFF", True),
        (f"i:0#.f|membership|{USER}", "is a claim", False),
        ("ann%40contoso.example", "is percent-encoded", False),
        ("CONTOSO\\ann", "is a Windows account name", False),
        ("/o=ExchangeLabs/ou=x/cn=ann", "is an Exchange address", False),
        ("System.Object[]", "was not written out", False),
        ("@{Name=ann}", "was not written out", False),
        ("ann@contoso.exam...", "is cut off", False),
        ("ann@contoso.exam…", "is cut off", False),
        (f'"{USER}"', "is in quotes", False),
        (f"{USER};", "ends with ';'", False),
        ("NULL", "is a word for a missing value", False),
        (f"{USER};{USER}", "holds several addresses", False),
        ("Ann Smith", "is a name as it is displayed", False),
        (f"https://x/{USER}", "begins with 'https:'", False),
    ],
)
def test_a_refused_user_is_told_with_its_cause(tmp_path: Path, user: str, cause: str, is_mended: bool) -> None:
    """A refused user gets a reason with its cause and without its value, and the reason names --clean if that helps."""
    problem = user_problem(user) or ""
    assert cause in problem
    assert ("--clean" in problem) is is_mended
    assert "contoso" not in problem
    path = a_file(tmp_path, json.dumps([{"user": user, "contact": CONTACT}]))
    (plain,), (mended,) = rows(path), rows(path, clean=True)
    assert plain.reason == problem
    assert (mended.reason is None) is is_mended
    assert not is_mended or mended.user in (USER, GUID)


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("{" + GUID + "}", "is in braces"),
        ("AAMk%3D", "is percent-encoded"),
        ("AAMkAGI2...", "is cut off"),
        ("nan", "is a word for a missing value"),
        ("Microsoft.Graph.PowerShell.Models.MicrosoftGraphContact", "was not written out"),
        (f"AAMk\u200b{CONTACT}", "U+200B; --clean removes it"),
        (USER, "is an address"),
        (f"https://graph.microsoft.com/v1.0/me/contacts/{CONTACT}", "is a URL"),
    ],
)
def test_a_refused_id_is_told_with_its_cause(value: str, cause: str) -> None:
    """A refused id gets a reason with its cause, for the forms that people meet."""
    assert cause in (id_problem("contact", value) or "")


def test_what_is_cleaned_is_counted_and_duplicates_are_those_of_clean_rows(tmp_path: Path) -> None:
    """Cleaned cells are counted with the first place and value, and duplicates are found among cleaned rows."""
    path = a_file(tmp_path, f"user,contact\n{USER},{CONTACT}\nSMTP:{USER},{CONTACT}\n{USER},\u200b{CONTACT}\n")
    source = open_source([path], clean=True)
    assert {(row["user"], row["contact"]) for row in records(source)} == {(USER, CONTACT)}
    (note,) = source.reading()["notes"]
    assert (note["kind"], note["times"], note["line"]) == ("cleaned", 2, 3)
    assert note["example"] == f"SMTP:{USER} -> {USER}"


@pytest.mark.parametrize("word", ["NULL", "nan", "None", "<NA>", "\\N", "#N/A", "n/a", "-", " null ", "NaT"])
def test_a_word_for_a_missing_folder_is_no_folder(tmp_path: Path, word: str) -> None:
    """A word for a missing value in the folder column means no folder and is noted.

    In the contact column it makes the row invalid.
    """
    path = a_file(
        tmp_path, f"user,folder,contact\n{USER},{word},{CONTACT}\n{USER},{FOLDER},{CONTACT}\n{USER},,{word}\n"
    )
    source = open_source([path])
    first, second, third = records(source)
    assert (first["folder"], first["reason"], second["folder"]) == ("", None, FOLDER)
    assert third["reason"] == "the contact id is a word for a missing value"
    assert [(note["kind"], note["times"], note["line"]) for note in source.reading()["notes"]] == [
        ("missing_words", 1, 2)
    ]


@pytest.mark.parametrize(
    ("contact", "kind"),
    [
        (GUID, Unlikely.GUID),
        ("1", Unlikely.NUMBER),
        ("12345678901234567890", Unlikely.NUMBER),
        ("Smith", Unlikely.SHORT),
        (REAL.lower(), Unlikely.LOWER_CASE),
        (REAL.upper(), Unlikely.UPPER_CASE),
        ("00000000" + "AB12" * 33, Unlikely.ENTRY_ID),
        (REAL, None),
        (CONTACT, None),
        ("AAMkAGI2THVSAAA001=", None),
    ],
)
def test_contacts_that_no_contact_has_are_told(tmp_path: Path, contact: str, kind: Unlikely | None) -> None:
    """A contact id that no contact can have is reported with its number of rows.

    The rows stay valid, because only Graph knows.
    """
    assert unlikely(contact) is kind
    source = open_source([a_file(tmp_path, f"user,contact\n{USER},{REAL}\n{USER},{contact}\n")])
    assert all(row["reason"] is None for row in records(source))
    found = [(one["kind"], one["rows"], one["of"], one["line"]) for one in source.reading()["unlikely"]]
    assert found == ([(kind.value, 1, 2, 3)] if kind else [])


def test_a_partitioned_dataset_is_read_as_pyarrow_reads_it(tmp_path: Path) -> None:
    """Folders such as user=ann%40contoso.example are read as columns, as pyarrow does."""
    table = pa.table(
        {"user": [USER, "bob@contoso.example", USER], "region": ["a b", "c", None], "contact": [REAL, CONTACT, CONTACT]}
    )
    ds.write_dataset(
        table, tmp_path / "out", format="parquet", partitioning=["user", "region"], partitioning_flavor="hive"
    )
    a_file(tmp_path / "out", "", "_SUCCESS")
    expected = ds.dataset(tmp_path / "out", format="parquet", partitioning="hive").to_table().to_pylist()
    source = open_source([tmp_path / "out"])
    assert source.ignored == ()
    names = ("user", "contact", "region")
    found = [tuple(row[name] for name in names) for row in records(source)]
    assert sorted(map(repr, found)) == sorted(repr(tuple(row[name] for name in names)) for row in expected)
    other = open_source([tmp_path / "out"]).digest()
    (folder,) = (tmp_path / "out").glob("user=bob*")
    folder.rename(tmp_path / "out" / "user=eve%40contoso.example")
    assert open_source([tmp_path / "out"]).digest() != other


def test_a_column_without_values_is_empty_whatever_its_type(tmp_path: Path) -> None:
    """A column without values counts as empty, whatever its type, and one with a number is refused as a folder."""
    for kind in (pa.float64(), pa.int32(), pa.bool_(), pa.timestamp("ms"), pa.list_(pa.string()), pa.null()):
        table = pa.table({"user": [USER], "folder": pa.nulls(1, kind), "contact": [CONTACT]})
        pq.write_table(table, tmp_path / "a.parquet")
        assert [(row.folder, row.reason) for row in rows(tmp_path / "a.parquet")] == [("", None)]
    pq.write_table(table.set_column(1, "folder", pa.array([float("nan")])), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet")[0].folder == ""
    pq.write_table(table.set_column(1, "folder", pa.array([1.0])), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="the folder is text"):
        open_source([tmp_path / "a.parquet"])
    assert rows(tmp_path / "a.parquet", columns={"folder": ""})[0].folder == ""


@pytest.mark.parametrize(("ending", "compress"), [("bz2", bz2.compress), ("xz", lzma.compress)])
def test_bzip2_and_xz_are_read_and_a_cut_one_is_refused(tmp_path: Path, ending: str, compress: object) -> None:
    """Files of bzip2 and xz with several streams are read, and cut or extended ones are refused."""
    pack = bz2.compress if ending == "bz2" else lzma.compress
    text = "user,contact\n" + "".join(f"{USER},AAMkAGI2TG{number:06d}\n" for number in range(50_000))
    packed = pack(text[:100_000].encode()) + pack(text[100_000:].encode())
    assert len(rows(a_file(tmp_path, packed, f"a.csv.{ending}"))) == 50_000
    for broken in (packed[:-5], packed[: len(packed) // 2], packed + b"more"):
        with pytest.raises(InputError, match="damaged or cut short"):
            rows(a_file(tmp_path, broken, f"a.csv.{ending}"))


FOREIGN = {
    "Feather": b"ARROW1\0\0",
    "ORC": b"ORC\n",
    "Avro": b"Obj\x01",
    "SQLite": b"SQLite format 3\0",
    "Excel": b"PK\x03\x04",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "LZ4": b"\x04\x22\x4d\x18",
    "RAR": b"Rar!\x1a\x07",
    "tar": b"\0" * 257 + b"ustar",
    "Import-Clixml": "<Objs Version=".encode("utf-16"),
    "web page": b"<!DOCTYPE html>",
    "vCard": b"BEGIN:VCARD",
}


@pytest.mark.parametrize(("what", "head"), FOREIGN.items(), ids=FOREIGN)
def test_what_cannot_be_read_is_named(tmp_path: Path, what: str, head: bytes) -> None:
    """A file of a known other format is refused with the format's name, whatever the file's name is."""
    for name in ("a.csv", "a"):
        with pytest.raises(InputError, match=what):
            open_source([a_file(tmp_path, head + b" " * 600, name)])


def test_one_mailbox_needs_no_column_for_its_user(tmp_path: Path) -> None:
    """A list of one mailbox needs no user column if --user is given, and a list with users refuses that option."""
    text = f"DisplayName,Id,ParentFolderId\nBob,{CONTACT},{FOLDER}\n"
    (row,) = rows_of(tmp_path, text, user=USER)
    assert (row.user, row.folder, row.contact, row.reason) == (USER, FOLDER, CONTACT, None)
    with pytest.raises(InputError, match="--user"):
        rows_of(tmp_path, text)
    with pytest.raises(InputError, match="Leave --user out"):
        rows_of(tmp_path, f"user,contact\n{USER},{CONTACT}\n", user=USER)
    with pytest.raises(UsageProblem, match="--user"):
        rows_of(tmp_path, text, user=USER, columns={"user": "DisplayName"})


def test_the_columns_are_shown_for_each_choice_of_them(tmp_path: Path) -> None:
    """The reading shows the columns of each kind of file, with the first value of each."""
    a_file(tmp_path, f"upn,id\n{USER},{CONTACT}\n", "a.csv")
    a_file(tmp_path, f"UPN,id\n{USER},{CONTACT}\n", "b.csv")
    a_file(tmp_path, f"id,upn\n{CONTACT},{USER}\n", "c.csv")
    source = open_source([tmp_path])
    records(source)
    first, second = source.reading()["columns"]
    assert (first["files"], first["files_in_all"], second["files"]) == (["a.csv", "c.csv"], 2, ["b.csv"])
    assert first["user"] == {"column": "upn", "first": USER}
    assert first["folder"] is None


# ------------------------------------------------------------------------------------------------------ the command line


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with one contact."""
    row = (USER, "", REAL)
    with a_bench(
        tmp_path,
        Tenant(TenantSettings(latency_median_s=0.01, overhead_s=0.01, latency_s_max=0.5), contacts=[row], seed=5),
        [row],
    ) as made:
        yield made


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """Make a folder with one input, a subfolder and a file that is not read."""
    folder = tmp_path / "exports"
    (folder / "2026-11").mkdir(parents=True)
    a_file(folder, f"user,contact\n{USER},{REAL}\n", "a.csv")
    a_file(folder, "user\tcontact\n", "b.txt")
    return folder


def test_what_a_folder_leaves_alone_is_told_by_plan(bench: Bench, exports: Path) -> None:
    """The command ``plan`` reports what a folder leaves unread, as text and as JSON."""
    ended = bench.here("plan", str(exports))
    assert ended.code == 0
    assert "2 entries" in ended.err
    assert "2026-11/, b.txt" in ended.err
    assert f"contact = contact ('{REAL[:80]}" in ended.out
    found = bench.here("plan", str(exports), "--json").json
    (left,) = found["left_alone"]
    assert (left["names"], left["entries"], left["hidden"]) == (["2026-11/", "b.txt"], 2, 0)
    assert found["columns"][0]["contact"]["column"] == "contact"


def test_a_folder_that_is_read_in_part_is_refused_unless_told(bench: Bench, exports: Path) -> None:
    """A run on a folder that is read in part is refused without --allow-unread.

    The report later shows what was left unread.
    """
    bench = replace(bench, input=exports)
    for more in ((), ("--dry-run",)):
        refused = bench.run_here(*more)
        assert refused.code == 2
        assert "--allow-unread" in refused.err
        assert not bench.ledger.exists()
    ended = bench.run_here("--allow-unread")
    assert (ended.code, ended.json["left_alone"][0]["entries"]) == (0, 2)
    assert bench.run_here().code == 0  # a resumed run keeps the agreement
    found = bench.here("report", str(bench.ledger), "--json").json["asked"]
    assert found["left_alone"][0]["names"] == ["2026-11/", "b.txt"]
    assert found["columns"][0]["user"]["first"] == USER


def test_a_run_of_one_mailbox_resumes_with_the_same_options(bench: Bench, tmp_path: Path) -> None:
    """A run with --user and --clean resumes only with both, and the message names the missing one."""
    bench = replace(bench, input=a_file(tmp_path, f"id\n\u200b{REAL}\n", "one.csv"))
    assert bench.run_here("--user", USER, "--clean").code == 0
    assert bench.run_here("--user", USER, "--clean").code == 0
    ended = bench.run_here("--user", USER)
    assert (ended.code, "made with --clean" in ended.err) == (2, True)
    ended = bench.run_here("--user", "bob@contoso.example", "--clean")
    assert (ended.code, f"--user {USER}" in ended.err) == (2, True)
    ended = bench.run_here()
    assert (ended.code, "--user" in ended.err) == (2, True)
    assert [row["outcome"] for row in bench.exported()] == ["purged"]
    ended = replace(bench, input=tmp_path / "ledger.csv").here("plan", str(tmp_path / "ledger.csv"), "--json")
    assert (ended.code, ended.json["to_purge"]) == (0, 1)


def test_a_list_without_a_usable_row_is_no_list(bench: Bench, tmp_path: Path) -> None:
    """A list without a valid row ends plan and run with exit code 2 and the reasons.

    The check warns, and fails with --strict.
    """
    path = a_file(tmp_path, f"user,contact\nmailto:{USER},{REAL}\nSMTP:{USER},{REAL}\n", "list.csv")
    ended = bench.here("plan", str(path))
    assert ended.code == 2
    assert f"line 2 of list.csv ('mailto:{USER}')" in ended.out
    bench = replace(bench, input=path)
    ended = bench.run_here()
    assert (ended.code, "No row of the list can be sent (2 invalid)" in ended.err) == (2, True)
    assert bench.run_here("--dry-run").code == 2
    endpoint = [*bench.run_arguments()[bench.run_arguments().index("--graph-url") :]]
    ended = bench.here("check", str(path), *endpoint)
    assert (ended.code, "No row of the list can be sent (2 invalid)" in ended.out) == (0, True)
    assert bench.here("check", str(path), "--strict", *endpoint).code == 1
    assert bench.run_here("--clean").code == 0


def test_an_export_of_json_rows_is_an_input_again(bench: Bench, tmp_path: Path) -> None:
    """The export of a JSON input is an input with the same extra values, nested ones as JSON."""
    text = json.dumps([{"user": USER, "id": REAL, "@odata.etag": 'W/"A"', "emails": [{"address": "=x"}]}])
    bench = replace(bench, input=a_file(tmp_path, text, "list.json"))
    assert bench.run_here().code == 0
    (row,) = bench.exported()
    assert (row["outcome"], json.loads(row["emails"])) == ("purged", [{"address": "=x"}])
    (again,) = records(open_source([tmp_path / "ledger.csv"]))
    assert (again["user"], again["contact"], again["reason"]) == (USER, REAL, None)
    assert (again["emails"], again["@odata.etag"]) == ('[{"address":"=x"}]', 'W/"A"')


@pytest.mark.parametrize("text", ["user,contact\n", "user;contact\n;\n;\n", "[]"])
def test_a_list_without_a_row_is_no_list(bench: Bench, tmp_path: Path, text: str) -> None:
    """A list without any row ends plan and run with exit code 2 and makes no ledger; the check warns."""
    path = a_file(tmp_path, text, "list.csv")
    bench = replace(bench, input=path)
    for ended in (bench.here("plan", str(path)), bench.run_here(), bench.run_here("--dry-run")):
        assert (ended.code, "list.csv holds no row. Nothing was sent." in ended.err) == (2, True)
    assert not (bench.ledger / "ledger.sqlite").exists()
    endpoint = [*bench.run_arguments()[bench.run_arguments().index("--graph-url") :]]
    ended = bench.here("check", str(path), "--strict", *endpoint)
    assert (ended.code, "The list holds no row." in ended.out) == (1, True)
