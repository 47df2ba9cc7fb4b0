"""The page docs/reference/commands.md, made from the commands: usage, options in the groups of ``--help``, examples.

`python -m tests.pages` writes it anew.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from purgeengine.cli.main import COMMANDS, cli
from tests.pages.markdown import code, escaped, table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
HEAD = """\
# Command reference

<!-- Generated from the commands by `python -m tests.pages`. Change the help texts in purgeengine/cli, not this page. -->

This page is for whoever looks up a command or an option. The option `--help` of every command shows the same.

Results go to standard output, everything else to standard error. The exit codes are those of
[When something fails](../tasks/when-something-fails.md#exit-codes). Every option can also be set
[in the environment or in a file](../configuration.md).

"""


class RecordedHelp(click.HelpFormatter):
    """Takes what a command writes for ``--help``, and keeps its lists of definitions with their headings."""

    def __init__(self) -> None:
        super().__init__(width=10_000)
        self.lists: list[tuple[str, list[tuple[str, str]]]] = []
        self._heading = ""

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Note the heading of the lists inside."""
        before, self._heading = self._heading, name
        try:
            yield
        finally:
            self._heading = before

    def write_dl(self, rows: Sequence[tuple[str, str]], *args: Any, **options: Any) -> None:
        """Keep a list instead of writing it."""
        self.lists.append((self._heading, list(rows)))


def text() -> str:
    """Return the whole page."""
    context = click.Context(cli, info_name="purgeengine")
    parts = [HEAD, table(("command", "what it does"), map(_line, COMMANDS)), "\n"]
    parts.append("`purgeengine --help` lists the commands, and `purgeengine --version` prints the version.\n")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None, name
        for title, one in _with_subcommands(f"purgeengine {name}", command):
            parts.append(_section(title, one))
    return "".join(parts)


def _line(name: str) -> tuple[str, str]:
    return f"[`purgeengine {name}`](#purgeengine-{name})", escaped(COMMANDS[name])


def _with_subcommands(title: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield title, command
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from _with_subcommands(f"{title} {name}", one)


def _section(title: str, command: click.Command) -> str:
    context = click.Context(command, info_name=title)
    usage = f"{title} {' '.join(command.collect_usage_pieces(context))}".rstrip()
    parts = [f"\n## {title}\n\n```text\n{usage}\n```\n\n", *_paragraphs(command.help or "")]
    for heading, rows in _lists(command, context):
        parts.append(f"\n**{heading}**\n\n")
        parts.append(table(("option", "meaning"), ((code(name), escaped(meaning)) for name, meaning in rows)))
    if command.epilog:
        parts.append(f"\n```text\n{_plain(command.epilog)}\n```\n")
    return "".join(parts)


def _lists(command: click.Command, context: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the groups of options, as ``--help`` shows them. Subcommands have sections of their own."""
    recorded = RecordedHelp()
    command.format_options(context, recorded)
    for heading, rows in recorded.lists:
        kept = [row for row in rows if row[0].lstrip().startswith("-") and not row[0].endswith("--help")]
        if kept:
            yield heading, kept


def _paragraphs(help_text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text as Markdown. A paragraph that begins with a backspace keeps its lines."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(help_text))):
        gap = "\n" if number else ""
        if paragraph.startswith("\b"):
            yield f"{gap}```text\n{_plain(paragraph)}\n```\n"
        elif paragraph.strip():
            yield f"{gap}{escaped(paragraph)}\n"


def _plain(text: str) -> str:
    return inspect.cleandoc(text).replace("\b\n", "").strip("\n")
