"""What of a folder is an input, and what is left alone there.

A folder stands for its own files. Folders of one partition, as Spark, Hive and pandas name them (``user=ann%40contoso.example``),
are part of it: each of their names is a column. Any other folder in it is left alone, and told.
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
"""Names that are read from a folder; a file that is named by itself may be called anything."""
PARTITIONS_DEPTH_MAX = 8
"""Folders of partitions in each other; three columns need three."""
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_SHADOWS = ("desktop.ini", "thumbs.db", "_metadata", "_common_metadata", "_success")
_SHADOWS_OF_SPARK = ("_committed_", "_started_")

Partition: TypeAlias = tuple[tuple[str, str], ...]
"""Columns that the folders of a file name, each with its value."""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """What lies in ``folder`` and is not read: ``entries`` that somebody may miss, and how many ``hidden`` ones nobody does.

    Hidden are names with a dot before them, and what systems and Spark leave behind (``desktop.ini``, ``_SUCCESS``).
    """

    folder: Path
    entries: tuple[Path, ...]
    hidden: int

    def names(self) -> list[str]:
        """The names of the entries, folders with a slash behind."""
        return [f"{path.name}/" if path.is_dir() else path.name for path in self.entries]


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a folder, and what the folders between say of its rows."""

    path: Path
    partition: Partition = ()


def look_into(folder: Path) -> tuple[list[Member], list[LeftAlone]]:
    """The input files of a folder, sorted by name, and what is left alone. Raises `OSError` as listing does, and `InputError`."""
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
    """Editors and macOS leave shadows such as ``._contacts.csv``."""
    name = path.name.lower()
    return name.startswith((".", *_SHADOWS_OF_SPARK)) or name in _SHADOWS


def _pair(name: str) -> tuple[str, str] | None:
    """Column and value of a folder of partitions; None where it is another folder."""
    column, separator, value = name.partition("=")
    if not separator or not column.strip():
        return None
    value = unquote(value, errors="replace")
    return unquote(column, errors="replace"), "" if value == _NO_VALUE else value
