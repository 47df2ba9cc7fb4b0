"""The object of ``config show``."""

from __future__ import annotations

import msgspec

from purgeengine.json_output.envelope import Output


class ShownSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting in effect."""

    key: str
    """Its key in the file of settings."""
    value: str | int | float | bool | list[str] | None
    """Its value, without passwords. Null if it is not set."""
    source: str
    """Where the value comes from: ``option``, ``environment`` with the name of the variable, ``file`` or ``default``."""


class SettingsOutput(Output, frozen=True, kw_only=True):
    """The settings of a command."""

    of_command: str
    """The command whose settings these are."""
    file: str | None
    """The file of settings that was read. Null if there is none."""
    settings: list[ShownSetting]
    """The settings, in the order of the help."""
