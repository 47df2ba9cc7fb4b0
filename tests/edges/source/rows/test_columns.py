"""Tests of columns: which column is the user, folder or contact, and how the others are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.edges.source import ALIASES, LEDGER_COLUMNS, open_source, safe_name
from purgeengine.errors import InputError
from tests.support.source_fixtures import CONTACT, FOLDER, USER, a_file, records, rows_of


@pytest.mark.parametrize("user", ALIASES["user"])
@pytest.mark.parametrize("contact", ALIASES["contact"])
def test_aliases_are_understood_in_any_case_and_order(tmp_path: Path, user: str, contact: str) -> None:
    """Every pair of names for user and contact is understood, in any case and order and with spaces around it."""
    (row,) = rows_of(tmp_path, f" {contact.upper()} , {user.swapcase()}\n{CONTACT},{USER}\n")
    assert (row.user, row.folder, row.contact, row.reason) == (USER, "", CONTACT, None)


@pytest.mark.parametrize("folder", ALIASES["folder"])
def test_aliases_of_the_folder_are_understood(tmp_path: Path, folder: str) -> None:
    """The folder is found under each of its names."""
    (row,) = rows_of(tmp_path, f"user,{folder},contact\n{USER},{FOLDER},{CONTACT}\n")
    assert row.folder == FOLDER


@pytest.mark.parametrize(
    ("header", "used", "left"),
    [
        ("mailbox,user,contact", "b@x", "mailbox"),
        ("upn,mailbox,contact", "b@x", "upn"),
        ("userId,userPrincipalName,contact", "b@x", "userId"),
        ("user,id,contact", "a@x", "id"),
    ],
)
def test_the_canonical_name_wins_then_the_earlier_alias(tmp_path: Path, header: str, used: str, left: str) -> None:
    """The canonical name wins over aliases, and an earlier alias over a later one; the other column stays as an extra column."""
    source = open_source([a_file(tmp_path, f"{header}\na@x,b@x,{CONTACT}\n")])
    (record,) = records(source)
    assert (record["user"], source.extra_columns) == (used, (left,))


def test_contact_id_beside_a_bare_id_is_refused(tmp_path: Path) -> None:
    """A file with both ``contactId`` and ``id`` is refused, unless the caller names one of them.

    The other then stays as an extra column.
    """
    path = a_file(tmp_path, f"user,contactId,id\n{USER},{CONTACT},7\n")
    with pytest.raises(InputError, match="both 'contactId' and 'id'"):
        open_source([path])
    source = open_source([path], {"contact": "contactid"})
    assert [(r["contact"], r["id"]) for r in records(source)] == [(CONTACT, "7")]


def test_columns_can_be_named_by_the_caller(tmp_path: Path) -> None:
    """A column that the caller names is used even if the file has the usual name too.

    The usual one is kept under another name.
    """
    path = a_file(tmp_path, f"Owner,user,Item\n{USER},someone,{CONTACT}\n")
    (record,) = records(open_source([path], {"user": "owner", "contact": " ITEM "}))
    assert (record["user"], record["contact"], record["input_user"]) == (USER, CONTACT, "someone")


def test_a_named_column_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    """A named column that does not exist is refused with a list of the columns that do."""
    with pytest.raises(InputError, match="no column 'Owner' for the user; it has the columns 'user', 'contact'"):
        open_source([a_file(tmp_path, "user,contact\n")], {"user": "Owner"})


def test_one_column_for_two_roles_is_refused(tmp_path: Path) -> None:
    """One column for two roles is refused."""
    with pytest.raises(InputError, match="named for two roles"):
        open_source([a_file(tmp_path, "user,contact\n")], {"user": "user", "contact": "user"})


def test_a_file_without_the_needed_columns_is_refused_before_any_row(tmp_path: Path) -> None:
    """Every header is checked at opening, and the message names the file, its columns and the names that are understood."""
    good = a_file(tmp_path, f"user,contact\n{USER},{CONTACT}\n", "good.csv")
    bad = a_file(tmp_path, "person,card\nx,y\n", "bad.csv")
    with pytest.raises(InputError) as caught:
        open_source([good, bad])
    assert str(caught.value) == (
        f"{bad.resolve()} has no column for the user and the contact. It has the columns 'person', 'card'. "
        "These names are understood, in any letter case: user: user, userPrincipalName, mailbox, upn, userId; "
        "contact: contact, contactId, id. Other names can be given with --columns."
    )


@pytest.mark.parametrize("header", ["user,contact,name,name", "user,User,contact", "user,contact,Name, name "])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, header: str) -> None:
    """Two columns with the same name are refused; case and spaces make no difference."""
    with pytest.raises(InputError, match="columns of the same name"):
        open_source([a_file(tmp_path, f"{header}\n")])


def test_columns_without_a_name_are_called_by_their_place(tmp_path: Path) -> None:
    """A column without a name is named by its place, because spreadsheets leave such columns behind."""
    source = open_source([a_file(tmp_path, f"user,contact,,\n{USER},{CONTACT},x,\n")])
    assert source.extra_columns == ("column_3", "column_4")


def test_extra_columns_get_out_of_the_ledgers_way(tmp_path: Path) -> None:
    """An extra column with a name that an export uses gets the prefix ``input_``, in whatever case it is written."""
    source = open_source([a_file(tmp_path, f"user,contact,Status,ROW,note\n{USER},{CONTACT},a,b,c\n")])
    assert source.extra_columns == ("input_Status", "input_ROW", "note")
    assert [safe_name(name) for name in LEDGER_COLUMNS] == [f"input_{name}" for name in LEDGER_COLUMNS]


def test_the_older_of_two_columns_keeps_the_name(tmp_path: Path) -> None:
    """If a renamed column meets one that has that name already, the existing one is kept: it is the input's own."""
    source = open_source([a_file(tmp_path, f"user,contact,status,input_status\n{USER},{CONTACT},503,mine\n")])
    assert [(source.extra_columns, r["input_status"]) for r in records(source)] == [(("input_status",), "mine")]


def test_extra_columns_are_united_over_files(tmp_path: Path) -> None:
    """The extra columns of all files are united in the order of first sight.

    A column that a file lacks is null there.
    """
    one = a_file(tmp_path, f"user,contact,name,city\n{USER},{CONTACT},n,\n", "1.csv")
    two = a_file(tmp_path, f"Name,user,contact,phone\nm,{USER},{CONTACT},+1\n", "2.csv")
    source = open_source([one, two])
    assert source.extra_columns == ("name", "city", "phone")
    assert [(r["name"], r["city"], r["phone"]) for r in records(source)] == [("n", "", None), ("m", None, "+1")]


def test_an_export_gives_back_the_cells_it_has_neutralised(tmp_path: Path) -> None:
    """A CSV export loses the one apostrophe that neutralised a formula, and no other apostrophe."""
    cells = ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "''x", "'x", "x'=", "=1"]
    header = "row,outcome,client_request_id,user,contact,note\n"
    text = header + "".join(f"1,refused,c,'-{USER},{CONTACT},{cell}\n" for cell in cells)
    found = records(open_source([a_file(tmp_path, text)]))
    assert [r["note"] for r in found] == ["=1+1", "+1", "-1", "@x", "\tx", "'x", "'x", "x'=", "=1"]
    assert {r["user"] for r in found} == {f"-{USER}"}


def test_other_files_keep_their_apostrophes(tmp_path: Path) -> None:
    """A file that is not an export keeps its apostrophes.

    In an export, a neutralised carriage return is restored too.
    """
    text = f"row,user,contact,note\n1,{USER},{CONTACT},'=1\n"
    assert [r["note"] for r in records(open_source([a_file(tmp_path, text)]))] == ["'=1"]
    text = f'row,outcome,client_request_id,user,contact,note\n1,x,c,{USER},{CONTACT},"\'\r=1"\n'
    assert [r["note"] for r in records(open_source([a_file(tmp_path, text)]))] == ["\r=1"]


def test_a_header_with_far_too_many_columns_is_refused(tmp_path: Path) -> None:
    """A header with more than a thousand extra columns is refused."""
    with pytest.raises(InputError, match="1,001 columns besides"):
        open_source([a_file(tmp_path, "user,contact," + ",".join(f"c{n}" for n in range(1_001)) + "\n")])


def test_extra_columns_get_out_of_the_batches_way(tmp_path: Path) -> None:
    """An extra column with the name of a column that reading adds is renamed, so that names in a batch are unique."""
    source = open_source([a_file(tmp_path, f"user,contact,Reason,line,source\n{USER},{CONTACT},a,b,c\n")])
    assert source.extra_columns == ("input_Reason", "input_line", "input_source")
    assert len(set(source.schema.names)) == len(source.schema.names)
