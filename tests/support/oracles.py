"""What must hold whatever the input: checks that hostile rows, properties and fuzz targets share.

They are written without the code that they judge: the standard library splits a URL, and ``csv`` reads an export.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq

from purgeengine.core.graph.encode import BATCH_ITEMS_MAX, encode_batch
from purgeengine.core.model import Item
from purgeengine.edges.ledger import Ledger, LedgerReader, export
from purgeengine.edges.source import open_source
from tests.support.fixtures import folder_rows_of
from tests.support.source_fixtures import records

SEGMENT = r"(?:[A-Za-z0-9_.~@=-]|%(?!2F|5C|3F|25|00|0[0-9A-F]|1[0-9A-F])[0-9A-F]{2})+"
SHAPE = re.compile(
    rf"/users(?:/{SEGMENT}|\('{SEGMENT}'\))(?:/contactFolders/{SEGMENT})?/contacts/{SEGMENT}/permanentDelete"
)
"""The two URLs of the contract, with nothing in them that Graph could decode into a path, a query or a control character."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def parsed_back(url: str) -> Item:
    """Return the row that a URL names, read as a server reads it: split at the slashes, every segment decoded once."""
    whole = urlsplit(f"https://graph.example/v1.0{url}")
    assert (whole.netloc, whole.query, whole.fragment) == ("graph.example", "", "")
    segments = [unquote(segment, errors="strict") for segment in whole.path.split("/")[2:]]
    assert not any("/" in segment or segment in ("", ".", "..") for segment in segments)
    if segments[0] == "users":
        user = segments.pop(1)
    else:
        named = re.fullmatch(r"users\('(.*)'\)", segments[0])
        assert named, url
        user = named[1].replace("''", "'")
    match segments[1:]:
        case ["contacts", contact, "permanentDelete"]:
            return Item(user, "", contact)
        case ["contactFolders", folder, "contacts", contact, "permanentDelete"]:
            return Item(user, folder, contact)
    raise AssertionError(f"{url} has neither shape of the contract")


def check_urls(items: list[Item]) -> None:
    """Check that every URL in the bodies that would be sent has one of the two shapes and names its row."""
    for start in range(0, len(items), BATCH_ITEMS_MAX):
        some = items[start : start + BATCH_ITEMS_MAX]
        body = json.loads(encode_batch(folder_rows_of(some)))
        requests = body.pop("requests")
        assert not body
        assert len({request["id"].casefold() for request in requests}) == len(some)
        for request, item in zip(requests, some, strict=True):
            url = request.pop("url")
            assert SHAPE.fullmatch(url), url
            assert parsed_back(url) == item
            request.pop("id")
            assert request == {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": {}}


def check_export(out: Path, source_rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Check that no cell runs in a spreadsheet, and that the file is an input with the same users, folders and contacts."""
    with out.open(encoding="utf-8", newline="") as lines:
        table = list(csv.reader(lines))
    for line in table:
        assert not [cell for cell in line if cell.startswith(FORMULA_STARTS)]
    roles = ("user", "folder", "contact")
    again = records(open_source([out]))
    assert [[row[role] for role in roles] for row in again] == [[row[role] for role in roles] for row in source_rows]
    return [dict(zip(table[0], line, strict=True)) for line in table[1:]]


def the_whole_way(folder: Path, paths: list[Path]) -> list[dict[str, str]]:
    """Read, stage, build the URLs, export to CSV and Parquet. Return the rows of the CSV."""
    source = open_source(paths)
    source_rows = records(source)
    with Ledger.open(folder / "ledger", source, tenant_id="contoso") as ledger:
        counts = ledger.counts()
        check_urls(ledger.items(range(counts.waiting)))
    with LedgerReader.open(folder / "ledger") as reader:
        assert export(reader, folder / "out.parquet") == export(reader, folder / "out.csv") == len(source_rows)
    rows = check_export(folder / "out.csv", source_rows)
    assert sum(not row["outcome"] for row in rows) == counts.waiting
    assert pq.read_table(folder / "out.parquet").num_rows == len(rows)
    return rows


def is_quiet(text: str) -> bool:
    """True if a terminal would show this text and do nothing else."""
    return all(line.isprintable() for line in text.split("\n")) and "Traceback" not in text
