"""Find the files of an input, and tell from their first bytes what they are.

This module knows names, folders and magic numbers. It does not know rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from purgeengine.core.graph.text import printable
from purgeengine.edges.source.files.folders import FOLDER_ENDINGS, LeftAlone, Member, Partition, look_into
from purgeengine.edges.source.files.foreign_files import HEAD_BYTES, refuse_foreign_bytes
from purgeengine.errors import InputError


class Kind(Enum):
    """How the bytes of a file are read. The value is the usual name of the format."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"
    PARQUET = "parquet"


_MAGIC = {
    b"\x1f\x8b": Kind.GZIP,
    b"\x28\xb5\x2f\xfd": Kind.ZSTD,
    b"BZh": Kind.BZIP2,
    b"\xfd7zXZ\0": Kind.XZ,
    b"PAR1": Kind.PARQUET,
}
_PROMISED = {".gz": Kind.GZIP, ".zst": Kind.ZSTD, ".bz2": Kind.BZIP2, ".xz": Kind.XZ, ".parquet": Kind.PARQUET}
_NAMES = {kind: "Parquet" if kind is Kind.PARQUET else kind.value for kind in Kind}
_ARTICLE = {kind: f"{'an' if kind is Kind.XZ else 'a'} {name}" for kind, name in _NAMES.items()}


class Found(NamedTuple):
    """The files to read (as resolved paths), the partition columns of each, and what was ignored in their folders."""

    files: tuple[Path, ...]
    partitions: tuple[Partition, ...]
    left_alone: tuple[LeftAlone, ...]


def find_files(paths: Sequence[str | Path]) -> Found:
    """Resolve the named files and folders, in their order.

    A folder stands for the files in it, sorted by name, and for those of its partition folders. Raises `InputError`
    if nothing is named, if a path is missing or is no file or folder, if a file is named twice, or if a folder has no
    input.
    """
    if not paths:
        raise InputError("No input was named. Name a CSV, JSON or Parquet file, several, or a folder of them.")
    members: list[Member] = []
    left_alone: list[LeftAlone] = []
    for given in paths:
        refuse_streams(Path(given))
        path = _resolved(Path(given))
        if path.is_dir():
            inside, left = _in_folder(path)
            members += inside
            left_alone += left
        else:
            members.append(Member(path))
    twice = [path for path, count in Counter(member.path for member in members).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is named twice. Name each input file once.")
    named = {member.path for member in members}
    left_alone = [
        replace(left, entries=tuple(path for path in left.entries if path not in named)) for left in left_alone
    ]
    return Found(
        tuple(member.path for member in members),
        tuple(member.partition for member in members),
        tuple(left for left in left_alone if left.entries or left.hidden),
    )


def kind_of(path: Path) -> Kind:
    """Return the kind of a file, told from its first bytes.

    Raises `InputError` if the file is empty, if it cannot be a list, or if it is not what its ending says.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
    if not head:
        raise InputError(f"{path} is empty. A CSV input needs at least a header line.")
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), Kind.PLAIN)
    promised = _PROMISED.get(path.suffix.lower())
    if promised not in (None, kind):
        if kind is Kind.PLAIN:
            refuse_foreign_bytes(path, head)
        raise InputError(
            f"{path} has the ending of {_ARTICLE[promised]} file, but its content is not {_NAMES[promised]}."
        )
    if kind is Kind.PLAIN:
        refuse_foreign_bytes(path, head)
    return kind


def size_of(path: Path) -> int:
    """Return the size of the file on the disk, in bytes. Raises `InputError` if that cannot be read."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error


def digest_of(files: Sequence[Path], partitions: Sequence[Partition] = ()) -> str:
    """Return the SHA-256 (hex) of an input: the number of files, the size and bytes of each, and the partition columns.

    File names do not count, nor do names of other folders. Raises `InputError` if a file cannot be read.
    """
    whole = hashlib.sha256(f"purgeengine input of {len(files)} files\n".encode())
    for path in files:
        try:
            with path.open("rb") as file:
                part = hashlib.file_digest(file, "sha256")
                whole.update(f"{file.tell()}:{part.hexdigest()}\n".encode())
        except OSError as error:
            raise unreadable(path, error) from error
    if any(partitions):
        whole.update(f"partitions {partitions!r}\n".encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for a file or folder that the operating system refuses to open."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} does not exist. Check the name, and the folder the command was started in.")
    if isinstance(error, PermissionError):
        return InputError(f"{path} may not be read by this user. Change its permissions, or copy it elsewhere.")
    return InputError(f"{path} cannot be read: {error.strerror or error}.")


def _resolved(path: Path) -> Path:
    try:
        return path.expanduser().resolve(strict=True)
    except OSError as error:
        raise unreadable(path, error) from error
    except (RuntimeError, ValueError) as error:  # a loop of links, an unknown ~user, a NUL in the name
        raise InputError(f"{str(path)!r} cannot be used as a file name: {error}.") from error


def refuse_streams(path: Path) -> None:
    """Raise `InputError` for a pipe or a device. Input files are read twice: once to look at them, once to stage them.

    What a shell makes of ``<(…)`` is such a pipe too. Its name leads nowhere once it is resolved.
    """
    is_stream = False
    with suppress(OSError):  # the error shows again when the file is opened
        is_stream = path.exists() and not (path.is_file() or path.is_dir())
    if is_stream:
        raise InputError(f"{path} is neither a file nor a folder. Save what it gives to a file first.")


def _in_folder(folder: Path) -> tuple[list[Member], list[LeftAlone]]:
    try:
        members, left = look_into(folder)
        seen = [name for one in left if one.folder == folder for name in one.names()]
    except OSError as error:
        raise unreadable(folder, error) from error
    if not members:
        there = f" It holds {some_of(seen)}." if seen else ""
        raise InputError(
            f"The folder {folder} holds no input. Files are read that end in {', '.join(FOLDER_ENDINGS)}, and such files in "
            f"folders of partitions (COLUMN=VALUE); of other folders in it, name those that are wanted.{there}"
        )
    return [replace(member, path=_resolved(member.path)) for member in members], left


def some_of(names: Sequence[str], most: int = 5) -> str:
    """Return the first ``most`` of these names as text, with the number of the others."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return printable(", ".join(printable(name, 100) for name in names[:most]), 1_000) + more
