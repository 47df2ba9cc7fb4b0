"""Decide which files of a folder are input, and which are ignored.

A folder stands for the files directly in it. Partition folders, as Spark, Hive and pandas name them
(``user=ann%40contoso.example``), belong to it: each of their names is a column. Any other folder in it is ignored and
reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from purgeengine.errors import InputError

_TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
_PACKED = ("", ".gz", ".zst", ".bz2", ".xz")
FOLDER_ENDINGS = (*(f"{text}{packed}" for text in _TEXTS for packed in _PACKED), ".parquet")
"""Endings of files that are read from a folder. A file that is named on the command line may have any name."""
PARTITIONS_DEPTH_MAX = 8
"""How deep partition folders may be nested. Three columns need three levels."""
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_SHADOWS = ("desktop.ini", "thumbs.db", "_metadata", "_common_metadata", "_success")
_SHADOWS_OF_SPARK = ("_committed_", "_started_")

Partition: TypeAlias = tuple[tuple[str, str], ...]
"""The columns that a file's partition folders name, each with its value."""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """What is in ``folder`` and is not read.

    ``entries`` are what somebody may miss. ``hidden`` is the number of entries that nobody misses: names that begin
    with a dot, and files that systems and Spark leave behind (``desktop.ini``, ``_SUCCESS``).
    """

    folder: Path
    entries: tuple[Path, ...]
    hidden: int

    def names(self) -> list[str]:
        """Return the names of the entries. Names of folders end in a slash."""
        return [f"{path.name}/" if path.is_dir() else path.name for path in self.entries]


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a folder, with the columns that its partition folders name."""

    path: Path
    partition: Partition = ()


def look_into(folder: Path) -> tuple[list[Member], list[LeftAlone]]:
    """Return the input files of a folder, sorted by name, and what is ignored.

    Raises `OSError` if a folder cannot be listed, and `InputError` for partition folders that cannot be used.
    """
    members: list[Member] = []
    left: list[LeftAlone] = []
    for found in _walk(folder, ()):
        if isinstance(found, Member):
            members.append(found)
        else:
            left.append(found)
    return members, left


def _walk(folder: Path, partition: Partition) -> Iterator[Member | LeftAlone]:
    others: list[Path] = []
    hidden = 0
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if _is_shadow(path):
            hidden += 1
        elif path.is_dir():
            pair = _pair(path.name)
            if pair is None:
                others.append(path)
                continue
            if len(partition) >= PARTITIONS_DEPTH_MAX:
                raise InputError(f"{path} lies in more than {PARTITIONS_DEPTH_MAX} folders of partitions. Write fewer.")
            if pair[0] in dict(partition):
                raise InputError(f"{path} lies in two folders for the column {pair[0]!r}. Leave one out.")
            yield from _walk(path, (*partition, pair))
        elif path.is_file() and path.name.lower().endswith(FOLDER_ENDINGS):
            yield Member(path, partition)
        else:
            others.append(path)
    if others or hidden:
        yield LeftAlone(folder, tuple(others), hidden)


def _is_shadow(path: Path) -> bool:
    """True for hidden names, such as the ``._contacts.csv`` that macOS leaves."""
    name = path.name.lower()
    return name.startswith((".", *_SHADOWS_OF_SPARK)) or name in _SHADOWS


def _pair(name: str) -> tuple[str, str] | None:
    """Return column and value of a partition folder. None for any other folder."""
    column, separator, value = name.partition("=")
    if not separator or not column.strip():
        return None
    value = unquote(value, errors="replace")
    return unquote(column, errors="replace"), "" if value == _NO_VALUE else value
