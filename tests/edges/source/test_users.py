"""Tests of user lists with quoted cells of several lines: no text in a cell becomes a user, and ambiguous lists are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purgeengine.edges.source.users import read_users
from purgeengine.errors import InputError
from tests.support.csv_oracle import oracle_of
from tests.support.source_fixtures import a_file

CELLS = st.lists(
    st.sampled_from(["a@x.example", '"', "\n", "\r\n", "\r", ",", "n", "#", " ", "eve@x.example"]), max_size=6
).map("".join)


def quoted(text: str) -> str:
    """Return a cell quoted as CSV writers do."""
    return '"' + text.replace('"', '""') + '"'


def test_text_inside_a_cell_names_no_user(tmp_path: Path) -> None:
    """A quoted note of three lines stays a note, even if one of its lines looks like a row."""
    text = 'note,user\r\n"a\r\nb,eve@x.example\r\n#",ann@x.example\r\n# a "remark\r\n\r\nn,bob@x.example'
    assert read_users(a_file(tmp_path, text)) == ["ann@x.example", "bob@x.example"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('user,note\nann@x.example,"a\nbob@x.example,n\n', "line 2 a cell opens a quote that is never closed"),
        ('user,note\nann@x.example,"a"b\n', "line 2 text follows the closing quote"),
        ('user,note\nann@x.example,a"b\n', "line 2 a quote stands inside a cell"),
        (
            'user,note\na@x.example,"x\\"\nb@x.example,"\nc@x.example,"\nd@x.example,"\ne\\"\n',
            "line 2 a backslash stands before a quote",
        ),
        ("user,note\nann@x.example,n,eve@x.example\n", "Line 2 .* the line has 3 cells, and the first line has 2"),
        ("ann@x.example\nbob@x.example,eve@x.example\n", "Line 2 .* the line has 2 cells, and the first line has 1"),
    ],
)
def test_a_list_that_may_mean_two_things_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A list with a misplaced or unclosed quote, or with a row that does not fit the header, is refused."""
    with pytest.raises(InputError, match=said):
        read_users(a_file(tmp_path, text))


def test_a_note_may_end_with_a_backslash(tmp_path: Path) -> None:
    """A quoted note may end with a backslash if the list can be read in one way only."""
    text = 'user,note\nann@x.example,"C:\\dir\\"\nbob@x.example,n\n'
    assert read_users(a_file(tmp_path, text)) == ["ann@x.example", "bob@x.example"]


@settings(max_examples=100, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=5), st.data())
def test_whatever_is_read_is_what_the_csv_of_python_reads(
    tmp_path_factory: pytest.TempPathFactory, notes: list[str], data: st.DataObject
) -> None:
    """A well-formed list gives all users.

    One with a character taken out is refused, or gives only users that Python's csv reads.
    """
    text = "note,user\n" + "".join(f"{quoted(note)},u{n}@x.example\n" for n, note in enumerate(notes))
    path = tmp_path_factory.mktemp("users") / "list.csv"
    path.write_bytes(text.encode())
    assert read_users(path) == [f"u{n}@x.example" for n in range(len(notes))]
    cut = data.draw(st.integers(10, len(text) - 1))
    spoilt = text[:cut] + text[cut + 1 :]
    path.write_bytes(spoilt.encode())
    try:
        users = read_users(path)
    except InputError:
        return
    oracle = oracle_of(spoilt, ",")
    assert not oracle.wrong
    assert set(users) <= {row.cells[1].strip() for row in oracle.rows if len(row.cells) == 2}
