"""The option ``--json``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from purgeengine.cli.output import json_printing

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def json_option(what: str = "Print one JSON object on stdout; see docs/json.md.") -> Callable[[Decorated], Decorated]:
    """Return the decorator that adds ``--json`` to a command. ``what`` is its help."""
    return click.option(json_printing.OPTION, "as_json", is_flag=True, callback=_noted, help=what)


def _noted(_ctx: click.Context, _option: click.Parameter, given: bool) -> bool:
    if given:
        json_printing.ask()
    return given
