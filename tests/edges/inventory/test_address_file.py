"""Tests of files of mail addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.edges.inventory.address_file import read_addresses
from purgeengine.errors import InputError


@pytest.mark.parametrize(
    "content",
    [
        b"ann@x.example\nSMTP:bob@x.example\n",
        b"EmailAddress\r\n\"ann@x.example\"\r\n# gone\r\n\r\n'SMTP:bob@x.example'\r\n",
        "\ufeffann@x.example\nSMTP:bob@x.example".encode(),
        "ann@x.example\r\nSMTP:bob@x.example\r\n".encode("utf-16"),
    ],
)
def test_forms_of_one_file(tmp_path: Path, content: bytes) -> None:
    """Headings, quotes, comments, byte order marks and UTF-16 make no difference."""
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read_addresses(path) == ["ann@x.example", "SMTP:bob@x.example"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ann@x.example\nBob\n", "Line 2 of .* is no mail address"),
        (b"ann@x.example,bob@x.example\n", "Line 1"),
        (b"Name\n# nobody\n", "has no mail address"),
        (b"", "has no mail address"),
        (b"\xff\xfa@\n", "not text"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """A line that is no address is named, and the file is refused."""
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_addresses(path)


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is an error with its name."""
    with pytest.raises(InputError, match=r"none\.txt cannot be read"):
        read_addresses(tmp_path / "none.txt")
