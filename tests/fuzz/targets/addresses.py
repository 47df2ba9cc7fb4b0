"""Identifiers and URLs. An input is a user, a folder and a contact, one on each line.

1. A row is refused with a reason that a terminal can show, or its URL has one of the two shapes and names exactly
this row. 2. The check of whole columns says the same.
"""

from __future__ import annotations

import pyarrow as pa

from purgeengine.core.graph.identifiers import row_problem
from purgeengine.core.model import Item
from purgeengine.edges.source.rows.checked_rows import reasons
from tests.support.oracles import check_urls

TOKENS = (
    b"ann@contoso.example", b"#EXT#@", b"$", b"'", b"''", b"('", b"')", b"%2F", b"%252F", b"..", b"../", b"/", b"\\", b"?$top=1", b"#", b"@",
    b"3f2504e0-4f89-11d3-9a0c-0305e82c3301", b"\xed\xa0\x80", b"\xef\xbc\x8f", b"\xe2\x80\xae", b"\r", b"\x00", b"AAMk-_=+", b"AAMk/AA+=",
)  # fmt: skip


def case(data: bytes) -> None:
    """Check one row."""
    check_row(*[*data.decode("utf-8", "surrogateescape").split("\n", 2), "", "", ""][:3])


def check_row(user: str, folder: str, contact: str) -> None:
    problem = row_problem(user, folder, contact)
    if problem is None:
        check_urls([Item(user, folder, contact)])
    else:
        assert problem
        assert problem.isprintable()
    try:
        columns = [pa.array([cell], pa.string()) for cell in (user, folder, contact)]
    except UnicodeEncodeError:
        assert problem is not None, "half a character cannot be sent"
    else:
        assert reasons(*columns, {}).to_pylist() == [problem]
