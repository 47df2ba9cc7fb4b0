"""Tests of the JSON reader: lines, arrays, pages of Graph, single objects. Python's json module is the oracle."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purgeengine.edges.source import open_source
from purgeengine.edges.source.formats.json_text import elements
from purgeengine.edges.source.rows.notes import NoteKind
from purgeengine.errors import InputError
from tests.support.source_fixtures import CONTACT, FOLDER, USER, Row, a_file, records, rows, rows_of

ONE = {"user": USER, "contact": CONTACT}
TWO = {"user": USER, "folder": FOLDER, "contact": CONTACT.replace("A=", "B=")}
AS_ROWS = [(USER, "", ONE["contact"]), (USER, FOLDER, TWO["contact"])]
PAGE = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('x')/contacts", "value": [ONE, TWO]}


def sent(found: list[Row]) -> list[tuple[str, str, str]]:
    """Return the user, folder and contact of each valid row."""
    return [(row.user, row.folder, row.contact) for row in found if row.reason is None]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps([ONE, TWO])),
        ("a.json", json.dumps([ONE, TWO], indent=2)),
        ("a.json", json.dumps(PAGE)),
        ("a.json", json.dumps(PAGE, indent=1)),
        ("a.json", json.dumps([{"value": [ONE]}, {"value": [TWO]}])),
        ("a.json", json.dumps([[ONE], [TWO]])),
        ("a.json", json.dumps({"value": [ONE, TWO], "Count": 2})),  # written by ConvertTo-Json of Windows PowerShell
        ("a.json", json.dumps({"value": [ONE]}, indent=2) + "\n" + json.dumps({"value": [TWO]}, indent=2)),
        ("a.json", json.dumps(ONE, indent=2) + json.dumps(TWO, indent=2)),
        ("a.jsonl", f"{json.dumps(ONE)}\n\n{json.dumps(TWO)}"),
        ("a.ndjson", f"{json.dumps(ONE)}\r\n{json.dumps(TWO)}\r\n"),
        ("a.jsonl", f"{json.dumps({'value': [ONE]})}\n{json.dumps({'value': [TWO]})}\n"),
        ("list.txt", json.dumps([ONE, TWO])),
        ("list", f"  {json.dumps(ONE)}\n{json.dumps(TWO)}\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_usual_form_gives_the_same_rows(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    """Arrays, pages of Graph, several documents in a file and JSON lines give the same rows, in each encoding."""
    path = a_file(tmp_path, text.encode(encoding), name)
    assert sent(rows(path)) == AS_ROWS
    assert sent(rows(path, block_bytes=7)) == AS_ROWS


def test_a_single_object_is_a_list_of_one_row(tmp_path: Path) -> None:
    """A single object is an input of one row, because ConvertTo-Json makes no array of one object."""
    assert sent(rows_of(tmp_path, json.dumps(ONE, indent=4))) == AS_ROWS[:1]


@pytest.mark.parametrize("packed", [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_json_is_read_compressed_and_from_folders(tmp_path: Path, packed: Any) -> None:
    """Compressed JSON files are read from a folder beside CSV files."""
    ending, compress = packed
    a_file(tmp_path, compress(json.dumps([ONE]).encode()), f"a.json{ending}")
    a_file(tmp_path, compress(f"{json.dumps(TWO)}\n".encode()), f"b.jsonl{ending}")
    a_file(tmp_path, compress(f"user,contact\n{USER},AAMkAGI2TG93AAC=\n".encode()), f"c.csv{ending}")
    assert [row["contact"][-2:] for row in records(open_source([tmp_path]))] == ["A=", "B=", "C="]


def test_other_values_keep_their_meaning(tmp_path: Path) -> None:
    """Extra values become text.

    Numbers keep their digits, nested values become compact JSON, null and missing keys have no value.
    """
    value = {"a": [1, "x"], "ü": None}
    text = json.dumps([{**ONE, "n": 12345678901234567890, "f": 1.5, "yes": True, "nested": value, "none": None}, ONE])
    first, second = records(open_source([a_file(tmp_path, text, "a.json")]))
    assert (first["n"], first["f"], first["yes"], first["none"]) == ("12345678901234567890", "1.5", "true", None)
    assert json.loads(first["nested"]) == value
    assert " " not in first["nested"]
    assert (second["n"], second["nested"]) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"user": USER, "contact": 12}, "the contact is a number, not text"),
        ({"user": {"upn": USER}, "contact": CONTACT}, "the user is an object, not text"),
        ({"user": USER}, "the contact id is empty"),
        ({"user": USER, "contact": None}, "the contact id is empty"),
        ({"user": USER, "contact": "A\0B"}, "the row holds a NUL character"),
        ({"user": USER, "contact": [CONTACT]}, "the contact is an array, not text"),
    ],
)
def test_a_bad_object_is_one_invalid_row(tmp_path: Path, wrong: dict[str, Any], reason: str) -> None:
    """A bad object is one invalid row with its reason and line number, and the rows around it are valid."""
    found = rows(a_file(tmp_path, "\n".join(map(json.dumps, (ONE, wrong, TWO))), "a.jsonl"))
    assert [(row.line, row.reason) for row in found] == [(1, None), (2, reason), (3, None)]
    found = rows(a_file(tmp_path, json.dumps([ONE, wrong, TWO]), "a.json"))
    assert [(row.line, row.reason) for row in found] == [(1, None), (2, reason), (3, None)]


def test_what_is_no_object_is_one_invalid_row(tmp_path: Path) -> None:
    """An array element that is not an object, and a broken line of JSON lines, are each one invalid row."""
    found = rows(a_file(tmp_path, json.dumps([ONE, "x", 1, None, TWO]), "a.json"))
    assert [row.reason for row in found if row.reason] == [
        f"the element is {what}, and a row is an object" for what in ("text", "a number", "null")
    ]
    assert sent(found) == AS_ROWS
    found = rows(a_file(tmp_path, f'{json.dumps(ONE)}\n{{"user": oops}}\n{json.dumps(TWO)}\n', "a.jsonl"))
    assert [row.reason for row in found] == [None, "the line is not a JSON object", None]


def test_a_key_that_stands_twice_is_no_choice_of_ours(tmp_path: Path) -> None:
    """An object with two keys for the contact is an invalid row.

    In extra columns the last of two equal keys is taken.
    """
    twice = f'{{"user": "{USER}", "contact": "AAMkAGI2TG93AAC=", "contact": "{CONTACT}"}}'
    cased = f'{{"user": "{USER}", "contact": "AAMkAGI2TG93AAC=", "Contact": "{CONTACT}"}}'
    other = f'{{"user": "{USER}", "contact": "{CONTACT}", "n": "1", "n": "2"}}'
    path = a_file(tmp_path, f"[{twice}, {cased}, {other}]", "a.json")
    assert [row.reason for row in rows(path)] == [*["the object has more than one key for the contact"] * 2, None]
    assert records(open_source([path]))[2]["n"] == "2"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([ONE, TWO])[:-1],  # cut short
        json.dumps([ONE, TWO])[:-20],
        json.dumps(PAGE)[:-1],
        f"[{json.dumps(ONE)} {json.dumps(TWO)}]",
        f"[{json.dumps(ONE)},]",
        f"{json.dumps(ONE)},\n{json.dumps(TWO)}",
        f"[{json.dumps(ONE)}]]",
        json.dumps([{"user": USER, "value": [ONE]}]),  # both a page and a row
        "[" * 100_000,
        '{"user":' * 100_000,
    ],
)
def test_a_document_that_is_broken_or_ambiguous_is_refused_before_any_row(tmp_path: Path, text: str) -> None:
    """A broken or ambiguous document is refused at opening, so that no row of it is sent."""
    with pytest.raises(InputError):
        open_source([a_file(tmp_path, text, "a.json")])


def test_an_object_inside_another_is_never_a_row_of_its_own(tmp_path: Path) -> None:
    """An object inside another object is never read as a row. A line that leaves an object open refuses the file."""
    inner = json.dumps({"user": "bob@contoso.example", "contact": "AAMkAGI2TG93AAZ="})
    text = f'{json.dumps(ONE)}\n{{"user": "{USER}", "contact": "{CONTACT}", "more": [\n{inner}\n]}}\n'
    with pytest.raises(InputError, match="line 2"):
        open_source([a_file(tmp_path, text, "a.jsonl")])
    text = json.dumps(
        [{**ONE, "value": "x", "related": [json.loads(inner)], "responses": {"value": [json.loads(inner)]}}]
    )
    assert sent(rows(a_file(tmp_path, text, "a.json"))) == AS_ROWS[:1]


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
KEYS = st.text(max_size=4).filter(lambda key: key != "value")
OBJECTS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=5)


@settings(max_examples=30)
@given(st.data())
def test_documents_of_any_shape_give_what_the_json_module_gives(data: st.DataObject) -> None:
    """Random arrays and lines of objects give what Python's json module reads, in any layout and cut into any pieces."""
    objects = data.draw(OBJECTS)
    indent = data.draw(st.sampled_from([None, 0, 2]))
    if data.draw(st.booleans()):
        text = json.dumps(objects, indent=indent, ensure_ascii=data.draw(st.booleans()))
    else:
        text = "\n".join(json.dumps(one) for one in objects)
    raw = text.encode("utf-8", "surrogatepass")
    size = data.draw(st.integers(1, 50))
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    found = [element.fields for element in elements(Path("x.json"), pieces)]
    if "\\ud" not in text and raw.decode("utf-8", "replace") == text:
        assert found == objects


def test_an_array_of_any_length_is_streamed(tmp_path: Path) -> None:
    """An array of 20,000 objects in one line is read. A single object above 16 MiB is refused with that limit."""
    rng = random.Random(1)
    ids = [f"AAMkAGI2TG{rng.randrange(10**12):012d}=" for _ in range(20_000)]
    path = a_file(tmp_path, json.dumps([{"user": USER, "contact": one} for one in ids]), "a.json")
    assert [row.contact for row in rows(path)] == ids
    too_long = a_file(tmp_path, f'[{{"user": "{"x" * (34 << 20)}', "b.json")
    with pytest.raises(InputError, match="16 MiB"):
        open_source([too_long])


def noted(path: Path, **options: Any) -> dict[NoteKind, int]:
    """Return the notes that reading the file makes."""
    source = open_source([path], **options)
    records(source)
    return source.look.notes.counts


def test_a_page_that_names_a_next_one_is_told(tmp_path: Path) -> None:
    """A page with a next link is noted as incomplete, unless the next page follows in the file."""
    first = {**PAGE, "@odata.nextLink": "https://graph.microsoft.com/v1.0/users/x/contacts?$skip=2"}
    assert noted(a_file(tmp_path, json.dumps(first), "a.json")) == {NoteKind.INCOMPLETE_PAGE: 1}
    assert noted(a_file(tmp_path, json.dumps([first, PAGE]), "a.json")) == {}
    assert noted(a_file(tmp_path, json.dumps([first, {**PAGE, "@odata.context": "other"}]), "a.json")) != {}


def test_text_that_is_none_spoils_only_what_needs_it(tmp_path: Path) -> None:
    """Characters that are not text are replaced and noted in an extra column, and make the row invalid in the contact."""
    path = a_file(tmp_path, f'[{{"user": "{USER}", "contact": "{CONTACT}", "note": "a\\u0000\\ud800"}}]', "a.json")
    (row,) = records(open_source([path]))
    assert (row["reason"], row["note"]) == (None, "a\ufffd\ufffd")
    assert noted(path) == {NoteKind.CELLS_REPLACED: 1}
    bad = f'{{"user": "{USER}", "contact": "AAMk'.encode() + b'\xff"}'
    assert rows(a_file(tmp_path, bad, "b.jsonl"))[0].reason == "the row holds bytes that are not UTF-8 text"


def test_an_empty_array_is_a_list_without_rows(tmp_path: Path) -> None:
    """An empty array is an input without rows, as is a CSV file with only its header.

    CSV text in a JSON file is refused.
    """
    for text in ("[]", '{"value": []}', "  [ ]\n"):
        assert rows(a_file(tmp_path, text, "a.json")) == []
    with pytest.raises(InputError):
        open_source([a_file(tmp_path, "user,contact\n", "a.json")])


def test_lines_and_indented_objects_in_one_file_are_refused(tmp_path: Path) -> None:
    """A file that mixes JSON lines and indented objects is refused with the file and the line."""
    text = f"{json.dumps(ONE)}\n{json.dumps(TWO, indent=2)}\n{json.dumps(TWO, indent=2)}"
    with pytest.raises(InputError, match=r"a\.json: line 2 is not a whole JSON object.*None of the file is sent"):
        open_source([a_file(tmp_path, text, "a.json")])
