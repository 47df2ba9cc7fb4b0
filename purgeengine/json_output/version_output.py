"""The object of ``version``."""

from __future__ import annotations

from purgeengine.json_output.envelope import Output


class VersionOutput(Output, frozen=True, kw_only=True):
    """The program and what it runs on."""

    python: str
    """The version of Python."""
    implementation: str
    """The implementation of Python, such as ``CPython``."""
    platform: str
    """The operating system and its version."""
    extras: dict[str, dict[str, str | None]]
    """The packages of each extra for users, each with the version that is installed, or null if it is not."""
    libraries: dict[str, str]
    """The versions of the libraries that a report about a fault should name."""
