"""``purgeengine completion``: prints the script that completes commands and options in a shell."""

from __future__ import annotations

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.errors import UsageProblem

PROGRAM = "purgeengine"
VARIABLE = "_PURGEENGINE_COMPLETE"
"""The variable by which the script asks the program. Click makes its name of the program's."""
SHELLS = ("bash", "zsh", "fish", "powershell")

EPILOG = """\b
Examples:
  purgeengine completion powershell | Out-String | Invoke-Expression        (this session)
  purgeengine completion powershell >> $PROFILE                             (PowerShell, for good)
  purgeengine completion bash >> ~/.bashrc
  purgeengine completion zsh >> ~/.zshrc
  purgeengine completion fish > ~/.config/fish/completions/purgeengine.fish"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
def completion(shell: str) -> int:
    """Print the script that completes commands, options and their values in SHELL: bash, zsh, fish or powershell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageProblem(
            f"This version of click completes nothing in {shell}. Update it with: pip install --upgrade click"
        )
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, PROGRAM, VARIABLE).source())
    return 0
