"""A place in the text of a JSON file, which is read on as values are taken from it."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from purgeengine.core.graph.text import printable
from purgeengine.edges.source.formats.json_values import DECODER
from purgeengine.errors import InputError

OBJECT_CHARS_MAX = 16 << 20
"""Longest object, page or line, in characters.

A page of Graph has at most 1,000 contacts, a few MiB. An array may have any length.
"""
_SPACE = re.compile(r"[ \t\r\n]*")


class JsonCursor:
    """The text of a file from some place on. The text before it is dropped."""

    def __init__(self, path: Path, pieces: Iterator[bytes]) -> None:
        self._path = path
        self._pieces = pieces
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text = ""
        self._at = 0
        self._ended = False
        self._lines_before = 0

    def peek(self) -> str:
        """Return the next character that is not white space. Empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Go past that character."""
        self._at += 1

    def value(self) -> Any:
        """Read the value that begins here. Raises `InputError` if there is none, or if it is too long."""
        while True:
            try:
                found, end = DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) or self._ended:  # a number may continue in the next piece
                    self._at = end
                    return found
            except RecursionError as error:
                raise self.broken("it is nested too deeply") from error
            except json.JSONDecodeError as error:
                if self._ended:
                    raise self.broken(error.msg, error.pos) from error
                if len(self._text) - self._at > OBJECT_CHARS_MAX:
                    raise InputError(
                        f"{self._path} has a value at line {self._line(self._at):,} that is broken, or longer than the "
                        f"{OBJECT_CHARS_MAX >> 20} MiB that an object or a page may have. Write one contact a line, for example "
                        "with jq -c '.value[]'."
                    ) from error
            self._more()

    def broken(self, why: str, at: int | None = None) -> InputError:
        """Return the error that tells why this is not JSON, and where."""
        return InputError(
            f"{self._path} is not valid JSON at line {self._line(self._at if at is None else at):,}: "
            f"{printable(why, 100)}. None of it is sent. If it was cut short, write it again."
        )

    def _line(self, at: int) -> int:
        return self._lines_before + self._text.count("\n", 0, at) + 1

    def _more(self) -> bool:
        """Read as much again as is held, so that a long value is tried only a few times."""
        if self._ended:
            return False
        self._lines_before += self._text.count("\n", 0, self._at)
        parts = [self._text[self._at :]]
        self._at = 0
        wanted = len(parts[0])
        got = 0
        while got <= wanted:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                parts.append(self._decode(b"", True))
                break
            parts.append(self._decode(piece))
            got += len(parts[-1])
        self._text = "".join(parts)
        return True
