"""The names of settings: each option of a command is a key of the file and a variable of the environment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import click

PREFIX = "PURGEENGINE_"
GROUPED_COMMANDS = {"shard": ("cut", "collect")}
"""Commands that have commands of their own, with settings like the others: their table in the file is ``["shard cut"]``."""
SELF_CONTAINED = ("completion", "demo", "schema", "simulate", "version")
"""Commands that need no tenant. Settings for the real tenant (its ledger, its limits) do not apply to them."""
NEVER_PRESET = {
    "yes": "What confirms a purge is said with each purge: give --yes on the command line.",
    "config": "Name the file with --config or PURGEENGINE_CONFIG.",
}
WITHOUT_SETTINGS = frozenset({"completion", "schema", "version"})
"""Commands that read no file of settings: they must work whatever stands in it."""
PROTECTED_NAMES = "protected_users"
"""Key of the protected list: names in the file itself."""
PROTECTED_FILES = "protected_users_file"
"""Key of the protected list: files of names."""


def variable_of(key: str) -> str:
    """Return the environment variable for a key."""
    return PREFIX + key.upper()


def key_of(option: click.Option) -> str | None:
    """Return the key of an option in the file: its long name with underscores. None if it has no long name."""
    names = [name for name in option.opts if name.startswith("--")]
    return max(names, key=len)[2:].replace("-", "_") if names else None


def options_of(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """Yield the options of a command that have a long name, each with its key."""
    for option in command.params:
        if isinstance(option, click.Option) and (key := key_of(option)) is not None:
            yield key, option


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its name. This imports them all."""
    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)
    for name in root.command.list_commands(root):
        command = root.command.get_command(root, name)
        if name in GROUPED_COMMANDS and isinstance(command, click.Group):
            for part in GROUPED_COMMANDS[name]:
                yield f"{name} {part}", command.commands[part]
        elif command is not None and not isinstance(command, click.Group):
            yield name, command


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: a similar name that exists, or nothing."""
    from difflib import get_close_matches

    near: Sequence[str] = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
