"""What the settings of a request are called on the command line, for sentences that name one."""

from __future__ import annotations

FLAGS = {
    "authority_url": "--authority",
    "inputs": "an INPUT",
    "requests_per_s": "--rate",
    "serial_lanes": "--lanes",
    "until_utc": "--until",
}
"""Those whose flag is not the name of the field with hyphens."""


def as_flags(setting: str) -> str:
    """The `purgeengine.words.Spelling` of the command line: ``auto_stop=False`` is ``--no-auto-stop``."""
    name, _, value = setting.partition("=")
    flag = FLAGS.get(name) or f"--{name.replace('_', '-')}"
    if value == "False":
        return f"--no-{flag.removeprefix('--')}"
    return flag if value in ("", "True") else f"{flag} {value}"
