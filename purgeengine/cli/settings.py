"""Settings of every command from a TOML file and from the environment. Options overrule the environment, which overrules the file.

This module learns the options from click, so that a new option gets its key and its variable by itself. It treats only two options
in a special way: the protected users of all sources are added up, and options that confirm a purge cannot be set in advance.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import click

from purgeengine.cli.setting_names import (
    NEVER_PRESET,
    PREFIX,
    SELF_CONTAINED,
    all_commands,
    nearest,
    options_of,
    variable_of,
)
from purgeengine.cli.settings_file import Settings, read_settings
from purgeengine.core.graph.text import printable
from purgeengine.errors import UsageProblem

FILE_VARIABLE = f"{PREFIX}CONFIG"
OTHER_VARIABLES = frozenset({FILE_VARIABLE, f"{PREFIX}ACCESS_TOKEN", f"{PREFIX}CERTIFICATE_SIGNATURE"})
"""Variables of this program that belong to no option."""

_META = "purgeengine.settings"


def attach(name: str, command: click.Command) -> click.Command:
    """Add ``--config`` to the command, and an environment variable to each of its options."""
    options = list(options_of(command))
    if name not in SELF_CONTAINED:
        for key, option in options:
            if key not in NEVER_PRESET and option.envvar is None:
                option.envvar = variable_of(key)

    def load(ctx: click.Context, _: click.Parameter, path: str | None) -> None:
        if not ctx.resilient_parsing:
            settings = read_settings(name, command, path)
            ctx.meta[_META] = settings
            ctx.default_map = dict(settings.values)
            if name not in SELF_CONTAINED:
                refuse_unknown_variables(name, command)

    if "config" not in (key for key, _ in options):
        command.params.append(
            click.Option(
                ["--config"],
                metavar="FILE",
                envvar=FILE_VARIABLE,
                is_eager=True,
                expose_value=False,
                callback=load,
                help="Settings in TOML; see docs/configuration.md.",
            )
        )
    return command


def loaded() -> Settings:
    """Return the settings of the command that is running."""
    ctx = click.get_current_context(silent=True)
    found = ctx.meta.get(_META) if ctx is not None else None
    return found if isinstance(found, Settings) else Settings()


def protected_by_configuration() -> tuple[list[str], list[str]]:
    """Return the protected users, and files of them, that the file and the environment name. No option can remove one of them."""
    from purgeengine.jobs.guard_rails import protected_by_environment  # not needed to answer --help

    settings = loaded()
    return list(settings.protected_names), [*settings.protected_files, *protected_by_environment()]


# ----------------------------------------------------------------------------------------------------- the environment


def refuse_unknown_variables(name: str, command: click.Command) -> None:
    """Raise `UsageProblem` for an unknown variable with our prefix: a protected list with a misspelt name would protect nobody."""
    named = {variable for variable, value in os.environ.items() if variable.startswith(PREFIX) and value}
    unknown = named - OTHER_VARIABLES - _variables([(name, command)])
    if not unknown:
        return
    for key, why in NEVER_PRESET.items():
        if variable_of(key) in unknown:
            raise UsageProblem(f"{variable_of(key)} cannot be set in the environment. {why}")
    known = OTHER_VARIABLES | _variables(all_commands())
    for variable in sorted(unknown - known):
        raise UsageProblem(
            f"The environment has {printable(variable, 100)}, which is no setting{nearest(variable, known)}."
        )


def _variables(commands: Iterable[tuple[str, click.Command]]) -> frozenset[str]:
    return frozenset(
        variable_of(key) for _, command in commands for key, _ in options_of(command) if key not in NEVER_PRESET
    )
