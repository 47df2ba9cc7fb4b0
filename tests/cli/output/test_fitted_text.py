"""Tests of sentences that are broken for a terminal."""

from __future__ import annotations

import io
import os

import pytest

from purgeengine.cli.output.fitted_text import fitted

SENTENCE = "The mailboxes of this list are all in another tenant. Correct the list, and give the same command again."


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True, as a terminal does."""
        return True

    def fileno(self) -> int:
        """Return a number that no file has."""
        return 12_345


def test_a_pipe_gets_whole_lines() -> None:
    """Text that goes elsewhere than to a terminal is not broken, because programs read it."""
    assert fitted(SENTENCE, io.StringIO()) == SENTENCE


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_gets_lines_of_its_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word is there, in order, and no line is wider than the terminal. Line breaks in the text stay."""
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((columns, 24)))
    text = fitted(f"{SENTENCE}\n{SENTENCE}", Terminal(), indent=4)
    assert max(map(len, text.splitlines())) <= columns
    assert text.split() == f"{SENTENCE} {SENTENCE}".split()
    assert sum(line.startswith("The mailboxes") for line in text.splitlines()) == 2


def test_a_word_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is longer than a line stays whole, so that it can be copied."""
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((30, 24)))
    address = "https://login.microsoftonline.com/common/oauth2/deviceauth"
    assert address in fitted(f"Open {address} and sign in.", Terminal()).splitlines()


def test_a_terminal_that_has_gone_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the width cannot be had, or the terminal says that it is zero, the text stays as it is."""
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    assert fitted(SENTENCE, Terminal()) == SENTENCE
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    assert fitted(SENTENCE, Terminal()) == SENTENCE


@pytest.mark.parametrize("before", ["Collect the shards of this ledger: ", "  "])
def test_a_command_is_not_broken_and_what_stands_before_it_is(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal may wrap a command, but a copy of it has no line break in it. The error's own prefix is no command."""
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((30, 24)))
    command = "purgeengine shard collect /srv/ledgers/cleanup /srv/ledgers/shards"
    lines = fitted(f"purgeengine: {SENTENCE}\n{before}{command}", Terminal()).splitlines()
    assert lines[-1] in (command, before + command)
    assert max(map(len, lines[:-1])) <= 30
