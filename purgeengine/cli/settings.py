"""Settings from one file (TOML) and the environment, beneath the options of every command; options win, then the environment.

It knows the options only through click, so that a new option is a new key and a new variable at once. It must not know what they
mean, but for two things: the protected list adds up over all sources, and what confirms a purge is never set in advance.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from purgeengine.core.graph.text import printable
from purgeengine.core.policy.filters import entry_problem
from purgeengine.errors import UsageProblem

PREFIX = "PURGEENGINE_"
FILE_VARIABLE = f"{PREFIX}CONFIG"
OTHER_VARIABLES = frozenset({FILE_VARIABLE, f"{PREFIX}ACCESS_TOKEN", f"{PREFIX}CERTIFICATE_SIGNATURE"})
"""Variables of ours that are no option."""
FILE_BYTES_MAX = 1 << 20
"""Longest configuration file; a long list of users belongs into a file of its own."""
SELF_CONTAINED = ("demo", "simulate")
"""Commands that need no tenant: what is meant for the real one (its ledger, its limits) is not for them."""
NEVER_PRESET = {
    "yes": "What confirms a purge is said with each purge: give --yes on the command line.",
    "config": "Name the file with --config or PURGEENGINE_CONFIG.",
}
PROTECTED_NAMES, PROTECTED_FILES = "protected_users", "protected_users_file"
"""Keys of the protected list: names in the file itself, and files of names."""

_META = "purgeengine.settings"
_SECRET = re.compile(r"secret|passw|passphrase|token|credential|private_?key|assertion", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration file says to one command: ``values`` by the name of the parameter. ``path`` is None without a file."""

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    protected_names: tuple[str, ...] = ()
    protected_files: tuple[str, ...] = ()


def attach(name: str, command: click.Command) -> click.Command:
    """Give the command ``--config``, and each of its options a variable of the environment."""
    options = list(_options(command))
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
    """The settings of the command that is running."""
    ctx = click.get_current_context(silent=True)
    found = ctx.meta.get(_META) if ctx is not None else None
    return found if isinstance(found, Settings) else Settings()


def protected_by_configuration() -> tuple[list[str], list[str]]:
    """Users and files of users that the file and the environment protect. No flag takes any of them away."""
    settings = loaded()
    return list(settings.protected_names), [*settings.protected_files, *protected_by_environment()]


def protected_by_environment() -> list[str]:
    """Files of protected users that the environment names."""
    return [path for path in os.environ.get(variable_of(PROTECTED_NAMES), "").split(os.pathsep) if path]


def variable_of(key: str) -> str:
    """The variable of the environment for a key."""
    return PREFIX + key.upper()


def key_of(option: click.Option) -> str | None:
    """The name of an option in the file: its long name with underscores."""
    names = [name for name in option.opts if name.startswith("--")]
    return max(names, key=len)[2:].replace("-", "_") if names else None


# ------------------------------------------------------------------------------------------------------------ the file


def read_settings(name: str, command: click.Command, path: str | None) -> Settings:
    """Read the file named, or the user's own where there is one. Raises `UsageProblem` for anything not understood."""
    file = Path(os.path.expanduser(path)) if path else default_file()  # noqa: PTH111 - pathlib's raises for an unknown ~user
    table = _parsed(file, needed=bool(path))
    if table is None:
        return Settings()
    _refuse_secrets(file, table)
    known = {key: option for key, option in _options(command) if key not in NEVER_PRESET}
    everywhere = known if name not in SELF_CONTAINED else {}
    values: dict[str, Any] = {}
    own: Mapping[str, Any] = {}
    protected: dict[str, list[str]] = {PROTECTED_NAMES: [], PROTECTED_FILES: []}
    for key, value in table.items():
        if isinstance(value, dict):
            own = value if key == name else own
            _check_section(file, key, value, name, command)
        elif key in protected:
            protected[key] += _users(file, key, value)
        elif key in everywhere:
            values[str(everywhere[key].name)] = _value(file, key, everywhere[key], value)
        else:
            _value(file, key, _option_anywhere(file, key), value)
    for key, value in own.items():
        if key in protected:
            protected[key] += _users(file, key, value)
        else:
            values[str(known[key].name)] = _value(file, f"{name}.{key}", known[key], value)
    files = tuple(_beside(file, entry) for entry in protected[PROTECTED_FILES])
    return Settings(file, values, tuple(protected[PROTECTED_NAMES]), files)


def default_file() -> Path:
    """The user's own file. A file in the working directory is never read unasked: who unpacks an archive there must not decide."""
    return Path(click.get_app_dir("purgeengine")) / "config.toml"


def _parsed(file: Path, *, needed: bool) -> dict[str, Any] | None:
    """What stands in the file; None where it is not there and need not be."""
    import tomllib

    try:
        with file.open("rb") as opened:
            raw = opened.read(FILE_BYTES_MAX + 1)
        if len(raw) > FILE_BYTES_MAX:
            raise UsageProblem(f"{file} is larger than {FILE_BYTES_MAX >> 20} MiB, too large for a configuration.")
        return tomllib.loads(raw.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise UsageProblem(f"{file} is not valid TOML: {printable(str(error))}.") from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{file} is not text in UTF-8. Save it as UTF-8.") from error
    except OSError as error:
        if not needed and isinstance(error, FileNotFoundError | NotADirectoryError):
            return None
        raise UsageProblem(f"The configuration {file} cannot be read: {error.strerror or error}.") from error


def _refuse_secrets(file: Path, table: Mapping[str, Any]) -> None:
    """Before anything else is said about the file, and without a word of the value."""
    for key, value in table.items():
        if isinstance(value, dict):
            _refuse_secrets(file, value)
        elif _SECRET.search(key) and not any(key in (known for known, _ in _options(c)) for _, c in _all_commands()):
            raise UsageProblem(
                f"{file}: {printable(key, 100)!r} looks like a secret. Secrets are not read from a file of settings: remove it "
                "there, and set AZURE_CLIENT_SECRET or one of its relatives in the environment."
            )


def _check_section(file: Path, section: str, table: Mapping[str, Any], name: str, command: click.Command) -> None:
    """Whether all of a command's own table is understood, also when another command is running."""
    commands = {name: command} if section == name else dict(_all_commands())
    if section not in commands:
        raise UsageProblem(f"{file}: there is no command for [{printable(section, 100)}]{_nearest(section, commands)}.")
    options = dict(_options(commands[section]))
    for key, value in table.items():
        _refuse_presets(file, key)
        if key in (PROTECTED_NAMES, PROTECTED_FILES) and PROTECTED_NAMES in options:
            _users(file, key, value)
            continue
        if key not in options:
            shown = printable(f"{section}.{key}", 100)
            raise UsageProblem(f"{file}: {shown} is no setting{_nearest(key, options)}.")
        _value(file, f"{section}.{key}", options[key], value)


def _option_anywhere(file: Path, key: str) -> click.Option:
    _refuse_presets(file, key)
    options = {k: option for name, c in _all_commands() if name not in SELF_CONTAINED for k, option in _options(c)}
    if key not in options:
        names = [*options, PROTECTED_NAMES, PROTECTED_FILES]
        raise UsageProblem(f"{file}: {printable(key, 100)} is no setting{_nearest(key, names)}.")
    return options[key]


def _refuse_presets(file: Path, key: str) -> None:
    if key in NEVER_PRESET:
        raise UsageProblem(f"{file}: {key!r} cannot be set in a file. {NEVER_PRESET[key]}")


def _value(file: Path, key: str, option: click.Option, value: Any) -> Any:
    """What click takes as the option's default. Raises `UsageProblem` where the type is another."""
    if option.multiple:
        values = value if isinstance(value, list) else [value]
        return [_scalar(file, key, option, one) for one in values]
    return _scalar(file, key, option, value)


def _scalar(file: Path, key: str, option: click.Option, value: Any) -> Any:
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageProblem(f"{file}: {key} must be true or false, not {_shown(value)}.")
        return value
    whole = isinstance(option.type, click.types.IntParamType)
    if isinstance(value, bool) or not isinstance(value, int if whole else str | int | float):
        kind = "a whole number" if whole else "text in quotes, or a number"
        raise UsageProblem(f"{file}: {key} must be {kind}, not {_shown(value)}.")
    if isinstance(option.type, click.Path):
        return _beside(file, str(value))
    if not isinstance(option.type, click.types.IntParamType | click.types.FloatParamType):
        value = str(value)
    try:
        option.type.convert(value, option, None)
    except click.BadParameter as error:
        raise UsageProblem(f"{file}: {key}: {error.message.rstrip('.')}.") from error
    return value


def _users(file: Path, key: str, value: Any) -> list[str]:
    """Names of users, or of files that list them, as ``key`` says."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) and one for one in values):
        raise UsageProblem(
            f'{file}: {key} must be a list of texts, such as ["ceo@contoso.com", "*@board.contoso.com"].'
        )
    for entry in values if key == PROTECTED_NAMES else ():
        if problem := entry_problem(entry):
            raise UsageProblem(f"{file}: {key} holds {printable(entry, 100)!r}: {problem}.")
    return list(values)


def _beside(file: Path, path: str) -> str:
    """A path in the file is meant from the file's own folder."""
    return str(file.absolute().parent / os.path.expanduser(path))  # noqa: PTH111 - as above


def _shown(value: Any) -> str:
    return printable(repr(value), 100)


# ----------------------------------------------------------------------------------------------------- the environment


def refuse_unknown_variables(name: str, command: click.Command) -> None:
    """A guard whose name is misspelt protects nobody. Raises `UsageProblem`."""
    named = {variable for variable, value in os.environ.items() if variable.startswith(PREFIX) and value}
    unknown = named - OTHER_VARIABLES - _variables([(name, command)])
    if not unknown:
        return
    for key, why in NEVER_PRESET.items():
        if variable_of(key) in unknown:
            raise UsageProblem(f"{variable_of(key)} cannot be set in the environment. {why}")
    known = OTHER_VARIABLES | _variables(_all_commands())
    for variable in sorted(unknown - known):
        raise UsageProblem(
            f"The environment has {printable(variable, 100)}, which is no setting{_nearest(variable, known)}."
        )


def _variables(commands: Iterable[tuple[str, click.Command]]) -> frozenset[str]:
    return frozenset(
        variable_of(key) for _, command in commands for key, _ in _options(command) if key not in NEVER_PRESET
    )


# -------------------------------------------------------------------------------------------------------- what there is


def _options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    for option in command.params:
        if isinstance(option, click.Option) and (key := key_of(option)) is not None:
            yield key, option


def _all_commands() -> Iterator[tuple[str, click.Command]]:
    """Every command, imported for this question only."""
    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)
    for name in root.command.list_commands(root):
        command = root.command.get_command(root, name)
        if command is not None and not isinstance(command, click.Group):
            yield name, command


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near: Sequence[str] = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
