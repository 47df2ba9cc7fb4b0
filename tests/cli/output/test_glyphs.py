"""Tests of the choice between the characters of a smooth bar and ASCII."""

from __future__ import annotations

import io
import sys

import pytest

from purgeengine.cli.output.glyphs import ASCII, LINES, Glyphs, glyphs_for

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locale in its environment")


def a_stream(encoding: str) -> io.TextIOWrapper:
    """Return a stream with this encoding."""
    return io.TextIOWrapper(io.BytesIO(), encoding, "backslashreplace")


@pytest.mark.parametrize(
    ("encoding", "glyphs"),
    [("utf-8", LINES), ("ascii", ASCII), ("latin-1", ASCII), ("cp1252", ASCII), ("cp850", ASCII), ("cp437", ASCII)],
)
def test_the_encoding_must_have_every_character(encoding: str, glyphs: Glyphs) -> None:
    """A code page of Windows' console and an old locale get ASCII, UTF-8 gets lines."""
    assert glyphs_for(a_stream(encoding), environment={}) is glyphs


@posix
@pytest.mark.parametrize(
    ("environment", "glyphs"),
    [
        ({"LC_ALL": "C"}, ASCII),
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, ASCII),
        ({"LANG": "C"}, ASCII),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, ASCII),  # the second is Python's
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, LINES),
        ({"LC_CTYPE": "de_DE.UTF-8", "LANG": "C"}, LINES),
        ({"LANG": "de_DE.UTF-8"}, LINES),
        ({}, LINES),
    ],
)
def test_a_locale_of_ascii_gets_ascii_though_python_writes_utf_8(environment: dict[str, str], glyphs: Glyphs) -> None:
    """A locale that was set to C or POSIX gets ASCII, because Python's own stream does not tell."""
    assert glyphs_for(a_stream("utf-8"), environment=environment) is glyphs


def test_an_old_console_gets_ascii() -> None:
    """A console without escape sequences gets ASCII."""
    assert glyphs_for(a_stream("utf-8"), legacy_windows=True, environment={}) is ASCII


def test_ascii_is_ascii() -> None:
    """Every character of the fallback is ASCII."""
    assert "".join((ASCII.done, ASCII.left, ASCII.separator, ASCII.dash)).isascii()
