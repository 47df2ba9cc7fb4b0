"""``purgeengine schema``: prints the JSON Schema of what a command prints with ``--json``."""

from __future__ import annotations

from importlib.resources import files

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.core.graph.text import printable
from purgeengine.errors import UsageProblem

EPILOG = """\b
Examples:
  purgeengine schema                     (the names)
  purgeengine schema run
  purgeengine schema config show
  purgeengine schema log                 (a line of --log-format json)"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[COMMAND]")
def schema(names: tuple[str, ...]) -> int:
    """Print the JSON Schema (2020-12) of what COMMAND prints with --json. Without COMMAND, print the names that have one."""
    found = {
        file.name.removesuffix(".json"): file
        for file in files("purgeengine.schemas").iterdir()
        if file.name.endswith(".json")
    }
    if not names:
        for name in sorted(found):
            click.echo(name)
        return 0
    wanted = "-".join(names)
    if wanted not in found:
        raise UsageProblem(
            f"There is no schema for {printable(' '.join(names), 100)!r}. purgeengine schema lists the names."
        )
    click.echo(found[wanted].read_text(encoding="utf-8"), nl=False)
    return 0
