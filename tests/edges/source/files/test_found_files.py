"""Tests of the files of an input: which are read, in which order, and the message about a file that cannot be read."""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from purgeengine.edges.source import open_source
from purgeengine.errors import InputError, UsageProblem
from tests.support.source_fixtures import CONTACT, USER, a_file, records

HEADER = "user,contact\n"
LINE = f"{USER},{CONTACT}\n"


def test_rows_are_numbered_over_all_files_and_lines_within_each(tmp_path: Path) -> None:
    """Row numbers continue over all files, in the order of the arguments; line numbers start again in each file."""
    second = a_file(tmp_path, HEADER + LINE, "a.csv")
    first = a_file(tmp_path, HEADER + LINE * 2, "b.csv")
    source = open_source([first, second])
    assert source.files == (first.resolve(), second.resolve())
    assert [(r["row"], r["line"], r["source"]) for r in records(source)] == [(0, 2, 0), (1, 3, 0), (2, 2, 1)]


def test_a_source_can_be_read_again(tmp_path: Path) -> None:
    """Each call of `batches` starts from the first row."""
    source = open_source([a_file(tmp_path, HEADER + LINE * 3)])
    assert records(source) == records(source)
    assert len(records(source)) == 3


def test_a_batch_has_the_schema_that_is_promised(tmp_path: Path) -> None:
    """A batch has its columns with fixed types in a fixed order, and the extra columns come last."""
    source = open_source([a_file(tmp_path, "name," + HEADER + "x," + LINE)])
    fields = [("row", pa.int64()), ("line", pa.int64()), ("source", pa.int32())]
    texts = [(name, pa.string()) for name in ("user", "folder", "contact", "reason", "name")]
    assert [batch.schema for batch in source.batches()] == [pa.schema(fields + texts)] == [source.schema]


def test_batches_hold_no_more_than_8192_rows(tmp_path: Path) -> None:
    """A batch has at most 8,192 rows, and the row and line numbers continue in the next batch."""
    path = a_file(tmp_path, HEADER + "a@b,A\n" * 20_000)
    batches = list(open_source([path]).batches())
    assert [batch.num_rows for batch in batches] == [8_192, 8_192, 3_616]
    assert [batch["row"][0].as_py() for batch in batches] == [0, 8_192, 16_384]
    assert [batch["line"][0].as_py() for batch in batches] == [2, 8_194, 16_386]


def test_a_folder_stands_for_its_inputs_sorted_by_name(tmp_path: Path) -> None:
    """A folder gives its input files sorted by name.

    Subfolders and other files are listed as ignored, and hidden files are counted.
    """
    for name in ("b.CSV", "a.tsv", "c.csv.gz"):
        text = (HEADER + LINE).replace(",", "\t" if name == "a.tsv" else ",").encode()
        a_file(tmp_path, gzip.compress(text) if name.endswith("gz") else text, name)
    for name in ("._b.csv", "notes.txt", "readme.md"):
        a_file(tmp_path, "anything", name)
    (tmp_path / "old.csv").mkdir()
    source = open_source([tmp_path])
    assert [path.name for path in source.files] == ["a.tsv", "b.CSV", "c.csv.gz"]
    assert [path.name for path in source.ignored] == ["notes.txt", "old.csv", "readme.md"]
    assert [left.hidden for left in source.left_alone] == [1]
    assert len(records(source)) == 3


def test_size_and_estimate_of_a_small_file(tmp_path: Path) -> None:
    """The rows of a small file are counted exactly, because the file is read whole at opening."""
    path = a_file(tmp_path, HEADER + LINE * 10)
    source = open_source([path])
    assert (source.size_bytes, source.rows_estimate) == (path.stat().st_size, 10)


def test_estimate_of_a_large_file_is_near_and_that_of_a_large_compressed_one_unknown(tmp_path: Path) -> None:
    """The rows of a large plain file are estimated from its first block; for a large compressed file there is no estimate."""
    text = HEADER + LINE * 20_000
    plain = open_source([a_file(tmp_path, text)], block_bytes=2_000)
    assert plain.rows_estimate == pytest.approx(20_000, rel=0.02)
    packed = a_file(tmp_path, gzip.compress(text.encode()), "input.csv.gz")
    assert open_source([packed], block_bytes=2_000).rows_estimate is None


def test_the_digest_is_of_bytes_and_not_of_names(tmp_path: Path) -> None:
    """The digest depends on the bytes and the order of the files.

    A renamed file keeps it; another order or split changes it.
    """
    one, two = a_file(tmp_path, HEADER + LINE, "1.csv"), a_file(tmp_path, HEADER, "2.csv")
    same = a_file(tmp_path, HEADER + LINE, "3.csv")
    digest = open_source([one, two]).digest()
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert open_source([same, two]).digest() == digest
    assert open_source([two, one]).digest() != digest
    assert open_source([one]).digest() != digest
    a_file(tmp_path, HEADER + LINE + "\n", "1.csv")
    assert open_source([one, two]).digest() != digest


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "holds no header line"),
        (b"\r\n\r\n", "holds no header line"),
        (b"#TYPE Some.Thing\r\n", "holds no header line"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"\x00\x01\x02\x03" * 100, "no text at all"),
        ("user,contact\n".encode("utf-16-le"), "UTF-16 text without a byte order mark"),
        ("user,contact\n".encode("utf-32"), "UTF-32"),
        (b"us\xe9r,contact\n", "not UTF-8"),
        (b"user,\x1bcontact\n", "control characters"),
        (b'user,"contact\n' + b"x\n" * 100, "opens a quote that is never closed"),
        (b"x" * 300_000, "column name of more than 256 characters"),
        (b"PAR1 is only how it begins", "damaged or unfinished Parquet"),
    ],
)
def test_a_file_that_is_no_input_is_refused_with_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    """A file that is not an input is refused at opening with a sentence that names the file and the fault."""
    path = a_file(tmp_path, content)
    with pytest.raises(InputError, match=said) as caught:
        open_source([path])
    assert str(path.resolve()) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("input.csv.gz", "has the ending of a gzip file, but its content is not gzip"),
        ("input.csv.zst", "has the ending of a zstd file, but its content is not zstd"),
        ("input.csv.xz", "has the ending of an xz file, but its content is not xz"),
        ("input.parquet", "has the ending of a Parquet file, but its content is not Parquet"),
    ],
)
def test_a_name_that_promises_something_else_is_refused(tmp_path: Path, name: str, said: str) -> None:
    """A file whose name promises a compressed or Parquet file, but which holds plain text, is refused."""
    with pytest.raises(InputError, match=said):
        open_source([a_file(tmp_path, HEADER, name)])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A missing file is refused, and the message names it."""
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist"):
        open_source([tmp_path / "nowhere.csv"])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """A folder without any input is refused, and the message names the endings that are read."""
    with pytest.raises(InputError, match=r"holds no input.*\.csv\.gz"):
        open_source([tmp_path])


def test_no_argument_at_all_is_refused() -> None:
    """An input without any file is refused, instead of becoming an empty run."""
    with pytest.raises(InputError, match="No input was named"):
        open_source([])


def test_a_file_named_twice_is_refused(tmp_path: Path) -> None:
    """A file that is named twice is refused, because every row would be its own duplicate."""
    path = a_file(tmp_path, HEADER + LINE)
    with pytest.raises(InputError, match="named twice"):
        open_source([path, tmp_path])


@pytest.mark.parametrize("broken", ["open", "iterdir"])
def test_missing_permission_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A file or folder that this user may not read is refused with a sentence that says so."""
    a_file(tmp_path, HEADER + LINE)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, broken, refuse)
    with pytest.raises(InputError, match="may not be read by this user"):
        open_source([tmp_path])


def test_a_name_that_no_file_can_have_is_refused() -> None:
    """A file name with a NUL character raises `InputError` instead of a bare exception."""
    with pytest.raises(InputError, match="file"):
        open_source(["a\0b.csv"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such device files")
def test_a_device_is_refused() -> None:
    """A device file is refused, because it cannot be read twice."""
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_source(["/dev/null"])


def test_a_file_that_changes_between_opening_and_reading_is_refused(tmp_path: Path) -> None:
    """A file that changes between opening and reading is refused, because its columns may no longer fit its rows."""
    path = a_file(tmp_path, HEADER + LINE)
    source = open_source([path])
    a_file(tmp_path, "contact,user\n" + LINE)
    with pytest.raises(InputError, match="has changed"):
        records(source)


def test_a_file_that_vanishes_between_opening_and_reading_is_told(tmp_path: Path) -> None:
    """A file that vanishes after opening is reported as missing, both when it is read and when it is hashed."""
    path = a_file(tmp_path, HEADER + LINE)
    source = open_source([path])
    path.unlink()
    with pytest.raises(InputError, match="does not exist"):
        records(source)
    with pytest.raises(InputError, match="does not exist"):
        source.digest()


def test_an_unknown_role_is_a_mistake_of_usage(tmp_path: Path) -> None:
    """A column can be named for user, folder and contact only; another role raises `UsageProblem`."""
    with pytest.raises(UsageProblem, match="not 'mailbox'"):
        open_source([a_file(tmp_path, HEADER)], {"mailbox": "user"})
