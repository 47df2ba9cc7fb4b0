"""``purgeengine config``: shows every setting in effect, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.cli.setting_names import GROUPED_COMMANDS, PROTECTED_NAMES, key_of, variable_of
from purgeengine.cli.settings import loaded
from purgeengine.core.graph.text import printable, well_formed
from purgeengine.errors import UsageProblem
from purgeengine.jobs.guard_rails import protected_by_environment
from purgeengine.json_output.settings_output import SettingsOutput, ShownSetting
from purgeengine.logs import without_secrets

EPILOG = """\b
Examples:
  purgeengine config show
  purgeengine config show --config cleanup.toml run --connections 32
  purgeengine config show --json plan"""


@click.group(epilog=EPILOG)
def config() -> None:
    """Show the settings in effect. Options overrule the environment, which overrules the file, which overrules the defaults."""


@config.command(cls=GroupedCommand, epilog=EPILOG, context_settings={"ignore_unknown_options": True})
@click.option("--config", "file", metavar="FILE", help="Read this file instead of the usual one.")
@json_option()
@click.argument("command_name", metavar="[COMMAND]", default="run")
@click.argument("arguments", metavar="[OPTION]...", nargs=-1, type=click.UNPROCESSED)
def show(file: str | None, as_json: bool, command_name: str, arguments: tuple[str, ...]) -> int:
    """Show every setting of COMMAND with these options, and where each comes from. COMMAND is run if left out. Runs nothing."""
    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)
    command = root.command.get_command(root, command_name)
    if isinstance(command, click.Group) and arguments and arguments[0] in GROUPED_COMMANDS.get(command_name, ()):
        command, command_name = command.commands[arguments[0]], f"{command_name} {arguments[0]}"
        arguments = arguments[1:]
    if command is None or isinstance(command, click.Group):
        raise UsageProblem(
            f"There is no command {printable(command_name, 100)!r} with settings. purgeengine --help lists the commands."
        )
    command = _lenient(command)
    named = ["--config", file] if file is not None else []
    with command.make_context(command_name, [*named, *arguments], parent=root) as ctx:
        settings = [*_settings(ctx), *_protected(ctx)]
        path = loaded().path
    if as_json:
        print_output(
            SettingsOutput(
                command=running_command(),
                exit_code=0,
                of_command=command_name,
                file=None if path is None else well_formed(str(path)),
                settings=[ShownSetting(**setting) for setting in settings],
            )
        )
        return 0
    click.echo(f"Settings of {command_name}" + (f", with {path}" if path else ", without a file"))
    width = max(len(setting["key"]) for setting in settings)
    for setting in settings:
        value = "not set" if setting["value"] is None else msgspec.json.encode(setting["value"]).decode()
        click.echo(printable(f"{setting['key']:<{width}}  {value:<24}  {setting['source']}", 1_000))
    return 0


def _lenient(command: click.Command) -> click.Command:
    """Return a copy of the command that requires nothing."""
    lenient = copy(command)
    lenient.params = [copy(parameter) for parameter in command.params]
    for parameter in lenient.params:
        parameter.required = False
    return lenient


def _settings(ctx: click.Context) -> Iterator[dict[str, Any]]:
    """Yield all settings except the protected users, in the order of the help."""
    for option in ctx.command.params:
        key = key_of(option) if isinstance(option, click.Option) else None
        if key is None or not option.expose_value or key == PROTECTED_NAMES:
            continue
        source = ctx.get_parameter_source(str(option.name))
        yield _shown(key, ctx.params.get(str(option.name)), _name_of(source, key))


def _protected(ctx: click.Context) -> Iterator[dict[str, Any]]:
    """Yield a line for each source of protected users, because their users are added up."""
    settings = loaded()
    if PROTECTED_NAMES not in ctx.params:
        return
    flags = list(ctx.params[PROTECTED_NAMES])
    if ctx.get_parameter_source(PROTECTED_NAMES) is not ParameterSource.COMMANDLINE:
        flags = []
    parts = (
        (PROTECTED_NAMES, list(settings.protected_names), "file"),
        ("protected_users_file", list(settings.protected_files), "file"),
        ("protected_users_file", protected_by_environment(), f"environment {variable_of(PROTECTED_NAMES)}"),
        ("protected_users_file", flags, "option"),
    )
    shown = [_shown(key, value, source) for key, value, source in parts if value]
    yield from shown or [_shown(PROTECTED_NAMES, None, "default")]


def _name_of(source: ParameterSource | None, key: str) -> str:
    if source is ParameterSource.COMMANDLINE:
        return "option"
    if source is ParameterSource.ENVIRONMENT:
        return f"environment {variable_of(key)}"
    return "file" if source is ParameterSource.DEFAULT_MAP else "default"


def _shown(key: str, value: Any, source: str) -> dict[str, Any]:
    """Return the value without passwords. An address may hold one."""
    if isinstance(value, list | tuple):
        value = [_clean(one) for one in value]
    return {"key": key, "value": _clean(value) if isinstance(value, str) else value, "source": source}


def _clean(value: Any) -> Any:
    return without_secrets(None, "", {"value": value})["value"]
