"""Reads settings from one TOML file. It refuses unknown settings, and suggests the most similar name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from purgeengine.cli.setting_names import (
    NEVER_PRESET,
    PROTECTED_FILES,
    PROTECTED_NAMES,
    SELF_CONTAINED,
    all_commands,
    nearest,
    options_of,
)
from purgeengine.core.graph.text import printable
from purgeengine.core.policy.filters import entry_problem
from purgeengine.errors import UsageProblem

FILE_BYTES_MAX = 1 << 20
"""Largest configuration file, in bytes. A long list of users belongs in its own file."""
_SECRET = re.compile(r"secret|passw|passphrase|token|credential|private_?key|assertion", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings for one command from the configuration file, by the name of the parameter. ``path`` is None without a file."""

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    protected_names: tuple[str, ...] = ()
    protected_files: tuple[str, ...] = ()


def read_settings(name: str, command: click.Command, path: str | None) -> Settings:
    """Read the file at ``path``, or the user's own file if there is one. Raises `UsageProblem` for an unknown setting or value."""
    file = Path(os.path.expanduser(path)) if path else default_file()  # noqa: PTH111 - pathlib's raises for an unknown ~user
    table = _parsed(file, needed=bool(path))
    if table is None:
        return Settings()
    _refuse_secrets(file, table)
    known = {key: option for key, option in options_of(command) if key not in NEVER_PRESET}
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
    """Return the path of the user's own file.

    A file in the working directory is not read unless it is named, because it may come from an archive of somebody else.
    """
    return Path(click.get_app_dir("purgeengine")) / "config.toml"


def _parsed(file: Path, *, needed: bool) -> dict[str, Any] | None:
    """Return the content of the file. None if it does not exist and is not ``needed``."""
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
    """Raise `UsageProblem` for a key that looks like a secret. This comes before all other checks and never prints the value."""
    for key, value in table.items():
        if isinstance(value, dict):
            _refuse_secrets(file, value)
        elif _SECRET.search(key) and not any(key in (known for known, _ in options_of(c)) for _, c in all_commands()):
            raise UsageProblem(
                f"{file}: {printable(key, 100)!r} looks like a secret. Secrets are not read from a file of settings: remove it "
                "there, and set AZURE_CLIENT_SECRET or one of its relatives in the environment."
            )


def _check_section(file: Path, section: str, table: Mapping[str, Any], name: str, command: click.Command) -> None:
    """Check every key in a command's own table, also if another command is running. Raises `UsageProblem`."""
    commands = {name: command} if section == name else dict(all_commands())
    if section not in commands:
        raise UsageProblem(f"{file}: there is no command for [{printable(section, 100)}]{nearest(section, commands)}.")
    options = dict(options_of(commands[section]))
    for key, value in table.items():
        _refuse_presets(file, key)
        if key in (PROTECTED_NAMES, PROTECTED_FILES) and PROTECTED_NAMES in options:
            _users(file, key, value)
            continue
        if key not in options:
            shown = printable(f"{section}.{key}", 100)
            raise UsageProblem(f"{file}: {shown} is no setting{nearest(key, options)}.")
        _value(file, f"{section}.{key}", options[key], value)


def _option_anywhere(file: Path, key: str) -> click.Option:
    _refuse_presets(file, key)
    options = {k: option for name, c in all_commands() if name not in SELF_CONTAINED for k, option in options_of(c)}
    if key not in options:
        names = [*options, PROTECTED_NAMES, PROTECTED_FILES]
        raise UsageProblem(f"{file}: {printable(key, 100)} is no setting{nearest(key, names)}.")
    return options[key]


def _refuse_presets(file: Path, key: str) -> None:
    if key in NEVER_PRESET:
        raise UsageProblem(f"{file}: {key!r} cannot be set in a file. {NEVER_PRESET[key]}")


def _value(file: Path, key: str, option: click.Option, value: Any) -> Any:
    """Return the value in the form that click takes as a default. Raises `UsageProblem` for a wrong type."""
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
    """Return the names of users, or of files that list users, depending on ``key``."""
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
    """Return the path. A relative path in the file starts from the folder of the file."""
    return str(file.absolute().parent / os.path.expanduser(path))  # noqa: PTH111 - as above


def _shown(value: Any) -> str:
    return printable(repr(value), 100)
