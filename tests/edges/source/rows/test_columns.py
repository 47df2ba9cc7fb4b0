"""Which column means what, and what the others are called from here on."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.edges.source import ALIASES, LEDGER_COLUMNS, open_source, safe_name
from purgeengine.errors import InputError
from tests.support.source_fixtures import CONTACT, FOLDER, USER, a_file, records, rows_of


@pytest.mark.parametrize("user", ALIASES["user"])
@pytest.mark.parametrize("contact", ALIASES["contact"])
def test_aliases_are_understood_in_any_case_and_order(tmp_path: Path, user: str, contact: str) -> None:
    """Every pair of names works, upper case, with spaces around and the contact first."""
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
    """The column that loses stays as an extra one."""
    source = open_source([a_file(tmp_path, f"{header}\na@x,b@x,{CONTACT}\n")])
    (record,) = records(source)
    assert (record["user"], source.extra_columns) == (used, (left,))


def test_contact_id_beside_a_bare_id_is_refused(tmp_path: Path) -> None:
    """Nobody guesses which of them is deleted; naming one settles it, and the other stays."""
    path = a_file(tmp_path, f"user,contactId,id\n{USER},{CONTACT},7\n")
    with pytest.raises(InputError, match="both 'contactId' and 'id'"):
        open_source([path])
    source = open_source([path], {"contact": "contactid"})
    assert [(r["contact"], r["id"]) for r in records(source)] == [(CONTACT, "7")]


def test_columns_can_be_named_by_the_caller(tmp_path: Path) -> None:
    """A named column is used even where the file has the usual name too, which is then kept under another."""
    path = a_file(tmp_path, f"Owner,user,Item\n{USER},someone,{CONTACT}\n")
    (record,) = records(open_source([path], {"user": "owner", "contact": " ITEM "}))
    assert (record["user"], record["contact"], record["input_user"]) == (USER, CONTACT, "someone")


def test_a_named_column_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    """The message lists what the file has."""
    with pytest.raises(InputError, match="no column 'Owner' for the user; it has the columns 'user', 'contact'"):
        open_source([a_file(tmp_path, "user,contact\n")], {"user": "Owner"})


def test_one_column_for_two_roles_is_refused(tmp_path: Path) -> None:
    """A contact that is its own mailbox is a slip."""
    with pytest.raises(InputError, match="named for two roles"):
        open_source([a_file(tmp_path, "user,contact\n")], {"user": "user", "contact": "user"})


def test_a_file_without_the_needed_columns_is_refused_before_any_row(tmp_path: Path) -> None:
    """Every header is checked at opening, and the message has the file, its columns and the names that would do."""
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
    """Case and spaces do not tell columns apart."""
    with pytest.raises(InputError, match="columns of the same name"):
        open_source([a_file(tmp_path, f"{header}\n")])


def test_columns_without_a_name_are_called_by_their_place(tmp_path: Path) -> None:
    """A spreadsheet leaves such columns behind; their cells are let through."""
    source = open_source([a_file(tmp_path, f"user,contact,,\n{USER},{CONTACT},x,\n")])
    assert source.extra_columns == ("column_3", "column_4")


def test_extra_columns_get_out_of_the_ledgers_way(tmp_path: Path) -> None:
    """A name that an export uses itself gets a prefix, in whatever case it is written."""
    source = open_source([a_file(tmp_path, f"user,contact,Status,ROW,note\n{USER},{CONTACT},a,b,c\n")])
    assert source.extra_columns == ("input_Status", "input_ROW", "note")
    assert [safe_name(name) for name in LEDGER_COLUMNS] == [f"input_{name}" for name in LEDGER_COLUMNS]


def test_the_older_of_two_columns_keeps_the_name(tmp_path: Path) -> None:
    """An export that is fed in a second time has the input's own column already: that one is kept."""
    source = open_source([a_file(tmp_path, f"user,contact,status,input_status\n{USER},{CONTACT},503,mine\n")])
    assert [(source.extra_columns, r["input_status"]) for r in records(source)] == [(("input_status",), "mine")]


def test_extra_columns_are_united_over_files(tmp_path: Path) -> None:
    """First seen first; a column that a file lacks is null there, and case does not split one in two."""
    one = a_file(tmp_path, f"user,contact,name,city\n{USER},{CONTACT},n,\n", "1.csv")
    two = a_file(tmp_path, f"Name,user,contact,phone\nm,{USER},{CONTACT},+1\n", "2.csv")
    source = open_source([one, two])
    assert source.extra_columns == ("name", "city", "phone")
    assert [(r["name"], r["city"], r["phone"]) for r in records(source)] == [("n", "", None), ("m", None, "+1")]


def test_an_export_gives_back_the_cells_it_has_neutralised(tmp_path: Path) -> None:
    """The apostrophe before a formula's first character goes, one apostrophe only, and no other."""
    cells = ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "''x", "'x", "x'=", "=1"]
    header = "row,outcome,client_request_id,user,contact,note\n"
    text = header + "".join(f"1,refused,c,'-{USER},{CONTACT},{cell}\n" for cell in cells)
    found = records(open_source([a_file(tmp_path, text)]))
    assert [r["note"] for r in found] == ["=1+1", "+1", "-1", "@x", "\tx", "'x", "'x", "x'=", "=1"]
    assert {r["user"] for r in found} == {f"-{USER}"}


def test_other_files_keep_their_apostrophes(tmp_path: Path) -> None:
    """Only an export of ours is known to have added them; a quoted carriage return is given back too."""
    text = f"row,user,contact,note\n1,{USER},{CONTACT},'=1\n"
    assert [r["note"] for r in records(open_source([a_file(tmp_path, text)]))] == ["'=1"]
    text = f'row,outcome,client_request_id,user,contact,note\n1,x,c,{USER},{CONTACT},"\'\r=1"\n'
    assert [r["note"] for r in records(open_source([a_file(tmp_path, text)]))] == ["\r=1"]


def test_a_header_with_far_too_many_columns_is_refused(tmp_path: Path) -> None:
    """A thousand columns are the limit, besides those that a ledger has."""
    with pytest.raises(InputError, match="1,001 columns besides"):
        open_source([a_file(tmp_path, "user,contact," + ",".join(f"c{n}" for n in range(1_001)) + "\n")])


def test_extra_columns_get_out_of_the_batches_way(tmp_path: Path) -> None:
    """A column called like one that reading adds is renamed too, so that every name of a batch stands for one column."""
    source = open_source([a_file(tmp_path, f"user,contact,Reason,line,source\n{USER},{CONTACT},a,b,c\n")])
    assert source.extra_columns == ("input_Reason", "input_line", "input_source")
    assert len(set(source.schema.names)) == len(source.schema.names)
