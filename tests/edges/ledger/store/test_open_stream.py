"""Tests of a stream that somebody else has opened, as a file for writers."""

from __future__ import annotations

import io

import pytest

from purgeengine.edges.ledger.store.open_stream import OpenStream


class Broken(io.BytesIO):
    """A stream whose reader has gone."""

    def write(self, data: object, /) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    flush = write  # type: ignore[assignment]


def test_what_is_written_arrives_and_is_counted() -> None:
    """Everything that is written arrives in order, is counted, and the stream stays open when the file is closed."""
    stream = io.BytesIO()
    file = OpenStream(stream)
    assert file.writable()
    assert [file.write(data) for data in (b"ab", memoryview(b"cde"), bytearray(b"f"))] == [2, 3, 1]
    assert file.tell() == 6
    file.close()
    file.close()
    assert (file.closed, stream.closed, stream.getvalue()) == (True, False, b"abcdef")


def test_a_failure_is_raised_until_the_stream_is_given_up() -> None:
    """A failure to write is raised. Once the stream is given up, writers are closed without a second error."""

    class Writer:
        is_open = True

        def close(self) -> None:
            file.write(b"the rest")

    file, writer = OpenStream(Broken()), Writer()
    with pytest.raises(BrokenPipeError):
        file.write(b"x")
    file.give_up(writer, None)
    assert (file.closed, writer.is_open) == (True, False)


def test_a_writer_that_cannot_be_made_gives_the_stream_up() -> None:
    """If a writer cannot be made, its error is raised and the stream is given up."""
    file = OpenStream(io.BytesIO())

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        file.hold(fail)
    assert file.closed
    assert OpenStream(io.BytesIO()).hold(lambda: 7) == 7
