"""Which files an input consists of, and what their first bytes say they are.

It knows names, folders and magic numbers. It must not know what stands in a row.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from purgeengine.errors import InputError

FOLDER_ENDINGS = (".csv", ".csv.gz", ".csv.zst", ".tsv", ".parquet")
"""Names that are read from a folder; a file that is named by itself may be called anything."""


class Kind(Enum):
    """How a file's bytes are to be read. The value is pyarrow's name of the codec, or None."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZSTD = "zstd"
    PARQUET = "parquet"


_MAGIC = {b"\x1f\x8b": Kind.GZIP, b"\x28\xb5\x2f\xfd": Kind.ZSTD, b"PAR1": Kind.PARQUET}
_PROMISED = {".gz": Kind.GZIP, ".zst": Kind.ZSTD, ".parquet": Kind.PARQUET}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; save the sheet as 'CSV UTF-8', or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as 'CSV UTF-8'",
    b"PARE": "a Parquet file with an encrypted footer, which cannot be read",
    b"%PDF": "a PDF document",
}


class Found(NamedTuple):
    """The files to read, resolved, and those of a folder that are left alone."""

    files: tuple[Path, ...]
    ignored: tuple[Path, ...]


def find_files(paths: Sequence[str | Path]) -> Found:
    """Resolve the arguments in their order; a folder stands for its own files, sorted by name.

    Raises `InputError` when nothing is named, something is missing, is no file, is named twice, or a folder has no input.
    """
    if not paths:
        raise InputError("No input was named. Name a CSV or Parquet file, several, or a folder of them.")
    files: list[Path] = []
    ignored: list[Path] = []
    for given in paths:
        refuse_streams(Path(given))
        path = _resolved(Path(given))
        found = _in_folder(path) if path.is_dir() else Found((path,), ())
        files += found.files
        ignored += found.ignored
    twice = [path for path, count in Counter(files).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is named twice. Name each input file once.")
    return Found(tuple(files), tuple(ignored))


def kind_of(path: Path) -> Kind:
    """What the file is, by its first bytes. Raises `InputError` when it is empty, foreign, or not what its name promises."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise unreadable(path, error) from error
    if not head:
        raise InputError(f"{path} is empty. A CSV input needs at least a header line.")
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), Kind.PLAIN)
    promised = _PROMISED.get(path.suffix.lower())
    if promised not in (None, kind):
        raise InputError(f"{path} is not what its name says: it does not begin as a {promised.value} file does.")
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise InputError(f"{path} is neither CSV nor Parquet but {what}.")
    return kind


def size_of(path: Path) -> int:
    """Bytes in the file as it lies on the disk."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256, in hex, over the number of files and each one's size and bytes. Names and folders do not count."""
    whole = hashlib.sha256(f"purgeengine input of {len(files)} files\n".encode())
    for path in files:
        try:
            with path.open("rb") as file:
                part = hashlib.file_digest(file, "sha256")
                whole.update(f"{file.tell()}:{part.hexdigest()}\n".encode())
        except OSError as error:
            raise unreadable(path, error) from error
    return whole.hexdigest()


def unreadable(path: Path, error: OSError) -> InputError:
    """The sentence for a file or folder that the operating system does not give us."""
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
    """A pipe or a device cannot be read twice, and files are: to look at them, and to take them in. Raises `InputError` for one.

    What a shell makes of ``<(…)`` is one as well, and has a name that leads nowhere once it is resolved.
    """
    is_stream = False
    with suppress(OSError):  # what cannot be looked at is told when it is opened
        is_stream = path.exists() and not (path.is_file() or path.is_dir())
    if is_stream:
        raise InputError(f"{path} is neither a file nor a folder. Save what it gives to a file first.")


def _in_folder(folder: Path) -> Found:
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
        wanted = [path for path in entries if _is_input(path)]
    except OSError as error:
        raise unreadable(folder, error) from error
    if not wanted:
        raise InputError(f"The folder {folder} holds no input. Files are read that end in {', '.join(FOLDER_ENDINGS)}.")
    return Found(tuple(map(_resolved, wanted)), tuple(path for path in entries if path not in wanted))


def _is_input(path: Path) -> bool:
    """Hidden files are left alone: editors and macOS leave shadows such as ``._contacts.csv``."""
    return path.name.lower().endswith(FOLDER_ENDINGS) and not path.name.startswith(".") and path.is_file()
