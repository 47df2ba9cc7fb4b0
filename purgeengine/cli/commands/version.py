"""``purgeengine version``: says which version runs, on which Python and platform, and which extras are installed."""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata
from pathlib import Path

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.version import __version__

DISTRIBUTION = "purgeengine"
OF_DEVELOPERS = frozenset({"clients", "dev", "docs", "fuzz", "mutants", "peers", "test"})
"""Extras that change nothing for users."""
TOLD = ("aiohttp", "click", "cryptography", "msal", "msgspec", "pyarrow", "rich", "structlog")
"""Libraries whose version a report about a fault should name."""

EPILOG = """\b
Examples:
  purgeengine version
  purgeengine version --json"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([A-Za-z0-9._-]+)['"]""")


@click.command(cls=GroupedCommand, epilog=EPILOG)
@json_option()
def version(as_json: bool) -> int:
    """Show the version, Python, the platform and the extras that are installed. A report about a fault should begin with it."""
    extras = extras_found()
    libraries = {name: installed for name in TOLD if (installed := _version_of(name)) is not None}
    if as_json:
        from purgeengine.json_output.version_output import VersionOutput

        print_output(
            VersionOutput(
                command=running_command(),
                exit_code=0,
                python=platform.python_version(),
                implementation=platform.python_implementation(),
                platform=platform.platform(),
                extras=extras,
                libraries=libraries,
            )
        )
        return 0
    click.echo(f"purgeengine {__version__}")
    click.echo(f"Python      {platform.python_version()} ({platform.python_implementation()}, {Path(sys.executable)})")
    click.echo(f"platform    {platform.platform()}")
    for name, packages in extras.items():
        click.echo(f"extra       {name}: {_in_words(name, packages)}")
    click.echo(f"libraries   {', '.join(f'{name} {number}' for name, number in libraries.items())}")
    return 0


def extras_found() -> dict[str, dict[str, str | None]]:
    """Return the packages of each extra for users, with the version that is installed. None if a package is not."""
    try:
        about = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:  # it runs from a folder of sources
        return {}
    found: dict[str, dict[str, str | None]] = {
        name: {} for name in about.get_all("Provides-Extra") or () if name not in OF_DEVELOPERS
    }
    for needed in about.get_all("Requires-Dist") or ():
        name, extra = _NAME.match(needed), _EXTRA.search(needed)
        if name is not None and extra is not None and extra[1] in found:
            found[extra[1]][name[0]] = _version_of(name[0])
    return found


def _in_words(extra: str, packages: dict[str, str | None]) -> str:
    missing = [name for name, installed in packages.items() if installed is None]
    if missing:
        return f"not installed; to add it: pip install '{DISTRIBUTION}[{extra}]'"
    return ", ".join(f"{name} {installed}" for name, installed in packages.items()) or "installed"


def _version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
