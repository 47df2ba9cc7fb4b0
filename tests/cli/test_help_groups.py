"""Tests of the help: options in groups, and none without one."""

from __future__ import annotations

import re

import click
import pytest

from purgeengine.cli.help_groups import GROUPS, OTHERS, place_of
from purgeengine.cli.main import COMMANDS, cli, run

GROUPED = [name for name in COMMANDS if name not in ("config", "simulate")]


def command_named(name: str) -> click.Command:
    """Return a command of the program."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help of a command."""
    assert run([name, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["run", "retry"])
def test_the_help_has_all_groups_in_their_order(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of run and retry has the seven groups in the order of `GROUPS`, before the examples."""
    text = help_of(name, capsys)
    headings = re.findall(r"(?m)^(\S[^:\n]*):\n", text)
    assert headings == [name for name in GROUPS if name != "Filters"]  # an inventory has these
    assert text.index("Advanced:\n") < text.index("Examples:\n")


@pytest.mark.parametrize("name", GROUPED)
def test_every_option_has_a_group(name: str) -> None:
    """No option of a command is left over, so that a new one must be put into a group."""
    command = command_named(name)
    left_over = [
        parameter.opts[0]
        for parameter in command.get_params(click.Context(command))
        if isinstance(parameter, click.Option) and place_of(parameter)[0] == OTHERS
    ]
    assert left_over == []


@pytest.mark.parametrize("name", GROUPED)
def test_every_option_is_in_the_help_once(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The groups hide no option and repeat none."""
    lines = help_of(name, capsys).partition("Examples:\n")[0].splitlines()
    for parameter in command_named(name).params:
        if isinstance(parameter, click.Option):
            flag = max(parameter.opts, key=len)
            shown = [line for line in lines if re.match(rf"  (-\w, )?{flag}\b(?!-)", line)]
            assert len(shown) == 1, (flag, shown)


def test_a_key_stands_in_one_group() -> None:
    """No option stands in two groups."""
    keys = [key for group in GROUPS.values() for key in group]
    assert len(keys) == len(set(keys))
