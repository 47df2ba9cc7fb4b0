"""Tests of messages about a list that cannot be read as it is, or that was read with care."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.core.graph.identifiers import user_problem
from purgeengine.core.policy.input_words import lines_of, warnings_of
from purgeengine.edges.source import open_source
from purgeengine.edges.source.rows.notes import NoteKind
from purgeengine.errors import InputError
from tests.support.source_fixtures import CONTACT, USER, a_file, notes_of, records


def refused(folder: Path, text: str, name: str = "list.csv", user: str | None = None) -> str:
    """Return the sentence with which a file with this text is refused."""
    with pytest.raises(InputError) as caught:
        records(open_source([a_file(folder, text, name)], user=user))
    return str(caught.value)


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (",", ";", "The header is separated by ',' and the rows by ';'"),
        (";", ",", "The header is separated by ';' and the rows by ','"),
        ("\t", "|", "The header is separated by tabs and the rows by '|'"),
        (",", "\t", "The header is separated by ',' and the rows by tabs"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_header_with_another_delimiter_than_the_rows_is_told(
    tmp_path: Path, header: str, rows: str, said: str, count: int
) -> None:
    """A header with another delimiter than the rows is refused with the names of both delimiters."""
    text = f"user{header}contact\n" + f"{USER}{rows}{CONTACT}\n" * count
    told = refused(tmp_path, text)
    assert said.lower() in told.lower()
    assert told.endswith("Write both with the same delimiter.")


def test_rows_that_are_short_for_another_reason_keep_their_sentence(tmp_path: Path) -> None:
    """Rows that no delimiter makes fit keep the message about the header's length."""
    assert "one name too long" in refused(tmp_path, f"user,contact,\n{USER},{CONTACT}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{USER},{CONTACT}\n" * 2, "Line 1 looks like a row: the header is missing."),
        (f"sep=;\n{USER};{CONTACT}\n", "Line 2 looks like a row: the header is missing."),
        (f"user|contact\n{USER}|{CONTACT}\n", "write sep=| into the first line"),
        (f"user:contact\n{USER}:{CONTACT}\n", "write sep=: into the first line"),
        (
            "a title\n" * 30 + f"user,contact\n{USER},{CONTACT}\n",
            "Line 31 looks like a header, and only the first 20 lines",
        ),
        (f"\nuser                contact\n----                -------\n{USER} {CONTACT}\n", "Export-Csv"),
        (f"\nuser    : {USER}\nId      : {CONTACT}\n\nuser    : {USER}\nId      : {CONTACT}\n", "Export-Csv"),
        ("person,card\nx,y\n", "Other names can be given with --columns."),
    ],
)
def test_a_file_without_its_columns_is_told_what_it_probably_is(tmp_path: Path, text: str, said: str) -> None:
    """A file without its columns is refused with the likely reason.

    It may have no header, another delimiter, too many titles, or a table copied from a screen.
    """
    told = refused(tmp_path, text)
    assert said in told
    assert "--user" not in told, "the contact is missing too"


def test_the_line_that_is_advised_for_another_delimiter_works(tmp_path: Path) -> None:
    """A ``sep=`` line, which the message advises, makes the file readable."""
    source = open_source([a_file(tmp_path, f"sep=|\nuser|contact\n{USER}|{CONTACT}\n")])
    assert [(row["user"], row["contact"], row["reason"]) for row in records(source)] == [(USER, CONTACT, None)]


def test_a_list_that_lacks_the_user_only_is_told_of_the_option(tmp_path: Path) -> None:
    """A list without a user column is refused with a hint to --user; a list of bare ids is refused for its missing header."""
    assert refused(tmp_path, f"contact\n{CONTACT}\n").endswith("name the mailbox with --user.")
    assert "Line 1 looks like a row" in refused(tmp_path, f"{CONTACT}\n" * 2, user=USER)


@pytest.mark.parametrize("broken", ['{"user": "ann', '"contact": "x"}', "nothing"])
def test_a_line_that_is_no_whole_object_is_told_by_its_number(tmp_path: Path, broken: str) -> None:
    """A line that is not a whole JSON object is refused with its number."""
    good = f'{{"user": "{USER}", "contact": "{CONTACT}"}}'
    told = refused(tmp_path, f"{good}\n{good}\n{broken}\n{good}\n", "list.jsonl")
    assert told.endswith(
        "line 3 is not a whole JSON object (it is cut off, or broken). None of the file is sent. Mend or remove that line."
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('["ID1", "ID2"]', "text"),
        ('"ID1"\n"ID2"\n', "text"),
        ("[1, 2]", "a number"),
        ('["ID1", 2]', "a number or text"),
    ],
)
def test_elements_that_are_no_objects_are_told_by_their_kind(tmp_path: Path, text: str, kind: str) -> None:
    """Elements that are not objects are refused with their kind, with and without --user."""
    for user in (None, USER):
        told = refused(tmp_path, text, "list.json", user)
        assert f"its elements are {kind}, not objects with a user and a contact" in told


@pytest.mark.parametrize("key", ["@odata.nextLink", "odata.nextLink", "nextLink"])
def test_a_page_with_a_next_link_is_told_as_incomplete(tmp_path: Path, key: str) -> None:
    """A page with a next link is reported as incomplete, whatever the link is called."""
    page = f'{{"value": [{{"user": "{USER}", "contact": "{CONTACT}"}}], "{key}": "https://graph/next"}}'
    source = open_source([a_file(tmp_path, page, "page.json")])
    assert notes_of(source)[NoteKind.INCOMPLETE_PAGE].times == 1
    records(source)
    assert any(line.startswith("1 page of Graph's names a next one") for line in warnings_of(source.reading()))


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("ann@@contoso.example", "the user has two @ signs"),
        ("ann@b@contoso.example", "the user has two @ signs"),
        ("a@b@c@contoso.example", "the user has several @ signs"),
        ("@SUM(A1)@contoso.example", "the user begins with '@'"),
        (f"{USER}, {USER}", "the user holds several addresses"),
        (f"{USER} {USER}", "the user holds several addresses"),
    ],
)
def test_more_than_one_sign_is_told_for_what_it_is(user: str, said: str) -> None:
    """A user with more than one @ is refused with the likely reason, and is called several addresses only if it holds them."""
    assert user_problem(user) == said


def test_users_with_an_apostrophe_before_them_are_warned_of_and_sent(tmp_path: Path) -> None:
    """Users that begin with an apostrophe are reported and stay valid, because an apostrophe is legal in a name."""
    text = f"user,contact\n'{USER},{CONTACT}\n'{USER},{CONTACT}1\no'neil@contoso.example,{CONTACT}\n"
    source = open_source([a_file(tmp_path, text)])
    assert [row["reason"] for row in records(source)] == [None] * 3
    assert [line.partition(",")[0] for line in warnings_of(source.reading())] == [
        "2 rows have a user that begins with an apostrophe"
    ]
    given = open_source([a_file(tmp_path, f"contact\n{CONTACT}\n", "ids.csv")], user=f"'{USER}")
    records(given)
    assert warnings_of(given.reading()) == []


@pytest.mark.parametrize("kind", list(NoteKind))
def test_every_note_agrees_with_its_number(kind: NoteKind) -> None:
    """Every kind of note has its own words in singular and plural."""

    def told(times: int) -> str:
        note = {"kind": kind.value, "times": times, "line": 1, "file": "list.csv", "example": ""}
        (line,) = [*lines_of({"notes": [note]}), *warnings_of({"notes": [note]})]
        return line.partition(" (first")[0]

    one, two = told(1), told(2)
    assert one.startswith("1 ")
    assert two.startswith("2 ")
    assert kind.value not in one
    assert one.split()[1] + "s" == two.split()[1]
    assert not {"were", "repeat", "have", "name"} & set(one.split(":")[0].split())
