"""How sentences write the settings of a request on the command line."""

from __future__ import annotations

from purgeengine.words import AGAIN

FLAGS = {
    AGAIN: "give the same command again",
    "authority_url": "--authority",
    "inputs": "an INPUT",
    "requests_per_s": "--rate",
    "retry_of": "DIR",
    "lanes": "--lanes",
    "until_utc": "--until",
}
"""Settings whose flag is not the name of the field with hyphens, and the words for giving the command again."""


def as_flags(setting: str) -> str:
    """The `purgeengine.words.Spelling` of the command line: ``auto_stop=False`` is ``--no-auto-stop``."""
    name, _, value = setting.partition("=")
    flag = FLAGS.get(name) or f"--{name.replace('_', '-')}"
    if value == "False":
        return f"--no-{flag.removeprefix('--')}"
    return flag if value in ("", "True") else f"{flag} {value}"
